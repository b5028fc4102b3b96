"""Configuration section `aggregation`: how deltas are aggregated; and what each aggregation method needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from shared.config.section import ChoiceSection, Positive

MethodName = Literal["mean", "partitioned_mean", "stacked", "trimmed_mean", "median", "geometric_median"]
OptimiserName = Literal["plain", "sgd", "adamw", "momentum"]
Weights = Literal["uniform", "declared"]
EncodingName = Literal["float32", "int8", "int4"]


@dataclass(frozen=True)
class Contract:
    """What an aggregation method needs; its code is in the module of its name in `server.aggregation`.

    Parameters
    ----------
    central
        Name of the method that replaces it under ``privacy.trust = "central"``, with clipping and noise at the server. None
        if there is no such method; then that trust model is refused.
    sums
        Whether the sum of the deltas suffices; secure sums (``privacy.trust = "distributed"``, ``aggregation.secure_sums``)
        reveal only the sum.
    weights
        The weights that the method supports.
    quorum
        The fewest replies that it can work on.
    options
        The fields of the section that only this method reads.
    linear
        Whether the aggregate is linear in the deltas, so that it is exact for an adapter whose layers are linear in what is
        trained.
    ranks
        Whether each site may have a rank of its own; the lower ranks of the adapter must then be parts of the higher ones.
    factors
        Whether the method combines the products of LoRA's two factors. It then needs both factors trained, which no run with
        privacy does, and no optimiser of the server.
    beside_sums
        Why ``privacy.trust = "distributed"`` is refused, if ``sums`` is false.
    """

    central: str | None = None
    sums: bool = False
    weights: tuple[Weights, ...] = ("uniform",)
    quorum: Callable[["AggregationSection"], int] = lambda _: 1
    options: tuple[str, ...] = ()
    linear: bool = False
    ranks: bool = False
    factors: bool = False
    beside_sums: str = "needs each site's own delta, and privacy.trust = 'distributed' shows only their sum"


METHODS: Mapping[MethodName, Contract] = {
    "mean": Contract(central="noised_mean", sums=True, weights=("uniform", "declared"), linear=True),
    "partitioned_mean": Contract(
        central="noised_partitioned_mean",
        weights=("uniform", "declared"),
        linear=True,
        ranks=True,
        beside_sums="divides each column by the sites that have it, and privacy.trust = 'distributed' plans its noise for "
        "one divisor and vectors of one length",
    ),
    "stacked": Contract(weights=("uniform", "declared"), factors=True),
    "trimmed_mean": Contract(quorum=lambda section: 2 * section.trim + 1, options=("trim",)),
    "median": Contract(quorum=lambda _: 3),  # fewer have no majority
    "geometric_median": Contract(quorum=lambda _: 3),
}
FEWEST_IN_SUM = 3  # a sum of two sites shows each of them the other's delta
LONGEST_IN_SUM = 1000.0  # largest max_norm of secure sums: a step of the grid is then up to 4e-6 of the mean's numbers
# Optimisers that step along a gradient (the others add a delta), each with its default learning rates of adapter and head.
# The first optimiser is the default; `python -m bench.study bench/rates.toml` compares them.
GRADIENT_OPTIMISERS: Mapping[OptimiserName, tuple[float, float]] = {"sgd": (10.0, 30.0), "adamw": (5.0, 15.0)}
OPTIMISERS: Mapping[OptimiserName, tuple[str, ...]] = {  # with the fields that only these optimisers read
    "plain": (),
    "adamw": (),
    "sgd": ("momentum",),
    "momentum": ("momentum",),
}


class AggregationSection(ChoiceSection):
    """How the server combines the accepted deltas."""

    method: MethodName = Field(
        "mean",
        description="mean: weighted mean of the deltas, exact for ia3 and for lora with A frozen; partitioned_mean: "
        "the same for sites of mixed ranks (data.sites.rank), each column of B over the sites that have it; stacked: for "
        "adapter.train = 'AB' without privacy, the mean of the sites' products B A, cut back to the rank; trimmed_mean: "
        "mean of each number without its extremes, which withstands a few malicious sites; median, geometric_median: of "
        "each number, or of whole deltas; they withstand any minority of malicious sites, and ignore honest minorities too",
    )
    trim: int = Field(
        1, ge=0, description="trimmed_mean: replies dropped at each end; as many malicious sites are withstood"
    )
    weights: Weights = Field("uniform", description="uniform, or by declared_size (public)")
    secure_sums: bool = Field(
        False,
        description="true: under privacy.trust = 'local' sites send their noised deltas under masks, which show the server "
        "only the sum of a round's sites, at least 3; this changes no charge. privacy.trust = 'distributed' has sums of "
        "its own",
    )
    max_norm: Positive = Field(
        100.0,
        description="a reply whose delta has a larger L2 norm is rejected; with secure_sums the site itself sends none, and "
        "the step of the grid of whole numbers is about max_norm / 10^9 times the number of sites",
    )
    optimiser: OptimiserName = Field(
        "plain",
        description="plain: the server adds the aggregated delta to the adapter; momentum: it adds a decaying sum of all "
        "deltas so far; adamw, sgd (only with privacy.trust = 'distributed', which needs one of them): the server takes a "
        "step of that optimiser with the noised mean gradient of all sites. The learning rates of training are then in "
        "units that fit any clipping norm C: of 1 / C for sgd, and of the noise / C for adamw (at least 1 / sqrt(trained "
        "numbers)), so that one rate serves any epsilon and number of sites",
    )
    encoding: EncodingName = Field(
        "float32",
        description="numbers on the wire. float32: 4 bytes a number both ways; int8: 1.03 bytes both ways (steps of 1/127 "
        "of the largest of 64 numbers; a delta is rounded after the noise, so at no epsilon); int4: as int8, but a delta "
        "takes 0.53 bytes a number (steps of 1/7 of the largest of 64 numbers), for large adapters under noise; without "
        "privacy its rounding is the larger error. Neither is for secure sums, which need "
        "whole numbers",
    )
    momentum: float = Field(
        0.9,
        ge=0,
        lt=1,
        description="momentum, sgd: share of the sum that is kept from round to round; without a value, 0.7 for sgd",
    )

    def idle(self) -> Mapping[str, tuple[str, str]]:
        """Return the fields that neither the method nor the optimiser reads."""
        owners: dict[str, tuple[str, str]] = {
            field: ("method", name) for name, contract in METHODS.items() for field in contract.options
        }
        owners |= {field: ("optimiser", name) for name, options in OPTIMISERS.items() for field in options}
        read = (*METHODS[self.method].options, *OPTIMISERS[self.optimiser])
        return {field: owner for field, owner in owners.items() if field not in read}

    def refuse_unfit(self, trust: str | None, quorum: int) -> None:
        """Refuse a method that does not fit the rest of the run.

        Parameters
        ----------
        trust
            The trust model, or None without privacy.
        quorum
            The fewest replies of a round.

        Raises
        ------
        ValueError
            The method, optimiser or encoding does not fit the trust model, cannot take the weights, or needs more replies.
        """
        contract, named = METHODS[self.method], f"aggregation.method = '{self.method}'"
        if contract.factors:
            self._refuse_unfit_factors(trust)
        if trust == "central" and contract.central is None:
            raise ValueError(
                f"{named}: what one site can change in it has no bound that the noise of privacy.trust = 'central' covers; "
                "set method = 'mean', or privacy.trust = 'local'"
            )
        if trust == "distributed" and not contract.sums:
            raise ValueError(f"{named}: {contract.beside_sums}; set method = 'mean', or privacy.trust = 'local'")
        if (trust == "distributed") != (self.optimiser in GRADIENT_OPTIMISERS):
            gradient = trust == "distributed"
            others = " or ".join(f"'{name}'" for name in OPTIMISERS if (name in GRADIENT_OPTIMISERS) == gradient)
            what = "gives the server a gradient" if gradient else "gives the server no gradient"
            run = "privacy.enabled = false" if trust is None else f"privacy.trust = '{trust}'"
            raise ValueError(f"aggregation.optimiser = '{self.optimiser}': {run} {what}; set {others}")
        if trust == "distributed" and self.encoding != "float32":
            raise ValueError(
                f"aggregation.encoding = '{self.encoding}': under privacy.trust = 'distributed' sites send masked whole "
                "numbers, which cannot be rounded again; set 'float32'"
            )
        if trust == "distributed" and self.weights != "declared":
            raise ValueError(
                f"aggregation.weights = '{self.weights}': under privacy.trust = 'distributed' each record counts the same, "
                "so a site counts by its size; set 'declared'"
            )
        if trust == "central" and self.weights != "uniform":
            raise ValueError(
                f"aggregation.weights = '{self.weights}': the noise of privacy.trust = 'central' covers a clipped delta "
                "that counts once; set 'uniform'"
            )
        if self.weights not in contract.weights:
            raise ValueError(f"aggregation.weights = '{self.weights}': {named} counts all sites the same; set 'uniform'")
        if quorum < contract.quorum(self):
            raise ValueError(
                f"cohort.quorum = {quorum}: {named} needs {contract.quorum(self)} replies; raise the quorum to that"
            )

    def _refuse_unfit_factors(self, trust: str | None) -> None:
        """Refuse a method that combines products of factors, where these have noise or an optimiser adds them up."""
        named = f"aggregation.method = '{self.method}'"
        if trust is not None:
            raise ValueError(
                f"{named}: needs LoRA's A and B trained at once, and under privacy the noise of one would be multiplied by "
                "that of the other; set method = 'mean', which is exact with A frozen, or privacy.enabled = false"
            )
        if self.optimiser != "plain":
            raise ValueError(
                f"aggregation.optimiser = '{self.optimiser}': adds up changes of factors, and {named} combines their "
                "products; set optimiser = 'plain'"
            )

    def refuse_unfit_sums(self, trust: str | None, quorum: int) -> None:
        """Refuse secure sums where deltas have no noise of their own, cannot be added up, or could be a sum of two.

        Parameters
        ----------
        trust
            The trust model, or None without privacy.
        quorum
            The fewest replies of a round.

        Raises
        ------
        ValueError
            The rest of the run does not fit ``secure_sums = true``.
        """
        named = "aggregation.secure_sums = true"
        if trust is None:
            raise ValueError(
                f"{named}: with privacy.enabled = false the sums of changing sites give single deltas away, and no noise "
                "covers these; set privacy.enabled = true, or secure_sums = false"
            )
        if trust != "local":
            reason = {
                "distributed": "adds up under masks already",
                "central": "clips each site's own delta, which masks would hide",
            }[trust]
            raise ValueError(f"{named}: privacy.trust = '{trust}' {reason}; set secure_sums = false")
        if not METHODS[self.method].sums:
            raise ValueError(
                f"{named}: aggregation.method = '{self.method}' needs each site's own delta; set method = 'mean', or "
                "secure_sums = false"
            )
        if self.encoding != "float32":
            raise ValueError(
                f"{named}: sites send masked whole numbers, which cannot be rounded to encoding = '{self.encoding}'; set "
                "'float32'"
            )
        if self.max_norm > LONGEST_IN_SUM:
            raise ValueError(
                f"{named}: max_norm = {self.max_norm:g} makes the grid of whole numbers too coarse for a delta; set "
                f"{LONGEST_IN_SUM:g} or less"
            )
        if quorum < FEWEST_IN_SUM:
            raise ValueError(
                f"{named}: cohort.quorum = {quorum} allows a sum of fewer than {FEWEST_IN_SUM} sites, and a sum of two "
                f"shows each of them the other's delta; set cohort.quorum to {FEWEST_IN_SUM} or more"
            )
