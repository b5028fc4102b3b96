"""Configuration sections `cleaning`, `balance` and `augmentation`; privacy/stability.py says what each costs in privacy."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from shared.config.section import Positive, Section
from shared.text.counterfactual import Swap

# Names of counts of the data stage: paraphrases (with a suffix, dropped ones by reason), and records without a model.
PARAPHRASES = "augmentation.paraphrases"
WITHOUT_MODEL = f"{PARAPHRASES}.without_model"

LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


class CleaningSection(Section):
    """Which records are repaired or left out, by fixed public rules and thresholds."""

    repair: bool = Field(True, description="repair text that was decoded wrongly, such as 'cafÃ©'; no other text changes")
    languages: tuple[LanguageCode, ...] = Field(
        (), description="languages of records to keep, as ISO 639-1 codes such as 'en'; empty: all"
    )
    min_chars: int = Field(0, ge=0, le=100_000, description="a record with a field of fewer characters is left out")
    max_repetition: float = Field(
        1.0, ge=0, le=1, description="largest share of a field's word triples that may be repeats; 1 keeps all (0 to 1)"
    )
    exact_duplicates: Literal["keep", "drop"] = Field(
        "keep",
        description="drop: of records that are equal in everything that training sees (scrubbed text, label, an adversary's "
        "group), use only the first",
    )
    label_conflicts: Literal["keep", "drop"] = Field(
        "keep",
        description="drop: leave out a text that occurs with different labels, with an adversary only within the same group "
        "(needs exact_duplicates = 'drop')",
    )
    near_duplicates: float | None = Field(
        None, gt=0, le=1, description="estimated Jaccard similarity from which a later record is left out; not under privacy"
    )


class BalanceSection(Section):
    """How a classification compensates for rare labels."""

    weights: Literal["none", "public", "counts"] = Field(
        "none",
        description="loss weights by label, applied before clipping: from public label_shares, or from a site's own label "
        "counts, which under privacy are noised and charged to the plan",
    )
    label_shares: tuple[Positive, ...] = Field(
        (), description="public share of each label, in the order of task.labels (weights = 'public')"
    )
    count_noise: Positive = Field(
        20.0, description="noise multiplier of a round's label counts; a larger one costs less epsilon (weights = 'counts')"
    )
    largest_weight: float = Field(10.0, ge=1, le=1000, description="largest weight of a label (1 to 1000)")
    resample: Literal["none", "over", "under"] = Field(
        "none", description="repeat records of rare labels, or leave out some of frequent ones; not under privacy"
    )


class AugmentationSection(Section):
    """Further views of a record (noised, paraphrased or counterfactual), averaged within its gradient before clipping."""

    views: int = Field(
        1, ge=1, le=64, description="K: the text itself and K - 1 noised views of it, drawn anew in each step; 1: off"
    )
    noises: tuple[Literal["typos", "case", "synonyms", "order"], ...] = Field(
        ("typos", "case", "synonyms", "order"),
        description="kinds of noise in a view; may be empty if there are paraphrases",
    )
    rate: float = Field(
        0.1, gt=0, le=1, description="probability of each word to be changed by each kind of noise (above 0, at most 1)"
    )
    swaps: tuple[Swap, ...] = Field(
        (),
        description="add counterfactual copies of the record, with gendered words exchanged or with names of another group; "
        "each copy has K views of its own; empty: off",
    )
    paraphrases: int = Field(
        0,
        ge=0,
        le=16,
        description="number of paraphrases of each text, which a model at the site writes once, at set-up; the K - 1 views "
        "are made from the paraphrases in turn, or from the text where a paraphrase was dropped; a site without such a "
        "model trains without paraphrases; 0: off",
    )
    paraphraser: str | None = Field(
        None,
        min_length=1,
        description="model that writes the paraphrases in a simulation: a catalogue name or a folder; it must not be "
        "trained on these records; a real site names its own model in SITE.toml and ignores this field",
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
        """Return whether a record has more views than itself."""
        return self.views > 1 or bool(self.swaps)
