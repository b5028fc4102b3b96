"""Whole passes over records whose batches come in turn: how many batches a pass has, and how many passes a round."""

from shared.errors import ConfigError

ROUNDING = 2e-3  # relative; lets 0.333 and 0.0667 stand for a third and a fifteenth


def turns(rate: float) -> int:
    """The batches of a pass over all records, of which each holds a share ``rate`` of them.

    Raises:
        ConfigError: 1 / rate is no whole number.
    """
    whole = round(1 / rate)
    if abs(1 / rate - whole) > ROUNDING * whole:
        raise ConfigError(
            f"training.sampling_rate = {rate}: with training.sampling = 'cyclic' a pass has 1 / rate batches, a whole "
            f"number; take {1 / whole:.6g} for {whole}"
        )
    return whole


def passes(rate: float, steps: int) -> int:
    """How often each record takes part in ``steps`` cyclic steps.

    Raises:
        ConfigError: the last pass is cut off, so some records would take part oftener than others.
    """
    batches = turns(rate)
    if steps % batches:
        raise ConfigError(
            f"training.steps = {steps}: with training.sampling = 'cyclic' a round is a whole number of passes of {batches} "
            f"steps (1 / sampling_rate); take {max(1, round(steps / batches)) * batches}"
        )
    return steps // batches
