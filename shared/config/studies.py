"""Configuration sections `compare` and `sweep`: studies that train many runs."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from shared.config.section import Positive, Section

# Prompts that compare tries by default; {text} and {labels} are filled in for each record.
PROMPTS = (
    "{text}\n\nWhich of these does the text above fall under: {labels}? Answer with one of them.",
    "Classify the text. The possible labels are: {labels}.\n\nText: {text}\n\nLabel:",
)


class CompareSection(Section):
    """What `hushtune compare` trains and compares; all rows use the same records."""

    arms: tuple[Literal["base", "prompts", "sites", "federation", "pooled"], ...] = Field(
        ("base", "prompts", "sites", "federation", "pooled"),
        min_length=1,
        description="base: no training; prompts: the best prompt of a small search; sites: each site trains by itself; "
        "federation: all sites train together; pooled: all records in one place, as an upper bound",
    )
    models: tuple[str, ...] = Field((), description="base models to compare; empty: only model.name")
    epsilons: tuple[Positive, ...] = Field(
        (1.0, 3.0, 8.0), description="epsilons of the federation, in addition to privacy.epsilon and a run without privacy"
    )
    seeds: int = Field(3, ge=1, le=100, description="number of runs per row, with seeds run.seed, run.seed + 1, ...")
    prompt_model: str = Field("smollm2-135m", min_length=1, description="language model that answers the prompts")
    prompts: tuple[str, ...] = Field(
        PROMPTS, min_length=1, description="prompts to try, each with {text} and {labels} (classification)"
    )
    shots: tuple[int, ...] = Field((0, 4), min_length=1, description="numbers of public examples to put before the question")
    prompt_records: int = Field(
        200, ge=1, description="number of records used to choose the prompt; as many others are used to score the best one"
    )

    @field_validator("prompts")
    @classmethod
    def _prompts_have_a_text(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        for prompt in prompts:
            if "{text}" not in prompt:
                raise ValueError("each prompt needs {text} where the text goes")
        return prompts

    @field_validator("shots")
    @classmethod
    def _shots_are_counts(cls, shots: tuple[int, ...]) -> tuple[int, ...]:
        if min(shots) < 0:
            raise ValueError("each number of examples must be 0 or more")
        return shots


class SpaceSection(Section):
    """One field that a sweep searches: a range, or a list of choices."""

    field: Annotated[str, StringConstraints(pattern=r"^[a-z_]+\.[a-z_]+$")] = Field(
        description="field of the config to search, such as training.learning_rate"
    )
    low: float | None = Field(None, allow_inf_nan=False, description="smallest value, included")
    high: float | None = Field(None, allow_inf_nan=False, description="largest value, included")
    log: bool = Field(False, description="search the range on a logarithmic scale")
    whole: bool = Field(False, description="try only whole numbers")
    choices: tuple[bool | int | float | str, ...] = Field((), description="values to choose from, instead of a range")

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        ends = (self.low, self.high)
        if bool(self.choices) == (None not in ends) or (self.choices and ends != (None, None)):
            raise ValueError(f"{self.field}: give low and high, or choices")
        if self.low is not None and self.high is not None and not (self.low < self.high and (self.low > 0 or not self.log)):
            raise ValueError(f"{self.field}: low must be below high, and above 0 where log = true")
        return self


class SweepSection(Section):
    """What `hushtune sweep` searches; each trial is judged only on the public validation records."""

    trials: int = Field(20, ge=1, le=10_000, description="total number of trials, including those of an interrupted sweep")
    space: tuple[SpaceSection, ...] = Field(min_length=1, description="the fields to search")
    prune: bool = Field(True, description="stop a trial that does worse than the median of earlier trials at the same round")
