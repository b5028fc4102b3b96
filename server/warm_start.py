"""Start a run from an adapter that was trained on public text, which no epsilon covers and which needs none."""

from server.evaluation import Evaluator
from server.model_assessment import Rival, read_answers
from server.report.facts import Baseline
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.tasks.adapter_files import read_config
from shared.tasks.base import Learner

NAME, LABELS = "warm start alone", "names of the labels alone"


def start_of(config: RunConfig, learner: Learner) -> AdapterState:
    """Return the adapter that a run starts from: the one of ``model.warm_start``, or the model's own untrained one.

    Parameters
    ----------
    config
        The run.
    learner
        Its task with the model, whose adapter is untrained; the adapter is untrained again when this function returns.

    Raises
    ------
    ConfigError
        The folder holds another adapter than the config names, or one that does not fit (`refuse_other_start`).
    ModelError
        The folder is not the adapter of a finished run.
    """
    folder = config.model.warm_start
    if folder is None:
        return learner.task.start(learner.model)
    untrained = read_adapter(learner.model)
    refuse_other_start(config)
    learner.task.restore(learner.model, folder)
    found = read_adapter(learner.model)
    write_adapter(learner.model, untrained)
    if found.digest() != config.model.warm_start_digest:
        raise ConfigError(
            f"model.warm_start_digest: {folder} holds the adapter with digest {found.digest()}; set this digest if you know "
            "that the adapter was trained on public text only"
        )
    return found


def refuse_other_start(config: RunConfig) -> None:
    """Refuse an adapter that was trained with other settings that change its meaning; called before slow work.

    Parameters
    ----------
    config
        The run. Its seed must be that of the adapter's run, because the frozen half of an adapter follows from the seed.

    Raises
    ------
    ConfigError
        The adapter of ``model.warm_start`` was trained with another base model, seed, adapter or task, or on records that
        are not public.
    ModelError
        The folder is not the adapter of a finished run.
    """
    folder = config.model.warm_start
    if folder is None:
        return
    if config.adversary is not None:
        raise ConfigError("model.warm_start: an adversary's head is never published; remove model.warm_start or [adversary]")
    trained = read_config(folder)
    compared = {
        "model.name": (config.model.name, trained.model.name),
        "run.seed": (config.run.seed, trained.run.seed),
        "task.name": (config.task.name, trained.task.name),
        "task.labels": (tuple(config.task.labels), tuple(trained.task.labels)),
        "adapter": (config.adapter, trained.adapter),
    }
    for field, (own, other) in compared.items():
        if own != other:
            raise ConfigError(
                f"model.warm_start: {folder} was trained with another {field}, so its numbers do not fit this run; train "
                f"the public adapter with the same {field}"
            )
    if trained.privacy.enabled or trained.data.source == "sites":
        raise ConfigError(
            f"model.warm_start: {folder} was trained with privacy or at real sites, so on records that this run's epsilon "
            "does not count; train the public adapter on public text, with privacy.enabled = false"
        )


def start_baselines(evaluator: Evaluator, start: AdapterState) -> list[Baseline]:
    """Measure the adapter that the run starts from, so that its accuracy is not counted as a gain of the run.

    Parameters
    ----------
    evaluator
        The evaluator of the test records; the adapter in its model is the same before and after.
    start
        The adapter that the run starts from (`start_of`).

    Returns
    -------
    list of Baseline
        One row, which counts as private, because no record of a site has a part in it; none for an untrained start.
    """
    config = evaluator.config
    if config.model.warm_start is not None:
        name, note = NAME, "the public adapter that the run started from"
    elif config.task.head_start == "labels":
        name, note = LABELS, "the head that the run started from: the embeddings of the labels' names, without training"
    else:
        return []
    before = read_adapter(evaluator.learner.model)
    row = start_baseline(evaluator, name, note, start)
    write_adapter(evaluator.learner.model, before)
    return [row]


def start_baseline(evaluator: Evaluator, name: str, note: str, start: AdapterState) -> Baseline:
    """Measure the adapter that the run starts from; it stays in the evaluator's model."""
    write_adapter(evaluator.learner.model, start)
    rival = Rival(name, evaluator.outcome(), read_answers(evaluator))
    return Baseline(name, note, True, evaluator.metrics(rival.outcome), rival)
