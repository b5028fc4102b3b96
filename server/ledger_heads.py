"""The chain head of each site's ledger, as the server last saw it in any run: it detects that a site restored an old copy.

Each order carries the site's head, and the site refuses an order whose head is not in its ledger. So a server that lies
about heads can make a site refuse, and nothing else.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.errors import RunError
from shared.ops.disk import replace_file
from shared.wire.chain_head import ChainHead


@dataclass(frozen=True)
class Seen:
    """The chain head of a site's ledger, and the round in which the site sent it."""

    entries: int
    hash: str
    run_id: str
    round: int


class Heads:
    """The newest chain head of each site's ledger, by the site's key, in a file of the server's state.

    Parameters
    ----------
    path
        The file. Without one the heads are kept in memory, for sites that exist only during the run.
    key_of
        Returns the fingerprint of a site's public key, so that a site with a new key counts as another site.

    Raises
    ------
    RunError
        The file is damaged.
    """

    def __init__(self, path: Path | None = None, key_of: Callable[[str], str | None] = str) -> None:
        self._path, self._key_of = path, key_of
        self._seen = _read(path) if path else {}

    def head(self, site: str) -> ChainHead:
        """Return the chain head of a site's ledger as the server last saw it; the head of an empty ledger for a new site."""
        seen = self._last(site)
        return ChainHead(seen.entries, seen.hash) if seen else ChainHead()

    def answered(self, site: str, run_id: str, round_number: int) -> bool:
        """Return whether a site's last reply was to this round; asked again, it sends the same reply and spends nothing."""
        seen = self._last(site)
        return seen is not None and (seen.run_id, seen.round) == (run_id, round_number)

    def saw(self, site: str, head: ChainHead, run_id: str, round_number: int) -> None:
        """Write a reply's chain head to the disk, unless it is shorter than the known one, since a ledger only grows.

        Raises
        ------
        RunError
            The file cannot be written.
        """
        key = self._key_of(site)
        if key is None or head.entries <= self.head(site).entries:
            return
        self._seen[key] = Seen(head.entries, head.hash, run_id, round_number)
        if self._path is None:
            return
        content = json.dumps({name: asdict(seen) for name, seen in self._seen.items()}, indent=0, sort_keys=True)
        try:
            replace_file(self._path, content.encode())
        except OSError as error:
            raise RunError(
                f"{self._path}: cannot be written ({error.strerror}), so the sites' chain heads would be lost; "
                "make its folder writable and free some space"
            ) from error

    def _last(self, site: str) -> Seen | None:
        return self._seen.get(self._key_of(site) or "")


def _read(path: Path) -> dict[str, Seen]:
    try:
        rows = json.loads(path.read_bytes())
        return {
            str(key): Seen(int(row["entries"]), str(row["hash"]), str(row["run_id"]), int(row["round"]))
            for key, row in rows.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise RunError(f"{path}: damaged ({type(error).__name__}); restore it from a backup") from error
