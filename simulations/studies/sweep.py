"""Search a config's hyperparameters: each trial is a simulated federation, judged on public validation records."""

import json
import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import tomli_w

from client.data_stage.site_data import SiteData
from client.preflight import refuse_what_does_not_fit
from privacy.accounting import Accountant
from server.early_stopping import best_round, until_over, value_of
from server.evaluation import split_validation
from server.report.figures import epsilon
from shared.config.run import RunConfig
from shared.errors import ConfigError, RunError
from shared.ops.progress import Progress
from shared.records.types import Record
from simulations.assembly import assemble, federate, held_out_records
from simulations.planning import Plans, plan_rows
from simulations.reading import read_sites
from simulations.sites import scrub_sites
from simulations.studies.search import Report, search, section_of

BEST = "best.toml"
Ask = Callable[[str], bool]


def sweep(config: RunConfig, progress: Progress, ask: Ask) -> tuple[Path, dict[str, Any]]:
    """Run the trials that are missing, and return the folder and the results.

    Where the config names a lasting ledger, the records are private: each trial is charged to it like any run.

    Parameters
    ----------
    config
        The run; its section ``sweep`` names the fields to search.
    progress
        Called at the start of the stages ``anonymise`` and ``sweep``.
    ask
        Called with a question before each trial that is charged to a lasting ledger; False stops the search.

    Returns
    -------
    tuple
        The folder, with ``sweep.sqlite`` and ``best.toml``, and the trials as plain values.

    Raises
    ------
    HushtuneError
        The config has no search, a trial cannot be run, the budget is used up, or ``ask`` returned False.
    """
    section = section_of(config)
    _refuse(config)
    folder = config.run.output / config.run.name
    with tempfile.TemporaryDirectory() as scratch:
        data = scrub_sites(config, read_sites(config, Path(scratch)), folder, progress)
    held_out = held_out_records(config, data)

    def objective(trial: RunConfig, report: Report) -> float:
        _consent(trial, ask)
        return run_trial(trial, data, held_out, folder / "trials" / secrets.token_hex(6), report)

    found = search(config, folder, objective, progress("sweep", section.trials))
    best = tomli_w.dumps(found.best.model_dump(mode="json", exclude_none=True))
    header = f"# The best of {len(found.trials)} trials of sweep {config.run.name}, chosen on public validation records.\n\n"
    (folder / BEST).write_text(header + best, encoding="utf-8")
    document = {
        "run": config.run.name,
        "fields": [space.field for space in section.space],
        "trials": [asdict(trial) for trial in found.trials],
        "importance": dict(found.importance),
        "best": str(folder / BEST),
    }
    (folder / "sweep.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return folder, document


def run_trial(
    config: RunConfig, data: Sequence[SiteData], held_out: Sequence[tuple[str, Record]], folder: Path, report: Report
) -> float:
    """Run one federation, and return the value of its best round on the validation records; more is better.

    ``report`` is called with (round, value) after each committed round; ``folder`` is for the ledgers of this trial alone.
    """
    public, _ = split_validation(config, held_out)
    data = [replace(each, section=section) for section, each in zip(config.data.sites, data, strict=True)]
    accountant = Accountant()
    prepared = assemble(config, Plans.of(config, accountant), data, public, folder, accountant=accountant)
    rounds = []
    attempts = federate(prepared, config, secrets.token_hex(8), lambda _: None, prepared.measures.evaluate, lambda _: None)
    for done in until_over(attempts, config.evaluation.patience, byte_budget=config.training.byte_budget):
        rounds.append(done)
        if done.committed:
            report(done.number, value_of(done.metrics))
    return value_of(best_round(rounds).metrics)


def _refuse(config: RunConfig) -> None:
    """Refuse a search that would fail late, or that would use private records without a guarantee."""
    if not config.evaluation.validation:
        raise ConfigError("evaluation.validation: trials are judged on public validation records; set it above 0")
    if config.privacy.ledger is not None and not config.privacy.enabled:
        raise ConfigError("privacy.enabled = false: privacy.ledger says that the records are private; search under privacy")
    refuse_what_does_not_fit(config)


def _consent(trial: RunConfig, ask: Ask) -> None:
    """Ask before a trial that a lasting ledger pays for."""
    if trial.privacy.ledger is None:
        return
    rows = plan_rows(trial)
    costs = "; ".join(
        f"{row['site_id']}: {epsilon(row['spent_before'])} spent, {epsilon(row['epsilon_ever'])} after, budget "
        f"{epsilon(row['budget'])}"
        for row in rows
    )
    if not ask(f"This trial trains on private records and is charged to their ledgers (epsilon by site: {costs}). Run it?"):
        raise RunError("sweep: stopped before a trial that was not agreed to; nothing was spent on it")
