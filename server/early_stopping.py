"""Early stopping: choose the round to publish and when to stop, by public records or bytes, which costs no privacy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from server.evaluation import Evaluator
from server.rounds import Metrics, Round
from shared.adapters.peft import write_adapter
from shared.metrics.bootstrap import Sums
from shared.metrics.paired import compare
from shared.metrics.registry import measure


def value_of(metrics: Metrics) -> float:
    """Return the primary metric of a round, with its sign changed if lower is better.

    Parameters
    ----------
    metrics
        The metrics of a round, the primary metric first.
    """
    name = next(iter(metrics))
    return -metrics[name].value if measure(name).lower_is_better else metrics[name].value


def best_round(rounds: Sequence[Round]) -> Round:
    """Return the committed round that does best on the validation records, the earliest of equals.

    Parameters
    ----------
    rounds
        The rounds so far, at least one of them committed.
    """
    return max((done for done in rounds if done.committed), key=lambda done: value_of(done.metrics))


def is_over(rounds: Sequence[Round], patience: int) -> bool:
    """Say whether ``patience`` committed rounds have passed since the best one.

    Parameters
    ----------
    rounds
        The rounds so far.
    patience
        The number of rounds to wait for a better one; 0 waits for ever.
    """
    committed = [done for done in rounds if done.committed]
    if not patience or not committed:
        return False
    return len(committed) - 1 - committed.index(best_round(rounds)) >= patience


def is_spent(rounds: Sequence[Round], byte_budget: int | None) -> bool:
    """Say whether one more round could exceed the byte budget; only a committed round ends a run.

    Parameters
    ----------
    rounds
        The rounds so far, abandoned attempts included, whose bytes count too.
    byte_budget
        Bytes on the wire of the whole run, both ways; None is no limit.
    """
    if byte_budget is None or not rounds or not rounds[-1].committed:
        return False
    used = [done.bytes_up + done.bytes_down for done in rounds]
    return sum(used) + max(used) > byte_budget


def until_over(
    attempts: Iterable[Round], patience: int, before: Sequence[Round] = (), byte_budget: int | None = None
) -> Iterator[Round]:
    """Yield rounds until the run is over; start none if ``before`` shows that the run is over already.

    Parameters
    ----------
    attempts
        The rounds to come; taking the next one runs it.
    patience
        The number of rounds to wait for a better one; 0 waits for ever.
    before
        The rounds of the run before it was resumed.
    byte_budget
        Bytes on the wire of the whole run, both ways; None is no limit.
    """
    seen, source = list(before), iter(attempts)
    while not (is_over(seen, patience) or is_spent(seen, byte_budget)):
        done = next(source, None)
        if done is None:
            return
        seen.append(done)
        yield done


def choice(validation: Evaluator | None, rounds: Sequence[Round], planned: int) -> dict[str, Any] | None:
    """Return the published round and the reason as plain values; None without validation records.

    The values say whether the model got worse after its best round. The model is left with the last adapter.

    Parameters
    ----------
    validation
        The evaluator of the validation records, or None.
    rounds
        The rounds of the run.
    planned
        The number of rounds that the config asks for.
    """
    if validation is None:
        return None
    best, last = best_round(rounds), [done for done in rounds if done.committed][-1]
    at_best, at_last = (_primary(validation, done) for done in (best, last))
    change = compare(at_best, at_last, *validation.resampling)
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


def _primary(validation: Evaluator, done: Round) -> Sums:
    """Return the primary metric after a round, on the validation records."""
    write_adapter(validation.learner.model, done.adapter)
    return validation.outcome().primary()


def _worse(metric: str, change: Mapping[str, float]) -> bool:
    """Say whether the whole interval of a change is for the worse."""
    return change["low"] > 0 if measure(metric).lower_is_better else change["high"] < 0


def _gap(done: Round) -> dict[str, float] | None:
    """Return the accuracy on the sites' training records, from their released sums, to set against the validation accuracy.

    A site measures the adapter that came with the order, so the sums of this round belong to the round before.
    """
    sums = [site for site in done.released.values() if "hits" in site]
    records = sum(site["records"] for site in sums)
    if records <= 0 or "accuracy" not in done.metrics:
        return None
    return {"adapter_of_round": done.number - 1, "training_accuracy": sum(site["hits"] for site in sums) / records}
