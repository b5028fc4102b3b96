"""Set the data stage: cleaning, balancing and augmentation; privacy/stability says what each costs."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from shared.config.section import Positive, Section
from shared.text.counterfactual import Swap

PARAPHRASES = "augmentation.paraphrases"  # name of their count
WITHOUT_MODEL = f"{PARAPHRASES}.without_model"

LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


class CleaningSection(Section):
    """Which records are mended or left out, by fixed public rules and thresholds."""

    repair: bool = Field(True, description="mend text that was decoded wrongly, such as 'cafÃ©'; no other text changes")
    languages: tuple[LanguageCode, ...] = Field(
        (), description="languages that are kept, as ISO 639-1 codes such as 'en'; empty keeps all"
    )
    min_chars: int = Field(0, ge=0, le=100_000, description="a record with a field of fewer characters is left out")
    max_repetition: float = Field(
        1.0, ge=0, le=1, description="largest share of a field's word triples that may be repeats; 1 keeps all (0 to 1)"
    )
    exact_duplicates: Literal["keep", "drop"] = Field(
        "keep",
        description="drop: of records that are the same in all that training sees (scrubbed text, label, an adversary's "
        "group) only the first is used",
    )
    label_conflicts: Literal["keep", "drop"] = Field(
        "keep",
        description="drop: a text that occurs with different labels, within one group of an adversary where there is one, "
        "is left out (needs exact_duplicates = 'drop')",
    )
    near_duplicates: float | None = Field(
        None, gt=0, le=1, description="estimated Jaccard similarity from which a later record is left out; not under privacy"
    )


class BalanceSection(Section):
    """How a classification compensates for rare labels."""

    weights: Literal["none", "public", "counts"] = Field(
        "none",
        description="loss weights by label, set before the clip: from public label_shares, or from a site's own label "
        "counts, which under privacy are released to the training with noise and charged to the plan",
    )
    label_shares: tuple[Positive, ...] = Field(
        (), description="public share of each label, in the order of task.labels (weights = 'public')"
    )
    count_noise: Positive = Field(
        20.0, description="noise multiplier of the label counts of a round: more costs less epsilon (weights = 'counts')"
    )
    largest_weight: float = Field(10.0, ge=1, le=1000, description="largest weight of a label (1 to 1000)")
    resample: Literal["none", "over", "under"] = Field(
        "none", description="repeat records of rare labels, or leave out some of frequent ones; not under privacy"
    )


class AugmentationSection(Section):
    """Further views of a record: noised, reworded or of another person, averaged within its gradient before the clip."""

    views: int = Field(
        1, ge=1, le=64, description="K: a text itself and K - 1 noised views of it, drawn anew in each step; 1 is off"
    )
    noises: tuple[Literal["typos", "case", "synonyms", "order"], ...] = Field(
        ("typos", "case", "synonyms", "order"),
        description="kinds of noise in a view; may be empty where there are paraphrases",
    )
    rate: float = Field(0.1, gt=0, le=1, description="chance of each word to be changed by each kind of noise")
    swaps: tuple[Swap, ...] = Field(
        (),
        description="add the record as it would read of another person: with gendered words exchanged, or with names of two "
        "groups; each such text has K views of its own; empty is off",
    )
    paraphrases: int = Field(
        0,
        ge=0,
        le=16,
        description="wordings of each text that a model at the site writes once, at set-up; the K - 1 views are then of "
        "these in turn, and of the text where one was dropped; a site without a model continues without; 0 is off",
    )
    paraphraser: str | None = Field(
        None,
        min_length=1,
        description="the model that writes paraphrases at the sites of a simulation: of the catalogue, or a folder, and not "
        "trained on these records; a real site names its own in SITE.toml and ignores this field",
    )

    @model_validator(mode="after")
    def _a_view_differs(self) -> Self:
        if self.paraphrases and self.views < 2:
            raise ValueError(
                f"paraphrases = {self.paraphrases}: are views in addition to the text itself; set views = 2 or more"
            )
        if not self.noises and not self.paraphrases:
            raise ValueError("noises: empty, so all views would be the same; name a kind, or set paraphrases = 1 or more")
        return self

    @property
    def on(self) -> bool:
        """Return whether a record has any view but itself."""
        return self.views > 1 or bool(self.swaps)
