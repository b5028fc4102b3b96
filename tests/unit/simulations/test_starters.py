"""A first config says what the config of the repository says, explains its fields, and overwrites nothing."""

import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from server.provision import TEMPLATE
from shared.config.reference import chosen_rows
from shared.config.run import RunConfig
from shared.errors import ConfigError
from simulations.starters import SOURCES, Kind, write_starter

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", SOURCES)
def test_a_first_config_is_the_repositorys_with_comments(kind: Kind, tmp_path: Path) -> None:
    path = write_starter(kind, tmp_path / "mine.toml")
    source = REPOSITORY / "configs" / SOURCES[kind]
    assert tomllib.loads(path.read_text(encoding="utf-8")) == tomllib.loads(source.read_text(encoding="utf-8"))
    assert RunConfig.load(path).run.seed > 0
    text = path.read_text(encoding="utf-8")
    assert f"configs/{source.name}" not in text, "the comment on how to run it names the file that was made"
    for field in ("run.seed", "model.max_length", "data.sites.declared_size", "privacy.clipping_norm"):
        [row] = chosen_rows(field)
        explained = " ".join(text.replace("\n# ", " ").split())
        assert explained.count(f"{row.description} ") == 1


def test_a_first_site_file_is_the_template_that_the_operator_hands_over(tmp_path: Path) -> None:
    written = tomllib.loads(write_starter("site", tmp_path / "SITE.toml").read_text(encoding="utf-8"))
    assert written["site"]["id"] == "my-site"
    assert written.keys() == tomllib.loads(TEMPLATE.read_text(encoding="utf-8")).keys()


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_file_that_is_there_is_kept(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists already"):
        write_starter(kind, path)
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_wheel_holds_every_config_that_is_written() -> None:
    project: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    packed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert packed == {f"configs/{name}": f"simulations/configs/{name}" for name in SOURCES.values()}
