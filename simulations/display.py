"""Progress bars and tables at a terminal: plans, runs, models and findings."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from server.report.comparison import lead, name_of
from server.report.figures import (
    count,
    duration,
    energy,
    epsilon,
    measured,
    number,
    setting,
    share,
    size,
    target_delta,
)
from server.report.many_sites import listed, others
from shared.config.data_stage import PARAPHRASES, WITHOUT_MODEL
from shared.config.run import RunConfig
from shared.metrics.registry import measure
from shared.ops.progress import Advance, logged
from shared.wire.encodings import ORDERS, REPLIES

SIDES = ("free", "private")
STAGES = {
    "calibrate": "calibrate the noise, declared sizes",
    "assess": "measure the anonymisation",
    "anonymise": "anonymise records",
    "paraphrase": "paraphrase records",
    "model": "load the model, check its gradients",
    "baselines": "measure the baselines",
    "train": "train, sites x rounds",
    "report": "measure the result, write the report",
    "compare": "compare, rows",
    "sweep": "sweep, trials",
}


class Rate(ProgressColumn):
    """The speed of a bar, in units a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, once there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


class Bars:
    """Progress bars on standard error; lines every half minute if that is not a terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._lines = None if console.is_terminal else logged(_say)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def __call__(self, stage: str, total: int) -> Advance:
        """Start a bar; with a total of 0 it shows activity but no progress."""
        if self._lines is not None:
            return self._lines(stage, total)
        return partial(self._progress.advance, self._progress.add_task(STAGES.get(stage, stage), total=total or None))


def _say(stage: str, done: int | None = None, of: int | None = None, **_: float | None) -> None:
    """Print the state of a stage as one line."""
    counted = "" if done is None else f": {done:,} of {of:,}"
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {STAGES.get(stage, stage)}{counted}\n")


def report_tables(report: Mapping[str, Any], folder: str) -> Iterator[RenderableType]:
    """Yield the tables of a run: sites, rounds with the baselines first, failures, and where the report is."""
    yield _sites(report)
    if beyond := others(report["sites"]):
        yield beyond
    yield _rounds(report)
    yield from paraphrase_lines(report)
    for failure in report["failures"]:
        yield f"! {failure}"
    if not report["privacy"]["enabled"]:
        yield "! This run had no differential privacy: the adapter may reveal single training records."
    yield f"{report['seconds']:.0f} s in all. Report: {folder}/report.html; to print: {folder}/summary.html"


def paraphrase_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many paraphrases of each site's records were kept, where the run asks for some."""
    for site in listed(report["sites"]):
        counts = {name: n for name, n in site.get("touched", {}).items() if name.startswith(PARAPHRASES)}
        if WITHOUT_MODEL in counts:
            yield f"! site {site['site_id']}: no model writes paraphrases here, so its views are only noised"
        elif counts:
            asked = sum(counts.values())
            yield f"Site {site['site_id']}: {count(counts[PARAPHRASES])} of {count(asked)} paraphrases were kept"


def _sites(report: Mapping[str, Any]) -> Table:
    table = _table(f"Sites of run {report['run']}", "site", "records", "quarantined", "PII recall", "epsilon spent", "delta")
    for site in listed(report["sites"]):
        private = site["epsilon"] is not None
        table.add_row(
            site["site_id"],
            count(site["records"]),
            count(site["quarantined"]),
            share(site["recall"]["value"]) if site["recall"] else "not known",
            epsilon(site["epsilon"]) if private else "no privacy",
            target_delta(site["target_delta"]) if private else "",
        )
    return table


def _rounds(report: Mapping[str, Any]) -> Table:
    metric = next(iter(report["final"]))
    table = _table(f"Held-out {metric} by round", "round", f"{metric} (interval)", "bytes up", "bytes down", "seconds")
    for row in report["baselines"]:
        table.add_row(row["name"], measured(row["metrics"][metric], metric))
    for row in report["rounds"]:
        table.add_row(
            f"{row['round']}" if row["committed"] else f"{row['round']} (abandoned)",
            measured(row["metrics"].get(metric), metric),
            size(row["bytes_up"]),
            size(row["bytes_down"]),
            f"{row['seconds']:.1f}",
        )
    return table


