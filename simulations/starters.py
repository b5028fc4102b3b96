"""Write a first config: one of ``configs`` with a comment on each field, or the template of SITE.toml."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from server.provision import site_settings
from shared.config.reference import field_rows
from shared.errors import ConfigError

Kind = Literal["demo", "classification", "instruction", "site"]
SOURCES: Mapping[str, str] = {"demo": "demo.toml", "classification": "sentiment.toml", "instruction": "medical_qa.toml"}
SITE_FILE, SITE_ID, ADDRESS = "SITE.toml", "my-site", "server.example.org:8443"
WIDTH = 100
_SECTION = re.compile(r"\[\[?([\w.]+)\]\]?")
_FIELD = re.compile(r"([\w.]+)\s*=")


def write_starter(kind: Kind, out: Path | None = None) -> Path:
    """Write a config to begin with, and return its path.

    Parameters
    ----------
    kind
        What the config is for.
    out
        The file to make; None makes ``KIND.toml``, or ``SITE.toml``, in the working folder.

    Raises
    ------
    ConfigError
        The file exists already.
    """
    path = out or Path(SITE_FILE if kind == "site" else f"{kind}.toml")
    text = site_settings(SITE_ID, ADDRESS) if kind == "site" else commented(_source(kind), str(path))
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: exists already and is kept; name another file with --out, or move this one") from None
    return path


def commented(source: Path, name: str) -> str:
    """Return a config in which a comment above the first value of each field explains it, in the words of `hushtune config`.

    Parameters
    ----------
    source
        The config's file.
    name
        Name of the new file, which replaces that of ``source`` in the config's own comments.
    """
    text = source.read_text(encoding="utf-8").replace(f"configs/{source.name}", name)
    return "\n".join(_explained(text.splitlines())) + "\n"


def _explained(lines: list[str]) -> Iterator[str]:
    about, section = {row.path.replace("[]", ""): row.description for row in field_rows()}, ""
    for line in lines:
        if header := _SECTION.match(line):
            section = header[1]
        elif field := _FIELD.match(line):
            words = about.pop(f"{section}.{field[1]}", "")
            yield from textwrap.wrap(words, WIDTH, initial_indent="# ", subsequent_indent="# ")
        yield line


def _source(kind: str) -> Path:
    """Return the file of a config: beside this module in a wheel, else in the checkout."""
    packed = Path(__file__).with_name("configs") / SOURCES[kind]
    return packed if packed.is_file() else Path(__file__).parents[1] / "configs" / SOURCES[kind]
