"""What a server last saw of each site's ledger: kept over runs, so that no site begins a run with an older copy unseen.

A head goes into each order, and the site refuses an order whose head its ledger does not hold. So a server that lies about
heads can make a site refuse, and nothing else.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.errors import RunError
from shared.ops.disk import replace_file
from shared.wire.chain_head import Head


@dataclass(frozen=True)
class Seen:
    """Where a site's ledger ended, and the round in which the site said so."""

    entries: int
    hash: str
    run_id: str
    round: int


class Heads:
    """The newest head of each site's ledger, by the site's key, in a file of the server's state.

    ``key_of`` gives what a site is known by: the fingerprint of its public key, so that a site with a new key is another
    site. Without a file the heads are kept in memory, for sites that live no longer than the run.

    Raises
    ------
    RunError
        The file is damaged.
    """

    def __init__(self, path: Path | None = None, key_of: Callable[[str], str | None] = str) -> None:
        self._path, self._key_of = path, key_of
        self._seen = _read(path) if path else {}

    def head(self, site: str) -> Head:
        """Return where a site's ledger ended when the server last heard of it; the head of no entry before."""
        seen = self._last(site)
        return Head(seen.entries, seen.hash) if seen else Head()

    def answered(self, site: str, run_id: str, round_number: int) -> bool:
        """Return whether a site's last reply was to this round: asked again, it sends that reply anew and spends nothing."""
        seen = self._last(site)
        return seen is not None and (seen.run_id, seen.round) == (run_id, round_number)

    def saw(self, site: str, head: Head, run_id: str, round_number: int) -> None:
        """Take note of a reply's head, on the disk when this returns; a ledger only grows, so a shorter one changes nothing.

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
                f"{self._path}: cannot be written ({error.strerror}), and what the sites' ledgers said would be forgotten; "
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: damaged ({type(error).__name__}); restore it from a backup") from error
