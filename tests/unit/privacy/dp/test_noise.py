import ast
import inspect
import random
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from privacy.dp import entropy, noise
from privacy.dp.entropy import uniforms
from privacy.dp.noise import CHUNK, NoiseAhead, gaussian
from shared.errors import PrivacyError

CPU = torch.device("cpu")
REPOSITORY = Path(__file__).parents[4]
LIKELY = 1e-6  # a correct source falls below this once in a million runs


@pytest.mark.parametrize("std", [1e-3, 0.5, 40.0])
def test_the_noise_is_gaussian_with_the_std_that_is_asked_for(std: float) -> None:
    drawn = gaussian((200, 500), std, CPU).double().numpy().ravel() / std
    count = drawn.size
    assert abs(drawn.mean()) < 5 / count**0.5
    assert abs(drawn.std() - 1) < 5 / (2 * count) ** 0.5
    assert kstest(drawn, "norm").pvalue > LIKELY
    assert 3.5 < abs(drawn).max() < 7


def test_each_seat_of_a_tensor_has_its_own_noise() -> None:
    drawn = np.stack([gaussian((6,), 1.0, CPU).numpy() for _ in range(4000)])
    correlation = np.corrcoef(drawn.T)
    assert abs(correlation - np.eye(6)).max() < 5 / 4000**0.5
    np.testing.assert_allclose(drawn.std(axis=0), 1, atol=5 / 8000**0.5)


def test_two_draws_and_neighbouring_numbers_are_unrelated() -> None:
    one, two = (gaussian((100_000,), 1.0, CPU).numpy() for _ in range(2))
    for left, right in (
        (one, two),
        (one[:-1], one[1:]),
        (one[:50_000], one[50_000:]),
        (one, np.sort(np.abs(two))[::-1]),
    ):
        assert abs(np.corrcoef(left, right)[0, 1]) < 5 / len(left) ** 0.5


def test_draws_longer_than_a_chunk_do_not_repeat_or_change_size_at_its_border() -> None:
    drawn = gaussian((2 * CHUNK + 3,), 1.0, CPU)
    assert drawn.shape == (2 * CHUNK + 3,)
    assert abs(np.corrcoef(drawn[:CHUNK], drawn[CHUNK : 2 * CHUNK])[0, 1]) < 5 / CHUNK**0.5
    assert len(torch.unique(drawn)) > 0.9 * len(drawn)
    assert drawn[-3:].abs().min() > 0


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (7,), (2, 3, 5)])
def test_any_shape_is_filled(shape: tuple[int, ...]) -> None:
    drawn = gaussian(shape, 1.0, CPU)
    assert drawn.shape == shape
    assert drawn.dtype == torch.float32
    assert bool(torch.isfinite(drawn).all())


class Source:
    """Counts up; each draw waits until it may go on."""

    def __init__(self, *, held: bool = False) -> None:
        self.calls: list[tuple[tuple[int, ...], float]] = []
        self.threads: list[threading.Thread] = []
        self.free = threading.Event()
        if not held:
            self.free.set()

    def __call__(self, shape: tuple[int, ...], std: float, device: torch.device) -> torch.Tensor:
        assert self.free.wait(20)
        self.calls.append((shape, std))
        self.threads.append(threading.current_thread())
        return torch.full(shape, float(len(self.calls)))


def test_a_steps_noise_is_drawn_while_the_step_computes() -> None:
    source = Source(held=True)
    with NoiseAhead(source, 3, CPU, 1) as ahead:
        ahead.begin(0.5)  # comes back although nothing can be drawn yet
        assert not source.calls
        source.free.set()
        assert ahead.take(0.5).tolist() == [1.0] * 3
    assert source.threads[0] is not threading.current_thread()
    assert not source.threads[0].is_alive()


def test_each_step_has_a_draw_of_its_own_in_order_and_none_is_begun_after_the_last() -> None:
    source = Source()
    with NoiseAhead(source, 3, CPU, 2) as ahead:
        ahead.begin(0.5)
        for number, following in ((1, 0.25), (2, 0.125)):
            assert ahead.take(0.5 / number).tolist() == [float(number)] * 3
            ahead.begin(following)
            ahead.begin(following)  # asked twice, it is drawn once
    assert source.calls == [((3,), 0.5), ((3,), 0.25)]


def test_a_step_beyond_the_plan_draws_when_it_is_asked() -> None:
    source = Source()
    with NoiseAhead(source, 3, CPU, 0) as ahead:
        ahead.begin(0.5)
        assert not source.calls
        assert ahead.take(2.0).tolist() == [1.0] * 3
    assert source.threads == [threading.current_thread()]


