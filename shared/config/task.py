"""The config section that names the task, and the declaration of each task, which is read where torch is not wanted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from shared.config.section import Section

TaskName = Literal["classification", "instruction", "token_classification"]


@dataclass(frozen=True)
class Declaration:
    """What a task needs from the config and from a record, and how a model card speaks of its adapter.

    ``fields`` are the texts of a record, each with a column in ``data.columns``; the first is what the model is asked.
    ``target`` says where the answer of a record is, and so how scrubbing treats it: one of ``task.labels`` passes as it is;
    the last text is scrubbed like every text; ``tags``, labelled stretches of the first text, move with that text.
    ``operator`` replaces the default of ``anonymise.operator``.
    """

    fields: tuple[str, ...]
    target: Literal["label", "text", "tags"]
    pipeline_tag: str
    fewest_labels: int = 0
    head: str | None = None
    head_input: str = ""
    hides_groups: bool = False
    operator: str | None = None


DECLARED: Mapping[str, Declaration] = {
    "classification": Declaration(
        fields=("text",),
        target="label",
        pipeline_tag="text-classification",
        fewest_labels=2,
        head="classification head",
        head_input="the mean of its token states",
        hides_groups=True,
    ),
    "instruction": Declaration(
        fields=("instruction", "response"),
        target="text",
        pipeline_tag="text-generation",
        operator="surrogate",  # a model that writes should learn text that reads like text
    ),
    "token_classification": Declaration(
        fields=("text",),
        target="tags",
        pipeline_tag="token-classification",
        fewest_labels=1,
        head="token classification head",
        head_input="the state of each token",
    ),
}


class TaskSection(Section):
    """What is learnt."""

    name: TaskName = Field("classification", description=" or ".join(DECLARED))
    labels: tuple[str, ...] = Field((), description="the public label set, in order, of a task that has labels")
    system: str = Field("", description="system message of an instruction task")

    @property
    def declared(self) -> Declaration:
        """The declaration of the task."""
        return DECLARED[self.name]

    @model_validator(mode="after")
    def _labels_fit(self) -> Self:
        fewest = self.declared.fewest_labels
        if fewest and (len(self.labels) < fewest or len(set(self.labels)) != len(self.labels)):
            raise ValueError(f"labels: task.name = '{self.name}' needs at least {fewest} different labels")
        return self
