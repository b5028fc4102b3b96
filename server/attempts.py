"""Write each attempt to the disk before the server asks sites for the vectors or deltas that they charge.

A site charges what it was asked for even if nothing comes of it, and a server that is killed meanwhile commits nothing. So
the privacy card counts the attempts that are written here. Where sites share one noise, each attempt is charged; else a
round is charged once. Where sites add up deltas with their own noise, a round is bound to the sites of its attempts.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from shared.errors import RunError
from shared.ops.disk import replace_file


class Attempts:
    """The attempts of one run, each with its round and the sites that were asked, in a file of the run's folder.

    Raises
    ------
    RunError
        The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = _read(path)

    def add(self, round_number: int, sites: Sequence[str]) -> None:
        """Write down that these sites are about to be asked for their vectors or deltas.

        Raises
        ------
        RunError
            The file cannot be written, so no site may be asked.
        """
        self._asked.append((round_number, tuple(sites)))
        try:
            replace_file(self._path, json.dumps(self._asked).encode())
        except OSError as error:
            raise RunError(
                f"{self._path}: cannot be written ({error.strerror}), so what sites spend would be lost; make its folder "
                "writable and free some space"
            ) from error

    def last(self, round_number: int) -> tuple[str, ...]:
        """Return the sites of the last attempt at a round; empty if there was none."""
        return next((sites for number, sites in reversed(self._asked) if number == round_number), ())

    def rounds_of(self, site: str) -> tuple[int, ...]:
        """Return the round of each attempt that a site may have charged, in order; a round may occur several times."""
        return tuple(number for number, sites in self._asked if site in sites)


def _read(path: Path) -> list[tuple[int, tuple[str, ...]]]:
    try:
        return [(int(number), tuple(map(str, sites))) for number, sites in json.loads(path.read_bytes())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path}: damaged ({type(error).__name__}); restore it from a backup") from error
