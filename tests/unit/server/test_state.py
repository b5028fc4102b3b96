import json
from pathlib import Path

import numpy as np
import pytest
from fixture_types import ConfigOf
from made_round import made_round

from server.checkpoint import Checkpoint
from server.history import from_row, to_row
from server.rounds import Round
from server.screening import Rejected
from server.state import Beginning, StateFolder, begin
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import RunError
from shared.metrics.bootstrap import Interval
from shared.wire.chain_head import ChainHead

ADAPTER = AdapterState({"b": np.float32([1, 2])})


def done(number: int, committed: bool = True) -> Round:
    return made_round(
        number,
        committed=committed,
        adapter=ADAPTER,
        metrics={"accuracy": Interval(0.5, 0.4, 0.6)},
        accepted=("north",),
        rejected=(Rejected("south", "norm", "norm 3 > bound 1"),),
        released={"north": {"loss": 7.5, "records": 39.25}},
        ledgers={"north": ChainHead(2 * number + 1, "e" * 64)},
        record=ChainHead(number, "c" * 64),
        missing=("west",),
        bytes_up=20,
        stages={"train": 0.5},
    )


def commit(folder: StateFolder, config: RunConfig, beginning: Beginning, *rounds: Round) -> None:
    rows = [to_row(each) for each in rounds]
    Checkpoint(beginning.run_id, rounds[-1].number, config.digest(), ADAPTER, rows).save(folder.checkpoint)


def test_rounds_come_back_from_their_rows(config_of: ConfigOf) -> None:
    assert from_row(to_row(done(3)), ADAPTER) == done(3)  # of one and the same adapter
    assert done(3).asked == ("north", "south", "west")


def test_a_run_has_its_id_before_its_first_round(tmp_path: Path, config_of: ConfigOf) -> None:
    folder, config = StateFolder(tmp_path), config_of()
    first = begin(folder, config, fork=False)
    again = begin(folder, config, fork=False)
    assert again.run_id == first.run_id  # killed before any commit: the sites meet the same run
    assert (again.first, again.committed, again.finished) == (1, None, False)


def test_a_run_goes_on_after_its_last_commit_with_the_rounds_before(tmp_path: Path, config_of: ConfigOf) -> None:
    folder, config = StateFolder(tmp_path), config_of()
    first = begin(folder, config, fork=False)
    rounds = (done(1), done(2, committed=False), done(2))
    commit(folder, config, first, *rounds)
    again = begin(folder, config, fork=False)
    assert again.first == 3
    assert [to_row(each) for each in again.rounds] == [to_row(each) for each in rounds]
    assert again.committed is not None
    assert again.committed.digest() == ADAPTER.digest()


def test_another_config_is_refused_unless_it_forks(tmp_path: Path, config_of: ConfigOf) -> None:
    folder, config, other = StateFolder(tmp_path), config_of(), config_of({"run.seed": 5, "run.name": "other"})
    first = begin(folder, config, fork=False)
    commit(folder, config, first, done(1))
    with pytest.raises(RunError, match="unfinished run 'run' of another config"):
        begin(folder, other, fork=False)
    forked = begin(folder, other, fork=True)
    assert forked.run_id != first.run_id
    assert (forked.first, forked.committed) == (1, None)
    assert forked.forked is not None
    assert (tmp_path / f"run-{first.run_id}" / "checkpoint" / "state.json").is_file()
    # Killed and started again: still the fork, from the same adapter.
    again = begin(folder, other, fork=True)
    assert again.run_id == forked.run_id
    assert again.forked is not None
    assert again.forked.digest() == ADAPTER.digest()


def test_a_fork_does_not_start_from_a_public_adapter_too_and_the_run_that_it_would_leave_stays(
    tmp_path: Path, config_of: ConfigOf
) -> None:
    folder, config = StateFolder(tmp_path), config_of()
    first = begin(folder, config, fork=False)
    commit(folder, config, first, done(1))
    with pytest.raises(RunError, match=r"remove model\.warm_start"):
        begin(folder, config_of({"run.name": "other", "model.warm_start": "public/adapter"}), fork=True)
    assert begin(folder, config, fork=False).first == 2


def test_a_finished_run_is_not_done_again_and_another_may_follow(tmp_path: Path, config_of: ConfigOf) -> None:
    folder, config = StateFolder(tmp_path), config_of()
    first = begin(folder, config, fork=False)
    commit(folder, config, first, done(1))
    (folder.run / "report.json").write_text("{}")
    assert begin(folder, config, fork=False).finished
    following = begin(folder, config_of({"run.seed": 5}), fork=False)
    assert (following.finished, following.first, following.forked) == (False, 1, None)
    assert (tmp_path / f"run-{first.run_id}" / "report.json").is_file()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run_id": "x"}'])
def test_a_damaged_state_is_refused_in_one_line(tmp_path: Path, config_of: ConfigOf, content: str) -> None:
    folder = StateFolder(tmp_path)
    begin(folder, config_of(), fork=False)
    (folder.run / "state.json").write_text(content)
    with pytest.raises(RunError, match="damaged") as caught:
        begin(folder, config_of(), fork=False)
    assert "\n" not in str(caught.value)


def test_a_run_that_never_committed_a_round_gives_way_to_another(tmp_path: Path, config_of: ConfigOf) -> None:
    folder = StateFolder(tmp_path)
    first = begin(folder, config_of({"evaluation.file": "mistyped"}), fork=False)
    assert begin(folder, config_of(), fork=False).run_id != first.run_id


@pytest.mark.parametrize(
    "spoil",
    [
        {"accepted": None},
        {"rejected": [{"site": "x"}]},
        {"rejected": "text"},
        {"ledgers": []},
        {"metrics": {"accuracy": 1.0}},
        {"number": "one"},
        {"number": 7},
        {"committed": False},
        {"record": None},
    ],
)
def test_rows_of_another_form_are_refused_in_one_line(tmp_path: Path, config_of: ConfigOf, spoil: dict[str, object]) -> None:
    folder, config = StateFolder(tmp_path), config_of()
    commit(folder, config, begin(folder, config, fork=False), done(1))
    path = folder.checkpoint / "state.json"
    state = json.loads(path.read_text())
    state["rounds"][0] |= spoil
    path.write_text(json.dumps(state))
    with pytest.raises(RunError, match="restore the folder from a backup") as caught:
        begin(folder, config, fork=False)
    assert "\n" not in str(caught.value)


def test_a_lost_state_beside_rounds_starts_no_run_in_silence(tmp_path: Path, config_of: ConfigOf) -> None:
    folder, config = StateFolder(tmp_path), config_of()
    commit(folder, config, begin(folder, config, fork=False), done(1))
    (folder.run / "state.json").rename(tmp_path / "kept")
    with pytest.raises(RunError, match=r"state\.json: is missing"):
        begin(folder, config, fork=False)
    (folder.run / "state.json").write_text((tmp_path / "kept").read_text().replace('"run_id": "', '"run_id": "00'))
    with pytest.raises(RunError, match="from one backup"):
        begin(folder, config, fork=False)
    (tmp_path / "kept").rename(folder.run / "state.json")
    assert begin(folder, config, fork=False).first == 2
