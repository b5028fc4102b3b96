"""Define the commands of a data steward; heavy modules are imported inside the functions, so that ``--help`` is fast."""

from pathlib import Path
from typing import Annotated

import typer

from shared.ops.printing import Json, LogJson, Overrides, show

app = typer.Typer()
provision = typer.Typer()
audit = typer.Typer()
ledger = typer.Typer(name="ledger", help="A site's privacy ledger: what its records have spent.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="LEDGER", help="The ledger's folder, which holds ledger.jsonl.")]
Delta = Annotated[
    float | None, typer.Option("--delta", help="Delta at which epsilon is computed; default: the smallest in the ledger.")
]
SiteFolder = Annotated[Path, typer.Argument(metavar="SITE_FOLDER", help="The folder with SITE.toml, at the site.")]
SiteToml = Annotated[Path, typer.Argument(metavar="SITE.toml", help="The site's own file: identity, server, data, policy.")]


@app.command()
def client(
    site: SiteToml,
    once: Annotated[bool, typer.Option("--once", help="End when a run is over.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="No TLS, for a trial on this machine only.")] = False,
    log_json: LogJson = False,
) -> None:
    """Serve a site: train on its records when the server asks and the site's policy permits."""
    from client.site_file import SiteFile
    from shared.identity.keys import read_private

    file = SiteFile.load(site)
    read_private(file.server.key)  # before the imports of the next line, which take seconds
    from client.service import run_site
    from shared.ops.event_printer import EventPrinter
    from shared.ops.signals import end_on_sigterm

    end_on_sigterm()
    run_site(file, once, insecure, EventPrinter(log_json))


@app.command()
def personalise(
    site: SiteToml,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of the published run.")],
    json: Json = False,
) -> None:
    """Train a run's published adapter one more round on this site's records, charged as a round; nothing is sent.

    The personal adapter stays in the folder personal of the site's state. End the site's client first.
    """
    from client.display import personal_lines
    from client.personal import personalise as trained
    from client.site_file import SiteFile
    from shared.ops.runlog import RunLog

    file = SiteFile.load(site)
    log = RunLog(file.site.state / "events.jsonl")
    found = trained(file, run, lambda step, **numbers: log.event("step", step=step, **numbers))
    show(found, json, lambda: personal_lines(found))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of records.")],
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A run's TOML file, or the site's own SITE.toml.")],
    records: Annotated[int, typer.Option(min=1, help="Number of records to read from the beginning.")] = 1000,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Show how hushtune reads a file (delimiter, encoding, columns, labels, lengths); status 1 if a run refuses the file.

    The output contains counts of records, so show it only to people of the site.
    """
    from client.display import file_tables
    from client.file_check import Asked, check_file

    found = check_file(file, Asked.load(config, overrides or []), records)
    show(found, json, lambda: file_tables(found))
    if found["problem"]:
        raise typer.Exit(1)


@provision.command("site")
def provision_site(folder: SiteFolder) -> None:
    """Make this site's key at the site; the private key never leaves it."""
    from client.provision import provision_site

    key = provision_site(folder)
    typer.echo(f"{'made the key of' if key.made else 'kept the key of'} site {key.site_id}: {key.fingerprint}")
    typer.echo(f"hand {key.public} to the operator, and compare the fingerprint over the telephone")


@provision.command("roster")
def provision_roster(
    folder: SiteFolder,
    peers: Annotated[
        list[Path] | None, typer.Argument(metavar="SITE.pub", help="Public keys of other sites, each named after its site.")
    ] = None,
) -> None:
    """Pin the keys of the sites that this site adds up with in secure sums, and show all pinned keys."""
    from client.provision import pin_peers

    for site, mark in pin_peers(folder, peers or []).items():
        typer.echo(f"{site}: {mark}")
    typer.echo("compare each fingerprint with the steward of that site over the telephone, not with the operator")


@provision.command("admit")
def provision_admit(
    folder: SiteFolder,
    more: Annotated[int, typer.Option(min=0, help="Further set-ups that the server may ask for.")] = 1,
    json: Json = False,
) -> None:
    """Show which set-ups of the records the server asked for, permit more, and reset the count of failed rounds."""
    from client.display import set_up_tables
    from client.provision import admit_site

    found = admit_site(folder, more)
    show(found, json, lambda: set_up_tables(found))


@audit.command("mechanism")
def audit_mechanism(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The run's TOML file, or a site's own SITE.toml.")],
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Meter the engine of this machine on synthetic gradients: noise, bound, sampling, and the epsilon of what ran."""
    from client.display import meter_tables
    from client.metering import readings

    found = readings(config, overrides or [])
    show(found, json, lambda: meter_tables(found))
    if not found["passed"]:
        raise typer.Exit(1)


@ledger.command("show")
def show_ledger(folder: Folder, delta: Delta = None, json: Json = False) -> None:
    """Print what was reserved for which records, and what they have spent in all."""
    from client.display import ledger_tables
    from client.statement import statement

    found = statement(folder, delta)
    show(found, json, lambda: ledger_tables(found))


@ledger.command("summary")
def summarise_ledger(
    folder: Folder,
    public: Annotated[
        bool, typer.Option("--public", help="Bands instead of figures, for an officer or a report outside of the site.")
    ] = False,
    delta: Delta = None,
    json: Json = False,
) -> None:
    """Say in a few lines how often the site's records were used, and what the uses have cost one record at most."""
    from client.display import summary_lines
    from client.public_summary import summary

    found = summary(folder, public=public, target_delta=delta)
    show(found, json, lambda: summary_lines(found))


@ledger.command("verify")
def verify_ledger(
    folder: Folder,
    against: Annotated[
        Path | None, typer.Option(help="A run's folder or report.json; the ledger must contain the chain heads in it.")
    ] = None,
    json: Json = False,
) -> None:
    """Check every entry, the dataset files, and the chain heads that the server saw; name the first fault."""
    from client.statement import verify

    checked = verify(folder, against)
    show(checked, json, lambda: [f"{folder}: {checked['entries']} entries, whole and in order. Head: {checked['hash']}"])


@ledger.command("receipt")
def show_receipt(
    folder: Folder,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The published run: its folder, or report.json.")],
    json: Json = False,
) -> None:
    """Check a run's published rounds against what this site sent and was shown; say in which rounds its reply counts."""
    from client.display import receipt_tables
    from client.receipt import receipt

    found = receipt(folder, run)
    show(found, json, lambda: receipt_tables(found))


@ledger.command("export")
def export_ledger(
    folder: Folder,
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The JSON file to write.")],
    delta: Delta = None,
) -> None:
    """Write the mechanism events and epsilons by dataset as JSON: enough to recompute them, and nothing about records."""
    import json

    from client.statement import statement

    output.write_text(json.dumps(statement(folder, delta), indent=2) + "\n", encoding="utf-8")
    typer.echo(f"{output}: written")


@ledger.command("confirm")
def confirm_ledger(
    site: SiteToml,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, because you have compared the ledger already.")] = False,
) -> None:
    """Confirm that this ledger is its newest copy, if the second copy of its chain head is missing or out of date."""
    from client.confirmation import confirm, ledger_end
    from client.site_file import SiteFile

    file = SiteFile.load(site)
    end = ledger_end(file)
    typer.echo(f"{file.ledger}: {end['entries']} entries; last reserved: {end['last'] or 'nothing'}. Head: {end['hash']}")
    if not yes:
        typer.confirm("Is this the last round that this site trained (compare with the reports of the runs)?", abort=True)
    confirm(file)
    typer.echo(f"{file.site.ledger_head}: written")
