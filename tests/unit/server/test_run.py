"""What a server says that its sites may have spent: never less than they have reserved."""

from pathlib import Path

from fixture_types import ConfigOf
from made_round import ADAPTER, made_round

from privacy.dp.plan import PrivacyPlan
from privacy.secagg.shared_plan import SharedNoise
from server.attempts import Attempts
from server.run import ServerRun
from server.screening import Rejected
from server.state import Beginning, StateFolder
from shared.config.run import RunConfig

SHARED = SharedNoise(sites=3, fewest=3, colluders=1, expected_batch=30.0, slack=0.0)
PLAN = PrivacyPlan(0.2, 1.0, 0.5, 1, 3, 1e-4, 100, trust="distributed", shared=SHARED)


def run_in(folder: Path, config: RunConfig, plan: PrivacyPlan | None) -> ServerRun:
    StateFolder(folder).run.mkdir(parents=True, exist_ok=True)
    run = ServerRun(config, StateFolder(folder), Beginning("run"), None, ADAPTER)  # type: ignore[arg-type]
    run.__dict__["plan"] = plan  # a plan takes long to make
    return run


def test_each_attempt_at_a_secure_sum_is_counted_also_of_a_server_that_was_killed_and_never_more_than_the_plan_has(
    tmp_path: Path, config_of: ConfigOf
) -> None:
    committed = [made_round(1, accepted=("a", "b"))]
    run_in(tmp_path, config_of(), PLAN).attempts.add(1, ["a", "b"])
    run_in(tmp_path, config_of(), PLAN).attempts.add(2, ["a", "c"])  # killed: no round says so
    run = run_in(tmp_path, config_of(), PLAN)
    assert {site: run._spent(site, committed) for site in "abcd"} == {"a": (1, 2), "b": (1,), "c": (2,), "d": ()}
    for _ in range(5):
        run.attempts.add(3, ["a"])
    assert run._spent("a", committed) == (1, 2, 3)
    assert Attempts(StateFolder(tmp_path).attempts).rounds_of("a") == (1, 2, 3, 3, 3, 3, 3)


def test_without_a_shared_noise_each_round_that_a_site_was_asked_for_counts_once(
    tmp_path: Path, config_of: ConfigOf
) -> None:
    late = (Rejected("b", "error", "Disconnected"),)
    rounds = [made_round(1, committed=False, rejected=late), made_round(1, accepted=("a",), missing=("b",))]
    run = run_in(tmp_path, config_of(), None)
    assert {site: run._spent(site, rounds) for site in "abc"} == {"a": (1,), "b": (1,), "c": ()}


def test_a_round_that_a_killed_server_asked_a_site_for_counts_though_no_round_says_so(
    tmp_path: Path, config_of: ConfigOf
) -> None:
    run_in(tmp_path, config_of(), None).attempts.add(1, ["a", "b"])  # killed before the answers; b is away from then on
    run = run_in(tmp_path, config_of(), None)
    run.attempts.add(1, ["a"])
    assert {site: run._spent(site, [made_round(1, accepted=("a",))]) for site in "abc"} == {
        "a": (1,),
        "b": (1,),
        "c": (),
    }


def test_under_secure_sums_of_deltas_each_round_counts_for_all_sites_because_a_killed_server_forgets_whom_it_asked(
    tmp_path: Path, config_of: ConfigOf
) -> None:
    sites = [{"id": name, "file": "x.jsonl", "declared_size": 100} for name in "abc"]
    config = config_of({"data.sites": sites, "cohort.quorum": 3, "aggregation.secure_sums": True})
    rounds = [made_round(1, accepted=("a", "b")), made_round(2, accepted=("a", "b"))]
    assert run_in(tmp_path, config, None)._spent("c", rounds) == (1, 2)
