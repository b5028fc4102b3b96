"""Commands that are loaded by name, their help, and the extra that each needs."""

from collections.abc import Callable
from typing import Annotated

import pytest
import typer
from click.testing import CliRunner, Result

from shared.errors import ConfigError
from shared.ops import command_group
from shared.ops.command_group import CommandGroup, Role

one, two, inner = typer.Typer(), typer.Typer(), typer.Typer(name="inner", help="A group of two.")


@one.command()
def alone(name: Annotated[str, typer.Argument(help="Whom to greet.")]) -> None:
    """Greet."""
    typer.echo(f"hello {name}")


@two.command()
def paid() -> None:
    """Do what needs an extra."""
    typer.echo("paid ran")


@inner.command("first")
@inner.command("second")
def nested() -> None:
    """Do something inside a group."""
    typer.echo("nested ran")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record what was required as (command, extra); the extra 'gone' is not installed."""
    seen: list[tuple[str, str]] = []

    def require(subject: str, extra: str) -> None:
        seen.append((subject, extra))
        if extra == "gone":
            raise ConfigError(subject)

    monkeypatch.setattr(command_group, "require", require)
    return seen


@pytest.fixture
def loaded() -> list[str]:
    """Record the roles that were loaded."""
    return []


@pytest.fixture
def run(loaded: list[str], asked: list[tuple[str, str]]) -> Callable[..., Result]:
    def role(name: str, app: typer.Typer, extra: str | None = None) -> Role:
        def load() -> typer.Typer:
            loaded.append(name)
            return app

        return Role(load, extra)

    roles = {"alone": role("one", one), "paid": role("two", two, "gone"), "inner": role("inner", inner, "there")}
    group = CommandGroup("all", "About.", roles, [CommandGroup("more", "More.", {"alone": role("more", one)})])
    return lambda *words: CliRunner().invoke(group, words)


def test_a_command_loads_its_own_role_and_no_other(run: Callable[..., Result], loaded: list[str]) -> None:
    assert run("alone", "you").output == "hello you\n"
    assert loaded == ["one"]
    assert run("more", "alone", "you").output == "hello you\n"
    assert loaded == ["one", "more"]


def test_the_help_lists_all_commands_in_the_given_order(run: Callable[..., Result]) -> None:
    out = run("--help").output
    places = [out.index(f" {name} ") for name in ("alone", "paid", "inner", "more")]
    assert places == sorted(places)
    assert "About." in out
    assert "A group of two." in out


def test_the_help_of_an_argument_is_printed(run: Callable[..., Result]) -> None:
    assert "Whom to greet." in run("alone", "--help").output


def test_the_extra_is_checked_when_a_command_runs_but_not_for_its_help(
    run: Callable[..., Result], asked: list[tuple[str, str]]
) -> None:
    assert run("paid", "--help").exit_code == 0
    assert run("alone", "you").exit_code == 0
    assert asked == []
    failed = run("paid")
    assert isinstance(failed.exception, ConfigError)
    assert "paid ran" not in failed.output
    assert run("inner", "second").output == "nested ran\n"
    assert asked == [("all paid", "gone"), ("all inner second", "there")]
