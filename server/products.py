"""Measure and write the results of a run, at a server or in a simulation: metrics, facts for the report, and files."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from privacy.accounting import Accountant
from server.early_stopping import best_round, choice
from server.evaluation import Evaluator
from server.model_assessment import assess, read_answers
from server.probes import probe
from server.report.document import report
from server.report.facts import Baseline, RunFacts, SiteFacts
from server.report.files import write
from server.report.publication import card_facts, publish
from server.report.table import write_table
from server.rounds import OF_THE_COHORT, Metrics, Round
from server.signing import SigningKey
from server.tracking import track
from shared.adapters.peft import write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.ops.energy import Lap
from shared.tasks.adapter_files import save_adapter
from shared.wire.chain_head import ChainHead


class Stages:
    """Seconds by stage of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, laps: Mapping[str, float]) -> None:
        """Add the stages of a round.

        Parameters
        ----------
        laps
            Seconds by stage.
        """
        for stage, seconds in laps.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of a block to a stage.

        Parameters
        ----------
        stage
            Name of the stage; its earlier seconds are kept.
        """
        start = time.monotonic()
        yield
        self.add({stage: time.monotonic() - start})

    def document(self, without: Collection[str] = ()) -> dict[str, Any]:
        """Return the stages and their sum, in seconds to hundredths.

        Parameters
        ----------
        without
            Stages that are left out.
        """
        told = {stage: seconds for stage, seconds in self.seconds.items() if stage not in without}
        return {
            "stages": {stage: round(seconds, 2) for stage, seconds in told.items()},
            "seconds": round(sum(told.values()), 2),
        }


@dataclass(frozen=True)
class Measures:
    """A run's model in memory, and the held-out records that it is measured on.

    Attributes
    ----------
    evaluator
        Scores the model on the test records.
    validation
        Scores it on the records that rounds are chosen on; None where there are none.
    """

    evaluator: Evaluator
    validation: Evaluator | None

    def evaluate(self, adapter: AdapterState) -> Metrics:
        """Return the metrics of the model with an adapter, on the validation records where there are some.

        Parameters
        ----------
        adapter
            Is written into the model and stays there.
        """
        evaluator = self.validation or self.evaluator
        write_adapter(evaluator.learner.model, adapter)
        return evaluator.metrics(evaluator.outcome())

    def published(self, rounds: Sequence[Round]) -> Round:
        """Return the round whose adapter is published: the best on the validation records, or the last without them.

        Parameters
        ----------
        rounds
            All attempts at rounds so far, the last one committed.
        """
        return best_round(rounds) if self.validation else rounds[-1]

    def facts(
        self,
        config: RunConfig,
        run_id: str,
        folder: Path,
        rounds: Sequence[Round],
        baselines: Sequence[Baseline],
        sites: Sequence[SiteFacts],
        laps: Sequence[Lap | None],
        accountant: Accountant,
        by_site: bool,
    ) -> RunFacts:
        """Measure the published adapter, save it, and return all that the report is made of.

        Under trust ``central`` the facts leave out everything that depends on which sites were sampled: who answered, the
        sites' ledgers, and the time and energy of the rounds.

        Parameters
        ----------
        config, run_id, folder
            The run and its folder, which gets the adapter.
        rounds, laps
            All attempts at rounds, and the energy of each.
        baselines
            Models to compare with; the first is the model before training.
        sites
            What is known of each site.
        accountant
            The accountant of the run.
        by_site
            Whether metrics by site are known: in a simulation, where each held-out record has an owner.
        """
        chosen = choice(self.validation, rounds, config.training.rounds)
        final, evaluator = self.published(rounds).adapter, self.evaluator
        central = config.privacy.trust_in_force == "central"
        write_adapter(evaluator.learner.model, final)
        outcome, answers = evaluator.outcome(), read_answers(evaluator)
        return RunFacts(
            run_id=run_id,
            config=config,
            model=evaluator.learner.base,
            adapter=save_adapter(evaluator.learner, config, final, folder / "adapter"),
            baselines=baselines,
            base=baselines[0].metrics,
            final=evaluator.metrics(outcome),
            rounds=[done.without_cohort() for done in rounds] if central else rounds,
            by_site=evaluator.by_site(outcome) if by_site else {},
            sites=[replace(site, ledger=ChainHead()) for site in sites] if central else sites,
            assessment=assess(evaluator, outcome, [baseline.rival for baseline in baselines], answers),
            choice=chosen,
            probes=probe(evaluator),
            laps=[None for _ in laps] if central else laps,
            accountant=accountant,
        )


def write_products(facts: RunFacts, folder: Path, key_file: Path, stages: Stages, *, simulated: bool) -> dict[str, Any]:
    """Write a run's report, its figures as results.csv, its signed privacy card and its tracking, and return the report.

    Parameters
    ----------
    facts
        All that the report is made of.
    folder
        The run's folder.
    key_file
        The key that signs the card; made when absent.
    stages
        Seconds by stage, which the time of this function is added to.
    simulated
        Whether the run was a simulation, which the card says.
    """
    with stages.timed("report"):
        document = report(facts)
        publish(
            card_facts(facts, folder, document["created"], simulated=simulated), folder, SigningKey.load_or_create(key_file)
        )
    central = facts.config.privacy.trust_in_force == "central"
    document |= stages.document(OF_THE_COHORT if central else ())
    write_table(document, folder / "results.csv")
    write(document, folder, facts.config.report.html)
    track(document, folder, facts.config)
    return document
