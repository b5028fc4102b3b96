"""Show a steward the anonymiser's results at a terminal: counts, measures, and records before and after."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from server.report.figures import count
from shared.errors import DataError
from simulations.display.tables import new_table, share_of

if TYPE_CHECKING:
    from privacy.anonymise.scrubbed import Quarantined
    from privacy.anonymise.scrubber import Clean
    from privacy.detect.findings import Finding
    from shared.records.types import RawRecord

COLOURS = ("red", "green", "yellow", "blue", "magenta", "cyan")


def refuse_pipe(yes_show_text: bool) -> None:
    """Refuse to write record text into a pipe or a file, which would keep it.

    Raises
    ------
    DataError
        Standard output is not a terminal, and ``yes_show_text`` is not set.
    """
    if not sys.stdout.isatty() and not yes_show_text:
        raise DataError(
            "hushtune anonymise --preview, --reveal: show text of records, but standard output is not a terminal; "
            "run it at a terminal, or add --yes-show-text"
        )


def preview_tables(pairs: "Iterable[tuple[RawRecord, Clean | Quarantined]]") -> Iterator[RenderableType]:
    """Yield each record before and after, coloured by type, or the reason if it was quarantined."""
    table = Table(show_lines=True)
    for name in ("record", "before", "after"):
        table.add_column(name, overflow="fold", ratio=None if name == "record" else 1)
    for raw, done in pairs:
        if hasattr(done, "reason"):
            table.add_row(
                str(raw.position), Text("(not shown)", style="dim"), Text(f"quarantined: {done.reason}", style="bold red")
            )
            continue
        texts = list(done.prepared.texts.values())
        before = Text("\n").join(_coloured(text, found) for text, found in zip(texts, done.findings, strict=True))
        table.add_row(str(raw.position), before, Text("\n".join(done.record.fields.values())))
    yield table


def reversal_table(pairs: Mapping[str, str]) -> Iterator[RenderableType]:
    """Yield a table of each tag or surrogate in a record's text with the original value."""
    table = Table("tag or surrogate", "original value")
    for replacement, original in pairs.items():
        table.add_row(Text(replacement), Text(original))
    yield table


def _coloured(text: str, findings: "Iterable[Finding]") -> Text:
    shown = Text(text)
    for finding in findings:
        colour = COLOURS[sum(map(ord, finding.label)) % len(COLOURS)]
        shown.stylize(f"bold {colour}", finding.start, finding.end)
    return shown


def assessment_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the report of each site: measures with intervals, the gate, and the verdict."""
    for site_id, site in found["sites"].items():
        yield _measures(site_id, site)
        yield _by_label(site)
        for reason, total in site["quarantine_reasons"].items():
            yield f"! site {site_id}: {count(total)} quarantined: {reason}"
        for check in site["checks"]:
            if not check["passed"]:
                yield f"! site {site_id}: {check['name']} = {check['measured']:.3f}, the gate needs {check['threshold']:g}"
        yield f"site {site_id}: {'passes' if site['passed'] else 'DOES NOT PASS'} its gate"


def _measures(site_id: str, site: Mapping[str, Any]) -> Table:
    table = Table(title=f"Anonymisation of site {site_id}: {count(site['records'])} records", title_justify="left")
    table.add_column("measure")
    for name in ("found", "of", "share (95 % interval)"):
        table.add_column(name, justify="right")
    rows = {"planted identifiers covered whole": site["planted"]["direct_identifiers"]}
    if site["labelled"]:
        names = {"direct_identifiers": "known identifiers covered whole", "character_recall": "their letters and digits",
                 "leak_free_records": "records without a leak",
                 "over_redaction": "harmless letters and digits replaced"}  # fmt: skip
        rows |= {title: site["labelled"][name] for name, title in names.items()}
    rows |= {"letters and digits of all texts replaced": site["replaced"]}
    rows |= {"scrubbed texts with a finding of the second detector": site["residual"], "quarantined": site["quarantined"]}
    for title, row in rows.items():
        table.add_row(title, count(row["found"]), count(row["total"]), share_of(row))
    for overlap, scores in site["span_evaluator"].items():
        score = scores["PII"]
        said = f"P {score['precision']:.3f} R {score['recall']:.3f} F2 {score['f2']:.3f}"
        table.add_row(f"span evaluator, IoU {overlap}", "", "", said)
    return table


def _by_label(site: Mapping[str, Any]) -> Table:
    table = Table("true label", "planted", "known", title="Covered whole, by label", title_justify="left")
    known = site["labelled"]["by_label"] if site["labelled"] else {}
    planted = site["planted"]["by_label"]
    for label in sorted({*planted, *known}):
        cells = [f"{row['found']} of {row['total']}" if row else "" for row in (planted.get(label), known.get(label))]
        table.add_row(label, *cells)
    return table


def scrub_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield counts of the anonymisation by site, and recall by entity where the truth is known."""
    table = new_table("Anonymisation by site", "site", "records", "quarantined", "entities replaced", "by type")
    table.columns[-1].justify = "left"
    for site in found["sites"]:
        types = ", ".join(f"{name} {count(total)}" for name, total in site["entities"].items())
        table.add_row(
            site["site_id"],
            count(site["records"]),
            count(site["quarantined"]),
            count(sum(site["entities"].values())),
            types,
        )
    yield table
    for site in found["sites"]:
        for reason, total in site["quarantine_reasons"].items():
            yield f"! site {site['site_id']}: {count(total)} quarantined: {reason}"
    if found["recall"]:
        yield _recall(found)
    else:
        yield "Recall is not known: no true spans (data.columns.spans)."
    if found["output"]:
        yield f"Scrubbed records: {found['output']}/"


def _recall(found: Mapping[str, Any]) -> Table:
    table = new_table("Recall of personal data (whole spans)", "true label", "found", "of", "recall (95 % interval)")
    for label, row in [*found["recall"].items(), ("all", found["overall"])]:
        table.add_row(label, count(row["found"]), count(row["total"]), share_of(row))
    return table
