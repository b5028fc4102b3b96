"""Show at a terminal what an audit found."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType

from shared.ops.numbers import delta_up, epsilon_up

PROVES_NOTHING = "An audit that finds nothing proves nothing: another attack may succeed."


def one_run_lines(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the lower bound of one audited run beside its claim."""
    yield (
        f"Of {found['guesses']} canaries that were called present, {found['right']} were; {found['canaries']} canaries were "
        f"planted at site {found['site_id']}, each with chance 1/2."
    )
    yield (
        f"Epsilon at delta {delta_up(found['target_delta'])}: claimed {epsilon_up(found['claimed'])}; at least "
        f"{found['gaussian']:.3f} among Gaussian mechanisms, at least {found['general']:.3f} in general (95 %)."
    )
    yield "The claim is REFUTED." if found["refuted"] else PROVES_NOTHING
