"""Compensate for rare labels: by weights in the loss, or, without privacy, by resampling."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from client.units import Floats, TrainingSet
from privacy.dp.release import release_label_counts
from shared.config.data_stage import BalanceSection
from shared.config.run import RunConfig
from shared.seeds import stream
from shared.tasks.micro_batches import Unit


def label_weights(data: TrainingSet, config: RunConfig, private: bool) -> Floats | None:
    """Return a weight for each label, or None where all weigh the same.

    With ``balance.weights = 'counts'`` and a privacy plan, each call releases noised counts once; the plan has an event for
    one such release in each round.

    Parameters
    ----------
    data
        A site's training set.
    config
        The run's config.
    private
        Whether the site has a privacy plan, so that exact counts must not be used.

    Returns
    -------
    array of float64, shape (L,)
        Weights in the order of ``task.labels``.
    """
    balance, labels = config.balance, len(config.task.labels)
    if balance.weights == "none":
        return None
    if balance.weights == "public":
        return inverse_shares(np.array(balance.label_shares), balance)
    shares = data.label_shares(labels)
    counts = release_label_counts(shares, balance) if private else shares.sum(axis=0)
    return inverse_shares(counts, balance)


def inverse_shares(counts: Floats, balance: BalanceSection) -> Floats:
    """Return weights in inverse proportion to counts or shares, of mean 1 over records, none above ``largest_weight``.

    A label with a count near 0, or with a noised count below 0, has the largest weight.
    """
    shares = np.maximum(counts, 0) / max(np.maximum(counts, 0).sum(), 1e-12)
    weights = 1 / np.maximum(shares * len(shares), 1 / balance.largest_weight)
    mean = float((weights * shares).sum()) or 1.0
    return np.asarray(np.minimum(weights / mean, balance.largest_weight), dtype=np.float64)


def resampled(data: TrainingSet, config: RunConfig, site_id: str) -> TrainingSet:
    """Repeat units with rare labels, or leave out some with frequent ones, by ``balance.resample``; never under privacy."""
    how = config.balance.resample
    if how == "none" or not data.units:
        return data
    by_label: dict[int, list[Unit]] = defaultdict(list)
    for unit in data.units:
        by_label[data.label(unit)].append(unit)
    sizes = [len(units) for units in by_label.values()]
    size = max(sizes) if how == "over" else min(sizes)
    order = stream(config.run.seed, "resample", site_id)
    units = [unit for label in sorted(by_label) for unit in _cycled(by_label[label], size, order)]
    return TrainingSet(data.examples, units, data.viewer)


def _cycled(units: Sequence[Unit], size: int, order: np.random.Generator) -> list[Unit]:
    """Return ``size`` of the units in a random order, which starts again after the last unit."""
    shuffled = [units[index] for index in order.permutation(len(units))]
    return [shuffled[index % len(shuffled)] for index in range(size)]
