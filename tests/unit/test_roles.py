"""What each role installs and imports: a site needs nothing of a server's or a researcher's, and loads none of it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from syntax import REPOSITORY, tree

OURS = {"shared", "privacy", "client", "server", "simulations"}
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ROLES = {
    "base": ("hushtune", "shared.commands", "client.provision", "server.provision"),
    "site": ("client.commands",),
    "server": ("server.commands",),
    "research": ("simulations.commands",),
}
# Imported only after a check that the package is there.
CHECKED = {"codecarbon", "mlflow", "tensorboard", "wandb", "presidio_evaluator", "pandas", "python_calamine", "ray"}
NOT_AT_A_SITE = {"optuna", "captum", "fairlearn", "matplotlib", "nltk", "sacrebleu", "codecarbon", "rouge-score", "datasets"}
OURS_AT_A_SITE = {"hushtune", "shared", "privacy", "client"}
every_role = pytest.mark.parametrize("role", ROLES)


def declared(role: str) -> Iterator[Requirement]:
    """Return the requirements of a role: the base and its extra, with the extras that this one includes."""
    lines = [*PROJECT["dependencies"], *(PROJECT["optional-dependencies"][role] if role != "base" else [])]
    for requirement in map(Requirement, lines):
        if requirement.name == "hushtune":
            yield from (each for extra in requirement.extras for each in declared(extra))
        else:
            yield requirement


def file_of(module: str) -> Path | None:
    place = REPOSITORY / module.replace(".", "/")
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


@cache
def imported_by(module: str) -> frozenset[str]:
    """Return the full names of all imports anywhere in a module, except those for type checking only."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree(path)] if (path := file_of(module)) else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        waiting += ast.iter_child_nodes(node)
    return frozenset(found)


def reached(starts: Iterable[str]) -> set[str]:
    """All modules that these lead to, ours and others', by imports at the top and inside functions."""
    seen, waiting = set(), list(starts)
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            parents = [module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)]
            waiting += [*imported_by(module), *parents] if module.split(".")[0] in {*OURS, "hushtune"} else []
    return seen


def others(modules: Iterable[str]) -> set[str]:
    """Return the top-level packages among modules that are neither ours nor Python's."""
    return {name.split(".")[0] for name in modules} - OURS - {"hushtune"} - set(sys.stdlib_module_names)


@cache
def homes() -> Mapping[str, list[str]]:
    """Each importable package with the distributions that hold it."""
    return packages_distributions()


def homes_of(package: str) -> set[str]:
    return {canonicalize_name(name) for name in homes().get(package, [])}


@every_role
def test_a_role_declares_each_package_that_its_code_imports(role: str) -> None:
    starts = ROLES[role] if role != "base" else ("shared.commands", "client.provision", "server.provision")
    names = {canonicalize_name(requirement.name) for requirement in declared(role)}
    for package in others(reached(starts)) - CHECKED:
        assert homes_of(package) & names, f"{role} imports {package}"


@pytest.mark.parametrize("role", ["site", "server"])
def test_a_role_declares_nothing_that_its_code_does_not_import(role: str) -> None:
    """So that a package that is no longer used goes, and one that another role uses moves there."""
    own = {Requirement(line).name for line in PROJECT["optional-dependencies"][role]}
    assert {canonicalize_name(name) for name in own} <= {
        home for package in others(reached(ROLES[role])) for home in homes_of(package)
    }


def test_no_package_is_listed_twice() -> None:
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for role in ("site", "server", "energy", "research") for line in extras[role])]
    names = [canonicalize_name(Requirement(line).name) for line in lines]
    assert sorted(names) == sorted(set(names))


def test_a_researcher_and_a_developer_install_every_role() -> None:
    site, server, research, dev = ({str(each) for each in declared(role)} for role in ("site", "server", "research", "dev"))
    assert site | server <= research <= dev


@cache
def installed(role: str) -> frozenset[str]:
    """Return the names of all packages that an installation of a role brings, at any depth."""
    found: set[str] = set()
    waiting = list(declared(role))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in found:
            found.add(name)
            lines = map(Requirement, requires(name) or [])
            waiting += [each for each in lines if _applies(each, requirement.extras)]
    return frozenset(found)


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def test_a_site_installs_nothing_that_measures_plots_or_searches() -> None:
    assert not installed("site") & NOT_AT_A_SITE
    assert {"torch", "presidio-analyzer", "flwr", "opacus", "mpmath"} <= installed("site")  # what is deep down is seen


