"""The section that sets local training: steps, rates and batches."""

from typing import Annotated, Literal

from pydantic import Field

from shared.config.section import Positive, Rate, Section


class TrainingSection(Section):
    """Local training: how often, how much, how fast."""

    rounds: int = Field(3, ge=1, le=10_000, description="rounds of the run")
    steps: int = Field(10, ge=1, le=100_000, description="optimiser steps of a site in a round")
    sampling_rate: Rate = Field(
        0.1, description="public sampling rate q: chance of each record to be in a step (above 0, at most 1)"
    )
    learning_rate: Positive = Field(1e-2, description="peak learning rate of the adapter")
    head_learning_rate: Positive = Field(5e-2, description="peak learning rate of a classification head")
    warmup: float = Field(
        0.1, ge=0, lt=1, description="share of all steps in which the rate rises to its peak, before schedule takes over"
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear",
        description="how the rate goes on from its peak over the whole run: down to 0 by a line or a cosine, or not",
    )
    weight_decay: float = Field(0.0, ge=0, lt=1, description="AdamW weight decay")
    distillation: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="weight of staying near the base model in each record's own loss, against forgetting: the KL divergence "
        "from the base's words (instruction), or the squared distance from its embedding (classification)",
    )
    proximal: float = Field(
        0.0, ge=0, le=100, description="pull towards where the round started, times the learning rate, after each step"
    )
    micro_batch_tokens: Annotated[int, Field(ge=64)] | Literal["auto"] = Field(
        4096,
        description="tokens computed at once (64 or more); changes memory, never the result but for rounding; auto "
        "takes what fits the free memory of each machine",
    )
    checkpointing: bool = Field(
        False, description="compute each layer again in the backward pass: less memory for more time"
    )
