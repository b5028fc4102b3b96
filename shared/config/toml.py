"""Read a TOML file, and change single fields of it from the command line."""

import tomllib
from pathlib import Path
from typing import Any

from shared.errors import ConfigError
from shared.records.encoding import announced


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Parameters
    ----------
    path
        File in UTF-8, or in UTF-16 with its mark; some editors begin UTF-8 with a mark too.

    Returns
    -------
    dict[str, Any]
        Tables and values, as ``tomllib`` returns them.

    Raises
    ------
    ConfigError
        The file cannot be read, is not UTF-8 or is not TOML; the message is one line.
    """
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode(announced(content[:4])))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config ({error.strerror}); give the path of a TOML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a UTF-8 text file; give the path of a TOML file") from error
    except (ValueError, RecursionError) as error:  # the parser also lets errors of long numbers and of deep lists out
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def apply_override(tree: dict[str, Any], override: str, path: Path) -> None:
    """Set one field of a tree to the value in ``section.key=value``; the value is TOML or a bare string.

    Parameters
    ----------
    tree
        Tables and values; changed in place.
    override
        Text such as ``training.rounds=5``; an entry of a list is named by its index.
    path
        File that the tree came from, for error messages.

    Raises
    ------
    ConfigError
        The text does not name a field.
    """
    dotted, equals, text = override.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: write it as section.key=value, such as training.rounds=5")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()
    node: Any = tree
    for key in keys[:-1]:
        node = _step(node, key, dotted, path)
    if isinstance(node, list):
        raise ConfigError(f"{path}: --set {dotted}: name a field of an entry, such as {dotted}.id")
    node[keys[-1]] = value


def _step(node: Any, key: str, dotted: str, path: Path) -> Any:
    """Return the child of a table (created when absent), or the entry of a list at an index."""
    if isinstance(node, list):
        if not key.isdecimal() or int(key) >= len(node):
            raise ConfigError(f"{path}: --set {dotted}: '{key}' is not an index from 0 to {len(node) - 1}")
        child = node[int(key)]
    else:
        child = node.setdefault(key, {})
    if not isinstance(child, dict | list):
        raise ConfigError(f"{path}: --set {dotted}: '{key}' is a value, not a section")
    return child
