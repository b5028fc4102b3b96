"""Derive from a run's public config what the sites of its secure sums must agree on."""

import math
from dataclasses import dataclass

from privacy.dp.rounding import Dtype, rounding_slack
from privacy.secagg.noise_shares import NoiseShares
from shared.config.run import RunConfig


@dataclass(frozen=True)
class SharedNoise:
    """The part of a privacy plan that all sites with one shared noise have in common.

    Attributes
    ----------
    sites
        Number of sites of the run.
    fewest
        Smallest number of sites that any sum may have.
    colluders
        Sites whose share of the noise the guarantee does not rely on.
    expected_batch
        Units that a step is expected to draw from all sites together, q x the sum of the declared sizes.
    slack
        How far rounding moves the sum of the other units of a site when one unit joins, as a share of C, at the largest site
        and in the coarsest dtype that the config allows.
    """

    sites: int
    fewest: int
    colluders: int
    expected_batch: float
    slack: float

    @classmethod
    def of(cls, config: RunConfig) -> "SharedNoise":
        """Return what a config says about the shared noise."""
        sizes, rate, colluders = declared_sizes(config), config.training.sampling_rate, config.privacy.colluders
        dtype: Dtype = "float32" if config.model.dtype == "float32" else "bfloat16"  # auto may be bfloat16 at some site
        return cls(
            sites=len(sizes),
            fewest=max(config.cohort.quorum, colluders + 2),
            colluders=colluders,
            expected_batch=rate * sum(sizes),
            slack=rounding_slack(dtype, rate * max(sizes)),
        )

    def shares(self, clipping_norm: float, noise_multiplier: float, dimension: int, sites: int) -> NoiseShares:
        """Return the noise of a sum of this many sites, each of which adds a vector of ``dimension`` numbers."""
        batch = self.expected_batch
        return NoiseShares(clipping_norm, noise_multiplier, dimension, batch, sites, self.colluders, self.slack)


def declared_sizes(config: RunConfig) -> list[int]:
    """Return the declared size of each site of a run."""
    return [site.declared_size for site in config.data.sites]


def attempts_of(config: RunConfig) -> int:
    """Return the most attempts at rounds that a run may charge: one for each round, and the spare ones."""
    rounds = config.training.rounds
    return rounds + math.ceil(config.privacy.spare_attempts * rounds)
