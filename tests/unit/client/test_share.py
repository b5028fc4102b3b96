"""One privacy unit's part of the sum that is noised is at most C, under every option of training and every pair of them.

``bench.share`` measures it through ``train`` itself; ``bench.options`` is the table. pytest -s prints the worst shares.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Literal, get_args, get_origin

import pytest

from bench import options
from bench.options import ENCODED, EXCLUDED, SECTIONS, TASKS, covering_sets, options_of, pairs
from bench.share import ALL_LABELS, LARGE, SMALL, Learners, Share, learner_of, records_of, share_of, with_options
from shared.config.run import RunConfig
from shared.errors import ConfigError, PrivacyError
from shared.tasks import TASKS as FAMILIES

BOUND = 1 + 1e-6  # of C, for the unit's own part
ROUNDING = 2e-4  # of C: what the others' part moves by in float32, on models of random weights; docs/engine.md has more
MIDDLE = 5.0  # a clipping norm that some gradients exceed: a coupling of records that only scales them shows
COARSE = 2e-2  # the same where the base computes in bfloat16
TEXTS = (  # 12, 24, 12 and 24 tokens: more than 64 together, and a person's are not in order of length
    "his cjc eke gmg him aia",
    "he aia bjb Emily fjf gkg hlh aia bjb ckc dld eie fjf gkg",
    "Jack bkb dmd eoe gpg aia",
    "she aia hjh Jack bkb dmd eoe gpg aia bjb ckc dld eie fjf",
)


@pytest.fixture(scope="module")
def learners() -> Learners:
    return Learners()


@pytest.fixture(scope="module")
def worst() -> Iterator[dict[tuple[str, ...], Share]]:
    """Collect all shares and print the largest."""
    found: dict[tuple[str, ...], Share] = {}
    yield found
    for names, share in sorted(found.items(), key=lambda item: -item[1].worst)[:5]:
        print(f"\n{share.worst:.9f} C: {' and '.join(names)}", end="")


@pytest.fixture
def measure(request: pytest.FixtureRequest, learners: Learners, worst: dict[tuple[str, ...], Share]) -> "Measure":
    return Measure({task: "classify" if task in ENCODED else "instruct" for task in TASKS}, request, learners, worst)


class Measure:
    """Measures the share of a unit under some options, and holds it to its bound."""

    def __init__(
        self,
        names: dict[str, str],
        request: pytest.FixtureRequest,
        learners: Learners,
        worst: dict[tuple[str, ...], Share],
    ) -> None:
        self.bases: dict[str, RunConfig] = {task: request.getfixturevalue(name) for task, name in names.items()}
        for name in ENCODED:
            task = self.bases[name].task.model_copy(update={"name": name, "labels": tuple(ALL_LABELS)})
            self.bases[name] = self.bases[name].model_copy(update={"task": task})
        self.learners, self.worst = learners, worst

    def __call__(self, task: str, chosen: Sequence[str], clipping_norm: float = SMALL) -> Share:
        config = with_options(self.bases[task], chosen)
        share = share_of(config, self.learners.of(config, chosen), records_of(task, TEXTS), clipping_norm)
        self.worst[task, *chosen, f"C = {clipping_norm:g}"] = share
        rounding = COARSE if "bfloat16" in chosen or "nf4" in chosen else ROUNDING
        assert share.worst <= BOUND, chosen
        if "adaptive" not in chosen or clipping_norm == SMALL:  # else its C moves between the steps that are compared
            assert share.moved <= 1 + rounding, chosen
            assert share.others <= rounding, chosen
        return share


def test_every_task_is_measured() -> None:
    assert set(TASKS) == set(FAMILIES)


def test_every_field_that_training_is_given_is_an_option_or_says_why_it_is_none() -> None:
    varied, excluded = set(options.varied()), {name for name in EXCLUDED if " = " not in name}
    assert not varied & excluded
    assert varied | excluded == options.fields()


def test_every_value_that_a_varied_field_may_have_is_an_options_or_says_why_it_is_none() -> None:
    for dotted, taken in options.varied().items():
        section, name = dotted.split(".")
        field = SECTIONS[section].model_fields[name]
        if get_origin(field.annotation) is Literal:
            excluded = {value for value in get_args(field.annotation) if f"{dotted} = {value}" in EXCLUDED}
            assert {*taken, field.default, *excluded} == set(get_args(field.annotation)), dotted


@pytest.mark.parametrize("clipping_norm", [SMALL, MIDDLE])
@pytest.mark.parametrize(("task", "name"), [(task, name) for task in TASKS for name in ("", *options_of(task))])
def test_no_option_lets_a_unit_add_more_than_the_bound(measure: Measure, task: str, name: str, clipping_norm: float) -> None:
    chosen = (name,) if name else ()
    if package := options.missing(chosen):
        pytest.skip(f"{package} is not installed")
    if options.refused(chosen):
        with pytest.raises(PrivacyError, match="a record's influence is not bounded"):
            measure(task, chosen)
        return
    share = measure(task, chosen, clipping_norm)
    # Where the clip is what bounds a share, one that is too large would show.
    assert share.worst > 0.99 or clipping_norm == MIDDLE


def test_a_long_record_takes_no_other_out_of_the_sum_whatever_scale_the_server_chose(
    classify: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the long record the gradients of B are written out, and without it they stay factors, whose norms are larger."""
    monkeypatch.setattr("client.trainer.refuse_large", lambda optimizer: None)  # it comes after the sum
    tree = classify.model_dump(mode="json")
    config = with_options(RunConfig.parse(tree | {"adapter": {**tree["adapter"], "rank": 64}}, "test"), ())
    learner = learner_of(config, (), 0.0)
    learner.model.head.weight.data.mul_(1e25)  # type: ignore[union-attr]
    texts = ("him aia " * 12, "he aia", "Jack bkb", "she aia")
    assert share_of(config, learner, records_of("classification", texts)).others <= ROUNDING


