"""Carry out a simulation step by step: anonymise, set up the sites, train with the production round loop, and report."""

import re
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from client.data_stage.augmentation.writer import refuse_no_writer
from client.data_stage.site_data import SiteData
from client.metering import NAME, engine_device, metered, sizes_of
from client.preflight import refuse_what_does_not_fit, shapes_of
from privacy.accounting import Accountant
from privacy.anonymise.pipeline import Anonymiser
from privacy.dp.plan import PrivacyPlan
from server.checkpoint import Checkpoint
from server.early_stopping import until_over
from server.evaluation import split_validation
from server.products import Stages, write_products
from server.report.facts import Baseline, SiteFacts
from server.report.files import read_report
from server.report.publication import KEY_FILE
from server.report.result import RunResult
from server.rounds import Round
from server.warm_start import refuse_other_start, start_baselines
from shared.config.run import RunConfig
from shared.errors import RunError
from shared.ops.disk import FolderLock
from shared.ops.energy import Lap, laps_of
from shared.ops.findings import write_findings
from shared.ops.progress import Progress
from shared.ops.runlog import RunLog
from simulations.assembly import Federation, Member, assemble, federate, held_out_records
from simulations.fleets.hosting import MOST_SITES
from simulations.fleets.own_process import OwnProcess
from simulations.fleets.pool import Pool
from simulations.fleets.workers import WorkerPool
from simulations.personal import personal_adapters, refuse_beyond_budget, refuse_unmeasured
from simulations.planning import Plans
from simulations.reading import read_sites
from simulations.sites import scrub_sites
from simulations.studies.baselines import baselines_of


def run_pipeline(
    config: RunConfig, anonymiser: Anonymiser, progress: Progress, workers: int, ray: str | None, personal: bool
) -> RunResult:
    """Run a federation from config to report; the parameters are those of `simulations.run.simulate`."""
    if personal:
        refuse_unmeasured(config, workers > 1 or ray is not None)
    run_id, stages, accountant = secrets.token_hex(8), Stages(), Accountant()
    refuse_what_does_not_fit(config)  # checked first, so that an error costs seconds
    refuse_no_writer(config)
    refuse_other_start(config)
    with stages.timed("plan"):
        plans = Plans.of(config, accountant, progress)
    with ExitStack() as held:
        folder = _fresh_folder(config, held)
        pool = _pool(workers, ray, len(config.data.sites))
        if pool is not None:
            held.enter_context(pool)
        return _train_and_report(config, run_id, plans, folder, stages, accountant, progress, pool, personal, anonymiser)


def _pool(workers: int, ray: str | None, sites: int) -> Pool | None:
    """Return the workers that train the sites; None keeps all sites in the memory of this process, which pays if few."""
    if ray is not None:
        from simulations.fleets.ray import RayPool  # needs the extra 'ray'

        return RayPool(ray)
    if workers > 1:
        return WorkerPool(workers)
    return OwnProcess() if sites > MOST_SITES else None


def _train_and_report(
    config: RunConfig,
    run_id: str,
    plans: Plans,
    folder: Path,
    stages: Stages,
    accountant: Accountant,
    progress: Progress,
    pool: Pool | None,
    personal: bool,
    anonymiser: Anonymiser,
) -> RunResult:
    """Train and report a run whose folder is locked."""
    with stages.timed("plan"):
        _meter(config, plans, folder, accountant)
    log = RunLog(folder / "events.jsonl")
    log.event("run_started", run_id=run_id, config_digest=config.digest())
    prepared = _prepare(config, plans, folder, stages, progress, accountant, pool, anonymiser)
    if personal:
        refuse_beyond_budget(prepared.sites)
    with stages.timed("baselines"):
        advance = progress("baselines", 1)
        baselines = _baselines(prepared)
        advance(1)
    rounds, laps = [], []
    for done, lap in _rounds(prepared, config, run_id, folder, progress):
        rounds.append(done)
        laps.append(lap)
        stages.add(done.stages)
        _log_round(log, done)
    by_site = config.evaluation.file is None  # the records of this file belong to no site
    with stages.timed("report"):
        advance = progress("report", 1)
        sites = [
            _site_facts(*each, prepared.plan, run_id, rounds) for each in zip(prepared.data, prepared.sites, strict=True)
        ]
        facts = prepared.measures.facts(config, run_id, folder, rounds, baselines, sites, laps, accountant, by_site)
    if personal:  # only after the facts of the run, which must not contain the additional round
        with stages.timed("personal"):
            published = prepared.measures.published(rounds).adapter
            facts = replace(facts, personal=personal_adapters(prepared, run_id, published))
    document = write_products(facts, folder, folder / KEY_FILE, stages, simulated=True)
    advance(1)
    log.event("run_ended", rounds=len(rounds), seconds=document["seconds"])
    return RunResult(folder, document)


