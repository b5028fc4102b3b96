"""Define the site's own limits, against which every order is checked before a data file is opened."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from shared.config.anonymise import GateSection
from shared.config.privacy import PrivacySection, Trust, default_delta
from shared.config.section import Positive, Section
from shared.config.task import TaskName
from shared.errors import PolicyRefused
from shared.models.catalogue import pinned_digest
from shared.ops.numbers import delta_up, epsilon_up
from shared.wire.version import installed

if TYPE_CHECKING:
    from shared.config.run import RunConfig
    from shared.wire.messages import TrainOrder

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+-]{0,31}$")]
# Fields that a reply's header may have: who answers which order, the end of the site's ledger, the adapter's names and
# shapes, and a site's key for one attempt at a secure sum with its signature.
PUBLIC = frozenset({"run_id", "round", "nonce", "site_id", "ledger_entries", "ledger_hash", "spec", "key", "signature"})
UNITS = ("record", "person")  # from weak to strong: each unit protects everything that the units before it protect
OR_RAISE = "or the steward may raise it in SITE.toml"


@dataclass(frozen=True)
class _Limit:
    """One check: the policy's field, whether the order keeps it, what the order asks, what the site allows, the remedy."""

    field: str
    holds: bool
    asked: str
    limit: str
    remedy: str


