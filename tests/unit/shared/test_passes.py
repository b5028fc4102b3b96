from collections.abc import Callable

import pytest

from shared.config import RunConfig
from shared.errors import ConfigError
from shared.passes import passes, turns


@pytest.mark.parametrize(("rate", "batches"), [(1.0, 1), (0.5, 2), (0.333, 3), (0.0667, 15), (0.01, 100)])
def test_a_rate_is_a_whole_number_of_batches(rate: float, batches: int) -> None:
    assert turns(rate) == batches
    assert passes(rate, 3 * batches) == 3


@pytest.mark.parametrize("rate", [0.3, 0.4, 0.7, 0.9])
def test_a_rate_that_is_none_is_refused_with_one_that_is(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"take (0\.333333 for 3|0\.5 for 2|1 for 1)"):
        turns(rate)


def test_a_pass_that_is_cut_off_is_refused_with_what_to_take() -> None:
    with pytest.raises(ConfigError, match=r"take 10$"):
        passes(0.1, 4)
    with pytest.raises(ConfigError, match=r"take 20$"):
        passes(0.1, 17)


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize(("rate", "steps"), [(0.3, 3), (0.5, 3)])
def test_a_config_of_no_whole_passes_is_refused_before_anything_starts(
    config_of: Callable[..., RunConfig], private: bool, rate: float, steps: int
) -> None:
    changes = {"training.sampling_rate": rate, "training.steps": steps, "privacy.enabled": private}
    assert config_of(changes)
    with pytest.raises(ConfigError, match=r"training\.(sampling_rate|steps) = .*; take"):
        config_of({**changes, "training.sampling": "cyclic"})
