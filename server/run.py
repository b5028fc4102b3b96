"""A run at the server of real sites: its model and held-out records, its committed rounds, and its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_server, plan_for_site
from privacy.secagg.shared_plan import declared_sizes
from server.attempts import Attempts
from server.checkpoint import Checkpoint, Kept
from server.evaluation import Evaluator, choose_examples, split_validation
from server.held_out_file import OWNER, HeldOutFile
from server.history import to_row
from server.products import Measures, Stages, write_products
from server.public_baselines import public_baselines
from server.report.facts import SiteFacts
from server.rounds import Round
from server.state import Beginning, StateFolder
from server.warm_start import start_baseline, start_baselines, start_of
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError, RunError
from shared.ops.energy import Lap
from shared.records.types import Record
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.wire.chain_head import ChainHead


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
        if config.evaluation.file is None:
            raise ConfigError("evaluation.file: a server needs held-out records that it may use; name their file")
        found = HeldOutFile.read(config.evaluation.file, config)
        records, groups = found.records, found.groups
        learner = load_learner(config)
        measured = [records[i] for i in choose_examples(len(records), config.evaluation, config.run.seed)]
        validation, test = (_evaluator(learner, part, config, groups) for part in split_validation(config, measured))
        untuned = _fitting(start_of(config, learner), beginning.forked)
        measures = Measures(test, validation if config.evaluation.validation else None)
        return cls(config, folder, beginning, measures, untuned)

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

    @cached_property
    def plan(self) -> PrivacyPlan | None:
        """The server's own plan, where sites trust it; or the plan of all sites, where they share one noise; else None."""
        if self.config.privacy.trust_in_force == "distributed":
            return plan_for_site(self.config, max(declared_sizes(self.config)), self.accountant)
        return plan_for_server(self.config)

    @cached_property
    def accountant(self) -> Accountant:
        """The accountant of the run."""
        return Accountant()

    @cached_property
    def attempts(self) -> Attempts:
        """The record of which sites the server asked in each attempt so far."""
        return Attempts(self.folder.attempts)

    def report(self, rounds: list[Round], stages: Stages, laps: Sequence[Lap | None]) -> dict[str, Any]:
        """Write the report and the adapter of a run whose rounds are done, from facts that the server knows."""
        folder, run_id, accountant = self.folder.run, self.beginning.run_id, self.accountant
        evaluator, note = self.measures.evaluator, "the adapter that the run started from"
        baselines = [
            start_baseline(evaluator, "before training", note, self.untuned),
            *public_baselines(evaluator, self.measures.validation),
            *start_baselines(evaluator, self.untuned),
        ]
        sites = self._site_facts(rounds)
        facts = self.measures.facts(self.config, run_id, folder, rounds, baselines, sites, laps, accountant, by_site=False)
        return write_products(facts, folder, self.folder.signing_key, stages, simulated=False)

    def _site_facts(self, rounds: Sequence[Round]) -> list[SiteFacts]:
        """Return what sites declared and may have spent."""
        sites, ledgers = self.config.data.sites, rounds[-1].ledgers
        sizes = {site.declared_size for site in sites}
        plans = {size: self.plan or plan_for_site(self.config, size, self.accountant) for size in sizes}
        return [
            SiteFacts(
                s.id, s.declared_size, plans[s.declared_size], self._spent(s.id, rounds), ledgers.get(s.id, ChainHead())
            )
            for s in sites
        ]

    def _spent(self, site: str, rounds: Sequence[Round]) -> tuple[int, ...]:
        """Return the rounds that a site may have charged: each attempt at a shared noise, else each round it was asked for.

        Under secure sums of deltas each round counts for every site, because a later attempt need not ask all sites again.
        A server that sites trust charges each committed round to all of them.
        """
        if self.plan is not None and self.plan.shared is not None:
            return self.attempts.rounds_of(site)[: self.plan.rounds]  # no site answers more attempts than the plan has
        if self.config.aggregation.secure_sums:  # a killed server may have asked sites to which the round is not bound
            return tuple(sorted({done.number for done in rounds}))
        asked = {done.number for done in rounds if site in done.asked or (self.plan is not None and done.committed)}
        return tuple(sorted(asked.union(self.attempts.rounds_of(site))))  # a killed server kept no round


def _evaluator(
    learner: Learner, records: Sequence[Record], config: RunConfig, groups: Mapping[int, str | None]
) -> Evaluator:
    """Return an evaluator on the server's own records."""
    declared = [groups[record.position] for record in records]
    return Evaluator.of(learner, records, [OWNER] * len(records), config, declared)


def _fitting(fresh: AdapterState, found: AdapterState | None) -> AdapterState:
    """Return the adapter to start from, in the order of the model's own tensors."""
    if found is None:
        return fresh
    if dict(found.spec) != dict(fresh.spec):
        raise RunError("the committed adapter does not fit this config's model; start a run of its own in another --state")
    return AdapterState({name: found.arrays[name] for name in fresh.arrays})
