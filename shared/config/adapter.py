"""The section of a run's configuration that says which adapter is trained."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from shared.config.section import Positive, Section

OF_LORA = ("rank", "alpha", "scaling", "dropout", "train")  # fields that mean nothing to another family


class AdapterSection(Section):
    """The adapter: its family, where it sits, and what is LoRA's alone: its rank, its scale and which factor is trained."""

    family: Literal["lora", "ia3"] = Field(
        "lora",
        description="lora adds a product of two small matrices to a layer's weights; ia3 scales keys, values and "
        "feed-forward states, one number a unit, and takes no rank (but 0), alpha, scaling, dropout or train",
    )
    rank: int = Field(16, ge=0, le=256, description="LoRA rank; 0 trains the classification head alone")
    alpha: Positive = Field(16.0, description="LoRA alpha; the update is scaled by alpha / rank")
    targets: tuple[str, ...] = Field(
        (),
        description="names of the linear layers to adapt; empty takes the model's attention layers (lora), or its keys, "
        "values and second feed-forward layer (ia3)",
    )
    last_layers: int = Field(
        0, ge=0, description="adapt only the last so many layers, which costs less time and noise; 0 takes all"
    )
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="adapt only the layers of these numbers, from 0; empty takes last_layers"
    )
    scaling: Literal["standard", "rank-stabilised"] = Field(
        "standard",
        description="the update is scaled by alpha / rank, or by alpha / sqrt(rank) (rsLoRA), for high ranks",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="LoRA dropout (0 to below 1)")
    train: Literal["B", "AB"] = Field("B", description="factors that are trained; under privacy A stays frozen, so B alone")

    @model_validator(mode="after")
    def _one_choice_of_layers(self) -> Self:
        if self.layers and self.last_layers:
            raise ValueError("layers: last_layers is set too; give one of them")
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("layers: a layer is named twice")
        return self

    @model_validator(mode="after")
    def _nothing_is_set_that_means_nothing(self) -> Self:
        for name in self._idle():
            if name in self.model_fields_set:
                raise ValueError(f"{name}: means nothing to family = '{self.family}'; leave it out, or take family = 'lora'")
        return self

    @model_serializer(mode="wrap")
    def _what_means_something(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A section that is written and read again must not set what it may not."""
        tree: dict[str, Any] = serialise(self)
        return {name: value for name, value in tree.items() if name not in self._idle()}

    def _idle(self) -> tuple[str, ...]:
        """The fields that mean nothing here; a rank of 0 says that there is no adapter, of either family."""
        idle = () if self.family == "lora" else OF_LORA
        return tuple(name for name in idle if name != "rank" or self.rank)
