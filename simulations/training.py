"""Train a federation for an audit or a study, which keep its adapter only in memory."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from client.data_stage.site_data import SiteData
from privacy.accounting import Accountant
from server.evaluation import Evaluator
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.ops.progress import Advance
from shared.records.types import Record
from shared.tasks.base import Learner
from simulations.assembly import assemble, federate
from simulations.planning import Plans


@dataclass(frozen=True)
class Trained:
    """A federation after its last round.

    Attributes
    ----------
    learner
        The task with the model; which adapter is in the model is not promised.
    evaluator
        Measures the model on the held-out records.
    start, adapter
        The adapters before and after training.
    bytes
        Bytes on the wire of all attempts at rounds, in both directions.
    """

    learner: Learner
    evaluator: Evaluator
    start: AdapterState = field(repr=False)
    adapter: AdapterState = field(repr=False)
    bytes: int


def train_federation(
    config: RunConfig,
    data: Sequence[SiteData],
    measured: Sequence[tuple[str, Record]],
    folder: Path,
    accountant: Accountant,
    advance: Advance = lambda _: None,
) -> Trained:
    """Train on the sites' records by the production round loop.

    Parameters
    ----------
    config, data
        The run, and its sites' records.
    measured
        Held-out records with their owners.
    folder
        Folder for the sites' ledgers; each training needs its own.
    accountant
        Shared by all trainings, so that equal plans are computed once.
    advance
        Called with 1 after each answer of a site.

    Raises
    ------
    HushtuneError
        A site can't take part, or a round found no quorum.
    """
    prepared = assemble(config, Plans.of(config, accountant), data, measured, folder, accountant=accountant)
    rounds = list(federate(prepared, config, secrets.token_hex(8), advance, lambda _: {}, lambda _: None))
    size = sum(done.bytes_up + done.bytes_down for done in rounds)
    return Trained(prepared.learner, prepared.measures.evaluator, prepared.start, rounds[-1].adapter, size)


def refuse_lasting_ledger(config: RunConfig, command: str) -> None:
    """Refuse, for a command, to train many times and also without privacy on records with a lasting ledger.

    Raises
    ------
    ConfigError
        The config names a ledger.
    """
    if config.privacy.ledger is not None:
        raise ConfigError(
            f"privacy.ledger: {command} trains on the same records many times, also without privacy; use public or "
            "generated data, and leave privacy.ledger empty"
        )
