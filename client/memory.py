"""Keep the optimiser's moments after recent rounds, so that a site continues from them, also after a restart."""

import re
from pathlib import Path

from shared.adapters.state import AdapterState
from shared.ops.disk import commit_file

KEPT = 2  # rounds; a repeated round starts from the moments of the round before it


class Memory:
    """Optimiser moments by run and round, in memory and in ``folder`` if given; they never leave the site."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._run = ""
        self._moments: dict[int, AdapterState] = {}

    def before(self, run_id: str, round_number: int) -> AdapterState | None:
        """Return the moments from which a round starts: those of the latest earlier round, or None."""
        self._switch_run(run_id)
        earlier = [number for number in self._moments if number < round_number]
        return self._moments[max(earlier)] if earlier else None

    def keep(self, run_id: str, round_number: int, moments: AdapterState) -> None:
        """Store the moments after a round atomically."""
        self._switch_run(run_id)
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

    def _switch_run(self, run_id: str) -> None:
        """Load the moments of this run, and delete those of other runs."""
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
        assert self._folder is not None  # noqa: S101  called only if there is a folder
        return self._folder / f"{self._run}-{round_number}.safetensors"
