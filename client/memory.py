"""The optimiser's moments after each of the last rounds, so that a site goes on where it was, also after a restart."""

import re
from pathlib import Path

from shared.adapters.state import AdapterState
from shared.ops.disk import commit_file

KEPT = 2  # a round that is asked again starts from the moments before it


class Memory:
    """Moments by run and round: in memory, and in ``folder`` if there is one. They never leave the site."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._run = ""
        self._moments: dict[int, AdapterState] = {}

    def before(self, run_id: str, round_number: int) -> AdapterState | None:
        """The moments that a round starts from: those after the latest round before it, or None at the first."""
        self._turn_to(run_id)
        earlier = [number for number in self._moments if number < round_number]
        return self._moments[max(earlier)] if earlier else None

    def keep(self, run_id: str, round_number: int, moments: AdapterState) -> None:
        """Keep the moments after a round, whole or not at all."""
        self._turn_to(run_id)
        self._moments[round_number] = moments
        old = sorted(self._moments)[:-KEPT]
        for number in old:
            del self._moments[number]
        if self._folder is None:
            return
        final = self._path(round_number)
        partial = final.with_suffix(".partial")
        moments.save(partial)
        commit_file(partial, final)
        for number in old:
            self._path(number).unlink(missing_ok=True)

    def _turn_to(self, run_id: str) -> None:
        """Take up the moments of this run, and forget those of another."""
        if run_id == self._run:
            return
        self._run, self._moments = run_id, {}
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            match = re.fullmatch(rf"{re.escape(run_id)}-(\d+)\.safetensors", path.name)
            if match:
                self._moments[int(match[1])] = AdapterState.load(path)
            else:
                path.unlink()

    def _path(self, round_number: int) -> Path:
        assert self._folder is not None  # noqa: S101  asked for with a folder alone
        return self._folder / f"{self._run}-{round_number}.safetensors"
