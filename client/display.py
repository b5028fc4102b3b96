"""Tables that a data steward sees on a terminal."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from shared.errors import escaped
from shared.ops.numbers import delta_up, epsilon_up

COUNTED_BY = {"plan": "by the plan of its only run", "filter": "by the privacy filter for adaptively chosen runs"}


def ledger_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the tables of a ledger's statement: reservations, then epsilon by dataset and over all datasets."""
    table = Table("entry", "run", "round", "dataset", "released", "answered", title=f"Ledger of site {found['site_id']}")
    for row in found["reservations"]:
        released = "; ".join(_event(event) for event in row["events"]) or "without privacy"
        table.add_row(
            str(row["entry"]),
            row["run_id"],
            str(row["round"]),
            row["dataset"][:12],
            released,
            "yes" if row["answered"] else "no, but it counts",
        )
    yield table
    yield _datasets(found)
    every = found["in_all"]
    yield (
        f"A record in all datasets has spent at most epsilon {_spent(every['epsilon'])} ({COUNTED_BY[every['counted_by']]})."
    )
    if every["counted_by"] == "filter":
        yield (
            f"If all plans had been fixed in advance, it would be {_spent(every['if_planned_together'])}. A run may have "
            "been chosen after the results of an earlier one, so the filter's figure counts against the limits."
        )
    yield f"{found['entries']} entries. Head: {found['hash']}"


def summary_lines(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield a ledger's summary, one line for each fact."""
    yield f"Site {found['site_id']}: runs: {found['runs']}; rounds: {found['rounds']}."
    unit = " and ".join(found["units"]) or "record"
    if found["without_privacy"]:
        yield "At least one round was without privacy, so no epsilon bounds what the site released."
    else:
        spent = f"epsilon {epsilon_up(found['epsilon_at_most'])} at delta {delta_up(found['target_delta'])}"
        yield f"One {unit} that was in all runs has spent at most {spent}."


def personal_lines(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield where a personal adapter is, what it has cost, and what may be done with it."""
    if not found["trained"]:
        yield f"{found['folder']}: is there already; nothing was trained, and nothing was charged."
        return
    yield f"{found['folder']}: the personal adapter of run {found['run_id']}, trained for one more round; nothing was sent."
    if found["epsilon"] is None:
        yield "It was trained without privacy, as its run: whoever may use it may learn these records from it."
        return
    spent = f"epsilon {epsilon_up(found['epsilon'])} at delta {delta_up(found['target_delta'])}"
    yield f"Round {found['round']} was charged to the ledger: these records have spent {spent} by now."


def receipt_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield in which published rounds the site's reply counts, and what the receipt does not show."""
    table = Table("round", "replies in the aggregate", "reply of this site", title=f"Receipt of site {found['site_id']}")
    for row in found["rounds"]:
        table.add_row(str(row["round"]), str(row["replies"]), row["own"])
    yield table
    yield (
        f"{found['orders']} orders of run {found['run_id']} agree with the published rounds. The card must state the end of "
        f"the same chain: {found['head']['hash']} ('hushtune card verify' checks this end and the adapter)."
    )
    yield (
        f"{found['adapters']} of these orders came with the published adapter of the round before. The others could not be "
        "compared: the first order of a run, and orders whose adapter was rounded or cut to this site's rank."
    )
    yield (
        "The server is bound to these replies and to no others. That it added them up as stated can be recomputed only by "
        "whoever is given all replies."
    )


def set_up_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what a server asked about a site's records, and how much more it may ask."""
    if found["set_ups"]:
        table = Table("asked", "by run", "set-up", title=f"Set-ups of the records of site {found['site_id']}")
        for row in found["set_ups"]:
            table.add_row(_day(row["time"]), row["run"], row["set_up"][:12])
        yield table
    if found["failures"]:
        table = Table("began", "run", "round", title="Rounds that began and have no reply; they no longer count")
        for row in found["failures"]:
            table.add_row(_day(row["time"]), row["run_id"], str(row["round"]))
        yield table
    yield f"{found['counted']} different set-ups in {found['days']:g} days; {found['allowed']} may be asked for now."


def meter_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what the meter saw for each plan, and the epsilon of what ran beside the claim."""
    for row in found["plans"]:
        table = Table("check", "seen", "allowed", "passed", title=f"Engine for {', '.join(row['sites'])}")
        for check in row["checks"]:
            table.add_row(check["name"], f"{check['seen']:.6g}", check["allowed"], "yes" if check["passed"] else "NO")
        yield table
        seen = row["seen"]
        ran = "nothing that is known accounts for what ran"
        if seen:
            ran = f"what ran: {epsilon_up(seen['value'])} (from {epsilon_up(seen['low'])} to {epsilon_up(seen['high'])})"
        yield f"Epsilon at delta {delta_up(row['target_delta'])}: claimed {epsilon_up(row['claimed'])}; {ran}."
    yield f"The engine {'does' if found['passed'] else 'DOES NOT do'} what the plan says."


def file_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what was understood of a file of records: its form, columns, labels and lengths."""
    form = (found["format"], found["encoding"], found["delimiter"] and f"separated by {found['delimiter']}s")
    yield f"{found['file']}: {', '.join(part for part in form if part)}"
    if found["problem"]:
        yield Text(f"A run refuses it: {found['problem']}")
        return
    yield f"{found['records']} records read, {'the whole file' if found['whole'] else 'from the beginning'}."
    table = Table("column", "field", "types", "empty")
    for name, row in found["columns"].items():
        table.add_row(Text(name), row["field"], _counts(row["types"]), str(row["empty"]))
    yield table
    yield Text(f"Columns that are not read: {', '.join(map(escaped, found['not_read'])) or 'none'}.")
    if found["labels"] is not None:
        yield Text(f"Labels: {_counts(found['labels'])}.")
    if found["persons"] is not None:
        yield f"Persons: {found['persons']}."
    yield f"Held back: {_counts(found['held_back']) or 'none'}."
    languages = found["languages"]
    yield f"Languages: {_counts(languages['found'])}; anonymise.language = '{languages['asked']}'."
    yield f"Characters of a record: {_lengths(found['characters'])}."
    if found["tokens"] is None:
        yield "Tokens: not known, because SITE.toml names no model; give a run's config."
    elif "unknown" in found["tokens"]:
        yield Text(f"Tokens: not known: {found['tokens']['unknown']}")
    else:
        limits = (
            f"{found['tokens']['cut']} records are longer than model.max_length = {found['tokens']['limit']} and are cut"
        )
        yield f"Tokens of a record, without a template: {_lengths(found['tokens'])}; {limits}."


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _datasets(found: Mapping[str, Any]) -> Table:
    title = f"Spent at delta {delta_up(found['target_delta'])}, for {found['relation']}"
    table = Table("dataset", "identities", "rounds", "epsilon that counts", "counted by", "if planned together", title=title)
    for row in found["datasets"]:
        table.add_row(
            row["dataset"][:12],
            f"{row['identities']:,}",
            str(row["rounds"]),
            _spent(row["epsilon"]),
            row["counted_by"],
            _spent(row["if_planned_together"]),
        )
    return table


def _event(event: Mapping[str, Any]) -> str:
    sampled = f"q {event['sampling_rate']:g}, z {event['noise_multiplier']:g}, T {event['steps']}"
    return f"{event['purpose']}: {sampled}"


def _spent(amount: float | None) -> str:
    return "unbounded: used without privacy" if amount is None else epsilon_up(amount)


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in found.items())


def _lengths(found: Mapping[str, int]) -> str:
    return f"median {found['median']}, 95 % at most {found['most']}, longest {found['longest']}"
