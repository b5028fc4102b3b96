"""Tables that an operator sees at a terminal: a finished run, its privacy card, and the result of checking the card."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from server.report.figures import epsilon, measured, size
from server.report.markdown import privacy_page
from server.report.signed import SignedCard
from server.report.verification import Verified

WIDE, MANY_COLUMNS = 100, 4  # characters of a terminal that shows tables of so many columns without breaking their figures


def server_tables(report: Mapping[str, Any], folder: str) -> Iterator[RenderableType]:
    """Yield the tables of a finished run: its rounds, its sites, what failed, and where the report is."""
    metric = next(iter(report["final"]))
    rounds = Table("round", f"held-out {metric} (interval)", "accepted", "bytes up", "seconds", title=f"Run {report['run']}")
    for row in report["rounds"]:
        rounds.add_row(
            f"{row['round']}" if row["committed"] else f"{row['round']} (abandoned)",
            measured(row["metrics"].get(metric), metric),
            f"{len(row['accepted'])}",
            size(row["bytes_up"]),
            f"{row['seconds']:.1f}",
        )
    yield rounds
    sites = Table("site", "declared size", "epsilon at most")
    for site in report["sites"]:
        spent = "no privacy" if site["epsilon"] is None else epsilon(site["epsilon"])
        sites.add_row(site["site_id"], f"{site['declared_size']:,}", spent)
    yield sites
    yield from (f"! {failure}" for failure in report["failures"])
    yield f"Report: {folder}/report.html; to print: {folder}/summary.html"


def explanation_lines(found: Sequence[Mapping[str, Any]], page: str) -> Iterator[RenderableType]:
    """Yield one line for each text: the answer, the tokens that matter most, and whether the attributions add up."""
    for number, text in enumerate(found, start=1):
        largest = sorted(text["tokens"], key=lambda token: -abs(token["attribution"]))[:5]
        named = ", ".join(f"{token['token']} {token['attribution']:+.3g}" for token in largest)
        verdict = "add up" if text["complete"] else "DO NOT add up"
        sums = f"attributions {verdict}: {100 * text['error']:.1f} % off after {text['steps']} steps"
        yield Text(f"{number}. {text['answer']}: {named} ({sums})")
    yield f"Page: {page}"


def review_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the ratings."""
    table = Table("rater", "tuned is better", "equal", "base is better", title="Ratings")
    for row in found["raters"]:
        table.add_row(row["rater"], *(f"{row[name]}" for name in ("tuned", "tie", "base")))
    yield table
    rate = measured(found["win_rate"], "win_rate")
    yield f"The tuned model wins {rate} of {found['rated']} rated items; a tie is half a win."
    agreed = found["alpha"]
    yield "Agreement between raters is not known." if agreed is None else f"Krippendorff's alpha of the raters: {agreed:.2f}"


def card_page(signed: SignedCard) -> Iterator[RenderableType]:
    """Yield the card as a page; a first line warns if its signature is not valid."""
    if not signed.holds:
        yield "! The signature does not fit this card: it was changed after it was signed. Do not trust it."
    yield _Page(privacy_page(signed.card))


class _Page:
    """A page of Markdown; in a narrow terminal, each row of a table with many columns is a line of a list."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Markdown(self._text if options.max_width >= WIDE else "\n".join(_listed(self._text)))


def _listed(text: str) -> Iterator[str]:
    """Yield the lines of a page in which tables of many columns have become lists."""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))])
            continue
        if rows and len(rows[0]) < MANY_COLUMNS:
            yield from (f"| {' | '.join(row)} |" for row in rows)
        elif rows:
            named = (zip(rows[0], row, strict=False) for row in rows[2:])
            yield from (f"- {', '.join(f'{name} {cell}' for name, cell in pairs if cell)}" for pairs in named)
        rows = []
        yield line


def verified_line(found: Verified) -> str:
    """Return one line on a card that passed all checks, and on who vouches for its key."""
    card = found.signed.card
    files, sites = len(card["adapter"]["files"]), len(card["sites"])
    heads = f"ledger heads of {sites} sites ({found.ledgers} with the ledger itself)"
    who = (
        "signed with the key that you gave"
        if found.known_key
        else f"signed with {found.signed.public_key}, which only the card itself vouches for"
    )
    if card["signing"]["simulation_key"]:
        who += ", a simulation's key"
    run = f"run {card['run']['name']} ({card['run']['id']})"
    return f"{run}: card holds: signature, {files} adapter files, epsilon, {heads}; {who}"
