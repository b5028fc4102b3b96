"""A whole federation in this process: what comes out of it, and what must not."""

import base64
import csv
import json
import os
import re
import runpy
import shutil
import string
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples import run_examples
from fixture_types import ConfigOf
from rich.console import Console
from transformers import AutoTokenizer

from client.receipt import receipt
from client.statement import verify as verify_ledger
from privacy.dp.run_plans import plan_for_server
from server.report.figures import epsilon
from server.report.files import rewrite
from server.report.result import RunResult, load_report
from server.report.signed import SignedCard
from server.report.verification import verify
from server.signing import SigningKey
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
from shared.config.anonymise import GateSection
from shared.config.run import RunConfig
from shared.errors import ConfigError, DataError, HushtuneError, LedgerError, RunError
from shared.ops.progress import Advance, silent
from shared.tasks.adapter_files import load_adapter
from shared.wire.chain_head import ChainHead
from shared.wire.round_chain import extend
from simulations import pipeline
from simulations.display.anonymisation import scrub_tables
from simulations.display.plans import plan_table
from simulations.display.run import metrics_table, report_tables
from simulations.fleets import local as fleet
from simulations.planning import plan_rows, site_plans
from simulations.predict import score
from simulations.reading import read_sites
from simulations.run import simulate
from simulations.scrub import Source, scrub_report

pytestmark = pytest.mark.slow  # the real anonymiser

SITES = ("north", "south")
PER_SITE = 100
SETTINGS: Mapping[str, Any] = {
    "model.dtype": "float32",
    "model.device": "cpu",
    "model.max_length": 32,
    "adapter.rank": 2,
    "training.rounds": 2,
    "training.steps": 2,
    "training.sampling_rate": 0.3,
    "privacy.epsilon": 1.0,
    "data.sites.0.declared_size": 80,
    "data.sites.1.declared_size": 80,
    "cohort.quorum": 2,
    "anonymise.workers": 1,
    "evaluation.bootstrap": 100,
}


class Counted:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.stages: dict[str, list[int]] = {}

    def __call__(self, stage: str, total: int) -> Advance:
        self.stages[stage] = [total, 0]

        def advance(units: int) -> None:
            self.stages[stage][1] += units

        return advance


