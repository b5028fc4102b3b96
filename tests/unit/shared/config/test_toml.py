from pathlib import Path

import pytest

from shared.config.toml import read_toml
from shared.errors import ConfigError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_config_is_read_as_any_editor_saves_it(tmp_path: Path, encoding: str, line_end: str) -> None:
    text = '[run]\nname = "größe"  # \N{SNOWMAN}\n'.replace("\n", line_end)
    (tmp_path / "run.toml").write_bytes(text.encode(encoding))
    assert read_toml(tmp_path / "run.toml") == {"run": {"name": "größe"}}


@pytest.mark.parametrize("content", ['name = "größe"\n'.encode("cp1252"), b"\xff\xfe\x00", b"\xff\xfe"[:1]])
def test_another_encoding_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(ConfigError, match="not a UTF-8 text file"):
        read_toml(tmp_path / "run.toml")


@pytest.mark.parametrize("content", ["a = ", f"a = {'9' * 5000}", f"a = {'[' * 20_000}"])
def test_what_is_no_toml_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.toml").write_text(content)
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_toml(tmp_path / "run.toml")
