import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from unittest.mock import Mock

import pytest
from fixture_types import Change, LearnerOf
from forked import start_command
from site_toml import tiny_site, with_policy, write_records
from stand_ins import scrub_nothing

from client import site as site_module
from client.personal import FOLDER, Place, personalise
from client.site_file import SiteFile
from privacy.accounting import Accountant
from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_site
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.errors import ConfigError, HushtuneError, LedgerError, PolicyRefused, RunError
from shared.models.wheels import sha256_file
from shared.ops import crash_points as faults
from shared.ops.disk import FolderLock
from shared.records.read import read_records
from shared.tasks.adapter_files import load_adapter, save_adapter
from shared.wire.chain_head import ChainHead

Publish = Callable[..., Path]
ROUNDS = 2  # of the run ``classify``
PAYS = 60.0  # epsilon that pays the run and one more round, by the filter


@pytest.fixture
def file(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> SiteFile:
    """Make a site with 8 records that may load only the tiny model, and that takes its records as they are."""
    scrub_nothing(monkeypatch)
    file = tiny_site(tmp_path, tiny_bert, "min_cohort = 2\nmax_rounds = 3")
    write_records(file.data.file, 8)
    return with_policy(file, dataset_epsilon=PAYS)


@pytest.fixture
def publish(tmp_path: Path, tiny_bert: Path, classify: RunConfig, change: Change, learner_of: LearnerOf) -> Publish:
    """Return a function that writes the folder of a published run, whose config may differ from ``classify``."""

    def build(changes: dict[str, object] | None = None, run_id: str = "run") -> Path:
        pinned = {"model.name": "tiny", "model.sha256": sha256_file(tiny_bert / "model.safetensors")}
        config = change(classify, {**pinned, **(changes or {})})
        local = change(config, {"model.name": str(tiny_bert)})
        learner, folder = learner_of(local), tmp_path / "published"
        folder.mkdir(exist_ok=True)
        told = save_adapter(learner, config, read_adapter(learner.model), folder / "adapter")
        (folder / "report.json").write_text(json.dumps({"run_id": run_id, "adapter": told, "rounds": []}))
        return folder

    return build


def quiet(step: str, **_: object) -> None:
    """Log nothing."""


def plan_of(file: SiteFile, run: Path) -> PrivacyPlan:
    config = RunConfig.model_validate_json((run / "adapter" / "run.json").read_text())
    plan = plan_for_site(file.carried_out(config), file.data.declared_size)
    assert plan is not None
    return plan


def budget_of(file: SiteFile, run: Path) -> Budget:
    """Return the budget of the site's records, as a run of the config reads them."""
    config = file.carried_out(RunConfig.model_validate_json((run / "adapter" / "run.json").read_text()))
    ledger = Ledger(file.ledger, "north", file.site.ledger_head)
    dataset, delta = Dataset.of(read_records(file.data.file, config), ledger.key), file.policy.delta_limits(100)[0]
    return Budget(ledger, dataset, Limit(1000.0, delta))


def rounds_before(file: SiteFile, run: Path) -> Budget:
    """Spend all rounds of the run, as the site did when it took part."""
    budget, plan = budget_of(file, run), plan_of(file, run)
    for number in range(1, ROUNDS + 1):
        budget.reserve("run", number, plan, ChainHead())
        budget.commit("run", number, reply="a" * 64)
    return budget


def test_a_personal_adapter_is_one_more_round_of_the_plan_charged_once_and_never_in_the_outbox(
    file: SiteFile, publish: Publish
) -> None:
    run = publish()
    budget, plan = rounds_before(file, run), plan_of(file, run)
    found = personalise(file, run, quiet)
    assert (found["round"], budget.rounds("run")) == (ROUNDS + 1, (1, 2, 3))
    events = [entry.body["events"] for entry in budget.ledger.entries() if entry.kind == "reserve"]
    assert events[0] == events[1] == events[2]  # the same mechanism as in each round of the run
    planned = Accountant().epsilon(plan.events * (ROUNDS + 1), budget.limit.target_delta)
    assert found["epsilon"] == budget.spent().epsilon > planned  # decided after the run's results: by the filter
    assert budget.spent().counted_by == "filter"
    assert not file.outbox.exists()
    assert Path(found["folder"]) == file.site.state / FOLDER / "run"
    before = budget.ledger.head()
    assert personalise(file, run, quiet)["trained"] is False  # again: the same adapter, at no cost
    assert budget.ledger.head() == before


def test_a_personal_adapter_opens_as_any_adapter_does_and_one_that_is_gone_is_not_trained_again(
    file: SiteFile, publish: Publish
) -> None:
    run = publish()
    found = personalise(file, run, quiet)
    _, learner = load_adapter(Path(found["folder"]))
    personal = read_adapter(learner.model)
    assert personal.digest() != json.loads((run / "report.json").read_text())["adapter"]["digest"]
    assert personal.is_finite
    closed = [entry.body.get("reply") for entry in Ledger(file.ledger, "north").entries() if entry.kind == "commit"]
    assert closed == [personal.digest()]
    shutil.rmtree(found["folder"])
    with pytest.raises(LedgerError, match="its round was charged"):
        personalise(file, run, quiet)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ia3", "core"])
def test_a_published_adapter_of_any_family_is_read_as_its_report_names_it(
    file: SiteFile, publish: Publish, family: str
) -> None:
    run = publish({"adapter": {"family": family, **({"rank": 2} if family == "core" else {})}})
    assert personalise(file, run, quiet)["trained"]


def test_a_budget_that_does_not_hold_one_more_round_refuses_before_a_record_is_read(
    file: SiteFile, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = publish()
    budget = rounds_before(file, run)
    before = budget.ledger.head()
    monkeypatch.setattr("client.set_up.read_records", lambda *_: pytest.fail("a record was read"))
    with pytest.raises(LedgerError, match="budget exhausted"):
        personalise(with_policy(file, dataset_epsilon=budget.spent().epsilon * 1.01), run, quiet)
    assert budget.ledger.head() == before
    assert not (file.site.state / FOLDER).exists()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["reserved", "finished"])
def test_a_process_killed_while_it_personalises_goes_on_and_is_charged_once(
    file: SiteFile, publish: Publish, tmp_path: Path, point: str
) -> None:
    run = publish()
    settings = (tmp_path / "SITE.toml").read_text()
    (tmp_path / "SITE.toml").write_text(settings.replace("dataset_epsilon = 8.0", f"dataset_epsilon = {PAYS}"))
    budget = rounds_before(file, run)
    fault = {faults.VARIABLE: f"{point}@{ROUNDS + 1}"}
    killed = start_command(["personalise", tmp_path / "SITE.toml", run], tmp_path / "log", fault)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text(encoding="utf-8")
    assert budget.rounds("run") == (1, 2, 3)
    spent = budget.spent().epsilon
    assert not (file.site.state / FOLDER / "run").exists()  # nobody can have used what the killed process computed
    assert personalise(file, run, quiet)["trained"]
    assert budget.rounds("run") == (1, 2, 3)
    assert budget.spent().epsilon == spent


def test_an_adapter_whose_round_was_closed_gets_its_name_and_is_not_trained_again(
    file: SiteFile, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = publish()
    with monkeypatch.context() as patch:
        patch.setattr(Place, "show", Mock(side_effect=OSError("killed here")))
        with pytest.raises(OSError, match="killed here"):
            personalise(file, run, quiet)
    monkeypatch.setattr(site_module, "train", lambda *_, **__: pytest.fail("trained a second time for one charge"))
    assert Path(personalise(file, run, quiet)["folder"]).is_dir()


def test_what_a_killed_attempt_left_is_not_shown_in_the_place_of_the_adapter_that_was_charged(
    file: SiteFile, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, left = publish(), tmp_path / "left"
    with monkeypatch.context() as patch:
        patch.setattr(Budget, "commit", Mock(side_effect=OSError("killed here")))
        with pytest.raises(OSError, match="killed here"):
            personalise(file, run, quiet)
    place = Place(file.site.state / FOLDER / "run")
    shutil.copytree(place.partial, left)  # as a backup does
    shown = Path(personalise(file, run, quiet)["folder"])
    shutil.rmtree(shown)
    left.rename(place.partial)
    with pytest.raises(LedgerError, match="no other result of it may be used"):
        personalise(file, run, quiet)
    assert not shown.exists()


def test_a_folder_of_an_unfinished_attempt_that_cannot_be_removed_is_refused_before_the_round_is_charged(
    file: SiteFile, publish: Publish
) -> None:
    run, place = publish(), Place(file.site.state / FOLDER / "run")
    place.partial.parent.mkdir(parents=True)
    place.partial.write_text("in the way", encoding="utf-8")
    with pytest.raises(RunError, match=r"\.run\.partial: cannot be removed \(NotADirectoryError\); remove this folder"):
        personalise(file, run, quiet)
    assert [e for e in Ledger(file.ledger, file.site.id, file.site.ledger_head).entries() if e.kind == "reserve"] == []
    place.partial.unlink()
    assert personalise(file, run, quiet)["trained"]


def test_a_site_whose_ledger_is_older_than_the_runs_report_is_not_personalised(file: SiteFile, publish: Publish) -> None:
    run = publish()
    budget = rounds_before(file, run)
    report, seen = json.loads((run / "report.json").read_text()), budget.ledger.head()

    def name(head: ChainHead) -> None:
        (run / "report.json").write_text(json.dumps(report | {"rounds": [{"ledgers": {"north": asdict(head)}}]}))

    name(ChainHead(seen.entries + 2, "a" * 64))
    with pytest.raises(LedgerError, match="was seen before: the ledger was cut off, or is an old copy"):
        personalise(file, run, quiet)
    assert budget.ledger.head() == seen
    assert not (file.site.state / FOLDER).exists()
    name(seen)
    assert personalise(file, run, quiet)["trained"]


REFUSED: dict[str, tuple[dict[str, object], type[HushtuneError], str]] = {
    "more than the policy's epsilon": ({"privacy.epsilon": 70.0}, PolicyRefused, "dataset_epsilon"),
    "no privacy": ({"privacy.enabled": False}, PolicyRefused, "without_privacy"),
    "another size": ({"data.sites.0.declared_size": 101}, PolicyRefused, "data.declared_size"),
}


@pytest.mark.parametrize(("changes", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_a_run_that_the_sites_policy_refuses_is_not_personalised(
    file: SiteFile, publish: Publish, changes: dict[str, object], kind: type[HushtuneError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        personalise(file, publish(changes), quiet)
    assert not (file.site.state / FOLDER).exists()


IMPERSONAL: dict[str, tuple[dict[str, object], str]] = {
    "the server adds the noise": ({"privacy.trust": "central", "privacy.unit": "site"}, "no site adds noise of its own"),
    "another rank here": ({"aggregation.method": "partitioned_mean", "data.sites.0.rank": 1}, "trains with rank 1"),
    "an adversary": (
        {"adversary": {"column": "sex", "groups": ["woman", "man"]}},
        "its part of the adapter is not published",
    ),
}


@pytest.mark.parametrize(("changes", "words"), IMPERSONAL.values(), ids=IMPERSONAL)
def test_a_run_after_which_the_site_can_train_no_personal_adapter_is_refused(
    file: SiteFile, publish: Publish, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=f"personal adapters: .*{words}"):
        personalise(file, publish(changes), quiet)
    assert not [entry for entry in Ledger(file.ledger, "north").entries() if entry.kind == "reserve"]


def test_a_folder_that_is_no_published_run_or_holds_another_adapter_is_refused(file: SiteFile, publish: Publish) -> None:
    with pytest.raises(RunError, match="give the folder of a published run"):
        personalise(file, file.site.state, quiet)
    run = publish()
    for wrong in ({"run_id": "../run"}, {"adapter": {"digest": "0" * 64}}):
        report = json.loads((run / "report.json").read_text())
        (publish() / "report.json").write_text(json.dumps(report | wrong))
        with pytest.raises(RunError, match=r"not a short name|not the adapter"):
            personalise(file, run, quiet)
    assert not (file.site.state / FOLDER).exists()


def test_a_site_whose_client_runs_is_not_personalised(file: SiteFile, publish: Publish) -> None:
    with FolderLock(file.site.state, "a client"), pytest.raises(RunError, match="already running"):
        personalise(file, publish(), quiet)
