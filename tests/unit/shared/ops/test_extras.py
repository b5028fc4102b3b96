"""What is refused when an extra is missing, in which words, and before which work."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixture_types import ConfigOf
from packaging.requirements import Requirement

from client.service import run_site
from server.app import serve
from server.network.listen_address import Listening
from server.state import StateFolder
from shared.errors import ConfigError
from shared.ops import extras
from shared.ops.extras import missing, require, require_for
from simulations.run import simulate

LINES = [
    "torch>=2",
    'opacus==1.6.*; extra == "site"',
    'uvicorn>=0.49; extra == "server"',
    'nltk>=3; python_version < "3" and extra == "server"',
    'uvicorn>=0.49; extra == "research"',
    'optuna>=5; extra == "research"',
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``installed("opacus")``: only these packages are there."""
    monkeypatch.setattr("importlib.metadata.requires", lambda name: LINES)
    return lambda *names: monkeypatch.setattr(extras, "is_installed", lambda package: package in names)


def test_an_extra_is_missing_when_one_of_its_packages_is(installed: Callable[..., None]) -> None:
    installed("opacus")
    assert list(missing("site")) == []
    assert list(missing("server")) == ["uvicorn"]  # nltk is for another Python, torch belongs to every install
    assert list(missing("research")) == ["uvicorn", "optuna"]
    assert list(missing("unknown")) == []


def test_an_extra_is_missing_when_a_package_has_a_release_that_the_extra_does_not_allow(
    installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("opacus", "uvicorn", "optuna")
    monkeypatch.setattr("importlib.metadata.version", lambda name: {"opacus": "1.7"}.get(name, "99"))
    assert list(missing("site")) == ["opacus"]
    assert list(missing("server")) == []


def test_the_refusal_is_one_sentence_with_the_command_that_installs_it(installed: Callable[..., None]) -> None:
    installed()
    with pytest.raises(ConfigError) as caught:
        require("hushtune server", "server")
    assert str(caught.value) == "hushtune server needs the extra 'server': pip install 'hushtune[server]'"
    with pytest.raises(ConfigError, match=r"'hushtune\[site\]', or wait$"):
        require("x", "site", otherwise="wait")
    installed("opacus", "uvicorn", "optuna")
    require("hushtune simulate", "research")


def test_a_checkout_that_is_not_installed_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", unknown)
    require("hushtune server", "server")


@pytest.mark.parametrize("tracking", ["auto", "none", "wandb"])
def test_a_run_needs_the_extras_of_its_report(config_of: ConfigOf, tracking: str) -> None:
    config = config_of({"report.tracking": tracking})
    if any(missing(extras.TRACKING.get(tracking, ""))):
        with pytest.raises(ConfigError, match=r"^report.tracking = 'wandb' needs the extra 'wandb'"):
            require_for(config)
    else:
        require_for(config)


def test_energy_is_refused_before_anything_is_read_or_opened(
    config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(extras, "_requirements", lambda extra: map(Requirement, ["codecarbon"]))
    monkeypatch.setattr(extras, "is_installed", lambda package: False)
    config = config_of({"report.energy": True})
    for start in (
        lambda: simulate(config, None),  # type: ignore[arg-type]  # it ends before the progress is used
        lambda: serve(config, StateFolder(tmp_path / "state"), Listening("127.0.0.1:0", "127.0.0.1:0", True, None), False),
    ):
        with pytest.raises(ConfigError, match=r"^report.energy = true needs the extra 'energy'"):
            start()
    site: Any = SimpleNamespace(site=SimpleNamespace(energy=True))
    with pytest.raises(ConfigError, match=r"^site.energy = true needs the extra 'energy'"):
        run_site(site, once=True, insecure=True)
    assert not list(tmp_path.iterdir())
