"""Load commands lazily: the module of a command is imported only when that command is used."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import typer
from typer.core import TyperGroup
from typer.main import get_group, get_install_completion_arguments

from shared.ops.extras import require


@dataclass(frozen=True)
class Role:
    """The commands of one role.

    Attributes
    ----------
    load
        Imports the module of these commands and returns its Typer app.
    extra
        The extra that these commands need, such as ``"server"``; None if the base package is enough.
    """

    load: Callable[[], typer.Typer]
    extra: str | None = None


class CommandGroup(TyperGroup):
    """A group that lists its commands by name and loads each on first use.

    Parameters
    ----------
    name
        Name of the group.
    about
        The sentence of its help page.
    roles
        The role of each command, in the order of the help page.
    groups
        Groups inside this one, which are listed last.
    completion
        Whether the group has the options that install or show the completion of commands for the user's shell.
    """

    def __init__(
        self,
        name: str,
        about: str,
        roles: Mapping[str, Role],
        groups: Sequence[click.Command] = (),
        completion: bool = False,
    ) -> None:
        options = list(get_install_completion_arguments()) if completion else []  # this also fits Typer's scripts to click
        super().__init__(
            name=name, help=about, no_args_is_help=True, commands=groups, params=options, suggest_commands=False
        )
        self._roles = roles

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, without loading one."""
        return list(dict.fromkeys((*self._roles, *self.commands)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None for an unknown name; then load all commands, so that click can suggest one."""
        for name in (cmd_name,) if cmd_name in self.list_commands(ctx) else self._roles:
            if name not in self.commands:
                self.commands[name] = _loaded(name, self._roles[name])
        return self.commands.get(cmd_name)


def _loaded(name: str, role: Role) -> click.Command:
    """Return the command with this name from a role's app, or the app itself if it is the group with this name."""
    app = role.load()
    group = get_group(app)
    group.suggest_commands = False  # click suggests a command itself, and Typer would add the same sentence
    command = group if app.info.name == name else group.commands[name]
    if role.extra:
        for each in command.commands.values() if isinstance(command, click.Group) else (command,):
            if each.callback is not None:
                each.callback = _checked(each.callback, role.extra)
    return command


def _checked(run: Callable[..., Any], extra: str) -> Callable[..., Any]:
    """Return a callback that first checks that the command's extra is installed; the help of the command needs no extra."""

    @functools.wraps(run)
    def checked(*args: Any, **options: Any) -> Any:
        require(click.get_current_context().command_path, extra)
        return run(*args, **options)

    return checked