class SitePolicy(Section):
    """The limits of a site, from the site's own file; no message can change them.

    The ledger compares the budget spent so far with ``dataset_epsilon`` and ``site_epsilon``; the policy only refuses a
    single order that asks for more than they allow.
    """

    dataset_epsilon: Positive = Field(
        le=100, description="largest total epsilon over all runs on one dataset (above 0, at most 100)"
    )
    dataset_delta: float | None = Field(
        None, gt=0, lt=1, description="delta at which a dataset's epsilon is computed; empty: 1 / declared_size^1.1"
    )
    site_epsilon: Positive | None = Field(
        None, le=1000, description="largest total epsilon over all datasets of the site; empty: dataset_epsilon"
    )
    site_delta: float | None = Field(
        None, gt=0, lt=1, description="delta at which the site's epsilon is computed; empty: dataset_delta"
    )
    without_privacy: bool = Field(False, description="whether to carry out orders without differential privacy")
    unit: Literal["record", "person"] = Field("record", description="weakest accepted privacy unit")
    trust: tuple[Trust, ...] = Field(("local",), description="accepted trust models")
    tasks: tuple[TaskName, ...] = Field(description="accepted tasks")
    models: tuple[Digest, ...] = Field(description="SHA-256 of the weights of each accepted base model")
    versions: tuple[Version, ...] = Field(
        (), description="accepted hushtune versions of the server; empty: the version installed here"
    )
    min_cohort: int = Field(
        2, ge=1, description="smallest accepted number of sites asked in one round, and of sites in a secure sum"
    )
    colluders: int = Field(
        1,
        ge=0,
        description="trust model 'distributed': fewest other sites that may work together with the server without weakening "
        "the guarantee, which a run must plan for (privacy.colluders); each secure sum, of deltas too, must have at least 2 "
        "sites more than this number",
    )
    secure_sums: bool = Field(
        False,
        description="whether a run with trust model 'local' must set aggregation.secure_sums, so that the server never sees "
        "this site's own delta",
    )
    max_rounds: int = Field(100, ge=1, description="most rounds of a run")
    max_steps: int = Field(1000, ge=1, description="most optimiser steps in a round")
    max_rank: int = Field(
        256,
        ge=0,
        le=256,
        description="largest rank of an adapter at this site (0 to 256); a run of a larger rank that takes lower ones "
        "(aggregation.method = 'partitioned_mean', except under trust 'central') is trained at this rank, which the server "
        "sees, and any other run of a larger rank is refused",
    )
    max_trainable: int = Field(50_000_000, ge=1, description="most trained parameters of an adapter")
    max_bytes_out: int = Field(200_000_000, ge=1, description="most bytes that may leave the site in a round")
    max_set_ups: int = Field(
        3,
        ge=0,
        description="most different set-ups of the records that orders may ask for within count_days; each one tells the "
        "server whether the site can carry it out, and no noise hides that; 'hushtune provision admit' allows more",
    )
    max_failures: int = Field(
        10,
        ge=0,
        description="most rounds within count_days that began here and got no reply; after more, the site trains nothing "
        "until 'hushtune provision admit' is run",
    )
    count_days: float = Field(
        30, gt=0, le=3660, description="days after which a set-up or a failed round is no longer counted"
    )
    anonymise: GateSection | None = Field(
        None,
        description="quality that the site's anonymisation must reach before the site joins a run; empty: no check",
    )
    unreleased_metrics: bool = Field(
        False,
        description="whether a reply may contain a figure that is neither public nor protected by noise; the only such "
        "figure is the electricity of a round (site.energy), in runs without privacy",
    )

    @model_validator(mode="after")
    def _refuse_site_epsilon_below_dataset_epsilon(self) -> Self:
        if self.site_epsilon is not None and self.site_epsilon < self.dataset_epsilon:
            raise ValueError(
                f"site_epsilon = {self.site_epsilon!r}: must be at least dataset_epsilon = {self.dataset_epsilon!r}"
            )
        return self

    @property
    def fewest_in_sum(self) -> int:
        """Return the fewest sites of a secure sum: ``min_cohort``, and two besides those that may collude."""
        return max(self.min_cohort, self.colluders + 2)

    def delta_limits(self, declared_size: int) -> tuple[float, float]:
        """Return the delta for one dataset, and the delta for all datasets of the site together.

        Parameters
        ----------
        declared_size
            Public number of records, or persons, of the site.
        """
        dataset = default_delta(declared_size) if self.dataset_delta is None else self.dataset_delta
        return dataset, dataset if self.site_delta is None else self.site_delta

    def permit(self, order: "TrainOrder", declared_size: int) -> None:
        """Check an order against every limit.

        Parameters
        ----------
        order
            Order from the server.
        declared_size
            Public number of records, or persons, of the site.

        Raises
        ------
        PolicyRefused
            A limit does not hold; the error names the first such limit.
        """
        for limit in self._limits(order, declared_size):
            if not limit.holds:
                raise PolicyRefused(limit.field, limit.asked, limit.limit, limit.remedy)

    def permit_reply(self, fields: Iterable[str], size: int) -> None:
        """Check that every header field of a reply is public and that the reply is not too large.

        Parameters
        ----------
        fields
            Names of the header fields.
        size
            Size of the arrays in bytes.

        Raises
        ------
        PolicyRefused
            A field is neither public nor a release of the plan, or the reply is too large.
        """
        foreign = sorted(set(fields) - PUBLIC)
        if foreign and not self.unreleased_metrics:
            raise PolicyRefused(
                "unreleased_metrics",
                f"would be answered with {', '.join(foreign)}",
                "lets only released figures leave",
                OR_RAISE,
            )
        if size > self.max_bytes_out:
            raise PolicyRefused("max_bytes_out", f"takes {size:,} bytes out", f"allows {self.max_bytes_out:,}", OR_RAISE)

    def _limits(self, order: "TrainOrder", declared_size: int) -> Iterator[_Limit]:
        yield self._version(order.version)
        privacy = order.config.privacy
        yield _Limit(
            "without_privacy",
            privacy.enabled or self.without_privacy,
            "is without differential privacy",
            "trains only with it",
            "set privacy.enabled = true",
        )
        yield from self._work(order.config)
        yield from self._sizes(order)
        yield _Limit(
            "secure_sums",
            order.config.adds_up_under_masks or not self.secure_sums,
            "asks for this site's own delta",
            "sends deltas only in secure sums",
            "set aggregation.secure_sums = true",
        )
        if privacy.enabled:
            yield from self._guarantee(privacy, declared_size)

    def _version(self, asked: str) -> _Limit:
        accepted = self.versions or (installed(),)
        return _Limit(
            "versions",
            asked in accepted,
            f"comes from hushtune {asked}",
            f"accepts {', '.join(accepted)}",
            "install one of these at the server, or the steward may add it in SITE.toml after reading its changes",
        )

    def _work(self, config: "RunConfig") -> Iterator[_Limit]:
        task, digest = config.task.name, pinned_digest(config.model)
        remedy = "the steward may add it in SITE.toml after checking it"
        yield _Limit(
            "tasks", task in self.tasks, f"is for task '{task}'", f"allows {', '.join(self.tasks) or 'none'}", remedy
        )
        asked = "names no digest of its base model" if digest is None else f"is for a base model with SHA-256 {digest}"
        yield _Limit(
            "models",
            digest in self.models,
            asked,
            f"allows {len(self.models)} others",
            "set model.sha256 in the run's config" if digest is None else remedy,
        )

    def _sizes(self, order: "TrainOrder") -> Iterator[_Limit]:
        training, trained = order.config.training, order.adapter.parameters
        ranked = "rank" in order.config.adapter.traits.fields
        smaller = "lower adapter.rank" if ranked else "adapt fewer layers (adapter.last_layers)"
        yield _Limit(
            "min_cohort",
            order.cohort >= self.min_cohort,
            f"asks {order.cohort} sites together",
            f"wants at least {self.min_cohort}",
            "wait for more sites (cohort.quorum)",
        )
        for field, what, asked, most, remedy in (
            ("max_rounds", "rounds", training.rounds, self.max_rounds, "lower training.rounds"),
            ("max_steps", "steps a round", training.steps, self.max_steps, "lower training.steps"),
            ("max_trainable", "trained numbers", trained, self.max_trainable, smaller),
            ("max_bytes_out", "bytes out a round", 4 * trained, self.max_bytes_out, smaller),
        ):
            yield _Limit(field, asked <= most, f"asks for {asked:,} {what}", f"allows {most:,}", f"{remedy}, {OR_RAISE}")

    def _guarantee(self, privacy: PrivacySection, declared_size: int) -> Iterator[_Limit]:
        yield _Limit(
            "trust",
            privacy.trust in self.trust,
            f"is for trust model '{privacy.trust}'",
            f"accepts {', '.join(self.trust)}",
            "set privacy.trust",
        )
        yield _Limit(
            "colluders",
            privacy.trust != "distributed" or privacy.colluders >= self.colluders,
            f"plans for {privacy.colluders} colluding sites",
            f"wants at least {self.colluders}",
            "raise privacy.colluders",
        )
        yield _Limit(
            "unit",
            privacy.unit not in UNITS or UNITS.index(privacy.unit) >= UNITS.index(self.unit),
            f"protects one {privacy.unit}",
            f"wants one {self.unit} protected",
            f"set privacy.unit = '{self.unit}'",
        )
        dataset_delta, site_delta = self.delta_limits(declared_size)
        site_epsilon = self.dataset_epsilon if self.site_epsilon is None else self.site_epsilon
        delta = privacy.delta_at(declared_size)
        for field, what, asked, most in (
            ("dataset_epsilon", "epsilon", privacy.epsilon, self.dataset_epsilon),
            ("site_epsilon", "epsilon", privacy.epsilon, site_epsilon),
            ("dataset_delta", "target_delta", delta, dataset_delta),
            ("site_delta", "target_delta", delta, site_delta),
        ):
            shown = epsilon_up if what == "epsilon" else delta_up
            asks, allows = f"asks for {what} {shown(asked)}", f"allows {shown(most)}"
            yield _Limit(field, asked <= most, asks, allows, f"lower privacy.{what}, {OR_RAISE}")
