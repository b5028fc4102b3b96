"""A blind sheet: for each public prompt the answers of base and tuned model in random order, which a key file records."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import RunError

SHEET_FILE = "sheet.json"


@dataclass(frozen=True)
class Pair:
    """The answers of the base and of the tuned model to one public prompt."""

    prompt: str = field(repr=False)
    base: str = field(repr=False)
    tuned: str = field(repr=False)


@dataclass(frozen=True)
class Item:
    """One item to rate: a prompt and two answers. It does not say which model gave which answer."""

    id: str
    prompt: str = field(repr=False)
    a: str = field(repr=False)
    b: str = field(repr=False)


@dataclass(frozen=True)
class Key:
    """The key of a sheet.

    ``sheet`` is the SHA-256 of the sheet's file, ``tuned`` the side (a or b) of the tuned model's answer by item id, and
    ``identical`` the number of prompts that were left out because both models gave the same answer.
    """

    sheet: str
    tuned: dict[str, str] = field(repr=False)
    identical: int = 0


def export(pairs: Sequence[Pair], folder: Path) -> dict[str, Any]:
    """Write a sheet, with its items and the two answers of each item in random order, and its key beside the folder.

    The order comes from the operating system's randomness, so that nobody can compute it from a seed. Pairs with two equal
    answers are left out and counted.

    Returns
    -------
    dict[str, Any]
        The number of items, the number of pairs left out, and the paths of sheet and key.

    Raises
    ------
    RunError
        The folder already holds a sheet, or every pair has two equal answers.
    """
    path, key_path = folder / SHEET_FILE, key_of(folder)
    for existing in (each for each in (path, key_path) if each.exists()):
        raise RunError(f"{existing}: exists already, and ratings may belong to it; give another folder")
    order = secrets.SystemRandom()
    kept = [pair for pair in pairs if pair.base.strip() != pair.tuned.strip()]
    if not kept:
        raise RunError(f"{folder}: both models gave the same answer to every prompt, so there is nothing to rate")
    items, tuned = [], {}
    for number, pair in enumerate(order.sample(kept, len(kept)), start=1):
        name, side = f"{number:04d}", order.choice("ab")
        answers = (pair.tuned, pair.base) if side == "a" else (pair.base, pair.tuned)
        items.append(Item(name, pair.prompt, *answers))
        tuned[name] = side
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"items": [asdict(item) for item in items]}, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
    key = Key(hashlib.sha256(text.encode()).hexdigest(), tuned, len(pairs) - len(kept))
    key_path.write_text(json.dumps(asdict(key), indent=2) + "\n", encoding="utf-8")
    return {"items": len(items), "identical": key.identical, "sheet": str(path), "key": str(key_path)}


def key_of(folder: Path) -> Path:
    """Return where the key of a sheet is: beside the sheet's folder, because raters get the folder."""
    named = folder.resolve() if folder.name in ("", "..") else folder
    return named.with_name(f"{named.name}.key.json")


def read_sheet(folder: Path) -> list[Item]:
    """Read the items of a sheet.

    Parameters
    ----------
    folder
        The folder that the sheet was written to.

    Raises
    ------
    RunError
        The folder does not hold a readable sheet.
    """
    try:
        rows = json.loads((folder / SHEET_FILE).read_text(encoding="utf-8"))["items"]
        return [Item(**{name: str(row[name]) for name in ("id", "prompt", "a", "b")}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / SHEET_FILE}: no readable sheet; make one with hushtune review export") from error


def read_key(path: Path, folder: Path) -> Key:
    """Read a key and check that it belongs to the sheet in ``folder``.

    Raises
    ------
    RunError
        The key cannot be read, or belongs to another sheet.
    """
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        key = Key(str(row["sheet"]), {str(name): str(side) for name, side in row["tuned"].items()}, int(row["identical"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: not a readable key; give the one that was written together with the sheet") from error
    found = hashlib.sha256((folder / SHEET_FILE).read_bytes()).hexdigest()
    if found != key.sheet or set(key.tuned) != {item.id for item in read_sheet(folder)}:
        raise RunError(f"{path}: belongs to another sheet, or the sheet was changed later; restore the sheet that was rated")
    return key
