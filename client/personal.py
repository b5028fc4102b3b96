"""Train a published adapter one more round at a site, for the site alone, and keep the result in the site's folder.

A personal adapter is learnt from the site's records. People who query it could learn about these records, so the round has
the run's noise and is charged to the site's ledger, although nothing is sent.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from client.agreement import refuse_unless_personal
from client.set_up import Host
from client.site import Site
from client.site_file import SiteFile
from client.statement import reported_heads
from privacy.ledger import Ledger
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import LedgerError, RunError
from shared.ops.disk import FolderLock, sync_file, sync_folder
from shared.tasks.adapter_files import CONFIG_FILE, save_adapter
from shared.wire.white_list import SHORT_NAME

FOLDER = "personal"  # in the site's state folder; nothing there is ever sent


@dataclass(frozen=True)
class Published:
    """What a site takes from the folder of a published run.

    Attributes
    ----------
    run_id, config
        The run.
    adapter
        Its adapter folder.
    digest
        Digest of the adapter, as the report states it.
    """

    run_id: str
    config: RunConfig = field(repr=False)
    adapter: Path
    digest: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the folder of a published run.

        Parameters
        ----------
        folder
            The folder, with ``report.json`` and ``adapter``.

        Raises
        ------
        RunError
            The folder is not that of a published run.
        """
        adapter = folder / "adapter"
        try:
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            run_id, digest = str(report["run_id"]), str(report["adapter"]["digest"])
            config = RunConfig.model_validate_json((adapter / CONFIG_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{folder}: no readable report.json and adapter ({type(error).__name__}); give the folder of a published run"
            ) from error
        if not SHORT_NAME.fullmatch(run_id):
            raise RunError(f"{folder}/report.json: run_id: not a short name; obtain the report again")
        return cls(run_id, config, adapter, digest)


@dataclass(frozen=True)
class Place:
    """Where the personal adapter of a run is kept; it has its final name only when its round is closed in the ledger."""

    final: Path

    @property
    def partial(self) -> Path:
        """Return the folder in which the adapter lies until its round is closed."""
        return self.final.with_name(f".{self.final.name}.partial")

    def clear(self) -> None:
        """Remove the files of a killed attempt, before a round is charged for a new attempt.

        Raises
        ------
        RunError
            The folder cannot be removed.
        """
        try:
            if self.partial.exists():
                shutil.rmtree(self.partial)
        except OSError as error:
            raise RunError(
                f"{self.partial}: cannot be removed ({type(error).__name__}); remove this folder of an unfinished attempt"
            ) from error

    def write(self, save: Callable[[Path], Any]) -> None:
        """Write the adapter under its first name, on the disk before this returns."""
        self.partial.mkdir(mode=0o700, parents=True)
        save(self.partial)
        for path in self.partial.iterdir():
            sync_file(path)
        sync_folder(self.partial)
        sync_folder(self.partial.parent)

    def show(self) -> None:
        """Give the adapter its final name."""
        self.partial.rename(self.final)
        sync_folder(self.final.parent)


def personalise(file: SiteFile, run: Path, log: Callable[..., None]) -> dict[str, Any]:
    """Train a published adapter for one more round on the site's own records, charged as a round of the run.

    A second call continues where the first ended or was killed, and charges no second round.

    Parameters
    ----------
    file
        The site's file.
    run
        Folder of the published run.
    log
        Called with the name of each step and its numbers.

    Returns
    -------
    dict
        ``folder`` of the personal adapter, ``run_id``, ``round``, ``trained`` (false if it was there already), and the
        ``epsilon`` that the site's records have spent by now with its ``target_delta`` (None without privacy).

    Raises
    ------
    HushtuneError
        The run is not published, the site's policy or its budget does not allow the round, a client of the site runs, or the
        site's ledger lacks entries that the run's report names, so that it is an old copy.
    """
    published = Published.read(run)
    place = Place(file.site.state / FOLDER / published.run_id)
    with FolderLock(file.site.state, f"a client of site {file.site.id}"):
        if place.final.is_dir():
            return {"folder": str(place.final), "run_id": published.run_id, "trained": False}
        refuse_unless_personal(published.config, {file.site.id: file.rank_in(published.config)})
        _refuse_old_ledger(file, run)
        site = Host(file, log).for_itself(published.config, published.run_id)
        try:
            return _trained(site, published, place)
        finally:
            site.close()


def _trained(site: Site, published: Published, place: Place) -> dict[str, Any]:
    number = published.config.training.rounds + 1
    if not site.budget.is_answered(published.run_id, number):

        def keep(adapter: AdapterState) -> None:
            write_adapter(site.learner.model, adapter)
            place.write(lambda folder: save_adapter(site.learner, site.config, adapter, folder))

        place.clear()
        site.personalise(published.run_id, _start(site, published), keep)
    elif not place.partial.is_dir() or not site.budget.is_answered(
        published.run_id, number, _digest_in(place.partial, site)
    ):
        raise LedgerError(
            f"{place.final}: the personal adapter of run {published.run_id} is gone, and its round was charged; restore the "
            "folder from a backup, because the round is not trained again and no other result of it may be used"
        )
    place.show()
    spent = site.budget.spent() if site.plan else None
    return {
        "folder": str(place.final),
        "run_id": published.run_id,
        "round": number,
        "trained": True,
        "epsilon": spent.epsilon if spent else None,
        "target_delta": site.budget.limit.target_delta if spent else None,
    }


def _refuse_old_ledger(file: SiteFile, run: Path) -> None:
    """Refuse a ledger that lacks entries which the server saw in the run, as for an order of that server."""
    ledger = Ledger(file.ledger, file.site.id, file.site.ledger_head)
    for head in reported_heads(run, file.site.id):
        ledger.refuse_unless_holds(head)


def _digest_in(folder: Path, site: Site) -> str:
    """Return the digest of a saved personal adapter, to detect the adapter of a killed attempt that was not charged."""
    site.learner.task.restore(site.learner.model, folder)
    return read_adapter(site.learner.model).digest()


def _start(site: Site, published: Published) -> AdapterState:
    """Return the published adapter; refuse one that is not the adapter of the report."""
    site.learner.task.restore(site.learner.model, published.adapter)
    start = read_adapter(site.learner.model)
    if start.digest() != published.digest:
        raise RunError(f"{published.adapter}: is not the adapter that the run's report names; obtain the run's folder again")
    return start
