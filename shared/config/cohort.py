"""Configuration section `cohort`: how many sites a round needs, and how long it waits for them."""

from pydantic import Field

from shared.config.section import Positive, Section


class CohortSection(Section):
    """How many sites must answer for a round to count, and how long the server waits."""

    quorum: int = Field(1, ge=1, description="accepted replies that a round needs")
    sample: int | None = Field(
        None,
        ge=1,
        description="sites asked in each round, drawn by run.seed, which is public, so the guarantee does not rest on the "
        "draw and each site is charged as without it (only with privacy.trust = 'local', or without privacy); empty: all "
        "connected sites",
    )
    deadline: Positive = Field(3600.0, description="seconds a round waits for replies")
    attempts: int = Field(6, ge=1, le=1000, description="times that a round is tried before the run stops without a quorum")
    pause: Positive = Field(5.0, le=60, description="seconds before the second try of a round; doubles with each, up to 60")
    patience: float = Field(
        60.0, ge=0, allow_inf_nan=False, description="seconds that a server waits at its start for all sites to connect"
    )
    min_records: int = Field(20, ge=1, description="a site with fewer usable training records declines the run")
