"""Sections of the configuration for studies over many runs: what is compared, and what is searched."""

from typing import Literal

from pydantic import Field, field_validator

from shared.sections import Positive, Section

PROMPTS = (
    "{text}\n\nWhich of these does the text above fall under: {labels}? Answer with one of them.",
    "Classify the text. The possible labels are: {labels}.\n\nText: {text}\n\nLabel:",
)


class CompareSection(Section):
    """What hushtune compare sets side by side; each row is trained and measured on the same records."""

    arms: tuple[Literal["base", "prompts", "sites", "federation", "pooled"], ...] = Field(
        ("base", "prompts", "sites", "federation", "pooled"),
        min_length=1,
        description="base: no training; prompts: the best prompt of a small search; sites: each site alone; federation; "
        "pooled: all records in one place, the upper bound",
    )
    models: tuple[str, ...] = Field((), description="base models to compare; empty takes model.name alone")
    epsilons: tuple[Positive, ...] = Field(
        (1.0, 3.0, 8.0), description="epsilons of the federation, beside privacy.epsilon and a run without privacy"
    )
    seeds: int = Field(3, ge=1, le=100, description="runs of each row, with seeds from run.seed up")
    prompt_model: str = Field("smollm2-135m", min_length=1, description="language model that prompts are tried on")
    prompts: tuple[str, ...] = Field(
        PROMPTS, min_length=1, description="instructions to try, with {text} and {labels} in them (classification)"
    )
    shots: tuple[int, ...] = Field((0, 4), min_length=1, description="numbers of public examples before the question")
    prompt_records: int = Field(
        200, ge=1, description="records that prompts are chosen on, and as many that the best is scored on"
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
            raise ValueError("a number of examples is 0 or more")
        return shots
