"""What a site is told before its first round: records that no task can read, a server that is not there, little room."""

import socket
from pathlib import Path

import pytest
from site_toml import site_toml

from client import examination as module
from client.examination import examined
from client.site_file import SiteFile
from shared.identity.certificates import authority, certificate_pem
from shared.identity.keys import new_key
from shared.models.catalogue import CATALOGUE

POLICY = f'tasks = ["classification"]\nmodels = ["{CATALOGUE["minilm"].sha256}"]'
FILE = site_toml(POLICY, columns='{ text = "text", label = "label" }')
ADDRESS = "fed.example.org:8443"
GOOD = '{"text": "carcinoma", "label": "yes"}\n{"text": "two", "label": "no"}\n'

SEEN: list[str] = []


def flaws(folder: Path, records: str | bytes = GOOD, file: str = FILE, name: str = "records.jsonl") -> list[str]:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    (folder / "SITE.toml").write_text(file.replace(ADDRESS, f"127.0.0.1:{port}").replace("records.jsonl", name))
    content = records if isinstance(records, bytes) else records.encode()
    (folder / name).write_bytes(content)
    (folder / "ca.crt").write_bytes(certificate_pem(authority(new_key(), 1)))
    return [str(flaw) for flaw in examined(SiteFile.load(folder / "SITE.toml"), SEEN.append)]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    SEEN.clear()
    monkeypatch.setattr(module, "LITTLE_DISK", 0)
    monkeypatch.setattr(module, "LITTLE_MEMORY", 0)
    monkeypatch.setattr(module, "cached_folder", lambda _: tmp_path)


def test_a_site_in_order_is_told_only_that_its_server_is_not_there(tmp_path: Path) -> None:
    [server] = flaws(tmp_path)
    assert "cannot be reached now" in server


def test_what_is_as_it_should_be_is_told_too(tmp_path: Path) -> None:
    flaws(tmp_path)
    said = "\n".join(SEEN)
    assert "records.jsonl: 2 records of its head can be read for the task classification" in said
    assert "minilm: this base model is on this machine" in said
    assert "MB are free on this disk" in said
    assert "MB of memory are available" in said or not module.MEMORY.is_file()
    assert "the server answers" not in said
    assert "carcinoma" not in said


@pytest.mark.parametrize(
    ("records", "name", "says"),
    [
        (GOOD.replace('"text"', '"message"'), "records.jsonl", "no column 'text' among the file's"),
        ("text;label\ncarcinoma;yes;\n", "records.csv", "line 2, record 1: has 3 cells, and the header 2"),
        ("text,label\ncarcinoma,maybe\n", "records.csv", "its label is not in task.labels"),
        ("text,label\ncarcinoma,yes\n".encode("utf-16")[:-1], "records.csv", "say UTF-16, and others"),
        ("", "records.jsonl", "the file is empty"),
        ("no json\n", "records.jsonl", "record"),
    ],
)
def test_records_that_no_round_could_read_are_told(tmp_path: Path, records: str | bytes, name: str, says: str) -> None:
    first, *_ = flaws(tmp_path, records, name=name)
    assert says in first
    assert "carcinoma" not in first  # no text of a record


def test_only_the_head_of_the_records_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD", 2)
    assert len(flaws(tmp_path, GOOD + "no json\n" * 3)) == 1


def test_a_host_that_does_not_exist_is_told(tmp_path: Path) -> None:
    found = flaws(tmp_path, file=FILE.replace(ADDRESS, "no-such-host.invalid:8443"))
    assert "this host is not found" in found[-1]


def test_little_room_and_a_model_that_is_not_here_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LITTLE_DISK", 2**60)
    monkeypatch.setattr(module, "LITTLE_MEMORY", 2**60)
    monkeypatch.setattr(module, "cached_folder", lambda _: tmp_path / "nowhere")
    said = " ".join(flaws(tmp_path))
    assert "hushtune models --fetch minilm" in said
    assert "are free on this disk" in said
    assert "of memory are available" in said or not module.MEMORY.is_file()


def test_a_model_folder_without_weights_is_told(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    said = flaws(tmp_path, file=FILE + '[model]\nfolders = { own = "own" }\n')
    assert any("has no weights for model 'own'" in line for line in said)
