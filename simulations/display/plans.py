"""Show a privacy plan, and other ways to spend its epsilon, as tables at a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from server.report.figures import count, epsilon, number, size, target_delta
from shared.config.run import RunConfig
from simulations.display.tables import new_table


def plan_table(rows: Sequence[Mapping[str, Any]], config: RunConfig) -> Iterator[RenderableType]:
    """Yield the tables of a plan: what each site would spend, and what one more round would add."""
    attempts = rows[0]["attempts"]
    names = ("site", "declared size", "rate q", "noise z", "attempts" if attempts else "steps", "delta", "epsilon")
    more = "after one more attempt" if attempts else "after one more round"
    table = new_table(f"Privacy plan of run {config.run.name}", *names, more)
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
    """Return a table of the epsilon if more or fewer sites than planned work together with the server."""
    title = f"Epsilon if sites tell the server their noise ({planned} planned)"
    table = new_table(title, "sites that collude", "noise z", "epsilon of the others")
    for row in rows:
        left = "no guarantee" if row["epsilon"] is None else epsilon(row["epsilon"])
        table.add_row(str(row["colluders"]), f"{row['noise_multiplier']:.4f}", left)
    return table


def advice_table(rows: Sequence[Mapping[str, Any]], config: RunConfig) -> Iterator[RenderableType]:
    """Yield the ways to spend a run's epsilon, the least noise first, and what the best one costs."""
    names = ("trust", "rate q", "steps", "batch", "noise z", "noise / C", "against best", "exchanges", "sent and received")
    title = f"Ways to spend epsilon {epsilon(config.privacy.epsilon)} in run {config.run.name}"
    table = new_table(title, *names, "learning rates")
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
