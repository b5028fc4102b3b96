"""Define the commands of an operator and of readers of a published run; heavy modules are imported inside the functions."""

from pathlib import Path
from typing import Annotated

import typer

from shared.ops.printing import Json, LogJson, Overrides, RunFile, load, show

app = typer.Typer()
provision = typer.Typer()
card = typer.Typer(name="card", help="The signed privacy card of a finished run.", no_args_is_help=True)
review = typer.Typer(name="review", help="People's judgement of a tuned model's answers.", no_args_is_help=True)

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")]
Sheet = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that 'hushtune review export' made.")]


@app.command()
def server(
    config: RunFile,
    state: Annotated[Path, typer.Option(metavar="DIR", help="Folder of certificate, sites' keys and the run's state.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Public address, for sites.")] = "0.0.0.0:8443",
    health: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address of the gRPC health service.")] = "127.0.0.1:8444",
    live: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Show the run as a page on this machine, such as 127.0.0.1:8446.")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="No TLS; listens on loopback only.")] = False,
    fork: Annotated[
        str | None, typer.Option(metavar="NAME", help="Start run NAME with another config, from the adapter in the folder.")
    ] = None,
    log_json: LogJson = False,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Coordinate a federation of real sites; if started again, resume after the last committed round."""
    run = load(config, [*(overrides or []), *([f"run.name={fork}"] if fork else [])])
    from server.app import serve
    from server.display import server_tables
    from server.network.listen_address import Listening
    from server.state import StateFolder
    from shared.ops.event_printer import EventPrinter
    from shared.ops.signals import end_on_sigterm

    end_on_sigterm()
    folder, report = serve(
        run, StateFolder(state), Listening(listen, health, insecure, live), fork is not None, EventPrinter(log_json)
    )
    show(report, json, lambda: server_tables(report, str(folder)))


@provision.command("server")
def provision_server(
    host: Annotated[
        list[str], typer.Option(metavar="NAME", help="Name or IP address that sites connect to; repeat it for several.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The server's state folder; existing files are kept.")],
    site: Annotated[list[str] | None, typer.Option(metavar="ID", help="A site to make a folder for; repeat it.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The server's public port.")] = 8443,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long the server's certificate is valid.")] = 365,
) -> None:
    """Make a certificate authority, the server's certificate, and a folder to hand over to each site."""
    from server.provision import ServerFolder, provision_server

    folder = ServerFolder(out)
    for path in provision_server(folder, host, port, site or [], days):
        typer.echo(f"made {path}")
    typer.echo(f"public keys of sites go to {folder.allow_list} as SITE.pub; keep {folder.authority_key} off this machine")


@card.command("show")
def show_card(run: Run, json: Json = False) -> None:
    """Print the privacy card of a run."""
    from server.display import card_page
    from server.report.signed import SignedCard

    signed = SignedCard.load(run)
    show(signed.card, json, lambda: card_page(signed))


@card.command()
def verify(
    run: Run,
    key: Annotated[
        str | None,
        typer.Option(metavar="PUB", help="The signer's public key, obtained from the operator: 64 hex digits, or a file."),
    ] = None,
) -> None:
    """Check signature, adapter, epsilon and ledger heads of a run's privacy card; name the first that fails."""
    from server.display import verified_line
    from server.report.verification import read_public_key, verify

    typer.echo(verified_line(verify(run, read_public_key(key) if key else None)))


@app.command()
def explain(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="The adapter folder of a finished run.")],
    text: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A text of yours; repeat it for several.")] = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="Texts of yours: JSON lines with 'text'.")] = None,
    out: Annotated[Path, typer.Option(metavar="HTML", help="The page to write; it holds the texts.")] = Path("explain.html"),
    max_new_tokens: Annotated[int, typer.Option(min=1, max=512, help="Length of a response, in tokens.")] = 24,
    json: Json = False,
) -> None:
    """Show what each token of a text of yours adds to the model's answer; never use a site's records."""
    from server.display import explanation_lines
    from server.explanation.page import explain_texts
    from shared.errors import ConfigError
    from shared.text.public import read_texts

    texts = [*(text or []), *([line for line, _ in read_texts(file)] if file else [])]
    if not all(each.strip() for each in texts) or not texts:
        raise ConfigError("--text: is missing or empty; give a text, or a file of texts with --file")
    found = explain_texts(adapter, texts, out, max_new_tokens)
    show(found, json, lambda: explanation_lines(found, str(out)))


