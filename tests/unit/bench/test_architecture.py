"""The architecture picture shows what the code does, and says so where it no longer can."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench.architecture import PICTURE, ROOT, picture
from bench.journeys import Code, Step, Stop, imported
from shared.errors import ConfigError


def write(folder: Path, code: str, package: str = "client") -> Path:
    path = folder / package / "site.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(code, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_the_committed_picture_is_the_one_that_the_script_makes() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(ROOT), "run python -m bench.architecture"


def test_the_picture_is_well_formed_and_needs_nothing_from_the_network() -> None:
    root = ElementTree.parse(PICTURE).getroot()  # noqa: S314  our own file
    tags = {element.tag.split("}")[1] for element in root.iter()}
    assert {"circle", "text"} <= tags
    assert not tags & {"image", "use", "script", "style", "a"}


def test_a_step_leads_to_the_file_that_defines_what_is_called(tmp_path: Path) -> None:
    write(tmp_path, "def train(): reserve()\n")
    write(tmp_path, "def reserve(): pass\n", "privacy")
    assert Code.of(tmp_path).stop(Step("site.train", "site.reserve", "Reserve")) == Stop("Reserve", "privacy/site.py")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def train(): pass\ndef reserve(): pass\n", "no longer calls"),
        ("def train(): reserve()\n", "0 times"),
        ("def train(): reserve()\ndef reserve(): pass\nclass reserve: pass\n", None),
    ],
)
def test_a_step_that_the_code_does_not_take_is_refused(tmp_path: Path, code: str, said: str | None) -> None:
    seen = Code.of(write(tmp_path, code))
    step = Step("site.train", "site.reserve", "Reserve")
    if said is None:  # one file that defines a name twice is still one place
        assert seen.stop(step).path == "client/site.py"
        return
    with pytest.raises(ConfigError, match=said):
        seen.stop(step)


def test_imports_between_packages_are_read_wherever_they_stand(tmp_path: Path) -> None:
    write(tmp_path, "import json\ndef late():\n    from server.rounds import run_rounds\n")
    assert imported(tmp_path, "client") == {"server"}
