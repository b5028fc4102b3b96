"""Train a federation for an audit or a study, and keep its adapter in memory only."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from client.data_stage.site_data import SiteData
from privacy.accounting import Accountant
from server.evaluation import Evaluator
from server.rounds import Round
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError, RunError
from shared.ops.progress import Advance
from shared.records.types import Record
from shared.tasks.base import Learner
from simulations.assembly import assemble, federate
from simulations.planning import Plans


@dataclass(frozen=True)
class Trained:
    """A federation after its last round: the model in memory, and the adapters before and after training."""

    learner: Learner
    evaluator: Evaluator
    start: AdapterState = field(repr=False)
    adapter: AdapterState = field(repr=False)


def train_federation(
    config: RunConfig,
    data: Sequence[SiteData],
    measured: Sequence[tuple[str, Record]],
    folder: Path,
    accountant: Accountant,
    advance: Advance,
) -> Trained:
    """Train on the sites' records, by the round loop of every run.

    Parameters
    ----------
    config, data
        The run, and its sites' records.
    measured
        Held-out records with their owners.
    folder
        Folder for the sites' ledgers, its own for each training.
    accountant
        Shared by all trainings.
    advance
        Called with 1 after each answer of a site.

    Raises
    ------
    RunError
        A round had too few accepted replies.
    """
    prepared = assemble(config, Plans.of(config, accountant), data, measured, folder, accountant=accountant)
    rounds: list[Round] = list(federate(prepared, config, secrets.token_hex(8), advance, lambda _: {}, lambda _: None))
    if not all(done.committed for done in rounds):
        raise RunError("audit: a round had too few accepted replies; lower cohort.quorum")
    return Trained(prepared.learner, prepared.measures.evaluator, prepared.start, rounds[-1].adapter)


def refuse_lasting_ledger(config: RunConfig) -> None:
    """Refuse to train often, and without privacy, on records whose ledger lasts.

    Raises
    ------
    ConfigError
        The config names a ledger.
    """
    if config.privacy.ledger is not None:
        raise ConfigError(
            "privacy.ledger: this audit trains on the same records many times, also without privacy; use public or "
            "generated data, and leave privacy.ledger empty"
        )
