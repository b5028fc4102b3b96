"""What operators install from deploy/: units, image and compose file, checked as far as can be without an engine."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import hushtune

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
CONTAINERFILE = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text(encoding="utf-8"))
INSTRUCTIONS = [tuple(line.split(maxsplit=1)) for line in CONTAINERFILE.splitlines() if line and line[0] not in "# "]
every_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
every_service = pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])


def settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def parses(words: list[str]) -> bool:
    """Whether our command line takes these words, without running anything."""
    group = hushtune.command_line()
    command = group.get_command(click.Context(group), words[0])
    assert command is not None
    command.make_context(words[0], words[1:])
    return True


def test_there_is_a_unit_for_each_side() -> None:
    assert [unit.name for unit in UNITS] == ["hushtune-client.service", "hushtune-server.service"]


@every_unit
def test_a_unit_runs_without_rights_and_writes_to_its_own_state_alone(unit: Path) -> None:
    found = settings(unit)
    assert found["User"] == [unit.stem]
    assert found["StateDirectory"] == [unit.stem]
    assert found["StateDirectoryMode"] == ["0700"]
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictSUIDSGID"):
        assert found[name] == ["yes"], name
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == [""]
    assert found["LimitNOFILE"] == ["65536"]
    assert "ReadWritePaths" not in found


@every_unit
def test_the_command_of_a_unit_is_one_that_we_take(unit: Path) -> None:
    [line] = settings(unit)["ExecStart"]
    program, *words = shlex.split(line.replace("%S", "/var/lib"))
    assert Path(program).name == "hushtune"
    assert words[0] == unit.stem.removeprefix("hushtune-")
    assert parses(words)


@every_unit
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_with_a_unit(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text(encoding="utf-8").replace("/opt/hushtune/bin/hushtune", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_would_find_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / "broken.service"
    broken.write_text("[Service]\nExecStart=/bin/true\nNoSuchSetting=1\n")
    checked = subprocess.run(["systemd-analyze", "verify", str(broken)], capture_output=True, text=True, check=False)
    assert "NoSuchSetting" in checked.stderr


def test_the_image_ends_as_a_user_without_rights() -> None:
    stage = INSTRUCTIONS[max(at for at, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM") :]
    names = [name for name, _ in stage]
    [user] = [value for name, value in stage if name == "USER"]
    assert all(part.isdecimal() and int(part) > 0 for part in user.split(":"))
    assert "RUN" not in names[names.index("USER") :]
    assert dict(stage)["ENTRYPOINT"] == '["hushtune"]'


def test_the_image_is_made_of_named_sources_only() -> None:
    copied = [value.split() for name, value in INSTRUCTIONS if name == "COPY" and not value.startswith("--from")]
    sources = {source for words in copied for source in words[:-1]}
    assert all((REPOSITORY / source).exists() for source in sources)
    assert not {".", "*", "tests"} & sources
    assert not [value for name, value in INSTRUCTIONS if name == "ADD"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    parts = {*wheel["only-include"], *(Path(name).parts[0] for name in wheel["force-include"])}
    assert {*parts, "pyproject.toml", "requirements", "README.md", "LICENSE"} == sources
    ignored = (REPOSITORY / ".containerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == sources


def test_the_image_installs_the_locked_releases_of_a_role_from_a_tagged_base() -> None:
    [run] = [value for name, value in INSTRUCTIONS if name == "RUN" and "pip" in value]
    installs = [step for step in run.split("&&") if "pip install" in step]
    assert all("--require-hashes" in each or "torch.txt" in each or "--no-deps" in each for each in installs)
    hashed = [" ".join(each.split()) for each in installs if "--require-hashes --only-binary :all: --no-deps" in each]
    assert [each.rpartition(" ")[2] for each in hashed] == ["requirements/build.txt", "requirements/$ROLE.txt"]
    assert {service["image"] for service in COMPOSE["services"].values()} == {"hushtune-server", "hushtune-site"}
    bases = [value.split()[0] for name, value in INSTRUCTIONS if name == "FROM"]
    assert all(":" in base and not base.endswith(":latest") for base in bases)


def test_the_wheel_can_be_built_from_what_the_image_copies(tmp_path: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel")
    for name in (REPOSITORY / ".containerignore").read_text(encoding="utf-8").splitlines():
        source = REPOSITORY / name.removeprefix("!")
        if name.startswith("!") and source.is_dir():
            shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif name.startswith("!"):
            shutil.copy(source, tmp_path)
    built = next(wheel.WheelBuilder(str(tmp_path)).build(directory=str(tmp_path / "wheels"), versions=["standard"]))
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
    assert {"hushtune.py", "client/commands.py", "server/report/report.html.j2", "simulations/configs/demo.toml"} <= names


def test_each_program_and_file_of_a_step_is_of_the_base_image_of_the_repository_or_made_by_an_earlier_step() -> None:
    base = {"python", "groupadd", "useradd", "mkdir", "chown"}  # of Debian, and of the image of Python
    made = set[str]()
    for line in (value for name, value in INSTRUCTIONS if name == "RUN"):
        for step in line.split("&&"):
            program, *words = step.split()
            assert program in base or str(Path(program).parents[1]) in made, step
            if words[:2] == ["-m", "venv"]:
                made.add(words[2])
            for name in (after for before, after in pairwise(words) if before == "--requirement"):
                roles = [service["image"].removeprefix("hushtune-") for service in COMPOSE["services"].values()]
                assert all((REPOSITORY / name.replace("$ROLE", role)).is_file() for role in roles), name
    copied = [value.split()[1:] for name, value in INSTRUCTIONS if name == "COPY" and value.startswith("--from")]
    assert copied == [["/opt/hushtune", "/opt/hushtune"]]
    assert copied[0][0] in made


def test_the_image_starts_our_command_and_keeps_its_files_in_the_volumes() -> None:
    stage = dict(INSTRUCTIONS)
    settings = dict(word.split("=", 1) for word in shlex.split(stage["ENV"]))
    assert settings["PATH"].split(":")[0] == "/opt/hushtune/bin"
    assert json.loads(stage["ENTRYPOINT"]) == ["hushtune"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {"hushtune": "hushtune:main"}
    volumes = json.loads(stage["VOLUME"])
    assert {settings["HOME"], settings["HUSHTUNE_CACHE"]} == set(volumes)
    assert stage["WORKDIR"] == settings["HOME"]
    for step in ("mkdir", "chown"):
        [line] = [part for part in stage["RUN"].split("&&") if part.split()[0] == step]
        assert set(volumes) <= set(line.split())


@every_service
def test_a_container_has_a_read_only_root_no_rights_and_named_volumes(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode"} & set(service)
    volumes = dict(volume.split(":") for volume in service["volumes"])
    assert set(volumes) <= set(COMPOSE["volumes"])
    assert sorted(volumes.values()) == ["/cache", "/state"]
    assert parses(service["command"])


def test_the_probe_port_is_open_to_this_machine_alone() -> None:
    assert COMPOSE["services"]["server"]["ports"] == ["8443:8443", "127.0.0.1:8444:8444"]


def test_every_template_that_the_code_reads_is_inside_a_package_of_the_wheel() -> None:
    from server.provision import TEMPLATE

    assert TEMPLATE.is_file()
    assert TEMPLATE.is_relative_to(REPOSITORY / "server")
