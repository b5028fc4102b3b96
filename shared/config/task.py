"""The section that names the task."""

from typing import Literal, Self

from pydantic import Field, model_validator

from shared.config.section import Section


class TaskSection(Section):
    """What is learnt."""

    name: Literal["classification", "instruction"] = Field("classification", description="classification or instruction")
    labels: tuple[str, ...] = Field((), description="the public label set of a classification, in order")
    system: str = Field("", description="system message of an instruction task")

    @model_validator(mode="after")
    def _labels_fit(self) -> Self:
        if self.name == "classification" and (len(self.labels) < 2 or len(set(self.labels)) != len(self.labels)):
            raise ValueError("labels: a classification needs at least 2 different labels")
        return self