@app.command("export")
def export_model(
    run: Run,
    to: Annotated[str, typer.Option(metavar="FORM", help="merged, gguf, sequence-classifier or hub-folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    json: Json = False,
) -> None:
    """Write a finished run's model in a form that transformers, llama.cpp or PEFT load."""
    from typing import cast, get_args

    from server.export.formats import Format, export
    from shared.errors import ConfigError

    if to not in get_args(Format):
        raise ConfigError(f"--to {to}: is no form; use one of {', '.join(get_args(Format))}")
    made = export(run, cast(Format, to), out)
    show(made, json, lambda: [f"{made['folder']}: {', '.join(made['files'])}"])


@app.command("serve")
def serve_model(
    run: Run,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 8451,
    max_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Length of an answer if a request does not say.")] = 200,
) -> None:
    """Answer requests in OpenAI's form on this machine only, until Ctrl-C, to try a finished run's model."""
    from contextlib import suppress

    from server.endpoint import Assistant, Endpoint
    from server.report.publication import ADAPTER
    from shared.tasks.adapter_files import load_adapter

    config, learner = load_adapter(run / ADAPTER)
    with Endpoint(Assistant(config.run.name, learner, max_tokens), port) as endpoint, suppress(KeyboardInterrupt):
        typer.echo(f"model {config.run.name} at {endpoint.address}; end with Ctrl-C")
        endpoint.wait()


@review.command("export")
def export_review(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="The adapter folder of a finished run.")],
    prompts: Annotated[Path, typer.Argument(metavar="PROMPTS", help="Public prompts: JSON lines with 'text'.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the sheet and the ratings; the key goes beside it.")],
    max_new_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Length of an answer, in tokens.")] = 200,
    json: Json = False,
) -> None:
    """Answer public prompts with the base and the tuned model, and write a blind sheet and, in a second file, its key."""
    from server.review.answers import export_review as write_sheet

    made = write_sheet(adapter, prompts, out, max_new_tokens)
    show(made, json, lambda: [f"{made['items']} items in {made['sheet']}; keep {made['key']} away from the raters"])


@review.command("serve")
def serve_review(
    folder: Sheet,
    rater: Annotated[str, typer.Option(metavar="NAME", help="Name of the rater; each rater has a separate file.")] = "me",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 8450,
) -> None:
    """Serve the rating page on this machine only, until Ctrl-C; if started again, resume after the last rating."""
    from contextlib import suppress

    from server.review.ratings import Ratings
    from server.review.serve import RatingServer, RatingSession
    from server.review.sheet import read_sheet

    session = RatingSession(read_sheet(folder), Ratings(folder, rater))
    session.ratings.read()
    with RatingServer(session, port) as server, suppress(KeyboardInterrupt):
        typer.echo(f"{len(session.items)} items at {server.address} for rater {rater}; end with Ctrl-C")
        server.wait()


@review.command("score")
def score_review(
    folder: Sheet,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The sheet's key, if it is not beside DIR.")] = None,
    run: Annotated[Path | None, typer.Option(metavar="RUN", help="A finished run, whose report gets the result.")] = None,
    json: Json = False,
) -> None:
    """Unblind the ratings: print how often the tuned model is preferred, and how far the raters agree."""
    from server.display import review_tables
    from server.review.score import add_to_report, score

    found = score(folder, key)
    if run is not None:
        add_to_report(run, found)
    show(found, json, lambda: review_tables(found))
