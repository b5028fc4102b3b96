"""Show at a terminal what an audit found."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from shared.ops.numbers import delta_up, epsilon_up

PROVES_NOTHING = "An audit that finds nothing proves nothing: another attack may succeed."


def one_run_lines(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the lower bound of one audited run beside its claim."""
    yield (
        f"Of {found['guesses']} canaries that were called present, {found['right']} were; {found['canaries']} canaries were "
        f"planted at site {found['site_id']}, each with chance 1/2."
    )
    yield (
        f"Epsilon at delta {delta_up(found['target_delta'])}: claimed {epsilon_up(found['claimed'])}; at least "
        f"{found['gaussian']:.3f} among Gaussian mechanisms, at least {found['general']:.3f} in general (95 %)."
    )
    yield "The claim is REFUTED." if found["refuted"] else PROVES_NOTHING


def adapter_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what the attacks on the four adapters found: membership, then extraction."""
    yield _membership(found)
    yield _extraction(found)
    if not found["strong_enough"]:
        yield "! Without privacy the attack stays below an AUC of .8 too, so it is TOO WEAK to say anything about the rest."
    yield PROVES_NOTHING


def cell_name(cell: Mapping[str, Any]) -> str:
    """Return how a cell was trained, in words."""
    scrubbed = "anonymised" if cell["anonymised"] else "not anonymised"
    return f"{scrubbed}, {'epsilon ' + epsilon_up(cell['epsilon']) if cell['private'] else 'not private'}"


def _membership(found: Mapping[str, Any]) -> Table:
    table = Table("adapter", "trained on", "attack", "AUC", "found at 0.1 %", "found at 1 %", "limits at these")
    table.title = "Who was in the training data (95 % intervals)"
    for cell in found["cells"]:
        for row in cell["membership"]:
            rates = [f"{r['true_positive_rate']:.3f} ({r['low']:.3f} to {r['high']:.3f})" for r in row["rates"]]
            bounds = cell["limits"]["true_positive_rates"] if cell["limits"] and row["copies"] == 1 else []
            limit = ", ".join(f"{bound:.3f}" for bound in bounds) or "none"
            area = f"{row['auc']:.3f} ({row['auc_low']:.3f} to {row['auc_high']:.3f})"
            table.add_row(cell_name(cell), f"{row['copies']} x", row["attack"], area, *rates, limit)
    return table


def _extraction(found: Mapping[str, Any]) -> Table:
    table = Table("adapter", "planted at", "trained on", "texts", "exposure, bits", "of at most", "completed")
    table.title = "What planted texts give away (a text that was never trained on has an exposure of about 1.44 bits)"
    for cell in found["cells"]:
        for row in cell["extraction"]:
            done = "-" if row["completed"] is None else str(row["completed"])
            exposure = f"{row['mean']:.2f} (error {row['error']:.2f})"
            place = (cell_name(cell), row["where"], f"{row['copies']} x", str(row["texts"]))
            table.add_row(*place, exposure, f"{row['largest']:.0f}", done)
    return table


def attack_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield a table for each way to deal the records, with and without privacy: accuracy and backdoor rate in percent."""
    rows = list(found["rows"].values())
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    for split, private in dict.fromkeys((row["split"], row["private"]) for row in rows):
        own = [row for row in rows if (row["split"], row["private"]) == (split, private)]
        table = Table("attack", "sites of 10", *rules)
        table.title = f"{split}, {'private' if private else 'not private'}: accuracy / moved to the target by the trigger, %"
        for attack, many in dict.fromkeys((row["attack"], row["dishonest"]) for row in own):
            cells = {row["rule"]: row for row in own if (row["attack"], row["dishonest"]) == (attack, many)}
            table.add_row(attack, str(many), *(_outcome(cells.get(rule)) for rule in rules))
        yield table
    for rule, why in found.get("refusals", {}).items():
        yield f"{rule} under secure sums is refused: {why}"
    yield PROVES_NOTHING


def _outcome(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    half = 50 * (row["accuracy"]["high"] - row["accuracy"]["low"])
    rejected = f", {row['rejected']} rejected" if row["rejected"] else ""
    # There is no share if every record has the target label already.
    moved = f"{100 * row['backdoor']['value']:.1f}" if row["backdoor"] else "none to move"
    return f"{100 * row['accuracy']['value']:.1f} +- {half:.1f} / {moved}{rejected}"
