"""Configuration section `privacy`: the guarantee that a run asks for, and choices refused with a reason."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from shared.config.section import Positive, Rate, Section

Trust = Literal["local", "distributed", "central"]
REFUSED = {
    ("accountant", "gdp"): "its central-limit epsilon lies 3 to 16 % below the true one; use 'pld'",
    ("accountant", "rdp"): "the Renyi bound is looser and already used as the cross-check; use 'pld'",
}


def default_delta(declared_size: int) -> float:
    """Return 1 / declared_size^1.1, the delta used where the configuration gives none.

    It lies below 1 / declared_size, the delta at which publishing one random record in full would count as private.

    Parameters
    ----------
    declared_size
        Public number of privacy units (records, persons or sites), 1 or more.

    Returns
    -------
    float
        Target delta, at most 1.
    """
    return float(declared_size**-1.1)


class PrivacySection(Section):
    """The differential-privacy guarantee of the run; each site calibrates its own noise to it."""

    enabled: bool = Field(True, description="false trains without differential privacy")
    trust: Trust = Field(
        "local",
        description="local: each site adds its own noise and trusts nobody; distributed: each round is one step, each site "
        "adds a share of the noise, and masks show the server only the sum of all sites; central: sites trust the server, "
        "which clips their deltas and adds noise, so that the published model hides the contribution of each whole site",
    )
    colluders: int = Field(
        1,
        ge=0,
        le=1000,
        description="trust = 'distributed': number of other sites that may tell the server their share of the noise; at "
        "least 2 further sites must be in each sum",
    )
    spare_attempts: float = Field(
        0.05,
        ge=0,
        le=1,
        description="trust = 'distributed': attempts that the plan pays for in addition to one for each round, as a share "
        "of the rounds; an attempt is lost when a site goes away in it (0 to 1)",
    )
    unit: Literal["record", "person", "site"] = Field(
        "record",
        description="privacy unit, added or removed between neighbouring datasets: one record, or one person with all their "
        "records (trust = 'local' or 'distributed'), or one whole site (trust = 'central')",
    )
    person_cap: int | None = Field(
        None, ge=1, le=10_000, description="most records used per person, a public number (unit = 'person')"
    )
    epsilon: Positive = Field(8.0, le=100, description="total epsilon of the whole run (above 0, at most 100)")
    target_delta: float | None = Field(
        None, gt=0, lt=1, description="delta of the guarantee; empty: 1 / n^1.1 for n declared records, persons or sites"
    )
    accountant: Literal["pld"] = Field("pld", description="pld: privacy loss distributions, cross-checked by a Renyi bound")
    clipping_norm: float = Field(
        0.5,
        ge=1e-6,
        le=1e6,
        allow_inf_nan=False,
        description="clipping norm C: L2 bound of one unit's gradient, or of one site's delta under trust = 'central' "
        "(1e-6 to 1e6); adaptive clipping starts from it",
    )
    clipping: Literal["flat", "automatic", "per-layer", "adaptive"] = Field(
        "flat",
        description="flat: scale a gradient down to norm C if longer; automatic: scale every gradient to about C; "
        "per-layer: clip each tensor to C / sqrt(number of tensors); adaptive: C follows the median norm, for slightly "
        "more noise",
    )
    self_check: int = Field(
        4,
        ge=1,
        le=64,
        description="number of records whose per-record gradients are checked against a one-record loop before training",
    )
    release: Literal["none", "metrics"] = Field(
        "none", description="metrics: each round a site also releases clipped, noised sums of loss, hits and record count"
    )
    release_noise: Positive = Field(
        20.0, description="noise multiplier of the released sums; a larger one costs less epsilon"
    )
    release_loss_bound: Positive = Field(
        4.0, description="bound to which each record's loss is clipped in the released sum (nats)"
    )
    site_rate: Rate = Field(
        1.0, description="trust = 'central': probability of each site to be in a round (Poisson; above 0, at most 1)"
    )
    ledger: Path | None = Field(
        None, description="folder that keeps a simulation's ledgers across runs; empty: a new ledger in the run's own folder"
    )
    budget: Positive | None = Field(
        None, description="largest epsilon of any privacy unit over all runs in the ledger; empty: privacy.epsilon"
    )

    @model_validator(mode="before")
    @classmethod
    def _refused_by_name(cls, values: Any) -> Any:
        for (name, value), reason in REFUSED.items():
            if isinstance(values, dict) and values.get(name) == value:
                raise ValueError(f"{name} = '{value}': refused: {reason}")
        return values

    @model_validator(mode="after")
    def _unit_of_the_trust_model(self) -> Self:
        needed = ("site",) if self.trust == "central" else ("record", "person")
        if self.unit not in needed:
            raise ValueError(
                f"unit = '{self.unit}': under trust = '{self.trust}' use unit = {' or '.join(map(repr, needed))}"
            )
        if self.person_cap is not None and self.unit != "person":
            raise ValueError(
                f"person_cap = {self.person_cap}: with unit = '{self.unit}', adding one record can push another out of the "
                "cap, which changes two records instead of one; set unit = 'person', or remove the cap"
            )
        if self.trust == "central" and self.clipping != "flat":
            raise ValueError(
                f"clipping = '{self.clipping}': under trust = 'central' the server clips whole deltas; set clipping = 'flat'"
            )
        if self.trust == "central" and self.release != "none":
            raise ValueError(
                "release = 'metrics': under trust = 'central' sites add no noise to what they release; set 'none'"
            )
        return self

    @model_validator(mode="after")
    def _a_shared_noise_has_one_release_of_one_shape(self) -> Self:
        if self.trust == "distributed" and self.clipping == "adaptive":
            raise ValueError(
                "clipping = 'adaptive': under trust = 'distributed' no site releases the count that C follows; set 'flat', "
                "'automatic' or 'per-layer'"
            )
        if self.trust == "distributed" and self.release != "none":
            raise ValueError(
                "release = 'metrics': under trust = 'distributed' a site releases only its part of the sum; set 'none'"
            )
        return self

    @property
    def trust_in_force(self) -> Trust | None:
        """Return the trust model; None in a run without privacy, which has none."""
        return self.trust if self.enabled else None

    def delta_at(self, declared_size: int) -> float:
        """Return the delta for a public number of privacy units: ``target_delta`` if set, else ``default_delta``."""
        return default_delta(declared_size) if self.target_delta is None else self.target_delta
