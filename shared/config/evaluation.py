"""Configuration sections `evaluation`, `evaluation.probes` and `report`: how a model is measured and what is written."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.config.section import Section
from shared.text.counterfactual import Swap

Country = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Z]{3}$",
        description="country (ISO 3166-1 alpha-3, such as 'DEU') whose power grid gives the CO2e; empty: no CO2e",
    ),
]


class ProbesSection(Section):
    """Probes of the final adapter beyond its score; they use only held-out records and public texts."""

    max_records: int = Field(
        500, ge=20, le=100_000, description="number of held-out records to probe, chosen with the run's seed"
    )
    noises: tuple[Literal["typos", "case", "deletion", "synonyms", "order"], ...] = Field(
        ("typos", "case", "deletion", "synonyms"), description="kinds of noise added to the text, one kind at a time"
    )
    rate: float = Field(0.1, gt=0, le=1, description="probability that a word is changed by noise (above 0, at most 1)")
    search: int = Field(
        8, ge=0, le=64, description="noised variants of each record tried to find its worst case; 0 skips this search"
    )
    swaps: tuple[Swap, ...] = Field(
        ("gender", "names"), description="kinds of words swapped for their counterparts to see whether the answer changes"
    )
    backdoor: bool = Field(
        True, description="search for trigger words that change the label of any text they precede (classification)"
    )
    triggers: tuple[str, ...] = Field((), description="trigger words to try first, before the built-in public list")
    group: str | None = Field(
        None, description="column of the held-out records that holds each record's group, to compare scores by group"
    )
    forgetting: bool = Field(
        True, description="measure on public texts how much of its base knowledge the model lost by training"
    )
    general: Path | None = Field(
        None,
        description="public texts for 'forgetting': JSON lines with 'text' and, for classification, 'label'; empty: the "
        "texts in the package",
    )


class EvaluationSection(Section):
    """How the server evaluates the model."""

    file: Path | None = Field(
        None,
        description="file of held-out records that the server may use, with the columns of data.columns; a simulation "
        "without it holds out some of its sites' records (data.held_out)",
    )
    validation: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of the held-out records used for choices (prompts, best round); the rest is the test set "
        "(0 to 0.5)",
    )
    patience: int = Field(
        0,
        ge=0,
        description="early stopping: stop after this many rounds without improvement on the validation records; 0: never",
    )
    every: int = Field(
        1,
        ge=1,
        description="evaluate after every n-th round and after the last; 1 if rounds are compared on validation records",
    )
    max_records: int = Field(
        5000, ge=1, description="most held-out records to score; if there are more, a subset is chosen with the run's seed"
    )
    answers: int = Field(
        0,
        ge=0,
        description="instruction task: number of held-out prompts answered before and after training, scored by BLEU, "
        "ROUGE, F1",
    )
    max_new_tokens: int = Field(64, ge=1, le=4096, description="longest generated answer, in tokens")
    bootstrap: int = Field(1000, ge=100, le=100_000, description="bootstrap resamples for each confidence interval")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="confidence level of the intervals (above 0.5, below 1)")
    probes: ProbesSection | None = Field(
        None,
        description="probes of the final adapter (robustness, groups, swaps, forgetting); without this table none are run",
    )

    @model_validator(mode="after")
    def _patience_needs_records(self) -> Self:
        if self.patience and not self.validation:
            raise ValueError("patience: needs validation records to compare rounds; set evaluation.validation above 0")
        return self

    @model_validator(mode="after")
    def _compared_rounds_are_evaluated(self) -> Self:
        if self.validation and self.every > 1:
            raise ValueError("every: with validation records each round is compared; set evaluation.every = 1")
        return self

    def is_due(self, number: int, rounds: int) -> bool:
        """Return whether the model is evaluated after a round, counted from 1, of a run with this many rounds."""
        return number % self.every == 0 or number == rounds


class ReportSection(Section):
    """Which reports a run writes at its end."""

    html: bool = Field(True, description="write report.html next to report.json")
    energy: bool = Field(
        False,
        description="estimate the electricity of each round: a simulation counts all sites, a server counts only itself",
    )
    tracking: Literal["auto", "none", "mlflow", "tensorboard", "wandb"] = Field(
        "auto",
        description="experiment tracker on this machine that receives the report's numbers; auto: mlflow if installed",
    )
    country: Country = None
