"""A whole federation in one process: the sites' data path and the production round loop, from config to report."""

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client.data_stage.augmentation.writer import refuse_no_writer
from client.preflight import refuse_what_does_not_fit
from client.site import Site
from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from server.adapter_files import save_adapter
from server.checkpoint import Checkpoint
from server.early_stopping import choice, published, until_over
from server.evaluation import split_validation
from server.model_assessment import assess, read_answers
from server.probes import probe
from server.report.document import read_report, report, write
from server.report.facts import Baseline, RunFacts, SiteFacts
from server.report.publication import KEY_FILE, card_facts, publish
from server.rounds import Metrics, Round
from server.signing import SigningKey
from server.tracking import track
from shared.adapters.peft import write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import RunError
from shared.ops.energy import Lap, laps_of
from shared.ops.extras import require_for
from shared.ops.runlog import RunLog
from simulations.assembly import Prepared, assemble, federate, held_out_records
from simulations.planning import site_plans
from simulations.progress import Progress
from simulations.sites import SiteData, read_sites, scrub_sites
from simulations.studies.baselines import baselines_of


def simulate(config: RunConfig, progress: Progress) -> tuple[Path, dict[str, Any]]:
    """Run the federation of a config; returns the run's folder and its report.

    Raises:
        HushtuneError: bad data, an unknown model, a plan that can't be met, or no round that counted.
    """
    require_for(config)
    run_id, stages, accountant = secrets.token_hex(8), Stages(), Accountant()
    refuse_what_does_not_fit(config)  # that, or a wrong name, should cost seconds, not an anonymisation
    refuse_no_writer(config)
    with stages.timed("plan"):
        plans = site_plans(config, accountant)
    folder = _fresh_folder(config)
    log = RunLog(folder / "events.jsonl")
    log.event("run_started", run_id=run_id, config_digest=config.digest())
    prepared = _prepare(config, plans, folder, stages, progress, accountant)
    with stages.timed("baselines"):
        baselines = _baselines(prepared)
    rounds = []
    progress.stage("train", config.training.rounds * len(prepared.sites))
    laps: list[Lap | None] = []
    attempts = until_over(_rounds(prepared, config, run_id, folder, progress), config.evaluation.patience)
    for done, lap in laps_of(attempts, config.report.energy, config.report.country):
        rounds.append(done)
        laps.append(lap)
        stages.add(done.stages)
        log.event("round", round=done.number, committed=done.committed, accepted=len(done.accepted), bytes_up=done.bytes_up)
        for rejected in done.rejected:
            log.event("rejected", round=done.number, site_id=rejected.site_id, reason=rejected.reason)
    with stages.timed("report"):
        facts = _facts(prepared, config, run_id, folder, baselines, rounds, laps, accountant)
        document = report(facts)
        key = SigningKey.load_or_create(folder / KEY_FILE)
        publish(card_facts(facts, folder, document["created"], simulated=True), folder, key)
    document |= {"stages": stages.rounded(), "seconds": round(sum(stages.seconds.values()), 2)}
    write(document, folder, config.report.html)
    track(document, folder, config)
    log.event("run_ended", rounds=len(rounds), seconds=document["seconds"])
    return folder, document


class Stages:
    """Seconds by stage of the run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, laps: Mapping[str, float]) -> None:
        """Add a round's stages."""
        for stage, seconds in laps.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def rounded(self) -> dict[str, float]:
        """Seconds by stage, to hundredths."""
        return {stage: round(seconds, 2) for stage, seconds in self.seconds.items()}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of a block to a stage."""
        start = time.monotonic()
        yield
        self.add({stage: time.monotonic() - start})


def _fresh_folder(config: RunConfig) -> Path:
    """The run's folder; an earlier run of the same name is moved aside, not overwritten."""
    folder = config.run.output / config.run.name
    try:
        if (folder / "report.json").is_file():
            earlier = re.sub(r"\W", "", str(read_report(folder).get("run_id")))
            folder.rename(folder.with_name(f"{folder.name}-{earlier}"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "events.jsonl").unlink(missing_ok=True)
        if (folder / "ledger").exists():  # of a run that never ended; what it spent is kept beside
            (folder / "ledger").rename(folder / f"ledger-unfinished-{secrets.token_hex(4)}")
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be used for this run ({type(error).__name__}); set run.output or run.name"
        ) from error
    return folder


