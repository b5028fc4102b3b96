"""What does not fit is refused before anything is read, with a change that does fit; what is counted is what is kept."""

from pathlib import Path

import pytest
from fixture_types import Change, LearnerOf
from hypothesis import given
from hypothesis import strategies as st

from client import preflight
from client.preflight import need_of, refuse_what_does_not_fit
from shared.config.run import RunConfig
from shared.errors import ModelError
from shared.models import memory as footprint
from shared.models.load import choose_device
from shared.models.memory import SHARE, affordable_tokens, free_bytes, record_bytes

CPU = choose_device("cpu")


def free(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    """So much memory is free."""
    monkeypatch.setattr(preflight, "free_bytes", lambda _: int(size))


def test_what_fits_is_let_through(either: RunConfig) -> None:
    refuse_what_does_not_fit(either)


def test_shapes_alone_count_the_same_as_the_model_itself(either: RunConfig, learner_of: LearnerOf) -> None:
    network = learner_of(either).base.network.base_model
    need = need_of(either)
    assert need.whole == pytest.approx(record_bytes(network, either.model.max_length) * footprint.OVERHEAD["cpu"])
    assert need.fixed >= sum(p.numel() * p.itemsize for p in network.parameters() if not p.requires_grad)
    assert need.lean < need.whole


def test_a_longer_record_and_a_higher_rank_take_more(either: RunConfig, change: Change) -> None:
    base = need_of(either)
    assert need_of(change(either, {"model.max_length": 48})).whole > 1.9 * base.whole
    assert need_of(change(either, {"adapter.rank": 16})).whole > base.whole


def test_the_refusal_names_a_change_that_fits(either: RunConfig, change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    need, records = need_of(either), either.training.micro_batch_tokens // either.model.max_length  # type: ignore[operator]
    rooms = {
        "set training.micro_batch_tokens = 24, which fits": need.of(1, checkpointing=False),
        "set training.micro_batch_tokens = 24 and training.checkpointing = true, which fits": need.of(1, checkpointing=True),
        "use a smaller model or a shorter model.max_length": need.of(1, checkpointing=True) - 10,
    }
    assert records > 3
    for remedy, room in rooms.items():
        free(monkeypatch, room / SHARE + 8)
        with pytest.raises(
            ModelError, match=r"^model\.name = .*: training takes about .* GB, but only .* GB may be used"
        ) as caught:
            refuse_what_does_not_fit(either)
        assert str(caught.value).endswith(remedy)
        assert "\n" not in str(caught.value)
    free(monkeypatch, need.of(records, checkpointing=True) / SHARE + 8)
    refuse_what_does_not_fit(change(either, {"training.checkpointing": True}))


def test_auto_asks_for_one_record_at_least(either: RunConfig, change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, need_of(either).of(1, checkpointing=False) / SHARE + 8)
    refuse_what_does_not_fit(change(either, {"training.micro_batch_tokens": "auto"}))


def test_a_simulation_is_refused_before_it_reads_a_record(
    classify: RunConfig, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from simulations.run import simulate

    free(monkeypatch, 1000)
    config = change(classify, {"run.output": str(tmp_path / "runs"), "data.root": str(tmp_path / "absent")})
    with pytest.raises(ModelError, match="training takes about"):  # not that the data are not there
        simulate(config)
    assert not (tmp_path / "runs").exists()


@given(record=st.integers(1, 10**9), length=st.integers(8, 8192), room=st.integers(0, 10**11))
def test_a_chosen_micro_batch_fits_or_is_one_record(record: int, length: int, room: int) -> None:
    tokens = affordable_tokens(record, length, room, CPU)
    records = max(1, tokens // length)
    assert tokens >= length
    assert records == 1 or records * record * footprint.OVERHEAD["cpu"] <= SHARE * room
    assert tokens <= affordable_tokens(record, length, 2 * room, CPU)


def test_auto_takes_less_at_once_where_less_is_free(
    either: RunConfig, change: Change, learner_of: LearnerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.tasks import base

    config = change(either, {"training.micro_batch_tokens": "auto"})
    learner = learner_of(config)
    assert learner.tokens(either.training) == 128
    assert learner.tokens(config.training) == footprint.LARGEST
    monkeypatch.setattr(base, "free_bytes", lambda _: 20 * learner.record_bytes)
    assert learner.tokens(config.training) == 128  # of 24 each: 6 records of 20 * .8 / 2.5, as a power of two


def test_checkpointing_is_counted_and_comes_back(either: RunConfig, change: Change, learner_of: LearnerOf) -> None:
    lean = change(either, {"training.checkpointing": True})
    plain, learner = learner_of(either), learner_of(lean)
    assert learner.record_bytes == plain.record_bytes
    assert sum(getattr(m, "gradient_checkpointing", False) for m in learner.model.modules()) >= 2
    assert need_of(lean).lean < need_of(lean).whole


def test_a_containers_limit_counts_as_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "CGROUP", tmp_path)
    unlimited = free_bytes(CPU)
    assert unlimited > 10**7
    (tmp_path / "memory.max").write_text("5000\n", encoding="ascii")
    (tmp_path / "memory.current").write_text("2000\n", encoding="ascii")
    assert free_bytes(CPU) == 3000
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert free_bytes(CPU) > 10**7
    monkeypatch.setattr(footprint, "MEMINFO", tmp_path / "none")  # macOS has no such file
    assert free_bytes(CPU) >= unlimited
