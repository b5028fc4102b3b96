"""Sections of the configuration that say how a model is measured and what is written of it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.config.section import Section
from shared.text.counterfactual import Swap

Country = Annotated[
    str | None,
    Field(pattern=r"^[A-Z]{3}$", description="country whose grid gives CO2e, such as 'DEU'; empty tells none"),
]


class ProbesSection(Section):
    """What is asked of the final adapter beyond its score, on held-out records and public texts alone."""

    max_records: int = Field(500, ge=20, le=100_000, description="held-out records that are probed; a seeded choice")
    noises: tuple[Literal["typos", "case", "deletion", "synonyms", "order"], ...] = Field(
        ("typos", "case", "deletion", "synonyms"), description="kinds of noise that the text is given, one at a time"
    )
    rate: float = Field(0.1, gt=0, le=1, description="chance of each word to be changed by a kind of noise")
    search: int = Field(
        8, ge=0, le=64, description="noised texts of a record that its worst case is searched among; 0 searches none"
    )
    swaps: tuple[Swap, ...] = Field(
        ("gender", "names"), description="words that are exchanged to see whether the answer changes"
    )
    backdoor: bool = Field(
        True, description="search for words before a text that move its label wherever they stand (classification)"
    )
    triggers: tuple[str, ...] = Field((), description="words that the search tries first, beside its own public list")
    group: str | None = Field(
        None, description="column of the held-out records that says which group a record is of, to compare groups"
    )
    forgetting: bool = Field(True, description="measure on public texts what the base model knew before and after")
    general: Path | None = Field(
        None,
        description="those texts: JSON lines with 'text' and, for a classification, 'label'; empty takes the package's own",
    )


class EvaluationSection(Section):
    """How the server measures the model."""

    file: Path | None = Field(
        None,
        description="held-out records that a server may use, with the columns of data; a simulation holds out its own",
    )
    validation: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of the held-out records that choices are made on (prompts, the best round); the rest is the test",
    )
    patience: int = Field(
        0, ge=0, description="stop after so many rounds without a better one on the validation records; 0 never stops early"
    )
    max_records: int = Field(5000, ge=1, description="held-out records scored; a seeded choice where there are more")
    answers: int = Field(
        0, ge=0, description="instruction task: held-out prompts answered before and after, scored by BLEU, ROUGE and F1"
    )
    max_new_tokens: int = Field(64, ge=1, le=4096, description="longest generated answer, in tokens")
    bootstrap: int = Field(1000, ge=100, le=100_000, description="bootstrap resamples of an interval")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="coverage of an interval (0.5 to 1)")
    probes: ProbesSection | None = Field(
        None,
        description="robustness, groups, swaps and forgetting of the final adapter; no table of this name measures none",
    )

    @model_validator(mode="after")
    def _patience_needs_records(self) -> Self:
        if self.patience and not self.validation:
            raise ValueError("patience: rounds are judged on validation records; set evaluation.validation above 0")
        return self


class ReportSection(Section):
    """What is written at the end."""

    html: bool = Field(True, description="write report.html beside report.json")
    energy: bool = Field(
        False,
        description="estimate the electricity of each round: in a simulation of all sites, at a server of its own",
    )
    tracking: Literal["auto", "none", "mlflow", "tensorboard", "wandb"] = Field(
        "auto", description="experiment tracker on this machine that gets the report's numbers; auto: mlflow if installed"
    )
    country: Country = None
