"""What a server does with a model beside the rounds: measures it, commits it, and reports the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from privacy.accounting import Accountant
from privacy.anonymise.pipeline import Anonymiser
from privacy.dp.plan import PrivacyPlan
from server.adapter_files import save_adapter
from server.checkpoint import Checkpoint, Kept
from server.early_stopping import choice, published
from server.evaluation import Evaluator, choose_examples, split_validation
from server.history import to_row
from server.model_assessment import Rival, assess, read_answers
from server.probes import probe
from server.report.document import report, write
from server.report.facts import Baseline, RunFacts, SiteFacts
from server.report.publication import card_facts, publish
from server.rounds import Metrics, Round
from server.signing import SigningKey
from server.state import Beginning, StateFolder
from server.tracking import track
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError, RunError
from shared.ops.energy import Lap
from shared.records.read import read_records
from shared.records.types import Record
from shared.tasks import load_task
from shared.tasks.base import Learner
from shared.wire.chain_head import Head

UNTUNED = "before training"


@dataclass(frozen=True)
class Course:
    """A run at the server, with its model in memory."""

    config: RunConfig
    folder: StateFolder
    beginning: Beginning
    evaluator: Evaluator
    validation: Evaluator | None
    untuned: AdapterState

    @classmethod
    def load(cls, config: RunConfig, folder: StateFolder, beginning: Beginning) -> "Course":
        """Load the model and the held-out records, which take the same way as the sites' own.

        Raises:
            HushtuneError: a model, a file or an adapter cannot be used.
        """
        if config.evaluation.file is None:
            raise ConfigError("evaluation.file: a server needs held-out records that it may use; name their file")
        raw = read_records(config.evaluation.file, config)
        records = Anonymiser(config.anonymise).scrub(raw).records
        if not records:
            raise ConfigError(f"{config.evaluation.file}: every record was quarantined; hushtune anonymise shows why")
        base, task = load_task(config)
        learner = Learner(base, task, task.build(base, config.run.seed))
        measured = [records[i] for i in choose_examples(len(records), config.evaluation, config.run.seed)]
        groups = {record.position: record.group for record in raw}
        public, test = (_evaluator(learner, part, config, groups) for part in split_validation(config, measured))
        untuned = _fitting(read_adapter(learner.model), beginning.forked)
        return cls(config, folder, beginning, test, public if config.evaluation.validation else None, untuned)

    @property
    def start(self) -> AdapterState:
        """The adapter of the next round."""
        return _fitting(self.untuned, self.beginning.committed)

    def evaluate(self, adapter: AdapterState) -> Metrics:
        """Metrics of the model with an adapter, on the validation records where there are some."""
        evaluator = self.validation or self.evaluator
        write_adapter(evaluator.learner.model, adapter)
        return evaluator.metrics(evaluator.outcome())

    def commit(self, rounds: Sequence[Round], done: Round) -> None:
        """Make a round count; ``rounds`` are those before it."""
        attempts = [*rounds, done]
        first = published(self.validation, attempts)
        best = Kept(first.number, first.adapter) if first.number != done.number else None
        rows, digest = [to_row(each) for each in attempts], self.config.digest()
        state = Checkpoint(self.beginning.run_id, done.number, digest, done.adapter, rows, best, done.memory)
        state.save(self.folder.checkpoint)

    def weights(self) -> Mapping[str, float]:
        """The public weight of each site."""
        declared = self.config.aggregation.weights == "declared"
        return {site.id: float(site.declared_size) if declared else 1.0 for site in self.config.data.sites}

    def _rival(self) -> Rival:
        """The model with the adapter that the run started from."""
        write_adapter(self.evaluator.learner.model, self.untuned)
        return Rival(UNTUNED, self.evaluator.outcome(), read_answers(self.evaluator))

    def report(self, rounds: list[Round], stages: Mapping[str, float], laps: Sequence[Lap | None]) -> dict[str, Any]:
        """Write the report and the adapter of a run whose rounds are done: what the server knows, and nothing else."""
        config, final = self.config, published(self.validation, rounds).adapter
        untuned, chosen = self._rival(), choice(self.validation, rounds, self.config.training.rounds)
        write_adapter(self.evaluator.learner.model, final)
        outcome, answers = self.evaluator.outcome(), read_answers(self.evaluator)
        base, accountant = self.evaluator.metrics(untuned.outcome), Accountant()
        facts = RunFacts(
            run_id=self.beginning.run_id,
            config=config,
            model=self.evaluator.learner.base,
            adapter=save_adapter(self.evaluator.learner, config, final, self.folder.run / "adapter"),
            baselines=[Baseline(UNTUNED, "the adapter that the run started from", base, untuned)],
            base=base,
            final=self.evaluator.metrics(outcome),
            rounds=[done.without_cohort() for done in rounds] if PrivacyPlan.for_server(config) else rounds,
            by_site={},
            sites=_site_facts(config, rounds, accountant),
            assessment=assess(self.evaluator, outcome, [untuned], answers),
            choice=chosen,
            probes=probe(self.evaluator),
            laps=laps,
            accountant=accountant,
        )
        seconds = {stage: round(spent, 2) for stage, spent in stages.items()}
        document = report(facts) | {"stages": seconds, "seconds": round(sum(stages.values()), 2)}
        key = SigningKey.load_or_create(self.folder.signing_key)
        publish(card_facts(facts, self.folder.run, document["created"], simulated=False), self.folder.run, key)
        write(document, self.folder.run, config.report.html)
        track(document, self.folder.run, config)
        return document


def _evaluator(
    learner: Learner, records: Sequence[Record], config: RunConfig, groups: Mapping[int, str | None]
) -> Evaluator:
    """An evaluator on the server's own records."""
    declared = [groups[record.position] for record in records]
    return Evaluator.of(learner, records, ["server"] * len(records), config, declared)


def _fitting(fresh: AdapterState, found: AdapterState | None) -> AdapterState:
    """The adapter to start from, in the order of the model's own tensors."""
    if found is None:
        return fresh
    if dict(found.spec) != dict(fresh.spec):
        raise RunError("the committed adapter does not fit this config's model; start a run of its own in another --state")
    return AdapterState({name: found.arrays[name] for name in fresh.arrays})


def _site_facts(config: RunConfig, rounds: list[Round], accountant: Accountant) -> list[SiteFacts]:
    """What sites declared; a round that a site was asked for may have been spent, so it counts as spent."""
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
