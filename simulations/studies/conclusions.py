"""Draw conclusions from finished rows: average each method over its seeds, and test differences between methods in pairs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np

from shared.config.run import RunConfig
from shared.metrics.bootstrap import Interval, Sums, draws, interval_of
from shared.metrics.paired import compare
from shared.seeds import derive
from simulations.studies.results import Arm, Result

Row = tuple[str, str, tuple[str, ...], float | None]


def rows_of(config: RunConfig, results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """Yield one plain row for each method, model and epsilon: its measure over seeds and records, and its cost."""
    for (method, model, sites, epsilon), group in grouped(results).items():
        sums = [result.outcome.primary() for result in group]
        single = [each.value() for each in sums]
        yield {
            "method": method,
            "model": model,
            "sites": list(sites),
            "epsilon": epsilon,
            "metric": sums[0].name,
            "seeds": len(group),
            "records": len(group[0].places),
            "value": asdict(over_seeds(sums, *_resampling(config))),
            "lowest": min(single),
            "highest": max(single),
            "bytes": fmean(result.bytes for result in group),
            "seconds": fmean(result.seconds for result in group),
            "kwh": fmean(result.kwh for result in group),
        }


def grouped(results: Sequence[Result]) -> Mapping[Row, list[Result]]:
    """Group results that differ only in their seed."""
    groups: dict[Row, list[Result]] = defaultdict(list)
    for result in results:
        arm: Arm = result.arm
        groups[arm.method, arm.model, arm.sites, arm.epsilon].append(result)
    return groups


def over_seeds(sums: Sequence[Sums], resamples: int, confidence: float, seed: int) -> Interval:
    """Return the mean over S runs; each resample of its interval draws both records and seeds again.

    With few seeds the interval is too narrow, because resampling S seeds shows only (S - 1) / S of their variance.

    Parameters
    ----------
    sums
        The metric's sums of each of S runs, over the same N records.
    resamples
        Number of bootstrap resamples.
    confidence
        Coverage of the interval, 0 to 1.
    seed
        Seed of the resampling.
    """
    generator = np.random.default_rng(derive(seed, "seeds"))
    rows = np.stack([each.rows for each in sums])  # (S, N, K)
    values = [np.mean([each.value() for each in sums])]
    for chosen in draws(rows.shape[1], resamples, seed):
        picked = generator.integers(0, len(sums), size=len(sums))
        values.append(sums[0].measure(rows[picked][:, chosen].sum(axis=1)).mean())
    return interval_of(np.asarray(values), confidence)


def conclusions(config: RunConfig, results: Sequence[Result], owners: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield paired tests, by base model: whether training and federating pay, what privacy costs, what pooling would add."""
    groups = grouped(results)
    for model in dict.fromkeys(row[1] for row in groups if row[0] != "prompt"):
        for question, before, after, site in _questions(config, groups, model):
            if before in groups and after in groups:
                where = [owner == site for owner in owners] if site else None
                yield _answer(config, question, groups[before], groups[after], where)


def _questions(config: RunConfig, rows: Iterable[Row], model: str) -> Iterator[tuple[str, Row, Row, str]]:
    """Yield (question, row before, row after, site); only the site's records count, or all where it is empty."""
    everyone = tuple(site.id for site in config.data.sites)
    free: Row = ("federation", model, everyone, None)
    private: Row = (*free[:3], config.privacy.epsilon)
    for end in (free, private):
        untrained = [row for row in rows if row[:2] == ("base", model) or row[0] == "prompt"]
        yield from (("Is training needed?", row, end, "") for row in untrained)
    for end in (free, private):
        for site in everyone:
            yield "Does federating pay, compared with training alone?", ("alone", model, (site,), end[3]), end, site
    for row in rows:
        if row[:3] == free[:3] and row[3] is not None:
            yield "What does privacy cost?", free, row, ""
    yield "What would pooling all records add?", free, ("pooled", model, everyone, None), ""


def _answer(
    config: RunConfig, question: str, before: Sequence[Result], after: Sequence[Result], where: Sequence[bool] | None
) -> dict[str, Any]:
    """Return the paired change from one row to another, over the records that both were measured on."""
    both = set(before[0].places.tolist()) & set(after[0].places.tolist())
    places = np.array(sorted(place for place in both if where is None or where[place]))
    first, second = (averaged(side, places) for side in (before, after))
    found = compare(first, second, *_resampling(config))
    return {
        "question": question,
        "before": _plain(before[0].arm),
        "after": _plain(after[0].arm),
        "records": len(places),
        "metric": found.name,
        "from": first.value(),
        "to": second.value(),
        "change": asdict(found.change),
        "p_value": found.p_value,
    }


def _plain(arm: Arm) -> dict[str, Any]:
    return {**asdict(arm), "sites": list(arm.sites)}


def averaged(results: Sequence[Result], places: np.ndarray | None = None) -> Sums:
    """Return the mean over seeds of what each record adds to the primary metric, at some places or at all."""
    sums = [result.outcome.primary() for result in results]
    chosen = slice(None) if places is None else np.searchsorted(results[0].places, places)
    return Sums(sums[0].name, np.mean([each.rows[chosen] for each in sums], axis=0), sums[0].measure)


def _resampling(config: RunConfig) -> tuple[int, float, int]:
    section = config.evaluation
    return section.bootstrap, section.confidence, derive(config.run.seed, "bootstrap")
