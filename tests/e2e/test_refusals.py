"""What server and sites refuse, each with one sentence that says what, where and what to do."""

import re
import shlex
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from privacy.policy import SitePolicy

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
CLOSED = ("control/start-run", "control/register-node", "runtime/acquire-task", "runtime/pull-messages")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def sentence(process: Any) -> str:
    """Return the message of a refused command, after checking that it is one line without a traceback."""
    assert process.wait() == 2, process.said
    [line] = [line for line in process.said.splitlines() if line.startswith("hushtune: ")]
    assert "Traceback" not in process.said
    return str(line)


def test_who_has_no_right_to_connect_is_turned_away(federation: Make, harness: ModuleType, tmp_path: Path) -> None:
    fed = federation()
    key = fed.state / "sites" / "north.pub"
    shutil.move(key, tmp_path / "north.pub")
    server = fed.serve()
    fed.join("east")
    harness.until(lambda: any(event["event"] == "connected" for event in fed.events("east")), "a first site")

    # An unknown key; put into the folder, it is known without a restart.
    said = sentence(fed.join("north"))
    assert re.search(r"127\.0\.0\.1:\d+: the server does not know this site's key; .*north\.pub", said)
    shutil.move(tmp_path / "north.pub", key)

    # The key of another site.
    edit(fed.site("south") / "SITE.toml", 'key = "site.key"', f'key = "{fed.site("east") / "site.key"}"')
    assert "belongs to another site than 'south'" in sentence(fed.join("south"))

    # An authority that is not the server's.
    assert harness.here(tmp_path, shlex.split("hushtune provision server --host 127.0.0.1 --out other"))[0] == 0
    edit(fed.site("south") / "SITE.toml", 'ca = "ca.crt"', f'ca = "{tmp_path / "other" / "ca.crt"}"')
    edit(fed.site("south") / "SITE.toml", f'"{fed.site("east") / "site.key"}"', '"site.key"')
    assert "its certificate was not issued by the authority in server.ca" in sentence(fed.join("south"))

    # Plain HTTP to the TLS port.
    assert "accepts only TLS" in sentence(fed.join("south", "--insecure"))
    with pytest.raises(httpx.TransportError):
        httpx.post(f"http://127.0.0.1:{fed.port}/v1/fleet/pull-messages")

    # Control, Runtime, documents and health on the public port, for somebody who holds the CA file.
    trust = ssl.create_default_context(cafile=fed.state / "ca.crt")
    with httpx.Client(base_url=f"https://127.0.0.1:{fed.port}", verify=trust) as outsider:
        for path in (*(f"/v1/{path}" for path in CLOSED), "/docs", "/openapi.json", "/health", "/", "/v1/fleet/../control"):
            assert outsider.post(path).status_code == 404, path
            assert outsider.get(path).status_code == 404, path
        assert outsider.post("/v1/fleet/pull-messages").status_code == 401

    # A second server on the folder, a second client on the folder, and one on a copy of it.
    assert f"already running in this folder (process {server.pid})" in sentence(fed.serve())
    assert "a client of site east is already running in this folder" in sentence(fed.join("east"))
    shutil.copytree(fed.site("east"), fed.folder / "copy", ignore=shutil.ignore_patterns("state"))
    assert "another client is connected with the identity of site east" in sentence(fed.join("copy", misbehave="impatient"))

    # North is known by now.
    north = fed.join("north")
    harness.until(lambda: any(event["event"] == "connected" for event in fed.events("north")), "the admitted site")
    assert north.poll() is None


def test_orders_beyond_a_sites_policy_are_refused_before_a_data_file_is_opened(federation: Make) -> None:
    fed = federation({"privacy.enabled": True, "privacy.epsilon": 1.0, "cohort.attempts": 1, "data.held_out": 0.3})
    digest = fed.loaded.model.sha256
    for name in fed.sites:
        (fed.site(name) / "records.jsonl").rename(fed.site(name) / "away.jsonl")  # to open it would be another error
    edit(fed.site("east") / "SITE.toml", "dataset_epsilon = 8.0", "dataset_epsilon = 0.9")
    edit(fed.site("north") / "SITE.toml", 'tasks = ["classification", "instruction"]', 'tasks = ["instruction"]')
    edit(fed.site("south") / "SITE.toml", f'"{digest}",', "")
    clients = fed.join_all()
    server = fed.serve()
    assert server.wait() == 3, server.said  # no quorum: the status of its own
    assert "round 1: 1 attempts had no 3 accepted replies" in server.said
    refused = {event["site_id"]: event["reason"] for event in fed.events() if event["event"] == "rejected"}
    assert refused == {
        "east": "PolicyRefused:dataset_epsilon",
        "north": "PolicyRefused:tasks",
        "south": "PolicyRefused:models",
    }
    expected = {
        "east": "policy.dataset_epsilon: the order asks for epsilon 1, and this site allows 0.9",
        "north": "policy.tasks: the order is for task 'classification', and this site allows instruction",
        "south": "policy.models: the order is for a base model with SHA-256",
    }
    for name, words in expected.items():
        assert words in clients[name].said

    # Another run, with less privacy than they want and fewer sites.
    for name, process in clients.items():
        assert process.end() == 0, name
    edit(fed.site("north") / "SITE.toml", "min_cohort = 2", "min_cohort = 4")
    edit(fed.site("north") / "SITE.toml", 'tasks = ["instruction"]', 'tasks = ["classification"]')
    edit(fed.site("north") / "SITE.toml", "without_privacy = false", "without_privacy = true")
    edit(fed.site("south") / "SITE.toml", "max_steps = 1000", 'max_steps = 1\nversions = ["9.9.9"]')
    clients = fed.join_all()
    again = fed.serve("--fork", "other", "--set", "privacy.enabled=false")
    assert again.wait() == 3, again.said
    refused = {event["site_id"]: event["reason"] for event in fed.events() if event["event"] == "rejected"}
    fields = {name: reason.removeprefix("PolicyRefused:") for name, reason in refused.items()}
    assert fields == {"east": "without_privacy", "north": "min_cohort", "south": "versions"}
    assert set(fields.values()) <= set(SitePolicy.model_fields)


