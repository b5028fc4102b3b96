"""Compare the claim with the audits: the calculated epsilon, what the engine did, and what attacks found."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.report.figures import count
from server.report.many_sites import MOST
from shared.ops.numbers import epsilon_up

PROVES_NOTHING = (
    "A passed audit proves nothing: an attack that was not tried may succeed. Only the calculated epsilon limits every "
    "attack, and only if the engine does what the plan says, which the meter checks. A failed audit does refute the claim."
)


@dataclass(frozen=True)
class AuditRow:
    """One line of the comparison: the audit, its result, and what the result means; ``bad`` if it contradicts the claim."""

    name: str
    found: str
    means: str
    bad: bool = False


def audit_rows(audits: Mapping[str, Any], claimed: float | None, config_digest: str) -> list[AuditRow]:
    """Return the claim and each audit of a run, in words; nothing if no audit was made.

    Parameters
    ----------
    audits
        What audits found, by name (`shared.ops.findings.read_findings`).
    claimed
        The highest epsilon of any site; None without privacy.
    config_digest
        Digest of the run's config; an audit of another config is named as such.
    """
    rows = [
        row for name, rows_in in ROWS.items() if name in audits for row in _rows_of(rows_in, audits[name], config_digest)
    ]
    if not rows:
        return []
    calculated = "no epsilon" if claimed is None else f"epsilon {epsilon_up(claimed)}"
    means = "limits what any attack can learn about one record, whatever the attacker knows"
    return [AuditRow("Claim, calculated from the plan", calculated, means if claimed is not None else "no limit"), *rows]


def _rows_of(
    rows_in: Callable[[Mapping[str, Any]], Iterator[AuditRow]], found: Mapping[str, Any], digest: str
) -> list[AuditRow]:
    """Return the rows of one audit; one that was cut short or has other keys gives a row that says so."""
    try:
        rows = list(rows_in(found))
    except (KeyError, TypeError, ValueError, IndexError):
        return [AuditRow("An audit", "not readable", "make it again")]
    if found.get("config_digest") in (None, digest):
        return rows
    return [AuditRow(f"{row.name} (of another config)", row.found, row.means, row.bad) for row in rows]


def _meter(found: Mapping[str, Any]) -> Iterator[AuditRow]:
    for plan in found["plans"]:
        seen, failed = plan["seen"], [check["name"] for check in plan["checks"] if not check["passed"]]
        ran = "no epsilon that is known"
        if seen:
            ran = f"epsilon {epsilon_up(seen['value'])} ({epsilon_up(seen['low'])} to {epsilon_up(seen['high'])})"
        means = f"{len(plan['checks'])} checks of noise, bound and sampling passed, without any record"
        if failed:
            means = f"the engine does NOT do what the plan says: {', '.join(failed)}"
        names = plan["sites"]
        who = ", ".join(names) if len(names) <= MOST else f"{count(len(names))} sites"
        yield AuditRow(f"Meter: what the engine did ({who})", ran, means, bool(failed))


def _one_run(found: Mapping[str, Any]) -> Iterator[AuditRow]:
    bad = bool(found["refuted"])
    means = "the claim is REFUTED" if bad else "does not contradict the claim; the truth lies between the two, or above"
    text = f"epsilon at least {found['gaussian']:.2f} (95 %), from {found['canaries']} canaries in one run"
    yield AuditRow(f"Lower bound by attack (site {found['site_id']})", text, means, bad)


def _adapter(found: Mapping[str, Any]) -> Iterator[AuditRow]:
    if not found["strong_enough"]:
        yield AuditRow("Attacks on the adapter", "too weak", "they fail without privacy too, so they say nothing here")
        return
    for cell in found["cells"]:
        best = max((row for row in cell["membership"] if row["copies"] == 1), key=lambda row: float(row["auc"]))
        rate = best["rates"][-1]
        kind = f"{'' if cell['anonymised'] else 'not '}anonymised, {'' if cell['private'] else 'not '}private"
        means = (
            f"calls {100 * rate['true_positive_rate']:.1f} % of the texts in the training data right, at "
            f"{100 * rate['false_positive_rate']:g} % false alarms"
        )
        if cell["limits"]:
            means += f"; the plan limits every attack to {100 * cell['limits']['true_positive_rates'][-1]:.1f} %"
        yield AuditRow(f"Who was in the training data ({kind})", f"AUC {best['auc']:.2f} ({best['attack']})", means)
        yield from _planted(cell["extraction"], kind)


def _planted(rows: Sequence[Mapping[str, Any]], kind: str) -> Iterator[AuditRow]:
    """Yield how well planted numbers can be extracted from an adapter, where texts planted four times show most."""
    never = {row["where"]: row for row in rows if row["copies"] == 0}
    often = [row for row in rows if row["copies"] == 4]
    if not often:
        return
    most = max(often, key=lambda row: float(row["mean"]))
    usual = never[most["where"]]["mean"]
    means = f"planted four times, at the {most['where']}; a number that was never planted there has {usual:.1f}"
    if most["completed"] is not None:
        means += f"; the model completes {most['completed']} of {most['texts']}"
    yield AuditRow(
        f"Planted telephone numbers ({kind})", f"exposure {most['mean']:.1f} of {most['largest']:.0f} bits", means
    )


def _attack(found: Mapping[str, Any]) -> Iterator[AuditRow]:
    rows = list(found["rows"].values())
    for rule in dict.fromkeys(row["rule"] for row in rows):
        own = [row for row in rows if row["rule"] == rule and row["dishonest"]]
        if not own:
            continue
        worst = min(own, key=lambda row: float(row["accuracy"]["value"]))
        text = f"accuracy down to {100 * worst['accuracy']['value']:.0f} % ({worst['dishonest']} of 10: {worst['attack']})"
        door = max(own, key=_moved)
        means = f"a trigger moves up to {100 * _moved(door):.0f} % of other texts ({door['attack']})"
        yield AuditRow(f"Dishonest sites against {rule.replace('_', ' ')}", text, means)


def _moved(row: Mapping[str, Any]) -> float:
    """Return the share of texts that the trigger moves; 0 where no held-out text has another label than the target."""
    return float(row["backdoor"]["value"]) if row["backdoor"] else 0.0


ROWS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[AuditRow]]] = {
    "mechanism": _meter,
    "one_run": _one_run,
    "adapter": _adapter,
    "attack": _attack,
}