def _meter(config: RunConfig, plans: Plans, folder: Path, accountant: Accountant) -> None:
    """Meter the engine for each plan of a site, as each real site does, and store the findings for report and card."""
    if not any(plans.sites.values()):
        return
    found = {"config_digest": config.digest(), "passed": True, "plans": []}
    for rank in sorted(set(config.ranks.values())):
        of_rank = {site: plans.sites[site] for site, own in config.ranks.items() if own == rank}
        sizes = sizes_of(shapes_of(config.at_site(next(iter(of_rank)))))
        seen = metered(of_rank, sizes, engine_device(config.model.device))
        for reading in seen.readings.values():
            reading.refuse_failure()
        found["plans"] += seen.document(accountant)["plans"]
    write_findings(folder, NAME, found)


def _log_round(log: RunLog, done: Round) -> None:
    seen = {"accepted": len(done.accepted), "bytes_up": done.bytes_up, "lost": done.lost}
    log.event("round", round=done.number, committed=done.committed, **seen)
    for rejected in done.rejected:
        log.event("rejected", round=done.number, site_id=rejected.site_id, reason=rejected.reason)


def _fresh_folder(config: RunConfig, held: ExitStack) -> Path:
    """Make the run's folder and lock it; an earlier run of the same name is moved aside, not overwritten."""
    folder = config.run.output / config.run.name
    try:
        held.enter_context(FolderLock(folder, "a simulation"))
        if (folder / "report.json").is_file():
            earlier = re.sub(r"\W", "", str(read_report(folder).get("run_id")))
            folder.rename(folder.with_name(f"{folder.name}-{earlier}"))
            held.enter_context(FolderLock(folder, "a simulation"))
        (folder / "events.jsonl").unlink(missing_ok=True)
        if (folder / "ledger").exists():  # of an unfinished run; what it spent must not be lost
            (folder / "ledger").rename(folder / f"ledger-unfinished-{secrets.token_hex(4)}")
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be used for this run ({type(error).__name__}); set run.output or run.name"
        ) from error
    return folder


def _prepare(
    config: RunConfig,
    plans: Plans,
    folder: Path,
    stages: Stages,
    progress: Progress,
    accountant: Accountant,
    pool: Pool | None,
    anonymiser: Anonymiser,
) -> Federation:
    with stages.timed("data"):
        anonymiser.wait_until_read()  # another thread may be generating the same records
        raw = read_sites(config, folder)
    with stages.timed("anonymise"):
        data = scrub_sites(config, raw, folder, progress, anonymiser)
    with stages.timed("model"):
        advance = progress("model", 1)
        public, test = split_validation(config, held_out_records(config, data))
        prepared = assemble(config, plans, data, test, folder, public, accountant, pool)
        advance(1)
    return prepared


def _baselines(prepared: Federation) -> list[Baseline]:
    """Return the baselines of the task, measured before training."""
    evaluator = prepared.measures.evaluator
    found = baselines_of(evaluator, prepared.sites, prepared.embeddings)
    return [*found, *start_baselines(evaluator, prepared.start)]


def _rounds(
    prepared: Federation, config: RunConfig, run_id: str, folder: Path, progress: Progress
) -> Iterator[tuple[Round, Lap | None]]:
    """Yield each attempt at a round with its energy."""

    def commit(done: Round) -> None:
        Checkpoint(run_id, done.number, config.digest(), done.adapter, memory=done.memory).save(folder / "checkpoint")

    phases = 2 if config.adds_up_under_masks else 1  # questions to a site in a round
    asked = min(len(prepared.sites), config.cohort.sample or len(prepared.sites))
    advance = progress("train", config.training.rounds * asked * phases)
    attempts = federate(prepared, config, run_id, advance, prepared.measures.evaluate, commit)
    rounds = until_over(attempts, config.evaluation.patience, byte_budget=config.training.byte_budget)
    return laps_of(rounds, config.report.energy, config.report.country)


def _site_facts(data: SiteData, site: Member, server: PrivacyPlan | None, run_id: str, rounds: Sequence[Round]) -> SiteFacts:
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
