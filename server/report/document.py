"""Build the content of report.json: the results of a run in plain numbers."""

import datetime
import importlib.metadata
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan, grids_of
from privacy.leakage.recall import merge_recalls, overall
from privacy.mechanism_event import Purpose
from privacy.stability import effects
from server.report import disclosure, wording
from server.report.facts import Baseline, RunFacts, SiteFacts
from server.report.trust_words import trust_words
from server.rounds import Metrics, Round
from shared.models.load import LoadedModel
from shared.ops.energy import Lap
from shared.ops.extras import is_installed

LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "opacus",
    "dp-accounting",
    "flwr",
    "presidio-analyzer",
    "presidio-anonymizer",
)


def report(facts: RunFacts) -> dict[str, Any]:
    """Build the content of report.json; the caller adds ``stages`` and ``seconds`` (times) at the end of the run.

    Parameters
    ----------
    facts
        All facts about the run that a report may state.
    """
    config = facts.config
    epsilons = {plan: plan.epsilon_by_round(facts.accountant) for plan in {site.plan for site in facts.sites} if plan}
    return {
        "hushtune": importlib.metadata.version("hushtune"),
        "run": config.run.name,
        "run_id": facts.run_id,
        "task": config.task.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": config.model_dump(mode="json"),
        "config_digest": config.digest(),
        "seed": config.run.seed,
        "versions": versions(),
        "model": _model(facts.model),
        "adapter": dict(facts.adapter),
        "baselines": [_baseline(baseline) for baseline in facts.baselines],
        "base": _metrics(facts.base),
        "final": _metrics(facts.final),
        "choice": dict(facts.choice) if facts.choice else None,
        "by_site": {site: _metrics(metrics) for site, metrics in facts.by_site.items()},
        "personal": {
            site: {"metrics": _metrics(own.metrics), "records": own.records, "epsilon": own.epsilon}
            for site, own in facts.personal.items()
        },
        "assessment": dict(facts.assessment),
        "probes": dict(facts.probes) if facts.probes else None,
        "rounds": [_round(done) | _lap(lap) for done, lap in zip_longest(facts.rounds, facts.laps)],
        "energy": _energy(facts),
        "sites": [_site(site, epsilons) for site in facts.sites],
        "privacy": _privacy(facts),
        "anonymisation": _anonymisation(facts.sites),
        "failures": [line for done in facts.rounds for line in _failures(done)],
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries that can affect a result; a server needs no Opacus."""
    installed = {name: importlib.metadata.version(name) for name in LIBRARIES if is_installed(name)}
    return {"python": platform.python_version(), **installed}


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {
        "name": baseline.name,
        "note": baseline.note,
        "private": baseline.private,
        "metrics": _metrics(baseline.metrics),
    }


def _metrics(metrics: Metrics) -> dict[str, dict[str, float]]:
    return {name: asdict(interval) for name, interval in metrics.items()}


def _model(model: LoadedModel) -> dict[str, Any]:
    return {
        "name": model.files.name,
        "digest": model.files.sha256,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "parameters": model.network.num_parameters(),
    }


def _round(done: Round) -> dict[str, Any]:
    return {
        "round": done.number,
        "committed": done.committed,
        "metrics": _metrics(done.metrics),
        "bytes_up": done.bytes_up,
        "bytes_down": done.bytes_down,
        "seconds": round(done.seconds, 3),
        "stages": {stage: round(seconds, 3) for stage, seconds in done.stages.items()},
        "accepted": list(done.accepted),
        "rejected": [{"site_id": r.site_id, "reason": r.reason, "detail": r.detail} for r in done.rejected],
        "missing": list(done.missing),
        "released": {site: dict(sums) for site, sums in done.released.items()},
        "site_kwh": dict(done.site_kwh),
        "adapter_digest": done.adapter_digest,
        "ledgers": {site: asdict(head) for site, head in done.ledgers.items()},
        "record": asdict(done.record),
        "replies": dict(done.replies),
        "lost": done.lost,
    }


def _lap(lap: Lap | None) -> dict[str, float | None]:
    return asdict(lap) if lap else {"kwh": None, "co2e_kg": None}


def _energy(facts: RunFacts) -> dict[str, float | None] | None:
    """Sum the electricity of the measured rounds, and divide it by the percentage points of accuracy that they gained."""
    laps = [lap for lap in facts.laps if lap]
    if not laps:
        return None
    kwh, grams = sum(lap.kwh for lap in laps), [lap.co2e_kg for lap in laps if lap.co2e_kg is not None]
    whole = len(laps) == len(facts.rounds) and {"accuracy"} <= facts.base.keys() & facts.final.keys()
    points = 100 * (facts.final["accuracy"].value - facts.base["accuracy"].value) if whole else 0.0
    return {
        "kwh": kwh,
        "co2e_kg": sum(grams) if len(grams) == len(laps) else None,
        "joules_per_point": 3.6e6 * kwh / points if points > 0 else None,
        "rounds": len(laps),
    }


def _site(site: SiteFacts, epsilons: Mapping[PrivacyPlan, Sequence[float]]) -> dict[str, Any]:
    plan = site.plan
    by_round = epsilons[plan][: len(site.rounds_spent)] if plan else ()
    found = overall(site.recalls)
    return {
        "site_id": site.site_id,
        "declared_size": site.declared_size,
        "records": site.records,
        "held_out": site.held_out,
        "quarantined": None if site.records is None else sum(site.quarantine_reasons.values()),
        "quarantine_reasons": dict(site.quarantine_reasons),
        "epsilon": (by_round[-1] if by_round else 0.0) if plan else None,
        "target_delta": plan.target_delta if plan else None,
        "noise_multiplier": plan.noise_multiplier if plan else None,
        "sampling_rate": plan.sampling_rate if plan else None,
        "steps": plan.steps_per_round * len(site.rounds_spent) if plan else None,
        "epsilon_by_round": list(by_round) if plan else None,
        "epsilon_ever": site.epsilon_ever if plan else None,
        "ledger": asdict(site.ledger),
        "recall": asdict(found.interval()) if found.total else None,
        "touched": dict(site.touched),
    }


def _privacy(facts: RunFacts) -> dict[str, Any]:
    section = facts.config.privacy
    plans = [site.plan for site in facts.sites if site.plan]
    simulated = any(site.records is not None for site in facts.sites)
    words = trust_words(section.trust, section.unit)
    return {
        "enabled": section.enabled,
        "trust": section.trust,
        "unit": section.unit,
        "relation": wording.RELATION.format(unit=section.unit),
        "mechanism": words.mechanism if plans else None,
        "sampling": words.sampling if plans else None,
        "clipping": section.clipping if plans else None,
        "clipping_norm": section.clipping_norm if plans else None,
        "grids": _grids(facts, plans),
        "guarantee": _guarantee(plans, facts.accountant) if plans else wording.WITHOUT_PRIVACY,
        "person_cap": section.person_cap,
        "data_steps": {name: asdict(effect) for name, effect in effects(facts.config).items()},
        "not_protected": disclosure.not_protected(
            section.trust if plans else None, section.unit, simulated=simulated, sums=facts.config.aggregation.secure_sums
        ),
    }


def _grids(facts: RunFacts, plans: Sequence[PrivacyPlan]) -> dict[Purpose, float]:
    shared = plans[0].shared if plans else None
    if shared is None:
        return grids_of(facts.config.privacy, [event for plan in plans for event in plan.events])
    return {"training": plans[0].shares(int(facts.adapter["trainable_parameters"]), shared.fewest).grid}


def _guarantee(plans: Sequence[PrivacyPlan], accountant: Accountant) -> str:
    worst = max(plan.epsilon(accountant=accountant) for plan in set(plans))
    delta = max(plan.target_delta for plan in plans)
    return wording.guarantee(plans[0].trust, plans[0].unit, worst, delta)


def _anonymisation(sites: Sequence[SiteFacts]) -> dict[str, Any]:
    recalls = merge_recalls(site.recalls for site in sites)
    total = overall(recalls)
    return {
        "entities": _summed(site.entities for site in sites),
        "recall": {label: recall.row() for label, recall in recalls.items()},
        "overall": total.row() if total.total else None,
        "quarantined": _summed(site.quarantine_reasons for site in sites),
    }


def _summed(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def _failures(done: Round) -> list[str]:
    outcome = f"committed with {len(done.accepted)} of {len(done.accepted) + len(done.rejected) + len(done.missing)} sites"
    outcome = f"the round {outcome}" if done.committed else "the round was abandoned with no effect; its privacy cost stays"
    lines = [
        f"site {r.site_id}, round {done.number}: reply rejected ({r.reason}: {r.detail}); {outcome}" for r in done.rejected
    ]
    lines += [f"site {site}, round {done.number}: no reply before the deadline; {outcome}" for site in done.missing]
    return lines
