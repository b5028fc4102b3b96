"""The guarantee that a run asks for, as a section of its configuration, and what is refused by name."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from shared.config.section import Positive, Rate, Section

REFUSED = {
    ("accountant", "gdp"): "a central-limit figure lies 4 to 16 % below the true epsilon; use 'pld'",
    ("accountant", "rdp"): "Renyi's bound is looser and already the cross-check; use 'pld'",
    ("trust", "distributed"): "secure sums are not built yet; use 'local', or 'central' with a server that is trusted",
}


def default_delta(declared_size: int) -> float:
    """The delta that is taken where none is given: 1 / declared_size^1.1, safely below one record's share."""
    return float(declared_size**-1.1)


class PrivacySection(Section):
    """The guarantee that is asked for; each site calibrates its own noise to it."""

    enabled: bool = Field(True, description="false trains without differential privacy")
    trust: Literal["local", "central"] = Field(
        "local",
        description="local: each site adds its own noise and trusts nobody; central: sites trust the server, which clips "
        "their deltas and adds the noise, so that what it publishes hides each whole site",
    )
    unit: Literal["record", "person", "site"] = Field(
        "record",
        description="what one neighbour adds or removes: a record, or a person with all their records (trust local), or a "
        "whole site (trust central)",
    )
    person_cap: int | None = Field(
        None, ge=1, le=10_000, description="most records of one person that are used, a public number (unit = 'person')"
    )
    epsilon: Positive = Field(8.0, le=100, description="total epsilon over the run (above 0, at most 100)")
    target_delta: float | None = Field(
        None, gt=0, lt=1, description="delta of the guarantee; empty takes 1 / n^1.1 for n declared records (or sites)"
    )
    accountant: Literal["pld"] = Field("pld", description="pld: privacy loss distributions, cross-checked by Renyi's bound")
    clipping_norm: float = Field(
        0.5,
        ge=1e-6,
        le=1e6,
        allow_inf_nan=False,
        description="L2 bound C (1e-6 to 1e6) of one unit's gradient (adaptive clipping starts there) or one site's delta",
    )
    clipping: Literal["flat", "automatic", "per-layer", "adaptive"] = Field(
        "flat",
        description="flat: at most C; automatic: every gradient scaled to about C; per-layer: each tensor at most "
        "C / sqrt(tensors); adaptive: C follows the median norm, for a little more noise",
    )
    self_check: int = Field(
        4, ge=1, le=64, description="records whose gradients are compared with a one-record loop before training"
    )
    release: Literal["none", "metrics"] = Field(
        "none", description="metrics: each round a site also releases clipped, noised sums of loss, hits and records"
    )
    release_noise: Positive = Field(20.0, description="noise multiplier of the released sums: more costs less epsilon")
    release_loss_bound: Positive = Field(
        4.0, description="a record's loss counts at most so much in the released sum (nats)"
    )
    site_rate: Rate = Field(
        1.0, description="trust central: chance of each site to be in a round (Poisson; above 0, at most 1)"
    )
    ledger: Path | None = Field(
        None, description="folder that keeps a simulation's ledgers over runs; empty keeps one in the run's own folder"
    )
    budget: Positive | None = Field(
        None, description="largest epsilon of any record over all runs in the ledger; empty takes privacy.epsilon"
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
        needed = {"local": ("record", "person"), "central": ("site",)}[self.trust]
        if self.unit not in needed:
            raise ValueError(
                f"unit = '{self.unit}': under trust = '{self.trust}' the unit is '{needed[0]}'; a plan has one unit"
            )
        if self.person_cap is not None and self.unit != "person":
            raise ValueError(
                f"person_cap = {self.person_cap}: with unit = '{self.unit}' one record can push another out, so a record "
                "would count twice; set unit = 'person', or no cap"
            )
        if self.trust == "central" and self.clipping != "flat":
            raise ValueError(
                f"clipping = '{self.clipping}': under trust = 'central' a site's delta is clipped 'flat'; set that"
            )
        if self.trust == "central" and self.release != "none":
            raise ValueError("release = 'metrics': under trust = 'central' sites have no noise of their own; set 'none'")
        return self

    def delta_at(self, declared_size: int) -> float:
        """The delta of the guarantee at a site of this public size."""
        return default_delta(declared_size) if self.target_delta is None else self.target_delta
