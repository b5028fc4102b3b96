"""Search hyperparameters with Optuna: trials are stored in SQLite, so an interrupted search resumes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from shared.config.run import RunConfig
from shared.config.studies import SpaceSection, SweepSection
from shared.errors import ConfigError, LedgerError, PrivacyError, RunError
from shared.ops.progress import Advance

STORE = "sweep.sqlite"
Report = Callable[[int, float], None]
Objective = Callable[[RunConfig, Report], float]
DONE = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


@dataclass(frozen=True)
class Trial:
    """A finished trial: its state, its settings, and its value (higher is better).

    A pruned trial has the value of its last reported round, or None.
    """

    number: int
    state: str
    value: float | None
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """The result of a search."""

    trials: tuple[Trial, ...]
    best: RunConfig
    importance: Mapping[str, float]


def search(config: RunConfig, folder: Path, objective: Objective, advance: Advance) -> Found:
    """Run the trials that are missing, and return the results of all.

    A trial whose process died is run again with the same settings. A trial whose plan cannot be met counts as pruned.

    Parameters
    ----------
    config
        The run; its section ``sweep`` names the fields to search.
    folder
        Folder of the SQLite store.
    objective
        Runs a trial; called with its config and a function that reports (round, value), higher is better.
    advance
        Called with the number of trials done since the last call.

    Raises
    ------
    HushtuneError
        No trial finished, the folder holds another search, or a searched field or value is not valid in the config.
    """
    section = section_of(config)
    study = _study(config, section, folder)
    for dead in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.enqueue_trial(dead.params)
        study.tell(dead.number, state=optuna.trial.TrialState.FAIL)
    advance(len(study.get_trials(deepcopy=False, states=DONE)))
    while len(study.get_trials(deepcopy=False, states=DONE)) < section.trials:
        _run_one(study, config, section, objective)
        advance(1)
    return _found(study, config, section)


def trial_config(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """Return the config of a trial: with the searched fields set, and without the search.

    Raises
    ------
    ConfigError
        A field does not exist or a value is out of its range.
    """
    tree = config.model_dump(mode="json")
    tree["sweep"] = None
    for dotted, value in settings.items():
        section, name = dotted.split(".")
        tree[section] = {**(tree.get(section) or {}), name: value}
    return RunConfig.parse(tree, "sweep.space")


def section_of(config: RunConfig) -> SweepSection:
    """Return the search that a config asks for.

    Raises
    ------
    ConfigError
        The config has no search, or a searched field or value is not valid.
    """
    if config.sweep is None:
        raise ConfigError("sweep: the config names no search; add [[sweep.space]], as in configs/demo_sweep.toml")
    for space in config.sweep.space:
        first = space.choices[0] if space.choices else space.low
        trial_config(config, {space.field: int(first or 0) if space.whole else first})
    return config.sweep


def _study(config: RunConfig, section: SweepSection, folder: Path) -> optuna.Study:
    """Return the folder's study, which is made if there is none; refuse a study of another config."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / STORE}",
        study_name=config.run.name,
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=config.run.seed),
        pruner=optuna.pruners.MedianPruner() if section.prune else optuna.pruners.NopPruner(),
    )
    tree = config.model_dump(mode="json")
    del tree["sweep"]["trials"], tree["run"]["output"], tree["report"]
    known = study.user_attrs.get("config")
    if known is None:
        study.set_user_attr("config", json.dumps(tree, sort_keys=True))
    elif known != json.dumps(tree, sort_keys=True):
        raise RunError(f"{folder / STORE}: holds the search of another config; set run.name, or move the folder away")
    return study


def _run_one(study: optuna.Study, config: RunConfig, section: SweepSection, objective: Objective) -> None:
    trial = study.ask()
    settings = {space.field: _suggest(trial, space) for space in section.space}

    def report(number: int, value: float) -> None:
        trial.report(value, number)
        if trial.should_prune():
            raise optuna.TrialPruned

    state, value = optuna.trial.TrialState.FAIL, None
    try:
        value = objective(trial_config(config, settings), report)
        state = optuna.trial.TrialState.COMPLETE
    except LedgerError:  # a used-up budget ends the search
        raise
    except (optuna.TrialPruned, PrivacyError):
        state = optuna.trial.TrialState.PRUNED
    finally:
        study.tell(trial, value, state)


def _suggest(trial: optuna.Trial, space: SpaceSection) -> Any:
    if space.choices:
        return trial.suggest_categorical(space.field, space.choices)
    low, high = space.low or 0.0, space.high or 0.0
    if space.whole:
        return trial.suggest_int(space.field, int(low), int(high), log=space.log)
    return trial.suggest_float(space.field, low, high, log=space.log)


def _found(study: optuna.Study, config: RunConfig, section: SweepSection) -> Found:
    trials = study.get_trials(deepcopy=False, states=DONE)
    complete = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not complete:
        raise RunError(f"sweep {config.run.name}: no trial of {len(trials)} met its plan; widen the space or raise epsilon")
    varied = len(complete) > 1 and len({trial.value for trial in complete}) > 1
    return Found(
        tuple(Trial(t.number, t.state.name.lower(), t.value, dict(t.params)) for t in trials),
        trial_config(config, study.best_params),
        optuna.importance.get_param_importances(study) if varied else {},
    )