def _prepare(
    config: RunConfig,
    plans: Mapping[str, PrivacyPlan | None],
    folder: Path,
    stages: Stages,
    progress: Progress,
    accountant: Accountant,
) -> Prepared:
    with stages.timed("data"):
        raw = read_sites(config, folder)
    with stages.timed("anonymise"):
        data = scrub_sites(config, raw, folder, progress)
    with stages.timed("model"):
        progress.stage("model", 1)
        public, test = split_validation(config, held_out_records(config, data))
        prepared = assemble(config, plans, data, test, folder, public, accountant)
        progress.advance(1)
    return prepared


def _baselines(prepared: Prepared) -> list[Baseline]:
    """Return the rows that the task is compared with."""
    return baselines_of(prepared.evaluator, [site.seen for site in prepared.sites])


def _rounds(prepared: Prepared, config: RunConfig, run_id: str, folder: Path, progress: Progress) -> Iterator[Round]:
    learner, evaluator = prepared.learner, prepared.validation or prepared.evaluator

    def evaluate(adapter: AdapterState) -> Metrics:
        write_adapter(learner.model, adapter)
        return evaluator.metrics(evaluator.outcome())

    def commit(done: Round) -> None:
        Checkpoint(run_id, done.number, config.digest(), done.adapter).save(folder / "checkpoint")

    return federate(prepared, config, run_id, progress.advance, evaluate, commit)


def _facts(
    prepared: Prepared,
    config: RunConfig,
    run_id: str,
    folder: Path,
    baselines: Sequence[Baseline],
    rounds: Sequence[Round],
    laps: Sequence[Lap | None],
    accountant: Accountant,
) -> RunFacts:
    final = published(prepared.validation, rounds).adapter
    chosen = choice(prepared.validation, rounds, config.training.rounds)
    write_adapter(prepared.learner.model, final)
    outcome, answers = prepared.evaluator.outcome(), read_answers(prepared.evaluator)
    return RunFacts(
        run_id=run_id,
        config=config,
        model=prepared.learner.base,
        adapter=save_adapter(prepared.learner, config, final, folder / "adapter"),
        baselines=baselines,
        base=baselines[0].metrics,
        final=prepared.evaluator.metrics(outcome),
        rounds=[done.without_cohort() for done in rounds] if prepared.plan else rounds,
        by_site=prepared.evaluator.by_site(outcome),
        sites=[
            _site_facts(d, site, prepared.plan, run_id, rounds)
            for d, site in zip(prepared.data, prepared.sites, strict=True)
        ],
        assessment=assess(prepared.evaluator, outcome, [baseline.rival for baseline in baselines], answers),
        choice=chosen,
        probes=probe(prepared.evaluator),
        laps=laps,
        accountant=accountant,
    )


def _site_facts(data: SiteData, site: Site, server: PrivacyPlan | None, run_id: str, rounds: Sequence[Round]) -> SiteFacts:
    both = (data.training, data.held_out)
    return SiteFacts(
        site_id=site.site_id,
        declared_size=site.declared_size,
        records=len(data.training.records),
        held_out=len(data.held_out.records),
        quarantine_reasons=Counter(str(held.reason) for part in both for held in part.quarantined),
        entities=data.training.entities,
        recalls=data.training.recall,
        plan=server or site.plan,
        rounds_spent=tuple(done.number for done in rounds if done.committed) if server else site.budget.rounds(run_id),
        ledger=site.budget.ledger.head(),
        epsilon_ever=None if server else site.budget.spent().epsilon,
        touched=data.touched,
    )
