"""Configuration section `task`, and the properties of each task that can be read without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from shared.config.section import Section

TaskName = Literal["classification", "instruction", "token_classification"]


@dataclass(frozen=True)
class Declaration:
    """Properties of a task: what it needs from the config and from a record, and how a model card describes its adapter.

    Attributes
    ----------
    fields
        The texts of a record, each with a column in ``data.columns``; the first is the model's input.
    target
        Where the answer of a record is, which decides how scrubbing treats it: a ``label`` of ``task.labels`` passes
        unchanged; a ``text``, the last field, is scrubbed like every text; ``tags``, labelled spans of the first text, move
        with that text.
    pipeline_tag
        The Hugging Face pipeline of the published adapter.
    fewest_labels
        Smallest number of ``task.labels``; 0 for a task without labels.
    head
        What the model card calls the trained head; None if the task has no head.
    head_input
        What the head reads, for the model card.
    hides_groups
        Whether adversarial debiasing is possible.
    operator
        The task's default for ``anonymise.operator``; None keeps the general default.
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
        operator="surrogate",  # because a model that generates text should not learn to write tags
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
    """What the model learns: the task, and its labels or its system message."""

    name: TaskName = Field(
        "classification",
        description="classification: one label for each text; instruction: answers to instructions; token_classification: "
        "labelled spans of each text",
    )
    labels: tuple[str, ...] = Field(
        (),
        description="the public labels, in order (classification, token_classification); 'evaluation.file' instead of a "
        "list takes the labels that occur in that public file, sorted",
    )
    head_start: Literal["random", "labels"] = Field(
        "random",
        description="the head before training (classification): random: signs that follow from run.seed; labels: the base "
        "model's embeddings of the labels' names, which are public; this helps most with few records or a small epsilon",
    )
    system: str = Field("", description="system message of an instruction task")

    @property
    def declared(self) -> Declaration:
        """Return the properties of the task."""
        return DECLARED[self.name]

    @model_validator(mode="after")
    def _labels_fit(self) -> Self:
        fewest = self.declared.fewest_labels
        if fewest and (len(self.labels) < fewest or len(set(self.labels)) != len(self.labels)):
            raise ValueError(f"labels: task.name = '{self.name}' needs at least {fewest} different labels")
        if self.head_start == "labels" and self.declared.target != "label":
            raise ValueError(
                f"head_start = 'labels': task.name = '{self.name}' gives no label to a whole text; set 'random'"
            )
        return self
