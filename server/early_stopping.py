"""Which round is published, and when to stop: decided on public validation records, so it costs no privacy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from server.evaluation import Evaluator
from server.model_assessment import resampling
from server.rounds import Metrics, Round
from shared.adapters.peft import write_adapter
from shared.metrics.bootstrap import Sums
from shared.metrics.paired import compare
from shared.metrics.registry import measure


def value_of(metrics: Metrics) -> float:
    """The chief metric of a round, turned so that more is better."""
    name = next(iter(metrics))
    return -metrics[name].value if measure(name).lower_is_better else metrics[name].value


def best_round(rounds: Sequence[Round]) -> Round:
    """The committed round that does best on the validation records; the earliest of equals."""
    return max((done for done in rounds if done.committed), key=lambda done: value_of(done.metrics))


def is_over(rounds: Sequence[Round], patience: int) -> bool:
    """Whether ``patience`` committed rounds have passed since the best one; never with a patience of 0."""
    committed = [done for done in rounds if done.committed]
    if not patience or not committed:
        return False
    return len(committed) - 1 - committed.index(best_round(rounds)) >= patience


def until_over(attempts: Iterable[Round], patience: int, before: Sequence[Round] = ()) -> Iterator[Round]:
    """The attempts, up to the one that the run is over with; none is begun where ``before`` says that it is already."""
    seen, source = list(before), iter(attempts)
    while not is_over(seen, patience):
        done = next(source, None)
        if done is None:
            return
        seen.append(done)
        yield done


def published(validation: Evaluator | None, rounds: Sequence[Round]) -> Round:
    """The round whose adapter is published: the best on the validation records, or the last where there are none."""
    return best_round(rounds) if validation else rounds[-1]


def choice(validation: Evaluator | None, rounds: Sequence[Round], planned: int) -> dict[str, Any] | None:
    """What was chosen and why, as plain values, with a warning where the model got worse after its best round.

    None where there are no validation records, and the last round is published. The model is left with the last adapter.
    """
    if validation is None:
        return None
    best, last = best_round(rounds), [done for done in rounds if done.committed][-1]
    at_best, at_last = (_chief(validation, done) for done in (best, last))
    change = compare(at_best, at_last, *resampling(validation))
    return {
        "validation_records": len(validation.examples),
        "metric": change.name,
        "best_round": best.number,
        "last_round": last.number,
        "planned_rounds": planned,
        "after_best": asdict(change.change) | {"p_value": change.p_value},
        "overfits": _worse(change.name, asdict(change.change)),
        "gaps": [gap for done in rounds if (gap := _gap(done)) is not None],
    }


def _chief(validation: Evaluator, done: Round) -> Sums:
    """The sums of the chief measure after a round, on the validation records."""
    write_adapter(validation.learner.model, done.adapter)
    return validation.learner.task.chief(validation.outcome())


def _worse(metric: str, change: Mapping[str, float]) -> bool:
    """Whether the whole interval of a change is for the worse."""
    return change["low"] > 0 if measure(metric).lower_is_better else change["high"] < 0


def _gap(done: Round) -> dict[str, float] | None:
    """Accuracy on the sites' training records, from their released sums alone, beside that on the validation records.

    A site measures the adapter that its order brought, so this round's sums belong to the round before.
    """
    sums = [site for site in done.released.values() if "hits" in site]
    records = sum(site["records"] for site in sums)
    if records <= 0 or "accuracy" not in done.metrics:
        return None
    return {"adapter_of_round": done.number - 1, "training_accuracy": sum(site["hits"] for site in sums) / records}
