"""What raters said, one file a rater, one line a rating: the last of an item counts, so that a mind can be changed."""

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
    """One rater's ratings; each is on the disk before it is answered for.

    Raises
    ------
    RunError
        The rater's name is no plain one.
    """

    def __init__(self, folder: Path, rater: str) -> None:
        if not NAME.fullmatch(rater):
            raise RunError(f"--rater {rater}: use lower-case letters, digits and hyphens, at most 32")
        self.path = folder / f"ratings-{rater}.jsonl"

    def add(self, item: str, choice: str) -> None:
        """Keep one rating; a line that a crash cut short before it goes, as it never counted."""
        with self.path.open("a+b") as stream:
            stream.seek(0)
            stream.truncate(stream.read().rfind(b"\n") + 1)
            stream.write(json.dumps({"item": item, "choice": choice}).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def read(self) -> dict[str, str]:
        """The choice for each rated item; a last line that a crash cut short does not count.

        Raises
        ------
        RunError
            Another line is no rating.
        """
        if not self.path.exists():
            return {}
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        found: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            rating = _rating(line)
            if rating is None and not (number == len(lines) and not line.endswith("\n")):
                raise RunError(f"{self.path}, line {number}: no rating; restore the file, or leave it out")
            found |= rating or {}
        return found


def _rating(line: str) -> dict[str, str] | None:
    try:
        row = json.loads(line)
        item, choice = row["item"], row["choice"]
    except (ValueError, KeyError, TypeError):
        return None
    return {item: choice} if isinstance(item, str) and choice in CHOICES else None


def read_all(folder: Path, items: list[Item]) -> Mapping[str, Mapping[str, str]]:
    """All raters' choices by item; ratings of items that the sheet has not are refused.

    Raises
    ------
    RunError
        Nobody rated anything, or a file cannot be used.
    """
    known = {item.id for item in items}
    found = {}
    for path in sorted(folder.glob("ratings-*.jsonl")):
        rater = path.stem.removeprefix("ratings-")
        found[rater] = Ratings(folder, rater).read()
        strange = sorted(set(found[rater]) - known)
        if strange:
            raise RunError(f"{path}: rates item {strange[0]}, which the sheet has not; it belongs to another sheet")
    if not any(found.values()):
        raise RunError(f"{folder}: no ratings yet; rate with hushtune review serve")
    return found
