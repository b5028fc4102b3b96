"""The ratings of a blind sheet: one file per rater, one line per rating; the last rating of an item counts."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from server.review.sheet import Item
from shared.errors import RunError

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
CHOICES = ("a", "b", "tie")


class Ratings:
    """One rater's ratings. Each is flushed to disk before the page shows it as saved.

    Raises
    ------
    RunError
        The rater's name has other characters than lower-case letters, digits and hyphens, or more than 32.
    """

    def __init__(self, folder: Path, rater: str) -> None:
        if not NAME.fullmatch(rater):
            raise RunError(f"--rater {rater}: use lower-case letters, digits and hyphens, at most 32")
        self.path = folder / f"ratings-{rater}.jsonl"

    def add(self, item: str, choice: str) -> None:
        """Append one rating; first remove an incomplete last line, which a crash left behind."""
        with self.path.open("a+b") as stream:
            stream.seek(0)
            stream.truncate(stream.read().rfind(b"\n") + 1)
            stream.write(json.dumps({"item": item, "choice": choice}).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def read(self) -> dict[str, str]:
        """Return the choice for each rated item; an incomplete last line is ignored.

        Raises
        ------
        RunError
            Any other line is malformed.
        """
        if not self.path.exists():
            return {}
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        found: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            rating = read_rating(line)
            if rating is not None:
                item, choice = rating
                found[item] = choice
            elif number < len(lines) or line.endswith("\n"):
                raise RunError(
                    f"{self.path}, line {number}: not a rating; restore the file from a backup, or remove it from the folder"
                )
        return found


def read_rating(line: str | bytes) -> tuple[str, str] | None:
    """Return item and choice of a rating in JSON; None if it is malformed."""
    try:
        row = json.loads(line)
        item, choice = row["item"], row["choice"]
    except (ValueError, KeyError, TypeError):
        return None
    return (item, choice) if isinstance(item, str) and choice in CHOICES else None


def read_all(folder: Path, items: list[Item]) -> Mapping[str, Mapping[str, str]]:
    """Read all raters' choices: rater to item to choice.

    Raises
    ------
    RunError
        There are no ratings, or a file is malformed or rates an item that is not on the sheet.
    """
    known = {item.id for item in items}
    found = {}
    for path in sorted(folder.glob("ratings-*.jsonl")):
        rater = path.stem.removeprefix("ratings-")
        found[rater] = Ratings(folder, rater).read()
        strange = sorted(set(found[rater]) - known)
        if strange:
            raise RunError(
                f"{path}: rates item {strange[0]}, which is not on this sheet; move the file to its own sheet's folder"
            )
    if not any(found.values()):
        raise RunError(f"{folder}: no ratings yet; rate with hushtune review serve")
    return found