@pytest.mark.parametrize("mode", ["flat", "automatic", "per-layer", "adaptive"])
@pytest.mark.parametrize("task", TASKS)
def test_a_unit_of_small_gradients_adds_no_more_than_the_bound(measure: Measure, task: str, mode: str) -> None:
    share = measure(task, () if mode == "flat" else (mode,), LARGE)
    assert (share.worst > 0.9) == (mode == "automatic")  # the others leave small gradients as they are


@pytest.mark.parametrize(("task", "chosen"), [(task, crowd) for task in TASKS for crowd in covering_sets(task)], ids=str)
def test_no_crowd_of_options_lets_a_unit_add_more_than_the_bound(
    measure: Measure, task: str, chosen: tuple[str, ...]
) -> None:
    # The noise of counted weights may leave a gradient below C, so only the other sets show that the clip is at work.
    assert measure(task, chosen).worst > 0.9 or "counted weights" in chosen


@pytest.mark.parametrize("task", TASKS)
def test_every_pair_of_options_is_in_a_crowd_or_may_not_be(task: str) -> None:
    met = {frozenset(pair) for crowd in covering_sets(task) for pair in combinations(crowd, 2)}
    left = [pair for pair in pairs(task) if frozenset(pair) not in met]
    assert all(options.refused(pair) or options.missing(pair) for pair in left)


@pytest.mark.parametrize("task", TASKS)
def test_pairs_that_are_refused_are_refused_by_name(classify: RunConfig, instruct: RunConfig, task: str) -> None:
    base = classify if task in ENCODED else instruct
    for pair in pairs(task):
        if options.refused(pair) and not any(options.refused((name,)) for name in pair):
            with pytest.raises(ConfigError):
                with_options(base, pair)


@pytest.mark.exhaustive  # the crowds above cover every pair; this measures each pair separately
@pytest.mark.parametrize("task", TASKS)
def test_no_pair_of_options_lets_a_unit_add_more_than_the_bound(measure: Measure, task: str) -> None:
    for pair in pairs(task):
        if not options.refused(pair) and options.missing(pair) is None:
            measure(task, pair)
