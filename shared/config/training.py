"""Configuration section `training`: rounds, local steps, learning rates and batches."""

from typing import Annotated, Literal

from pydantic import Field

from shared.config.section import Positive, Rate, Section


class TrainingSection(Section):
    """How long and how fast each site trains in each round."""

    rounds: int = Field(3, ge=1, le=10_000, description="number of rounds (1 to 10000)")
    steps: int = Field(10, ge=1, le=100_000, description="optimiser steps of each site in each round (1 to 100000)")
    sampling_rate: Rate = Field(
        0.1, description="public sampling rate q: probability that a record is in a step's batch (above 0, at most 1)"
    )
    learning_rate: Positive = Field(
        1e-2,
        le=1000,
        description="peak learning rate of the adapter (above 0, at most 1000); under privacy.trust = 'distributed' in the "
        "units of aggregation.optimiser, with a default of its own",
    )
    head_learning_rate: Positive = Field(
        5e-2, le=1000, description="peak learning rate of a classification head; see learning_rate"
    )
    warmup: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of all steps over which the learning rate rises to its peak, before `schedule` applies",
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear",
        description="learning rate after warmup, over the whole run: linear or cosine decay to 0, or constant; without a "
        "value, constant for aggregation.optimiser = 'sgd'",
    )
    weight_decay: float = Field(0.0, ge=0, lt=1, description="AdamW weight decay (0 to 1)")
    distillation: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="weight of a distillation term in each record's loss that keeps the model near the base model, against "
        "forgetting: KL divergence from its next-token distribution (instruction), or relative squared distance from its "
        "embedding (classification) or token states (token_classification)",
    )
    proximal: float = Field(
        0.0,
        ge=0,
        le=100,
        description="FedProx-style pull towards the adapter at the start of the round, applied after each step, times "
        "the learning rate",
    )
    micro_batch_tokens: Annotated[int, Field(ge=64)] | Literal["auto"] = Field(
        4096,
        description="tokens computed at once (64 or more); affects memory and speed, and the result only by rounding; auto "
        "uses as many as fit the free memory of each machine",
    )
    byte_budget: int | None = Field(
        None,
        ge=1,
        description="bytes on the wire of the whole run, orders and replies of all sites together (1 or more): the run ends "
        "before a round that would exceed it if it took as many bytes as the largest so far; the first round is always run; "
        "empty: no limit",
    )
    checkpointing: bool = Field(
        False, description="gradient checkpointing: recompute each layer in the backward pass; less memory, more time"
    )
