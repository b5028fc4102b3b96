"""Build the privacy card: one JSON document that states a run's guarantee, its cost and its limits; the server signs it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from privacy.accounting import Accountant
from privacy.dp.plan import grids_of
from privacy.mechanism_event import Purpose
from privacy.privacy_loss import SEARCH_GRID
from privacy.risk import AttackRisk, attack_risk
from privacy.secagg.colluders import colluder_rows
from privacy.secagg.noise_shares import NoiseShares
from privacy.secagg.shared_plan import SharedNoise
from server.report import disclosure, wording
from server.report.audit import PROVES_NOTHING, audit_rows
from server.report.card_facts import CardFacts, Charges
from server.report.signed import KIND, VERSION
from server.report.trust_words import clipping_words, trust_words
from server.signing import ALGORITHM
from shared.config.adapter import AdapterSection

STATED = ("trust_meaning", "mechanism", "sampling", "clipping_mode", "clipping", "clipping_norm", "grids", "accounting")
STATED_RATE = 0.01  # the false positive rate in the sentence on attack risk; one of the table's rates


def privacy_card(facts: CardFacts, public_key: str) -> dict[str, Any]:
    """Build the card, including the public key that will sign it; it answers the questions of NIST SP 800-226 (Near 2025).

    Raises
    ------
    PrivacyError
        There are no sentences for the trust model or the clipping mode.
    """
    sites = _sites(facts)
    return {
        "kind": KIND,
        "version": VERSION,
        "run": _run(facts),
        "base_model": asdict(facts.model),
        "adapter": {
            "state_digest": facts.adapter_digest,
            "files": dict(facts.files),
            "trainable_parameters": facts.trainable_parameters,
        },
        "training": _training(facts),
        "privacy": _privacy(facts, sites),
        "sites": sites,
        "round_record": asdict(facts.record),
        "attack_risk": _attack(facts, sites),
        "audit": _audit(facts, sites),
        "public": disclosure.public(facts.trust),
        "anonymisation": {"statement": wording.anonymisation(simulated=facts.simulated, private=facts.trust is not None)},
        "utility": _utility(facts),
        "implementation": list(wording.MECHANISM_HAZARDS) if facts.trust else [],
        "data_access": _data_access(facts),
        "not_protected": disclosure.not_protected(
            facts.trust, facts.unit, simulated=facts.simulated, sums=facts.config.aggregation.secure_sums
        ),
        "software": dict(facts.versions),
        "signing": {
            "algorithm": ALGORITHM,
            "public_key": public_key,
            "simulation_key": facts.simulated,
            "statement": wording.KEY_OF_SIMULATION if facts.simulated else wording.KEY_OF_SERVER,
        },
    }


def _run(facts: CardFacts) -> dict[str, Any]:
    config = facts.config
    return {
        "id": facts.run_id,
        "name": config.run.name,
        "created": facts.created,
        "simulated": facts.simulated,
        "config_digest": config.digest(),
    }


def _training(facts: CardFacts) -> dict[str, Any]:
    """Return the training procedure, taken from the config only."""
    training, config = facts.config.training, facts.config
    return {
        "task": config.task.name,
        "labels": list(config.task.labels),
        "language": config.anonymise.language,
        "rounds_planned": training.rounds,
        "rounds_committed": facts.rounds_committed,
        "steps_per_round": training.steps,
        "learning_rate": training.learning_rate,
        "head_learning_rate": training.head_learning_rate,
        **_adapter(config.adapter),
        "max_length": config.model.max_length,
        "warm_start": wording.WARM_START.format(digest=config.model.warm_start_digest) if config.model.warm_start else None,
        "aggregation": config.aggregation.method,
        "weights": config.aggregation.weights,
        "optimiser": config.aggregation.optimiser,
    }


def _adapter(section: AdapterSection) -> dict[str, Any]:
    """Return what is trained besides a head, and in which layers.

    At rank 0 only the head is trained, so ``family`` is None; settings that the family does not read are None.
    """
    own = section.traits.fields
    named = {"rank": "rank", "alpha": "alpha", "factors": "train"}
    return {
        "family": section.family if section.rank else None,
        **{name: getattr(section, field) if field in own else None for name, field in named.items()},
        "last_layers": section.last_layers,
        "layers": list(section.layers),
    }


def _privacy(facts: CardFacts, sites: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    named = {"enabled": facts.trust is not None, "unit": facts.unit, "relation": facts.relation, "trust": facts.trust}
    if facts.trust is None:
        absent = dict.fromkeys((*STATED, "colluders"))
        return {**named, **absent, "unit": None, "relation": None, "guarantee": wording.WITHOUT_PRIVACY}
    words, config = trust_words(facts.trust, facts.unit), facts.config.privacy
    highest = max(site["epsilon"] for site in sites)
    delta = max(site["target_delta"] for site in sites)
    return {
        **named,
        "trust_meaning": words.meaning,
        "mechanism": words.mechanism,
        "sampling": words.sampling,
        "clipping_mode": config.clipping,
        "clipping": clipping_words(facts.trust, facts.unit, config.clipping),
        "clipping_norm": config.clipping_norm,
        "grids": _grids(facts),
        "accounting": wording.ACCOUNTING,
        "colluders": _colluders(facts, facts.shared) if facts.shared else None,
        "guarantee": wording.guarantee(facts.trust, facts.unit, highest, delta),
    }


def _grids(facts: CardFacts) -> dict[Purpose, float]:
    events = [charge.event for site in facts.sites for charge in site.charges]
    if facts.shared is None or not events:
        return grids_of(facts.config.privacy, events)
    return {"training": _smallest_and_largest_sum(facts, facts.shared, events[0].noise_multiplier)[0].grid}


def _smallest_and_largest_sum(facts: CardFacts, shared: SharedNoise, noise_multiplier: float) -> list[NoiseShares]:
    bound, dimension = facts.config.privacy.clipping_norm, facts.trainable_parameters
    return [shared.shares(bound, noise_multiplier, dimension, sites) for sites in (shared.fewest, shared.sites)]


def _colluders(facts: CardFacts, shared: SharedNoise) -> dict[str, Any]:
    """Return epsilon by the number of sites that collude with the server, for the site that was charged most."""
    worst = max(facts.sites, key=lambda site: sum(charge.event.steps for charge in site.charges))
    rows: list[dict[str, Any]] = [
        {"colluders": colluders, "noise_multiplier": None, "epsilon": 0.0} for colluders in range(shared.fewest)
    ]
    if worst.charges and worst.target_delta is not None:
        events = [charge.event for charge in worst.charges]
        sums = _smallest_and_largest_sum(facts, shared, events[0].noise_multiplier)
        rows = colluder_rows(sums, events, worst.target_delta, facts.accountant, Accountant(SEARCH_GRID))
    return {
        "planned": shared.colluders,
        "smallest_sum": shared.fewest,
        "largest_sum": shared.sites,
        "statement": wording.colluder_words(shared.colluders, shared.fewest, shared.sites),
        "table": rows,
    }


def _sites(facts: CardFacts) -> list[dict[str, Any]]:
    """Return for each site its declared size, its charges and the resulting epsilon; equal charges are computed once."""
    different = {(site.charges, site.target_delta) for site in facts.sites}
    claims = {(charges, delta): _claim(charges, delta, facts.accountant) for charges, delta in different}
    return [
        {
            "site_id": site.site_id,
            "declared_size": site.declared_size,
            "target_delta": site.target_delta,
            "charged": [{"run": c.run_id, "round": c.round, **asdict(c.event)} for c in site.charges],
            "ledger_head": asdict(site.head),
            "epsilon_over_all_runs": site.epsilon_ever if facts.simulated and facts.trust else None,
            **claims[site.charges, site.target_delta],
        }
        for site in facts.sites
    ]


def _claim(charges: Charges, target_delta: float | None, accountant: Accountant) -> dict[str, Any]:
    """Return the epsilon and the attack limits that follow from the charges; None for each without privacy."""
    if target_delta is None:
        return dict.fromkeys(("epsilon", "attack", "advantage"))
    events = [charge.event for charge in charges]
    risk = attack_risk(events)
    return {
        "epsilon": accountant.cross_checked(events, target_delta),
        "attack": _limits(risk),
        "advantage": risk.advantage,
    }


def _limits(risk: AttackRisk) -> list[dict[str, float]]:
    pairs = zip(risk.false_positive_rates, risk.true_positive_rates, strict=True)
    return [{"false_positive_rate": wrong, "true_positive_rate": found} for wrong, found in pairs]


def _attack(facts: CardFacts, sites: Sequence[Mapping[str, Any]]) -> str:
    """Return the sentence on attack risk, for the site where the risk is highest."""
    if facts.trust is None:
        return "No limit can be stated: an attack may recognise every training record."
    limits = {site["site_id"]: row for site in sites for row in site["attack"] if row["false_positive_rate"] == STATED_RATE}
    worst = max(limits, key=lambda site_id: float(limits[site_id]["true_positive_rate"]))
    return wording.attack_words(worst, facts.unit, STATED_RATE, limits[worst]["true_positive_rate"])


def _audit(facts: CardFacts, sites: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the claim and what audits found, side by side, and what a passed audit means."""
    claimed = max(site["epsilon"] for site in sites) if facts.trust else None
    rows = audit_rows(facts.audits, claimed, facts.config.digest())
    statements = [*([wording.METERED] if facts.trust in ("local", "distributed") else []), PROVES_NOTHING]
    return {"rows": [asdict(row) for row in rows], "statements": statements}


def _utility(facts: CardFacts) -> dict[str, Any]:
    return {
        "confidence": facts.config.evaluation.confidence,
        "metrics": {name: asdict(interval) for name, interval in facts.metrics.items()},
        "statements": [wording.UTILITY, *([wording.NOISE_BIAS] if facts.trust else [])],
    }


def _data_access(facts: CardFacts) -> list[str]:
    released = any(charge.event.purpose == "metrics" for site in facts.sites for charge in site.charges)
    masked = facts.config.aggregation.secure_sums
    replies = disclosure.replies(released=released, energy=facts.energy, trust=facts.trust, masked=masked)
    if not facts.simulated:
        return [disclosure.RECORDS_STAY, replies, wording.HELD_OUT_AT_SERVER]
    own_file = facts.config.evaluation.file is not None
    held_out = wording.HELD_OUT_AT_SERVER if own_file else wording.held_out_share(facts.config.data.held_out)
    return [wording.SIMULATION, replies, held_out]
