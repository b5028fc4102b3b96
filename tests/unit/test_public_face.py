"""What ``from hushtune import ...`` promises: names that load alone, examples that run, a sentence where we are hidden."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from examples import run_examples

import hushtune

REPOSITORY = Path(__file__).parents[2]
SLOW = {"simulate", "compare", "load_report"}  # their examples run where there is a finished run
FACE = sorted(set(hushtune.__all__) - {"__version__"})


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python process that finds our packages after its own folder, as with an installed package."""
    done = [sys.executable, *arguments]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "", "HOME": str(cwd)}
    return subprocess.run(done, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=120)


@pytest.mark.parametrize("name", FACE)
def test_each_name_is_documented_with_an_example(name: str) -> None:
    public = getattr(hushtune, name)
    assert public.__doc__.strip()
    pages = (getattr(each, "__doc__", None) or "" for each in (public, *vars(public).values()))
    assert any(re.search(rf">>> from hushtune import .*\b{name}\b", page) for page in pages)


@pytest.mark.parametrize("name", sorted(set(FACE) - SLOW))
def test_the_examples_of_each_name_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert run_examples(getattr(hushtune, name)) >= 3


def test_the_version_is_the_installed_one_and_other_names_are_unknown() -> None:
    assert hushtune.__version__ == importlib.metadata.version("hushtune")
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        hushtune.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_a_name_that_needs_a_missing_extra_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.ops.extras.missing", lambda extra: iter([extra]))
    with pytest.raises(ImportError, match=r"hushtune\.simulate needs the extra 'research': pip install"):
        from hushtune import simulate  # noqa: F401


def test_the_stub_for_type_checkers_names_what_the_module_promises() -> None:
    stub = ast.parse((REPOSITORY / "hushtune-stubs" / "__init__.pyi").read_text(encoding="utf-8"))
    named = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert named == set(FACE)
    assert all((REPOSITORY / package / "py.typed").is_file() for package in hushtune.PACKAGES)
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert getattr(hushtune, alias.name).__module__ == node.module


@pytest.mark.slow  # processes of its own
def test_importing_hushtune_loads_none_of_our_packages_and_a_name_only_its_own(tmp_path: Path) -> None:
    ours = f"[name for name in {hushtune.PACKAGES} if name in sys.modules]"
    done = python("-c", f"import sys, hushtune; print({ours}, 'torch' in sys.modules)", cwd=tmp_path)
    assert done.stdout == "[] False\n"
    done = python("-c", f"import sys; from hushtune import MechanismEvent; print({ours})", cwd=tmp_path)
    assert done.stdout == "['shared', 'privacy']\n"


@pytest.mark.parametrize("hiding", ["shared/__init__.py", "simulations.py"])
def test_a_file_that_hides_one_of_our_packages_is_named_in_one_sentence(hiding: str, tmp_path: Path) -> None:
    (tmp_path / hiding).parent.mkdir(exist_ok=True)
    (tmp_path / hiding).write_text("raise SystemExit('the file of the user ran')\n")
    (tmp_path / "script.py").write_text("from hushtune import __version__, simulate\n")
    path = tmp_path / hiding.removesuffix("/__init__.py")
    says = f"{path} hides the package '{path.stem}' of hushtune, because Python looks in its folder first; rename it"
    command = python("-m", "hushtune", "--help", cwd=tmp_path)
    assert (command.returncode, command.stdout) == (2, "")
    assert command.stderr.startswith(f"hushtune: {says}")
    assert command.stderr.count("\n") == 1
    script = python("script.py", cwd=tmp_path)
    assert script.returncode == 1
    assert script.stderr.splitlines()[-1].startswith(f"ImportError: {says}")
    assert "ModuleNotFoundError" not in script.stderr


def test_a_folder_without_code_hides_nothing_and_a_module_that_came_first_does(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    assert python("-m", "hushtune", "config", "training.steps", cwd=tmp_path).returncode == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "client.py").write_text("")
    code = "import sys; sys.path.insert(0, 'elsewhere'); import client; sys.path.pop(0); from hushtune import RunConfig"
    assert "hides the package 'client'" in python("-c", code, cwd=tmp_path).stderr