def test_a_question_about_records_is_refused_and_a_site_that_cannot_use_its_records_says_one_word(
    federation: Make, harness: ModuleType
) -> None:
    fed = federation({"cohort.attempts": 1})  # which asks for 4 records at least
    edit(fed.site("east") / "SITE.toml", "min_records = 4 ", "min_records = 6 ")
    edit(fed.site("south") / "SITE.toml", "max_set_ups = 3 ", "max_set_ups = 1 ")
    harness.write_rows(fed.site("north") / "records.jsonl", harness.random_rows(3, 1))
    rows = [*harness.random_rows(40, 2), {"text": "aia", "label": "perhaps"}]
    harness.write_rows(fed.site("south") / "records.jsonl", rows)
    clients = fed.join_all()
    server = fed.serve()
    assert server.wait() == 3, server.said
    refused = {event["site_id"]: event["reason"] for event in fed.events() if event["event"] == "rejected"}
    assert refused == {"east": "PolicyRefused:data.min_records", "north": "Declined", "south": "Declined"}
    said = "data.min_records: the order has cohort.min_records = 4, and this site sets 6; remove the field from the run"
    assert said in clients["east"].said
    assert "has fewer usable training records than" in clients["north"].said
    assert "its label is not in task.labels" in clients["south"].said
    for name, reason in {"east": "PolicyRefused:data.min_records", "north": "DataError", "south": "DataError"}.items():
        assert [event["reason"] for event in fed.events(name) if event["event"] == "refused"] == [reason]

    # A second set-up is one too many for south, until its steward lets it pass.
    assert fed.serve("--fork", "second", "--set", "run.seed=4").wait() == 3
    refused = {event["site_id"]: event["reason"] for event in fed.events() if event["event"] == "rejected"}
    assert refused["south"] == "PolicyRefused:max_set_ups"
    status, shown = harness.here(fed.folder, ["hushtune", "provision", "admit", "south"])
    assert (status, "1 different set-ups in 30 days; 2 may be asked for now." in shown) == (0, True)
    assert fed.serve("--fork", "third", "--set", "run.seed=4").wait() == 3
    refused = {event["site_id"]: event["reason"] for event in fed.events() if event["event"] == "rejected"}
    assert refused["south"] == "Declined"


def test_a_server_that_cannot_start_says_why_in_one_line(federation: Make) -> None:
    fed = federation()
    (fed.state / "server.crt").rename(fed.state / "kept")
    assert "a server does not start without TLS" in sentence(fed.serve())
    assert "may listen only on a loopback address, not 0.0.0.0" in sentence(fed.serve("--insecure", "--listen", "0.0.0.0:0"))
    assert "write it as HOST:PORT" in sentence(fed.serve("--listen", "8443"))
    (fed.state / "kept").rename(fed.state / "server.crt")
    assert "no such file" in sentence(fed.serve("--set", "evaluation.file=nowhere.jsonl"))


@pytest.mark.faults
def test_another_config_on_an_unfinished_run_is_refused_and_may_fork_it(federation: Make) -> None:
    fed = federation({"training.rounds": 2})
    clients = fed.join_all()
    assert fed.serve(fault="committed@1").wait() == -9
    said = sentence(fed.serve("--set", "training.learning_rate=0.02"))
    assert "holds the unfinished run 't' of another config" in said
    assert "--fork NAME" in said
    forked = fed.serve("--fork", "second", "--set", "training.learning_rate=0.02", "--set", "training.rounds=1")
    assert forked.wait() == 0, forked.said
    assert fed.report["run"] == "second"
    [kept] = [path for path in fed.state.glob("run-*") if path.is_dir()]
    assert (kept / "checkpoint" / "state.json").is_file()
    # A finished run is shown again, not done again.
    before = fed.report
    again = fed.serve("--set", "run.name=second", "--set", "training.learning_rate=0.02", "--set", "training.rounds=1")
    assert again.wait() == 0, again.said
    assert fed.report == before
    assert [client.poll() for client in clients.values()] == [None] * 3
