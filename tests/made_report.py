"""Reports of made-up runs, for the tests of pages."""

import html
import re
from typing import Any

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def scores(accuracy: float, half: float = 0.02) -> dict[str, dict[str, float]]:
    return {
        "accuracy": interval(accuracy, half),
        "macro_precision": interval(accuracy - 0.012, half),
        "macro_recall": interval(accuracy - 0.021, half),
        "macro_f1": interval(accuracy - 0.017, half),
    }


def found(hits: int, total: int, half: float) -> dict[str, float]:
    return {"found": hits, "total": total, **interval(hits / total, half)}


def one_round(number: int, metrics: dict[str, Any], sites: list[str]) -> dict[str, Any]:
    return {
        "round": number,
        "metrics": metrics,
        "bytes_up": 1_806_336,
        "bytes_down": 1_807_212,
        "seconds": 21.4 + number,
        "stages": {"train": 17.2 + number, "aggregate": 0.031, "evaluate": 4.17},
        "accepted": sites,
        "rejected": [],
        "missing": [],
    }


def site(name: str, size: int, epsilons: list[float] | None, z: float | None) -> dict[str, Any]:
    private = epsilons is not None
    return {
        "site_id": name,
        "declared_size": size,
        "records": size - 77,
        "held_out": size // 4,
        "quarantined": 0,
        "quarantine_reasons": {},
        "epsilon": epsilons[-1] if epsilons else None,
        "target_delta": 3.2e-4 if private else None,
        "noise_multiplier": z,
        "sampling_rate": 0.1 if private else None,
        "steps": 30 if private else None,
        "epsilon_by_round": epsilons or [],
        "recall": interval(0.951, 0.012) if private else None,
    }


def classification() -> dict[str, Any]:
    """Return a private run without failures."""
    names = ["north", "south", "east", "west"]
    return {
        "hushtune": "0.1.0",
        "run": "demo",
        "run_id": "demo-20261123-4f1c",
        "task": "classification",
        "created": "2026-11-23T12:00:00+00:00",
        "config": {
            "run": {"name": "demo", "seed": 7, "output": "runs"},
            "task": {"name": "classification", "labels": ["billing", "appointment", "results"], "system": ""},
            "data": {
                "source": "synthetic",
                "sites": [{"id": "north", "declared_size": 1500}, {"id": "south", "declared_size": 1200}],
            },
            "privacy": {"enabled": True, "epsilon": 8.0, "target_delta": None, "clipping_norm": 0.5},
            "evaluation": {"max_records": 5000, "bootstrap": 1000, "confidence": 0.95},
        },
        "config_digest": DIGEST,
        "seed": 7,
        "versions": {"python": "3.11.9", "torch": "2.10.0", "opacus": "1.6.0"},
        "model": {
            "name": "minilm",
            "digest": DIGEST[::-1],
            "dtype": "bfloat16",
            "device": "cpu",
            "parameters": 22_713_216,
        },
        "adapter": {"path": "adapter", "digest": DIGEST, "trainable_parameters": 112_896, "bytes": 451_584},
        "baselines": [
            {"name": "majority class", "note": "always answers the most frequent label", "metrics": scores(0.2, 0.018)},
            {"name": "head alone", "note": "the same plan", "private": True, "metrics": scores(0.7, 0.02)},
            {
                "name": "logistic regression on frozen embeddings",
                "note": "trained without privacy on all sites' records pooled; a simulator may, a server could not",
                "metrics": scores(0.862, 0.019),
            },
        ],
        "base": scores(0.213, 0.021),
        "final": scores(0.831, 0.02),
        "by_site": {name: scores(0.79 + 0.02 * n, 0.03 + 0.01 * n) for n, name in enumerate(names)},
        "rounds": [one_round(n + 1, scores(a), names) for n, a in enumerate([0.604, 0.757, 0.831])],
        "sites": [
            site("north", 1500, [4.9, 6.6, 7.99], 0.71),
            site("south", 1200, [4.7, 6.5, 7.985], 0.73),
            site("east", 900, [4.4, 6.2, 7.97], 0.78),
            site("west", 400, [3.9, 5.9, 7.95], 0.94),
        ],
        "privacy": {
            "enabled": True,
            "trust": "local",
            "unit": "record",
            "relation": "add or remove one record",
            "mechanism": "Poisson-subsampled Gaussian on clipped per-record gradients",
            "clipping_norm": 0.5,
            "guarantee": "Whoever sees every reply and the final adapter learns almost the same whether or not any one "
            "record was in a site's data. The factor is at most e to the epsilon, but for a chance of delta.",
            "not_protected": [
                "A fact that many records of a site share",
                "A person with several records is protected less than one record",
                "That a site took part, and its declared size",
            ],
        },
        "anonymisation": {
            "entities": {"PERSON": 1234, "DATE_TIME": 980, "PHONE_NUMBER": 312, "MEDICAL_RECORD": 55},
            "recall": {
                "PERSON": found(900, 950, 0.014),
                "DATE_TIME": found(610, 622, 0.008),
                "PHONE_NUMBER": found(199, 200, 0.004),
                "MEDICAL_RECORD": found(41, 52, 0.11),
            },
            "overall": found(1750, 1824, 0.009),
            "quarantined": {},
        },
        "failures": [],
        "stages": {"data": 1.22, "anonymise": 14.8, "baselines": 3.4, "train": 62.1, "evaluate": 12.5, "report": 0.84},
        "seconds": 97.3,
    }


def with_failures() -> dict[str, Any]:
    """Return a private run with a rejected reply, a missing site, and quarantined records."""
    report = classification()
    report["rounds"][1] |= {
        "accepted": ["north", "east"],
        "rejected": [{"site_id": "south", "reason": "norm"}],
        "missing": ["west"],
    }
    report["failures"] = [
        "site south, round 2: reply rejected (norm 412.0 > bound 100.0); the round committed with 2 of 4 sites",
        "site west, round 2: no reply within 3600 s",
    ]
    report["sites"][0] |= {"quarantined": 12, "quarantine_reasons": {"oversize": 9, "residual PII": 3}}
    report["anonymisation"]["quarantined"] = {"oversize": 9, "residual PII": 3}
    report["sites"][3]["epsilon"] = None
    return report


def instruction() -> dict[str, Any]:
    """Return a run of an instruction task without differential privacy, with recall not measured."""
    report = classification()

    def perplexity(value: float) -> dict[str, dict[str, float]]:
        return {"perplexity": interval(value, 0.41)}

    report |= {
        "task": "instruction",
        "base": perplexity(14.62),
        "final": perplexity(9.874),
        "baselines": [],
        "by_site": {name: perplexity(9.5 + 0.3 * n) for n, name in enumerate(report["by_site"])},
        "rounds": [one_round(n + 1, perplexity(v), ["north"]) for n, v in enumerate([12.1, 10.6, 9.874])],
        "sites": [site(name, 1500, None, None) for name in ("north", "south", "east", "west")],
        "privacy": {"enabled": False, "trust": "local", "guarantee": "None.", "not_protected": []},
    }
    report["config"]["privacy"]["enabled"] = False
    report["anonymisation"] |= {"recall": {}, "overall": None, "quarantined": {"oversize": 3}}
    return report


def text(page: str) -> str:
    """Return the visible text of a page, in one line."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
