"""The section that says how deltas are aggregated."""

from typing import Literal

from pydantic import Field

from shared.config.section import Positive, Section


class AggregationSection(Section):
    """How the accepted deltas become one."""

    method: Literal["mean"] = Field("mean", description="weighted mean of the deltas, exact where A is frozen, and for ia3")
    weights: Literal["uniform", "declared"] = Field("uniform", description="uniform, or by declared_size (public)")
    max_norm: Positive = Field(100.0, description="a reply whose delta has a larger L2 norm is rejected")
