"""Give a receipt: compare a run's published rounds with the ledger, which recorded what the site sent and was shown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from client.statement import reported_rounds
from privacy.entries import Entry, read
from shared.errors import LedgerError
from shared.wire.chain_head import ChainHead
from shared.wire.round_chain import extend


def receipt(folder: Path, run: Path) -> dict[str, Any]:
    """Check the published rounds of a run against a site's ledger, and say for each round whether the site's reply counts.

    The published rounds are recomputed as the server's chain, whose head each order carried and the ledger recorded. So the
    server told this site the same adapters, sites and replies, round by round, as the report states. The adapter that came
    with an order must be the published one of the round before. An adapter cannot be compared if it came with the first
    order of a run, or was rounded (``aggregation.encoding``) or cut to the site's own rank. The receipt cannot show that the
    aggregate is the sum of these replies, because a site does not see the replies of others.

    Parameters
    ----------
    folder
        Folder of the ledger.
    run
        Folder of the run, or its report.json.

    Returns
    -------
    dict of str to Any
        ``site_id``, ``run_id``, ``head`` (the end of the server's chain, which the signed card states), ``orders`` (number
        of orders that agree with the chain), ``adapters`` (how many of them came with the published adapter of the round
        before; the others could not be compared) and ``rounds``, each with its ``round``, ``replies`` (number of sites) and
        ``own``: ``counted``, ``not counted`` or ``not sent``.

    Raises
    ------
    LedgerError
        The report lists no replies, it is not the chain that this site was shown, it names a reply of this site that the
        site did not send, or an order came with another adapter than the published one.
    """
    path = folder / "ledger.jsonl"
    entries = read(path)
    site_id = str(entries[0].body["site_id"]) if entries else ""
    run_id, rows = reported_rounds(run)
    try:
        committed = [row for row in rows if row["committed"]]
        heads = _chain(run_id, committed, run)
        orders = _refuse_other_chain(run_id, entries, heads, max((row["round"] for row in rows), default=0), path)
        adapters = _refuse_other_adapters(run_id, entries, [row["adapter_digest"] for row in committed], path)
        rounds = [_round(row, site_id, _sent(entries, run_id, row["round"]), run) for row in committed]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise LedgerError(f"{run}: the rounds of its report are malformed; obtain the report again") from None
    counts = {"orders": orders, "adapters": adapters}
    return {"site_id": site_id, "run_id": run_id, "head": asdict(heads[-1]), **counts, "rounds": rounds}


def _chain(run_id: str, rows: Sequence[Mapping[str, Any]], run: Path) -> list[ChainHead]:
    """Return the heads of the server's chain, recomputed from the published rounds; the first is that of no round."""
    heads = [ChainHead()]
    for row in rows:
        if not row["replies"] or set(row["replies"]) != set(row["accepted"]):
            raise LedgerError(
                f"{run}: round {row['round']} does not list a digest of each accepted reply, so there is no receipt; only "
                "runs with privacy.trust 'local' or 'distributed' list them"
            )
        ledgers = {site: ChainHead(**head) for site, head in row["ledgers"].items()}
        heads.append(extend(heads[-1], run_id, row["round"], row["adapter_digest"], ledgers, row["replies"]))
        if asdict(heads[-1]) != row["record"]:
            raise LedgerError(
                f"{run}: round {row['round']} was changed after the run: it is not the one in the server's chain of rounds; "
                "obtain the report again, and do not trust this one"
            )
    return heads


def _refuse_other_chain(run_id: str, entries: Sequence[Entry], heads: Sequence[ChainHead], last: int, path: Path) -> int:
    """Compare the chain with the head that came with each order to this site; return the number of orders.

    A round begins only when the one before is committed, so an order must show the chain of all rounds before its own: a
    server that showed a shorter past could send an adapter that is compared with none. A reservation after the ``last``
    reported round, without an adapter to start from, was made for a personal adapter, so it is not counted as an order.
    """
    orders = [entry for entry in entries if entry.kind == "reserve" and entry.body["run_id"] == run_id]
    for entry in orders:
        shown = ChainHead(entry.body["server_entries"], entry.body["server_hash"])
        is_order = entry.body["round"] <= last or "start" in entry.body
        past = entry.body["round"] - 1 if is_order else shown.entries
        if past >= len(heads) or heads[past] != shown:
            raise LedgerError(
                f"{path}: entry {entry.seq}: before round {entry.body['round']} the server showed this site another past of "
                "the run than the report states; ask the operator, and the other sites, which past they were shown"
            )
    return sum(entry.body["round"] <= last for entry in orders)


def _refuse_other_adapters(run_id: str, entries: Sequence[Entry], digests: Sequence[str], path: Path) -> int:
    """Compare the adapter of each order with the published one of the round before; return how many were compared."""
    compared = 0
    for entry in entries:
        start = entry.body.get("start") if entry.kind == "reserve" and entry.body["run_id"] == run_id else None
        before = int(entry.body["server_entries"]) if start else 0
        if before and start != digests[before - 1]:
            raise LedgerError(
                f"{path}: entry {entry.seq}: in round {entry.body['round']} the server sent this site another adapter than "
                "the report states after the round before; ask the operator why, and the other sites which one they got"
            )
        compared += bool(before)
    return compared


def _sent(entries: Sequence[Entry], run_id: str, number: int) -> list[str | None]:
    """Return the digest of each reply of this site to a round; None where an earlier version wrote no digest."""
    reserved = {e.seq for e in entries if e.kind == "reserve" and (e.body["run_id"], e.body["round"]) == (run_id, number)}
    return [e.body.get("reply") for e in entries if e.kind == "commit" and e.body["reserved"] in reserved]


def _round(row: Mapping[str, Any], site_id: str, sent: Sequence[str | None], run: Path) -> dict[str, Any]:
    listed = row["replies"].get(site_id)
    if listed is not None and listed not in sent:
        raise LedgerError(
            f"{run}: round {row['round']} names a reply of site {site_id} that its ledger does not have; the aggregate "
            "holds another update than this site sent, unless the ledger is an old copy or of an earlier version"
        )
    own = "counted" if listed is not None else "not counted" if sent else "not sent"
    return {"round": row["round"], "replies": len(row["replies"]), "own": own}
