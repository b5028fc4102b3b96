from pathlib import Path

from server.network.allowlist import AllowList


def read(path: Path) -> bytes:
    return path.read_bytes()


def test_a_site_is_known_by_the_key_in_its_file_as_long_as_the_file_is_there(tmp_path: Path) -> None:
    allowed = AllowList(tmp_path, read)
    assert allowed.sites() == {}
    assert not allowed.changed()
    (tmp_path / "north.pub").write_bytes(b"n")
    assert allowed.changed()
    assert allowed.sites() == {b"n": "north"}
    assert not allowed.changed()
    (tmp_path / "north.pub").write_bytes(b"another")
    assert allowed.changed()
    assert allowed.sites() == {b"another": "north"}
    (tmp_path / "north.pub").unlink()
    assert allowed.changed()
    assert allowed.sites() == {}


def test_what_cannot_be_used_is_left_out_and_named(tmp_path: Path) -> None:
    from server.network.superlink import node_key

    (tmp_path / "north.pub").write_text("no key")
    (tmp_path / "No Name.pub").write_text("whatever")
    allowed = AllowList(tmp_path, node_key)
    assert allowed.sites() == {}
    assert len(allowed.faults) == 2
    assert all(str(tmp_path) in fault for fault in allowed.faults)


def test_one_key_is_one_site(tmp_path: Path) -> None:
    for name in ("east", "north"):
        (tmp_path / f"{name}.pub").write_bytes(b"same")
    allowed = AllowList(tmp_path, read)
    assert allowed.sites() == {b"same": "east"}
    assert "holds the same key as site east" in allowed.faults[0]
