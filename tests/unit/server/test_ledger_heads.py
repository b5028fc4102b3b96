import json
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from server.ledger_heads import Heads
from shared.errors import RunError
from shared.wire.chain_head import ChainHead

KEYS = {"north": "key-n", "south": "key-s"}


def test_a_head_outlives_the_server_by_the_sites_key(tmp_path: Path) -> None:
    Heads(tmp_path / "heads.json", KEYS.get).saw("north", ChainHead(5, "e"), "run", 2)
    again = Heads(tmp_path / "heads.json", {"renamed": "key-n", "north": "another key"}.get)
    assert again.head("renamed") == ChainHead(5, "e")
    assert again.head("north") == ChainHead()
    assert (tmp_path / "heads.json").stat().st_mode & 0o077 == 0


def test_a_ledger_only_grows(tmp_path: Path) -> None:
    heads = Heads(tmp_path / "heads.json", KEYS.get)
    heads.saw("north", ChainHead(5, "e"), "run", 2)
    for head in (ChainHead(4, "d"), ChainHead(5, "f"), ChainHead()):
        heads.saw("north", head, "run", 3)
    assert heads.head("north") == ChainHead(5, "e")
    assert heads.answered("north", "run", 2)
    assert not heads.answered("north", "run", 3)
    assert not heads.answered("north", "another", 2)


def test_a_site_without_a_key_is_not_kept(tmp_path: Path) -> None:
    heads = Heads(tmp_path / "heads.json", KEYS.get)
    heads.saw("west", ChainHead(5, "e"), "run", 2)
    assert heads.head("west") == ChainHead()
    assert not (tmp_path / "heads.json").exists()


def test_without_a_file_heads_are_kept_for_the_run_alone() -> None:
    heads = Heads()
    heads.saw("north", ChainHead(5, "e"), "run", 2)
    assert (heads.head("north"), heads.head("south")) == (ChainHead(5, "e"), ChainHead())


@pytest.mark.parametrize("content", ["", "[]", '{"key": 3}', '{"key": {"entries": 3}}', '{"key": {"entries": 1e999}}'])
def test_a_damaged_file_is_named_and_not_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "heads.json").write_text(content)
    with pytest.raises(RunError, match=r"heads\.json: damaged .* restore it from a backup"):
        Heads(tmp_path / "heads.json", KEYS.get)
    assert (tmp_path / "heads.json").read_text() == content


def test_a_full_disk_ends_the_run_and_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = Heads(tmp_path / "heads.json", KEYS.get)
    heads.saw("north", ChainHead(5, "e"), "run", 2)
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(RunError, match=r"cannot be written \(No space left on device\)"):
        heads.saw("north", ChainHead(7, "g"), "run", 3)
    assert json.loads((tmp_path / "heads.json").read_text())["key-n"]["entries"] == 5
