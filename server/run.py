"""A run at the server of real sites: its model and held-out records, its committed rounds, and its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from privacy.accounting import Accountant
from privacy.anonymise.pipeline import Anonymiser
from privacy.dp.plan import PrivacyPlan
from server.checkpoint import Checkpoint, Kept
from server.evaluation import Evaluator, choose_examples, split_validation
from server.history import to_row
from server.model_assessment import Rival, read_answers
from server.products import Measures, Stages, write_products
from server.report.facts import Baseline, SiteFacts
from server.rounds import Round
from server.state import Beginning, StateFolder
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError, RunError
from shared.ops.energy import Lap
from shared.records.read import read_records
from shared.records.types import Record
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.wire.chain_head import Head

UNTUNED = "before training"


@dataclass(frozen=True)
class ServerRun:
    """A run at the server, with its model in memory.

    Attributes
    ----------
    config, folder
        The run and the server's state folder.
    beginning
        Where the run starts or resumes.
    measures
        The model and the server's held-out records.
    untuned
        The adapter that the run started from.
    """

    config: RunConfig
    folder: StateFolder
    beginning: Beginning
    measures: Measures
    untuned: AdapterState

    @classmethod
    def load(cls, config: RunConfig, folder: StateFolder, beginning: Beginning) -> "ServerRun":
        """Load the model and the held-out records, which are scrubbed as the sites' own are.

        Raises
        ------
        HushtuneError
            A model, a file or an adapter cannot be used.
        """
        if config.privacy.enabled and config.privacy.trust == "distributed":
            raise ConfigError(
                "privacy.trust = 'distributed': not implemented for real sites yet; set 'local', or simulate the run"
            )
        if config.evaluation.file is None:
            raise ConfigError("evaluation.file: a server needs held-out records that it may use; name their file")
        raw = read_records(config.evaluation.file, config)
        records = Anonymiser(config.anonymise).scrub(raw).records
        if not records:
            raise ConfigError(f"{config.evaluation.file}: every record was quarantined; hushtune anonymise shows why")
        learner = load_learner(config)
        measured = [records[i] for i in choose_examples(len(records), config.evaluation, config.run.seed)]
        groups = {record.position: record.group for record in raw}
        public, test = (_evaluator(learner, part, config, groups) for part in split_validation(config, measured))
        untuned = _fitting(read_adapter(learner.model), beginning.forked)
        return cls(config, folder, beginning, Measures(test, public if config.evaluation.validation else None), untuned)

    @property
    def start(self) -> AdapterState:
        """The adapter of the next round."""
        return _fitting(self.untuned, self.beginning.committed)

    def commit(self, rounds: Sequence[Round], done: Round) -> None:
        """Commit a round to disk; ``rounds`` are the attempts before it."""
        attempts = [*rounds, done]
        first = self.measures.published(attempts)
        best = Kept(first.number, first.adapter) if first.number != done.number else None
        rows, digest = [to_row(each) for each in attempts], self.config.digest()
        state = Checkpoint(self.beginning.run_id, done.number, digest, done.adapter, rows, best, done.memory)
        state.save(self.folder.checkpoint)

    def report(self, rounds: list[Round], stages: Stages, laps: Sequence[Lap | None]) -> dict[str, Any]:
        """Write the report and the adapter of a run whose rounds are done, from facts that the server knows."""
        accountant, folder, run_id = Accountant(), self.folder.run, self.beginning.run_id
        baselines, sites = [self._baseline()], _site_facts(self.config, rounds, accountant)
        facts = self.measures.facts(self.config, run_id, folder, rounds, baselines, sites, laps, accountant, by_site=False)
        return write_products(facts, folder, self.folder.signing_key, stages, simulated=False)

    def _baseline(self) -> Baseline:
        """Measure the model with the adapter that the run started from."""
        evaluator = self.measures.evaluator
        write_adapter(evaluator.learner.model, self.untuned)
        rival = Rival(UNTUNED, evaluator.outcome(), read_answers(evaluator))
        return Baseline(UNTUNED, "the adapter that the run started from", True, evaluator.metrics(rival.outcome), rival)


def _evaluator(
    learner: Learner, records: Sequence[Record], config: RunConfig, groups: Mapping[int, str | None]
) -> Evaluator:
    """Return an evaluator on the server's own records."""
    declared = [groups[record.position] for record in records]
    return Evaluator.of(learner, records, ["server"] * len(records), config, declared)


def _fitting(fresh: AdapterState, found: AdapterState | None) -> AdapterState:
    """Return the adapter to start from, in the order of the model's own tensors."""
    if found is None:
        return fresh
    if dict(found.spec) != dict(fresh.spec):
        raise RunError("the committed adapter does not fit this config's model; start a run of its own in another --state")
    return AdapterState({name: found.arrays[name] for name in fresh.arrays})


def _site_facts(config: RunConfig, rounds: list[Round], accountant: Accountant) -> list[SiteFacts]:
    """Return what sites declared and spent; each round that a site was asked for counts, because it may have trained."""
    server = PrivacyPlan.for_server(config)
    sizes = {site.declared_size for site in config.data.sites}
    plans = {size: server or PrivacyPlan.for_site(config, size, accountant) for size in sizes}
    asked = {
        site.id: {d.number for d in rounds if site.id in d.asked or (server and d.committed)} for site in config.data.sites
    }
    return [
        SiteFacts(
            site.id,
            site.declared_size,
            plans[site.declared_size],
            tuple(sorted(asked[site.id])),
            rounds[-1].ledgers.get(site.id, Head()),
        )
        for site in config.data.sites
    ]
