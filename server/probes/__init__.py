"""What a finished adapter does beyond its score: noise, groups, swapped words, planted ones, and what it forgot.

Everything is measured on held-out records and public texts that the server may use; no site is asked for anything.
"""

from dataclasses import replace
from typing import Any

from server.evaluation import Evaluator
from server.probes.backdoor import backdoor
from server.probes.forgetting import forgetting
from server.probes.groups import by_group
from server.probes.robustness import robustness
from server.probes.swaps import swaps
from shared.seeds import stream


def probe(evaluator: Evaluator) -> dict[str, Any] | None:
    """All that ``evaluation.probes`` asks of the model as it stands, as plain values; None where it asks for nothing.

    Raises:
        ConfigError: a group is asked for that no record declares.
        DataError: the file of public texts cannot be used.
    """
    section = evaluator.config.evaluation.probes
    if section is None:
        return None
    chosen = sampled(evaluator, section.max_records)
    return {
        "records": len(chosen.examples),
        "robustness": robustness(chosen, section) if section.noises else None,
        "swaps": swaps(chosen, section),
        "backdoor": backdoor(chosen, section) if section.backdoor else None,
        "groups": by_group(evaluator, section.group) if section.group else None,
        "forgetting": forgetting(evaluator, section.general) if section.forgetting else None,
    }


def sampled(evaluator: Evaluator, most: int) -> Evaluator:
    """The evaluator on a seeded choice of its records, in their order, where there are more."""
    total = len(evaluator.records)
    if total <= most:
        return evaluator
    places = sorted(stream(evaluator.config.run.seed, "probes").choice(total, most, replace=False).tolist())
    prefix = evaluator.prefix and replace(evaluator.prefix, states=tuple(evaluator.prefix.states[place] for place in places))
    return replace(
        evaluator,
        prefix=prefix,
        examples=[evaluator.examples[place] for place in places],
        owners=[evaluator.owners[place] for place in places],
        records=[evaluator.records[place] for place in places],
        groups=[evaluator.groups[place] for place in places],
    )
