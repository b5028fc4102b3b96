"""Configuration section `adapter`: which adapter is trained; and the properties of each adapter family."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.config.section import ChoiceSection, Positive

FamilyName = Literal["lora", "core", "ia3"]


@dataclass(frozen=True)
class Sent:
    """What one choice of trained tensors sends.

    Parameters
    ----------
    adapter
        Its name in a table.
    numbers
        Numbers of one layer, each way, by its rank r and its sizes d_in and d_out.
    linear
        Whether a layer's output is linear in the numbers, so that their mean is exact; privacy asks for this.
    nested
        Whether the numbers of a lower rank are some of those of a higher rank.
    """

    adapter: str
    numbers: str
    linear: bool = True
    nested: bool = False


@dataclass(frozen=True)
class Family:
    """Properties of a family for config, policy and model card; its code is in the module of its name in `shared.adapters`.

    Parameters
    ----------
    noun
        What an adapter of the family is called at the start of a sentence.
    words
        What is trained, for the model card; may name entries of the card's training section in braces.
    fields
        The fields of the section that this family reads and some other family does not.
    sent
        What the family sends, for each choice of trained tensors.
    no_decay
        Why weight decay, which pulls parameters to 0, is refused; empty if it is allowed.
    """

    noun: str
    words: str
    fields: tuple[str, ...] = ()
    sent: tuple[Sent, ...] = ()
    no_decay: str = ""


FAMILIES: Mapping[FamilyName, Family] = {
    "lora": Family(
        noun="A LoRA adapter",
        words="LoRA of rank {rank} and alpha {alpha}, factors trained: {factors}",
        fields=("rank", "alpha", "scaling", "dropout", "train"),
        sent=(Sent("lora, A frozen", "r d_out", nested=True), Sent("lora, A and B", "r (d_in + d_out)", linear=False)),
    ),
    "core": Family(
        noun="A LoRA adapter with a trained core",
        words="a core of {rank} x {rank} numbers a layer, with alpha {alpha}, between fixed factors (Fed-SB, 2502.15436)",
        fields=("rank", "alpha", "scaling"),
        sent=(Sent("core", "r r"),),
    ),
    "ia3": Family(
        noun="An IA3 adapter",
        sent=(Sent("ia3", "d_out, or d_in"),),
        words="IA3 (Liu et al. 2022, arXiv 2205.05638), learnt scaling factors of activations",
        no_decay="pulls the factors of ia3 towards 0, which switches layers off",
    ),
}


class AdapterSection(ChoiceSection):
    """The adapter: its family, the layers that it adapts, and settings that only some families have."""

    family: FamilyName = Field(
        "lora",
        description="lora adds a product of two small matrices to a layer's weights; core puts a matrix of rank x rank "
        "between two fixed ones and trains only that, so it sends the fewest numbers and wants a higher rank, such as 32; "
        "ia3 scales keys, values and feed-forward states by one learnt number each; with core, do not set dropout or train; "
        "with ia3, do not set rank (except to 0), alpha, scaling, dropout or train",
    )
    rank: int = Field(16, ge=0, le=256, description="LoRA rank (0 to 256); 0 trains only the classification head")
    alpha: Positive = Field(
        16.0, le=1e4, description="LoRA alpha (above 0, at most 10,000); the update is scaled by alpha / rank"
    )
    targets: tuple[str, ...] = Field(
        (),
        description="names of the linear layers to adapt; empty: the model's attention layers (lora, core), or its keys, "
        "values and second feed-forward layer (ia3)",
    )
    last_layers: int = Field(
        0, ge=0, description="number of last layers to adapt; fewer layers cost less time and noise; 0: all layers"
    )
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="numbers of the layers to adapt, from 0; empty: as last_layers says"
    )
    scaling: Literal["standard", "rank-stabilised"] = Field(
        "standard",
        description="the update is scaled by alpha / rank, or by alpha / sqrt(rank) (rsLoRA), for high ranks",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="LoRA dropout (0 to below 1)")
    train: Literal["B", "AB"] = Field("B", description="factors that are trained; under privacy A stays frozen, so only B")

    @property
    def traits(self) -> Family:
        """Return the properties of the chosen family."""
        return FAMILIES[self.family]

    def idle(self) -> Mapping[str, tuple[str, str]]:
        """Return the fields that only other families read; a rank of 0 (no adapter, only a head) suits every family."""
        owners = {field: ("family", name) for name, family in reversed([*FAMILIES.items()]) for field in family.fields}
        read = (*self.traits.fields, *(() if self.rank else ("rank",)))
        return {field: owner for field, owner in owners.items() if field not in read}

    @model_validator(mode="after")
    def _one_choice_of_layers(self) -> Self:
        if self.layers and self.last_layers:
            raise ValueError("layers: last_layers is set too; give one of them")
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("layers: a layer is named twice")
        return self