@every_role
def test_the_lock_of_a_role_holds_what_the_role_declares_and_hashes_all_of_it(role: str) -> None:
    if role == "base":
        pytest.skip("no lock: nobody installs the base alone")
    text = (REPOSITORY / f"requirements/{role}.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", text, re.MULTILINE))
    for requirement in declared(role):
        name = canonicalize_name(requirement.name)
        assert name == "torch" or requirement.specifier.contains(pinned[name]), f"{name}: make lock"
    assert "torch" not in pinned  # which build of it depends on the machine
    assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:])


def test_all_locks_pin_the_same_releases() -> None:
    locks = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "requirements").glob("*.txt")]
    pin = re.compile(r"^([a-z0-9._-]+)==(\S+)(?: ; (python_full_version \S+ \S+))?", re.MULTILINE)
    pins = {each for text in locks for each in pin.findall(text)}  # name, version, and the versions of Python that it is for
    assert len(pins) == len({(name, python) for name, _, python in pins})


SAID = """
def said(*words):
    sys.argv[1:] = words
    try: hushtune.main()
    except SystemExit as end: return end.code
"""


def with_packages_of(role: str, code: str, hidden: Iterable[str] = ()) -> list[str]:
    """Run code in a process that finds the packages of a role's installation alone; gives the lines that it prints."""
    gone = {*hidden, *(package for package in homes() if not homes_of(package) & installed(role))} - OURS_AT_A_SITE
    start = f"""
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.split(".")[0] in {gone!r} else find(name, *rest)
import hushtune
"""
    command = [sys.executable, "-c", start + SAID + code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False, timeout=120)
    assert not done.returncode, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.slow  # processes of its own
def test_a_sites_process_needs_neither_the_other_roles_nor_their_packages() -> None:
    """All modules that a site's commands lead to can be imported, and the commands end in one line of their own."""
    modules = sorted(name for name in reached(ROLES["site"]) if name.split(".")[0] in OURS and file_of(name))
    assert len(modules) > 100
    code = f"""
import importlib
print(said("client", "none.toml"), said("provision", "site", "none"), said("ledger", "show", "none"), said("status", "none"))
for name in {modules!r}: importlib.import_module(name)
print("all")
"""
    assert with_packages_of("site", code, {"server", "simulations"})[-2:] == ["2 2 2 2", "all"]


@pytest.mark.slow  # processes of its own
@pytest.mark.parametrize(
    ("role", "code", "status"),
    [
        ("site", "said('anonymise', 'none.toml')", "2"),
        ("base", "said('plan', 'none.toml'), said('models')", "(2, 0)"),
        ("server", "said('server', 'none.toml', '--state', 'none'), said('report', 'none')", "(2, 2)"),
    ],
)
def test_the_commands_that_a_role_shares_run_with_its_packages(role: str, code: str, status: str) -> None:
    assert with_packages_of(role, f"print(({code}))")[-1] == status


def reached_at_once(starts: Iterable[str]) -> set[str]:
    """All modules that these lead to by imports at the top alone, which run before a command does anything."""
    seen, waiting = set(), list(starts)
    while waiting:
        module = waiting.pop()
        path = file_of(module) if module.split(".")[0] in {*OURS, "hushtune"} else None
        if module not in seen and path is not None:
            for node in tree(path).body:
                if isinstance(node, ast.Import):
                    waiting += [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    waiting += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        seen.add(module)
    return seen


@pytest.mark.parametrize(
    ("starts", "absent"),
    [
        (("client.statement", "client.receipt", "client.public_summary", "client.display"), {"torch", "transformers"}),
        (("simulations.planning", "simulations.display.plans"), {"transformers", "peft", "opacus", "presidio_analyzer"}),
        (("simulations.run",), {"torch", "transformers", "spacy", "dp_accounting", "scipy.stats"}),
    ],
    ids=["ledger", "plan", "start of a simulation"],
)
def test_a_command_does_not_import_what_takes_seconds_and_is_not_used(starts: tuple[str, ...], absent: set[str]) -> None:
    assert not reached_at_once(starts) & absent