def comparison_tables(document: Mapping[str, Any], folder: str) -> Iterator[RenderableType]:
    """Yield the tables of a comparison: every row, and one sentence for each paired test."""
    metric = document["rows"][0]["metric"] if document["rows"] else ""
    table = _table(
        f"Comparison {document['run']}", "row", "model", f"{metric} (interval)", "seeds", "bytes", "time", "energy"
    )
    for row in document["rows"]:
        cost = (size(row["bytes"]), duration(row["seconds"]), energy(row["kwh"]))
        table.add_row(name_of(row), row["model"], measured(row["value"], metric), str(row["seeds"]), *cost)
    yield table
    for answer, sentence in zip(document["conclusions"], lead(document), strict=True):
        yield f"{answer['question']} {sentence}"
    if document["disparities"]:
        yield _disparities(document["disparities"], metric)
    yield f"Page: {folder}/compare.html"


def _disparities(found: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """Return a table of the worst group and the gap of each private row, next to the same method without privacy."""
    names = ("groups by", "worst, no privacy", "worst, private", "gap, no privacy", "gap, private")
    table = _table(f"What privacy does to groups, {metric} (interval)", "row", *names)
    for each in found:
        by_group = {row["group"]: row for row in each["rows"]}
        worst = (f"{each['worst'][side]}: {measured(by_group[each['worst'][side]][side], metric)}" for side in SIDES)
        table.add_row(name_of(each), each["by"], *worst, *(measured(each["gap"][side], metric) for side in SIDES))
    return table


def sweep_tables(document: Mapping[str, Any], folder: str) -> Iterator[RenderableType]:
    """Yield the tables of a search: its trials, the best first, and how much each field mattered."""
    fields = document["fields"]
    table = _table(f"Sweep {document['run']}", "trial", "value", *(name.split(".")[1] for name in fields))
    ranked = sorted(document["trials"], key=lambda trial: (trial["state"] != "complete", -(trial["value"] or 0)))
    for trial in ranked:
        shown = number(trial["value"]) if trial["state"] == "complete" else "pruned"
        table.add_row(str(trial["number"]), shown, *(setting(_short(trial["settings"].get(name))) for name in fields))
    yield table
    if document["importance"]:
        yield "Share of the differences that each field explains: " + ", ".join(
            f"{name} {share(part)}" for name, part in document["importance"].items()
        )
    yield f"The best is ready to run: hushtune simulate {document['best']}"


def _short(given: Any) -> Any:
    return float(f"{given:.3g}") if isinstance(given, float) else given


def plan_table(rows: Sequence[Mapping[str, Any]], config: RunConfig) -> Iterator[RenderableType]:
    """Yield the tables of a plan: what each site would spend, and what one more round would add."""
    attempts = rows[0]["attempts"]
    names = ("site", "declared size", "rate q", "noise z", "attempts" if attempts else "steps", "delta", "epsilon")
    more = "after one more attempt" if attempts else "after one more round"
    table = _table(f"Privacy plan of run {config.run.name}", *names, more)
    for row in rows:
        table.add_row(
            row["site_id"],
            count(row["declared_size"]),
            number(row["sampling_rate"]),
            f"{row['noise_multiplier']:.4f}",
            count(row["steps"]),
            target_delta(row["target_delta"]),
            epsilon(row["epsilon"]),
            f"{epsilon(row['epsilon_one_more_round'])} (+{epsilon(row['epsilon_one_more_round'] - row['epsilon'])})",
        )
    yield table
    for row in rows:
        if row["spent_before"]:
            yield (
                f"! site {row['site_id']}: a record in all earlier runs has spent epsilon {epsilon(row['spent_before'])}; "
                f"with this run it will be {epsilon(row['epsilon_ever'])}, of a budget of {epsilon(row['budget'])}"
            )
    yield (
        f"Unit: one {rows[0]['unit']}, added or removed. Trust model: {rows[0]['trust']}. Clipping norm: "
        f"{rows[0]['clipping_norm']}. Epsilon is for the whole run of {rows[0]['rounds']} rounds at each site."
    )
    if attempts:
        yield (
            f"Each round is one step and takes at least one attempt; each attempt is charged, also a lost one. The run may "
            f"make {attempts} attempts; if none is lost, it makes {rows[0]['rounds']}, for epsilon "
            f"{epsilon(rows[0]['epsilon_none_lost'])}."
        )
        yield _colluders(rows[0]["colluders"], config.privacy.colluders)


def _colluders(rows: Sequence[Mapping[str, Any]], planned: int) -> Table:
    """Return a table of the epsilon that is left if more or fewer sites than planned work together with the server."""
    title = f"Epsilon if sites tell the server their noise ({planned} planned)"
    table = _table(title, "sites that collude", "noise z", "epsilon of the others")
    for row in rows:
        left = "no guarantee" if row["epsilon"] is None else epsilon(row["epsilon"])
        table.add_row(str(row["colluders"]), f"{row['noise_multiplier']:.4f}", left)
    return table


def advice_table(rows: Sequence[Mapping[str, Any]], config: RunConfig) -> Iterator[RenderableType]:
    """Yield the ways to spend a run's epsilon, the least noise first, and what the best one costs."""
    names = ("trust", "rate q", "steps", "batch", "noise z", "noise / C", "against best", "exchanges", "sent and received")
    title = f"Ways to spend epsilon {epsilon(config.privacy.epsilon)} in run {config.run.name}"
    table = _table(title, *names, "learning rates")
    for row in rows:
        table.add_row(
            row["trust"],
            number(row["sampling_rate"]),
            count(row["steps"]),
            number(row["batch"]),
            f"{row['noise_multiplier']:.4f}",
            f"{row['noise']:.2e}",
            f"{row['against_best']:.2f}",
            count(row["exchanges"]),
            size(row["bytes_a_site"]),
            f"{row['learning_rate']:.3g}, {row['head_learning_rate']:.3g}",
        )
    yield table
    best = rows[0]
    yield (
        f"Least noise: privacy.trust = '{best['trust']}', training.sampling_rate = {best['sampling_rate']:.3g}, "
        f"{best['steps']} steps in {best['rounds']} rounds; optimiser {best['optimiser']}, learning rates "
        f"{best['learning_rate']:.3g} and {best['head_learning_rate']:.3g}. It asks each site {best['exchanges']} times and "
        f"computes each record {best['passes']:.3g} times."
    )
    yield (
        "noise / C is the noise on one number of the mean gradient, averaged over the run; it does not say how many steps "
        "the task needs. Only public numbers were used, so this advice costs no privacy."
    )


def trainable_table(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the trained tensors, and how much stays frozen."""
    table = _table(f"Trained tensors of {found['model']}", "tensor", "shape", "parameters", "learning rate")
    for row in found["tensors"]:
        shape = " x ".join(map(str, row["shape"]))
        table.add_row(row["name"], shape, count(row["parameters"]), number(row["learning_rate"]))
    yield table
    trained, whole = found["trained"], found["trained"] + found["frozen"]
    yield f"{count(trained)} of {count(whole)} parameters are trained ({share(trained / whole)}); the others stay frozen."


def scrub_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield counts of the anonymisation by site, and recall by entity where the truth is known."""
    table = _table("Anonymisation by site", "site", "records", "quarantined", "entities replaced", "by type")
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
    table = _table("Recall of personal data (whole spans)", "true label", "found", "of", "recall (95 % interval)")
    for label, row in [*found["recall"].items(), ("all", found["overall"])]:
        interval = f"{share(row['value'])} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
        table.add_row(label, count(row["found"]), count(row["total"]), interval)
    return table


def metrics_table(scored: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the metrics of an adapter on a file."""
    table = _table(f"{count(scored['records'])} records, {count(scored['quarantined'])} quarantined", "metric", "value")
    for name, interval in scored["metrics"].items():
        table.add_row(measure(name).label, measured(interval, name))
    yield table


def models_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Yield the catalogue of base models."""
    table = _table("Base models", "name", "about", "licence", "source", "in the cache")
    for column in table.columns:
        column.justify = "left"
    for row in rows:
        table.add_row(row["name"], row["about"], row["licence"], row["source"], "yes" if row["fetched"] else "no")
    yield table


def methods_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Yield the methods of aggregation, and what a number takes on the wire."""
    names = ("adapter", "exact", "mixed ranks", "privacy", "secure sums", "trusted server", "numbers a layer")
    table = _table("Methods of aggregation", "method", *names)
    for column in table.columns:
        column.justify = "left"
    for row in rows:
        flags = [row[name] for name in ("exact", "mixed_ranks", "privacy", "sums", "central")]
        cells = (flag if isinstance(flag, str) else ("yes" if flag else "no") for flag in flags)
        table.add_row(row["method"], row["adapter"], *cells, row["numbers"])
    yield table
    yield (
        "personalise: 'hushtune personalise' trains the published adapter one more round at a site, charged as a round, and "
        "keeps the result there; under 'distributed' and with a trusted server a site has no noise of its own for that."
    )
    sizes = [f"{name} {REPLIES[name].bytes_a_number:.3g} and {ORDERS[name].bytes_a_number:.3g}" for name in REPLIES]
    yield f"Bytes of a number, up and down, by aggregation.encoding: {', '.join(sizes)}; secure sums need float32."
    yield (
        "Secure sums: privacy.trust = 'distributed', or aggregation.secure_sums = true under 'local', which needs "
        "differential privacy and changes no charge."
    )


def _table(title: str, first: str, *others: str) -> Table:
    """Return an empty table: the first column to the left, numbers to the right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