@pytest.fixture
def unscrubbed(plainly: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the anonymiser out, in a run whose records no other run of this file has scrubbed."""
    monkeypatch.setattr(pipeline, "scrub_sites", plainly)


@dataclass(frozen=True)
class Finished:
    """A run that is over, and every byte that went over the wire."""

    config: RunConfig
    folder: Path
    report: Mapping[str, Any]
    wire: list[bytes] = field(repr=False)
    progress: Counted
    markers: tuple[str, ...] = field(repr=False)


def planted() -> dict[str, list[str]]:
    """Return, for each record of each site, a word that exists nowhere else."""
    random = np.random.default_rng(99)
    words = ["".join(random.choice(list(string.ascii_lowercase), size=14)) for _ in range(len(SITES) * PER_SITE)]
    return {site: words[i * PER_SITE : (i + 1) * PER_SITE] for i, site in enumerate(SITES)}


def write_sites(folder: Path) -> None:
    folder.mkdir(parents=True)
    for site, words in planted().items():
        rows = [
            {"text": f"the {word} is fine, thanks, and so is day {i}", "label": "yes" if i % 3 else "no"}
            for i, word in enumerate(words)
        ]
        (folder / f"{site}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("federation") / "data"
    write_sites(root)
    return root


@pytest.fixture(scope="module")
def settings(config_of: ConfigOf, tiny_bert: Path, data: Path) -> Callable[..., RunConfig]:
    def build(output: Path, **changes: Any) -> RunConfig:
        more = {key.replace("__", "."): value for key, value in changes.items()}
        paths = {"model.name": str(tiny_bert), "data.root": str(data), "run.output": str(output), "run.name": "t"}
        kept = {"data.cache": str(data.parent / "cache"), "data.cache_encrypted": False}  # scrubbed once for all these runs
        return config_of({**SETTINGS, **paths, **kept, **more})

    return build


@pytest.fixture(scope="module")
def finished(settings: Callable[..., RunConfig], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    config, wire = settings(tmp_path_factory.mktemp("private")), []
    original = fleet.over_the_wire

    def tapped(message: Any) -> Any:
        copy, size = original(message)
        wire.extend(item.deflate() for item in fleet.get_all_nested_objects(copy).values())
        return copy, size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet, "over_the_wire", tapped)
        progress = Counted()
        done = simulate(config, progress)
        folder, report = done.folder, done.report
        markers = tuple(word for words in planted().values() for word in words)
        yield Finished(config, folder, report, wire, progress, markers)


def forms(text: str, ids: Sequence[int]) -> Iterator[bytes]:
    """Return the ways in which a text could hide in bytes: encodings, base64 at each offset, token ids."""
    plain = text.encode()
    yield from (plain, text.upper().encode(), text.encode("utf-16-le"), text.encode("utf-16-be"), plain.hex().encode())
    for offset in range(3):
        yield base64.b64encode(b"\0" * offset + plain)[4 if offset else 0 : -4]
    yield from (np.asarray(ids, dtype=kind).tobytes() for kind in ("<i8", "<i4", "<f4", "<u2"))
    yield ", ".join(map(str, ids)).encode()
    yield ",".join(map(str, ids)).encode()


def leaks(run: Finished, content: bytes) -> list[str]:
    tokenizer = AutoTokenizer.from_pretrained(run.config.model.name)
    ids = tokenizer(list(run.markers), add_special_tokens=False)["input_ids"]
    return [word for word, row in zip(run.markers, ids, strict=True) if any(form in content for form in forms(word, row))]


def test_no_record_text_leaves_a_site_in_any_form(finished: Finished) -> None:
    files = {path: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()}
    names = {path.name for path in files}
    assert {
        "report.json",
        "report.html",
        "events.jsonl",
        "state.json",
        "run.json",
        "privacy_card.json",
        "README.md",
    } <= names
    assert len(finished.wire) > 40
    everything = b"\n".join([*files.values(), *finished.wire])
    assert leaks(finished, everything) == []
    # The search would find one: in each form, in the middle of other bytes.
    tokenizer = AutoTokenizer.from_pretrained(finished.config.model.name)
    word = finished.markers[17]
    for form in forms(word, tokenizer(word, add_special_tokens=False)["input_ids"]):
        assert leaks(finished, everything[:1000] + form + everything[1000:2000]) == [word]


def test_a_run_from_a_public_adapter_starts_there_and_report_and_card_say_what_it_was_worth_alone(
    settings: Callable[..., RunConfig], twice: list[RunResult], tmp_path: Path
) -> None:
    public = twice[1]
    folder, digest = public.folder / "adapter", public.report["adapter"]["digest"]
    start = {"model__warm_start": str(folder), "model__warm_start_digest": digest}
    still = {"training__learning_rate": 1e-12, "training__head_learning_rate": 1e-12}
    done = simulate(settings(tmp_path / "warm", **start, **still))
    [alone] = [row for row in done.report["baselines"] if row["name"] == "warm start alone"]
    assert alone["metrics"]["accuracy"] == done.report["final"]["accuracy"] == public.report["final"]["accuracy"]
    trained, warm = (read_adapter(load_adapter(run.folder / "adapter")[1].model) for run in (public, done))
    assert warm.minus(trained).norm < 1e-6 < trained.norm
    assert f"started from an adapter with digest {digest}" in (done.folder / "adapter" / "README.md").read_text("utf-8")
    verify(done.folder)
    with pytest.raises(ConfigError, match=r"model\.warm_start: .* was trained with another run\.seed"):
        simulate(settings(tmp_path / "other", **start, run__seed=8))


@pytest.fixture(scope="module")
def scrubbing(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, Any], Path]:
    """Scrub the records of the run, as the data stage reads them; return the report and the folder of the texts."""
    folder, config = tmp_path_factory.mktemp("scrubbing"), finished.config
    source = Source(read_sites(config, folder, labelled=False), config.anonymise, GateSection(), config.run.seed)
    return scrub_report(source, folder / "scrubbed", silent), folder / "scrubbed"


def test_the_planted_words_were_trained_on(finished: Finished, scrubbing: tuple[Mapping[str, Any], Path]) -> None:
    found, folder = scrubbing
    scrubbed = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    assert sum(word in scrubbed for word in finished.markers) > 40  # else the search above would show nothing
    assert [site["site_id"] for site in found["sites"]] == list(SITES)
    assert all(site["records"] + site["quarantined"] == PER_SITE for site in found["sites"])
    by_site = {site["site_id"]: site["records"] + site["held_out"] for site in finished.report["sites"]}
    assert by_site == {site["site_id"]: site["records"] for site in found["sites"]}


def test_the_report_holds_what_a_reader_needs(finished: Finished) -> None:
    report = json.loads((finished.folder / "report.json").read_text(encoding="utf-8"))
    assert report == json.loads(json.dumps(finished.report))
    for row in ("base", "final"):
        assert set(report[row]) == {"accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1"}
        for interval in report[row].values():
            assert interval["low"] <= interval["value"] <= interval["high"]
    assert [done["round"] for done in report["rounds"]] == [1, 2]
    for done in report["rounds"]:
        assert {"metrics", "bytes_up", "bytes_down", "seconds"} <= set(done)
        assert done["committed"]
        assert done["accepted"] == list(SITES)
        assert done["rejected"] == done["missing"] == []
        assert min(done["bytes_up"], done["bytes_down"]) > 4 * report["adapter"]["trainable_parameters"]
    assert report["final"] == report["rounds"][-1]["metrics"]
    assert [site["site_id"] for site in report["sites"]] == list(SITES)
    for site in report["sites"]:
        assert {"records", "quarantined", "epsilon", "target_delta"} <= set(site)
        assert site["records"] + site["held_out"] + site["quarantined"] == PER_SITE
    assert {"entities", "recall", "quarantined"} <= set(report["anonymisation"])
    assert report["config_digest"] == finished.config.digest()
    assert {"python", "torch", "opacus", "flwr"} <= set(report["versions"])
    assert report["seconds"] > 0
    assert report["failures"] == []


def test_the_epsilon_in_the_report_is_the_plans(finished: Finished) -> None:
    planned = {row["site_id"]: row for row in plan_rows(finished.config)}
    plans = site_plans(finished.config)
    for site in finished.report["sites"]:
        row, plan = planned[site["site_id"]], plans[site["site_id"]]
        assert plan is not None
        assert site["epsilon"] == row["epsilon"] == pytest.approx(plan.epsilon(), rel=1e-9)
        assert 0.98 < site["epsilon"] <= 1.0
        assert site["target_delta"] == plan.target_delta == row["target_delta"]
        assert site["steps"] == row["steps"] == 4
        assert site["epsilon_by_round"] == row["epsilon_by_round"]
    assert finished.report["privacy"]["enabled"]
    highest = max(site["epsilon"] for site in finished.report["sites"])
    assert f"({epsilon(highest)}, " in finished.report["privacy"]["guarantee"]


def test_the_privacy_card_of_a_run_holds_and_states_the_reports_epsilon(finished: Finished) -> None:
    found = verify(finished.folder, SigningKey.load_or_create(finished.folder / "signing_key.pem").public)
    assert found.ledgers == len(SITES)
    card = found.signed.card
    assert [site["epsilon"] for site in card["sites"]] == pytest.approx([s["epsilon"] for s in finished.report["sites"]])
    assert [[row["round"] for row in site["charged"]] for site in card["sites"]] == [[1, 2]] * len(SITES)
    assert card["run"]["simulated"]
    assert card["signing"]["simulation_key"]
    assert card["signing"]["public_key"] in (finished.folder / "report.html").read_text(encoding="utf-8")


def test_the_model_card_loads_the_adapter_as_it_says(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (finished.folder / "adapter" / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    monkeypatch.chdir(finished.folder / "adapter")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 -- our own page
    _, learner = load_adapter(finished.folder / "adapter")
    loaded = {name.split("base_model.model.")[-1]: value for name, value in names["tuned"].named_parameters()}
    compared = 0
    for name, parameter in learner.model.named_parameters():
        if "lora_" in name:
            compared += 1
            np.testing.assert_array_equal(parameter.detach(), loaded[name.split("base_model.model.")[-1]].detach())
    assert compared


def test_a_finished_run_is_an_object_with_metrics_rounds_and_the_privacy_of_each_site(
    finished: Finished, twice: list[RunResult], tmp_path: Path
) -> None:
    result = load_report(finished.folder / "report.json")
    assert result == load_report(finished.folder) == RunResult(finished.folder, result.report)
    assert {name: asdict(interval) for name, interval in result.metrics.items()} == finished.report["final"]
    assert [(row["round"], row["accepted"], row["accuracy"]) for row in result.rounds] == [
        (done["round"], 2, done["metrics"]["accuracy"]["value"]) for done in finished.report["rounds"]
    ]
    plans = site_plans(finished.config)
    for site in finished.report["sites"]:
        spent = result.privacy[site["site_id"]]
        assert (spent.epsilon, spent.target_delta) == (site["epsilon"], site["target_delta"])
        assert spent.plan == plans[site["site_id"]]
    assert {each.plan for each in twice[0].privacy.values()} == {None}
    frame = result.to_frame()
    assert list(frame["accuracy_low"]) == [row["accuracy_low"] for row in result.rounds]
    table = list(csv.DictReader((finished.folder / "results.csv").open(encoding="utf-8")))
    finals = {row["measure"]: float(row["low"]) for row in table if row["part"] == "final"}
    assert finals == {name: interval.low for name, interval in result.metrics.items()}
    epsilons = {row["name"]: float(row["value"]) for row in table if row["measure"] == "epsilon"}
    assert epsilons == {site: spent.epsilon for site, spent in result.privacy.items()}
    assert {row["part"] for row in table} == {"final", "baseline", "round", "site", "privacy"}
    lines = result.to_csv(tmp_path / "rounds.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",") == list(frame.columns)
    assert len(lines) == 3


def test_the_examples_of_simulate_and_load_report_run(
    finished: Finished, settings: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunConfig, "load", lambda path, overrides: settings(tmp_path, report__html=False))
    assert run_examples(simulate) == 7
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(finished.folder)
    monkeypatch.chdir(tmp_path)
    assert run_examples(load_report) == 4


def test_events_are_codes_and_numbers(finished: Finished) -> None:
    events = [json.loads(line) for line in (finished.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["event"] for event in events] == ["run_started", "round", "round", "run_ended"]
    assert not [value for event in events for value in event.values() if isinstance(value, str) and " " in value]


def test_the_checkpoint_and_the_published_adapter_are_the_last_rounds(finished: Finished) -> None:
    state = json.loads((finished.folder / "checkpoint" / "state.json").read_text(encoding="utf-8"))
    saved = AdapterState.load(finished.folder / "checkpoint" / state["adapter"])
    assert (state["round"], state["run_id"]) == (2, finished.report["run_id"])
    assert finished.report["adapter"]["digest"] == state["adapter_digest"]
    _, learner = load_adapter(finished.folder / "adapter")
    for name, parameter in learner.model.named_parameters():
        if parameter.requires_grad:
            np.testing.assert_array_equal(parameter.detach().numpy(), saved.arrays[name])


def test_progress_ends_where_it_said(finished: Finished) -> None:
    assert finished.progress.stages == {
        "calibrate": [1, 1],
        "anonymise": [200, 200],
        "model": [1, 1],
        "baselines": [1, 1],
        "train": [4, 4],
        "report": [1, 1],
    }


def printed(tables: Any) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in tables:
        console.print(table)
    return console.export_text()


def test_the_tables_show_the_report(finished: Finished) -> None:
    text = printed(report_tables(finished.report, "here"))
    assert all(
        word in text
        for word in (*SITES, "here/report.html", epsilon(finished.report["sites"][0]["epsilon"]), "majority class")
    )
    assert not [word for word in finished.markers if word in text]
    rows = plan_rows(finished.config)
    assert "after one more round" in printed(plan_table(rows, finished.config))


def test_a_finished_run_is_shown_without_a_locale(finished: Finished, tmp_path: Path) -> None:
    commands, folder = [["report"], ["card", "show"]], str(shutil.copytree(finished.folder, tmp_path / "run"))
    code = f"""
import sys, hushtune
for words in {commands!r}:
    sys.argv[1:] = [*words, {folder!r}]
    try:
        hushtune.main()
    except SystemExit as ended:
        assert not ended.code
    print("end of a command")
"""
    variables = {**os.environ, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    report, card, _ = done.stdout.split(b"end of a command")
    assert b"10^-" in report
    assert b"10^-" in card


def test_a_report_is_written_anew_from_its_numbers(finished: Finished) -> None:
    before = (finished.folder / "report.html").read_text(encoding="utf-8")
    (finished.folder / "report.html").unlink()
    assert rewrite(finished.folder) == json.loads(json.dumps(finished.report))
    assert (finished.folder / "report.html").read_text(encoding="utf-8") == before


def test_a_published_adapter_scores_a_file(finished: Finished, data: Path, tmp_path: Path) -> None:
    rows = (data / "north.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "few.jsonl").write_text("".join(rows[:12]), encoding="utf-8")
    found = score(finished.folder / "adapter", tmp_path / "few.jsonl")
    assert found["records"] + found["quarantined"] == 12
    assert set(found["metrics"]) == set(finished.report["final"])
    assert "accuracy" in printed(metrics_table(found))


def test_scrub_tables_show_counts(finished: Finished, scrubbing: tuple[Mapping[str, Any], Path]) -> None:
    text = printed(scrub_tables(scrubbing[0]))
    assert all(site in text for site in SITES)
    assert not [word for word in finished.markers if word in text]


@pytest.fixture(scope="module")
def twice(settings: Callable[..., RunConfig], tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    without_privacy = {"privacy__enabled": False, "training__head_learning_rate": 0.1}
    config = settings(tmp_path_factory.mktemp("plain"), report__html=False, **without_privacy)
    return [simulate(config) for _ in range(2)]


def test_without_privacy_a_run_is_the_same_bit_for_bit(twice: list[RunResult]) -> None:
    one, two = (run.report for run in twice)
    assert one["adapter"]["digest"] == two["adapter"]["digest"]
    assert one["final"] == two["final"]
    assert [done["metrics"] for done in one["rounds"]] == [done["metrics"] for done in two["rounds"]]


def test_without_privacy_the_report_and_its_page_claim_nothing(twice: list[RunResult], tmp_path: Path) -> None:
    report = twice[0].report
    assert {site["epsilon"] for site in report["sites"]} == {None}
    assert not report["privacy"]["enabled"]
    assert "no differential privacy" in report["privacy"]["guarantee"]
    assert "no differential privacy" in printed(report_tables(report, "here"))
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    rewrite(tmp_path)
    assert "no differential privacy" in (tmp_path / "report.html").read_text(encoding="utf-8").lower()


def test_an_earlier_run_of_the_same_name_is_kept(twice: list[RunResult]) -> None:
    folder, first, second = twice[0].folder, twice[0].report, twice[1].report
    assert folder == twice[1].folder
    kept = folder.with_name(f"{folder.name}-{first['run_id']}")
    assert json.loads((kept / "report.json").read_text(encoding="utf-8"))["run_id"] == first["run_id"]
    assert (kept / "adapter" / "adapter_model.safetensors").is_file()
    assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["run_id"] == second["run_id"]
    assert len((folder / "events.jsonl").read_text(encoding="utf-8").splitlines()) == 4


def test_a_run_in_which_no_round_counts_ends_in_one_line(settings: Callable[..., RunConfig], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="attempts had no 2 accepted replies") as caught:
        simulate(settings(tmp_path, aggregation__max_norm=1e-9))
    assert "\n" not in str(caught.value)
    events = [json.loads(line) for line in (tmp_path / "t" / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["reason"] for event in events if event["event"] == "rejected"] == ["norm"] * 12  # 2 sites, 6 attempts
    assert not (tmp_path / "t" / "adapter").exists()
    assert not (tmp_path / "t" / "report.json").exists()


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"data.sites.0.file": "none.jsonl"}, DataError),
        ({"cohort.min_records": 1000}, DataError),
        ({"task.labels": ["never", "nowhere"]}, DataError),
    ],
)
def test_a_run_that_cannot_start_says_why(
    settings: Callable[..., RunConfig], tmp_path: Path, changes: dict[str, Any], kind: type[HushtuneError]
) -> None:
    config = settings(tmp_path, privacy__enabled=False, **{key.replace(".", "__"): value for key, value in changes.items()})
    with pytest.raises(kind) as caught:
        simulate(config)
    assert "\n" not in str(caught.value)
    assert not [word for words in planted().values() for word in words if word in str(caught.value)]


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"run_id": "../up"}', '{"run_id": 3}'])
def test_a_damaged_earlier_report_does_not_end_in_a_traceback(
    settings: Callable[..., RunConfig], tmp_path: Path, content: str
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "report.json").write_text(content, encoding="utf-8")
    (tmp_path / "t" / "precious").write_text("kept", encoding="utf-8")
    try:
        with ExitStack() as held:
            pipeline._fresh_folder(settings(tmp_path), held)
    except RunError as error:
        assert "\n" not in str(error)
    kept = [path.parent for path in tmp_path.rglob("precious")]
    assert len(kept) == 1
    assert kept[0].parent == tmp_path


def test_a_second_simulation_into_one_folder_is_refused_and_takes_nothing_from_the_first(
    settings: Callable[..., RunConfig], tmp_path: Path
) -> None:
    with ExitStack() as first, ExitStack() as second:
        folder = pipeline._fresh_folder(settings(tmp_path), first)
        (folder / "events.jsonl").write_text("kept")
        with pytest.raises(RunError, match="a simulation is already running in this folder"):
            pipeline._fresh_folder(settings(tmp_path), second)
        assert (folder / "events.jsonl").read_text() == "kept"
        (folder / "report.json").write_text('{"run_id": "one"}')
    with ExitStack() as later:
        assert pipeline._fresh_folder(settings(tmp_path), later) == folder


@pytest.mark.parametrize("labels", [["yes", "yes"], ["yes", "no"]], ids=["the same", "one for each site"])
def test_sites_of_one_label_end_in_a_report_without_the_baseline_that_needs_two(
    settings: Callable[..., RunConfig], unscrubbed: None, tmp_path: Path, labels: Sequence[str]
) -> None:
    for site, label in zip(SITES, labels, strict=True):
        rows = [{"text": f"the parcel of part {i} of {site} arrived, thanks", "label": label} for i in range(40)]
        (tmp_path / f"{site}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = simulate(settings(tmp_path / "runs", data__root=str(tmp_path), training__rounds=1, cohort__min_records=10))
    names = [row["name"] for row in done.report["baselines"]]
    assert ("logistic regression" in " ".join(names)) == (len(set(labels)) == 2), names


def test_a_run_folder_that_cannot_be_made_is_told(settings: Callable[..., RunConfig], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"set run\.output"):
        simulate(settings(tmp_path / "file", privacy__enabled=False))


def test_a_lasting_ledger_lets_one_run_through_and_refuses_the_next_in_one_line(
    settings: Callable[..., RunConfig], tmp_path: Path
) -> None:
    """The same records under another run's name have no new budget; the plan says so before anybody tries."""
    ledger = str(tmp_path / "ledgers")
    config = settings(tmp_path, privacy__ledger=ledger, training__rounds=1, report__html=False)
    done = simulate(config)
    folder, report = done.folder, done.report
    assert not (folder / "ledger").exists()
    assert all(0 < site["epsilon_ever"] <= 1.0 for site in report["sites"])
    [row, _] = plan_rows(config)
    assert row["spent_before"] == pytest.approx(report["sites"][0]["epsilon"])
    assert row["epsilon_ever"] > row["budget"] == 1.0
    again = settings(tmp_path, privacy__ledger=ledger, training__rounds=1, run__name="other")
    with pytest.raises(LedgerError, match=r"budget exhausted: some of these records have spent epsilon") as caught:
        simulate(again)
    assert "\n" not in str(caught.value)
    wider = settings(
        tmp_path, privacy__ledger=ledger, privacy__budget=3.0, training__rounds=1, run__name="third", report__html=False
    )
    third = simulate(wider).report
    assert 1.0 < third["sites"][0]["epsilon_ever"] <= 3.0  # two runs, so by the filter


def test_what_the_ledgers_hold_is_what_the_report_and_the_servers_chain_say(finished: Finished) -> None:
    for site in SITES:
        checked = verify_ledger(finished.folder / "ledger" / site, finished.folder)
        assert (checked["entries"], checked["heads_checked"]) == (5, 2)
    end = ChainHead()
    for done in finished.report["rounds"]:
        ledgers = {site: ChainHead(**head) for site, head in done["ledgers"].items()}
        end = extend(end, finished.report["run_id"], done["round"], done["adapter_digest"], ledgers, done["replies"])
        assert done["record"] == {"entries": end.entries, "hash": end.hash}


def test_each_site_has_a_receipt_for_its_replies_in_the_published_rounds(finished: Finished) -> None:
    for site in SITES:
        found = receipt(finished.folder / "ledger" / site, finished.folder)
        assert [row["own"] for row in found["rounds"]] == ["counted"] * 2
        assert found["head"] == SignedCard.load(finished.folder).card["round_record"]
        assert (found["orders"], found["adapters"]) == (2, 1)


def test_a_trusted_server_publishes_site_level_privacy_and_keeps_the_sample_to_itself(
    settings: Callable[..., RunConfig], unscrubbed: None, data: Path, tmp_path: Path
) -> None:
    few = (data / "north.jsonl").read_text(encoding="utf-8").splitlines()[:20]
    (tmp_path / "few.jsonl").write_text("\n".join(few), encoding="utf-8")
    files = [{"id": f"s{i}", "file": "few.jsonl", "declared_size": 80} for i in range(16)]
    changes = {"privacy__trust": "central", "privacy__unit": "site", "privacy__epsilon": 5.0, "privacy__target_delta": 0.01}
    changes |= {"data__root": str(tmp_path), "data__sites": files, "cohort__min_records": 4}
    config = settings(tmp_path, training__rounds=1, **changes)
    done = simulate(config)
    folder, report = done.folder, done.report
    assert (report["privacy"]["trust"], report["privacy"]["unit"]) == ("central", "site")
    assert {spent.plan for spent in done.privacy.values()} == {plan_for_server(config)}
    assert {site["epsilon"] for site in report["sites"]} == {report["sites"][0]["epsilon"]}
    assert 4.9 < report["sites"][0]["epsilon"] <= 5.0
    [first] = report["rounds"]
    assert (first["accepted"], first["ledgers"], first["bytes_up"]) == ([], {}, 0)
    assert {site["ledger"]["entries"] for site in report["sites"]} == {0}, "how long a ledger is says how often it was asked"
    assert "train" not in report["stages"]
    assert verify(folder).ledgers == len(files)
    card = json.loads((folder / "privacy_card.json").read_text(encoding="utf-8"))
    assert "does not hold against the server" in json.dumps(card)
    [row] = plan_rows(config)
    assert (row["site_id"], row["unit"]) == ("all sites", "site")
    assert row["epsilon"] == pytest.approx(report["sites"][0]["epsilon"])


def test_sites_that_share_one_noise_train_end_to_end_and_the_card_says_against_whom(
    settings: Callable[..., RunConfig], unscrubbed: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        {"id": name, "file": f"{site}.jsonl", "declared_size": 80}
        for name, site in zip("abc", (*SITES, "north"), strict=True)
    ]
    changes = {"privacy__trust": "distributed", "aggregation__weights": "declared", "aggregation__optimiser": "adamw"}
    shape = {"training__steps": 1, "cohort__quorum": 3, "data__sites": files, "data__root": str(data)}
    done = simulate(settings(tmp_path, **changes, **shape))
    assert [row["round"] for row in done.rounds] == [1, 2]
    for spent in done.privacy.values():
        assert spent.plan is not None
        assert spent.plan.trust == "distributed"
        assert spent.epsilon == pytest.approx(list(spent.plan.epsilon_by_round())[1], rel=1e-6)  # a third attempt is left
        assert 0.5 < spent.epsilon <= 1.0
    assert verify(done.folder).ledgers
    signed = json.loads((done.folder / "privacy_card.json").read_text(encoding="utf-8"))
    card = signed["card"]
    assert card["privacy"]["trust"] == "distributed"
    assert card["privacy"]["colluders"]["table"][1]["epsilon"] == pytest.approx(card["sites"][0]["epsilon"], rel=1e-6)
    assert [len(site["charged"]) for site in card["sites"]] == [2, 2, 2]
    ledger = (done.folder / "ledger" / "a" / "ledger.jsonl").read_text(encoding="utf-8")
    assert ledger.count('"attempt":') == 2
    first, *others = card["sites"]
    assert [(site["charged"], site["epsilon"]) for site in others] == [(first["charged"], first["epsilon"])] * 2
    card["sites"] = [first]  # the script computes the same sums again for each site
    (tmp_path / "card.json").write_text(json.dumps(signed), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["check_epsilon.py", str(tmp_path / "card.json")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("docs/check_epsilon.py", run_name="__main__")
    assert ended.value.code == 0


def test_a_personal_round_is_charged_after_the_run_and_compared_on_each_sites_own_records(
    settings: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = settings(tmp_path, run__name="own", privacy__budget=3.0)
    done = simulate(config, personal=True)
    report = done.report
    assert set(report["personal"]) == set(report["by_site"]) == set(SITES)
    for row in report["sites"]:  # the run's own claim has the run's own rounds, and its epsilon
        own = report["personal"][row["site_id"]]
        assert row["steps"] == config.training.rounds * config.training.steps
        assert row["epsilon"] <= config.privacy.epsilon < own["epsilon"] <= 3.0
        assert own["records"] == row["held_out"]
        (ledger,) = (done.folder / "ledger").glob(row["site_id"])
        entries = [json.loads(line) for line in (ledger / "ledger.jsonl").read_text().splitlines()]
        assert [entry["body"]["round"] for entry in entries if entry["kind"] == "reserve"] == [1, 2, 3]
        assert receipt(ledger, done.folder)["rounds"]
        verify_ledger(ledger, done.folder)
    assert verify(done.folder)
    assert "a personal one that the site trained" in (done.folder / "report.html").read_text()


def test_a_budget_for_the_run_alone_refuses_a_personal_round_before_the_first_one(
    settings: Callable[..., RunConfig], tmp_path: Path
) -> None:
    with pytest.raises(LedgerError, match="a run of 3 rounds would make it"):
        simulate(settings(tmp_path, run__name="poor"), personal=True)
    assert not [path for path in tmp_path.rglob("ledger.jsonl") if "reserve" in path.read_text()]


@pytest.mark.parametrize(
    ("changes", "workers", "says"),
    [
        ({}, 2, "leave --workers and --ray out"),
        ({"privacy__trust": "central", "privacy__unit": "site"}, 1, "no site adds noise of its own"),
    ],
)
def test_personal_adapters_are_refused_where_sites_cannot_train_them(
    settings: Callable[..., RunConfig], tmp_path: Path, changes: dict[str, Any], workers: int, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        simulate(settings(tmp_path, **changes), workers=workers, personal=True)
