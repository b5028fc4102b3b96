"""Evaluation probes of a finished adapter: noise, groups, swapped words, backdoors and forgetting.

The probes use held-out records and public texts that the server may use; they ask no site for anything.
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
    """Run the probes that ``evaluation.probes`` asks for and that make sense for the task.

    Parameters
    ----------
    evaluator
        The evaluator of the test records, with the model to probe.

    Returns
    -------
    dict or None
        The results as plain values, None for a probe that was not run; None if the config asks for no probe.

    Raises
    ------
    ConfigError
        A group is asked for that no record declares.
    DataError
        The file of public texts cannot be used.
    """
    section, probes = evaluator.config.evaluation.probes, evaluator.learner.task.probes
    if section is None:
        return None
    chosen = sampled(evaluator, section.max_records)
    return {
        "records": len(chosen.examples),
        "robustness": robustness(chosen, section) if section.noises and "robustness" in probes else None,
        "swaps": swaps(chosen, section) if "swaps" in probes else [],
        "backdoor": backdoor(chosen, section) if section.backdoor and "backdoor" in probes else None,
        "groups": by_group(evaluator, section.group) if section.group and "groups" in probes else None,
        "forgetting": forgetting(evaluator, section.general) if section.forgetting and "forgetting" in probes else None,
    }


def sampled(evaluator: Evaluator, most: int) -> Evaluator:
    """Return the evaluator on a seeded choice of at most ``most`` of its records, in their order."""
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