def test_noise_of_another_size_than_the_step_needs_is_refused() -> None:
    with NoiseAhead(Source(), 3, CPU, 2) as ahead:
        ahead.begin(0.5)
        with pytest.raises(PrivacyError, match=r"noise of standard deviation 0.5 was drawn where 0.6 is due"):
            ahead.take(0.6)


def test_a_failure_in_the_thread_is_the_steps() -> None:
    def broken(*_: object) -> torch.Tensor:
        raise OSError("no entropy")

    with NoiseAhead(broken, 3, CPU, 1) as ahead:
        ahead.begin(0.5)
        with pytest.raises(OSError, match="no entropy"):
            ahead.take(0.5)


def seeded(draw: Callable[[], np.ndarray]) -> np.ndarray:  # type: ignore[type-arg]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        np.random.seed(7)
        random.seed(7)
        return draw()


@pytest.mark.parametrize(
    "draw", [lambda: gaussian((20_000,), 1.0, CPU).numpy(), lambda: uniforms(20_000)], ids=["gaussian", "uniforms"]
)
def test_known_seeds_do_not_replay_it(draw: Callable[[], np.ndarray]) -> None:  # type: ignore[type-arg]
    first, again = seeded(draw), seeded(draw)
    assert not np.isin(first, again).mean() > 0.01
    assert abs(np.corrcoef(first, again)[0, 1]) < 5 / 20_000**0.5


def test_drawing_noise_leaves_seeded_streams_alone() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = torch.rand(3)
        torch.manual_seed(3)
        gaussian((100,), 1.0, CPU)
        assert torch.equal(torch.rand(3), plain)


def test_uniforms_are_uniform_and_never_0_or_1() -> None:
    drawn = uniforms(200_000)
    assert kstest(drawn, "uniform").pvalue > LIKELY
    assert drawn.min() > 0
    assert drawn.max() < 1


def test_every_one_of_the_52_highest_bits_of_a_uniform_number_is_random() -> None:
    bits = np.floor(uniforms(1000) * 2.0**52).astype(np.uint64)
    ones = [int((bits >> np.uint64(place) & np.uint64(1)).sum()) for place in range(52)]
    assert all(350 < count < 650 for count in ones)  # 9.5 standard deviations of a fair bit


def test_the_ends_of_the_random_bits_are_never_0_or_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entropy, "random_bytes", lambda count: b"\x00" * (count // 2) + b"\xff" * (count // 2))
    low, high = uniforms(2)
    assert 0 < low < high < 1


@pytest.mark.parametrize("module", [noise, entropy])
def test_no_source_of_noise_takes_a_seed_or_a_generator(module: object) -> None:
    functions = [member for _, member in inspect.getmembers(module, inspect.isfunction)]
    assert functions
    names = {name for function in functions for name in inspect.signature(function).parameters}
    assert not {name for name in names if "seed" in name or "generator" in name or "rng" in name or "state" in name}


SEEDABLE = {
    "normal", "normal_", "randn", "randn_like", "standard_normal", "gauss", "normalvariate", "multivariate_normal",
    "default_rng", "RandomState", "Generator", "randint", "rand", "rand_like", "bernoulli", "bernoulli_", "laplace",
}  # fmt: skip


def called(path: Path) -> set[str]:
    """Names of everything that a module calls, by their last part."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {
        call.attr if isinstance(call, ast.Attribute) else call.id
        for call in calls
        if isinstance(call, ast.Attribute | ast.Name)
    }


@pytest.mark.parametrize("package", ["privacy", "client"])
def test_nothing_else_at_a_site_draws_seedable_noise(package: str) -> None:
    paths = sorted((REPOSITORY / package).rglob("*.py"))
    assert len(paths) > 3
    guilty = {str(path): called(path) & SEEDABLE for path in paths}
    assert not {path: names for path, names in guilty.items() if names}


def test_only_the_noise_module_and_the_samplers_use_entropy() -> None:
    users = {
        str(path.relative_to(REPOSITORY))
        for package in ("privacy", "client", "server", "shared", "simulations")
        for path in (REPOSITORY / package).rglob("*.py")
        if "entropy" in path.read_text(encoding="utf-8") and "uniforms" in path.read_text(encoding="utf-8")
    }
    assert {"privacy/dp/noise.py", "client/trainer.py"} <= users
    assert {user for user in users if user.startswith(("server", "simulations"))} == {"server/cohort.py"}
