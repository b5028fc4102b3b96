"""Whether a privacy card still holds: who signed it, and that adapter, ledger heads and epsilon are the ones it states."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from privacy.accounting import MechanismEvent, epsilon
from privacy.entries import read, refuse_unless_holds
from server.report.signed import CARD_FILE, SignedCard
from shared.errors import LedgerError, RunError
from shared.models.wheels import sha256_file
from shared.wire.chain_head import Head

LEDGERS = "ledger"  # of a simulation that keeps its sites' ledgers in its own folder
README = "README.md"  # rendered from the card, so no part of what the card states
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Verified:
    """A card that holds.

    ``known_key`` says whether the key was given from outside, ``ledgers`` how many sites' own ledgers were there to compare.
    """

    signed: SignedCard
    known_key: bool
    ledgers: int


def verify(folder: Path, public_key: str | None = None) -> Verified:
    """Check the card of a run's folder, against a public key (64 hexadecimal digits) that was got in another way.

    Raises
    ------
    RunError
        A check fails; the message names the first that does.
    """
    signed = SignedCard.load(folder)
    _check_signature(folder / CARD_FILE, signed, public_key)
    try:
        _check_adapter(folder, signed.card)
        _check_epsilon(folder / CARD_FILE, signed.card)
        ledgers = _check_heads(folder, signed.card)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder}: form: card or report is not as agreed; give the folder of a finished run") from error
    return Verified(signed, public_key is not None, ledgers)


def read_public_key(given: str) -> str:
    """A public key as 64 hexadecimal digits, or from a file that holds them.

    Raises
    ------
    RunError
        It is neither.
    """
    path = Path(given)
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else given
    if len(text) != 64 or not all(digit in "0123456789abcdef" for digit in text):
        raise RunError("--key: not a public key; give 64 hexadecimal digits (0-9, a-f), or a file that holds them")
    return text


def _check_signature(path: Path, signed: SignedCard, public_key: str | None) -> None:
    if public_key not in (None, signed.public_key):
        raise RunError(f"{path}: key: signed with {signed.public_key[:16]}..., not with the key given; do not trust it")
    if not signed.holds:
        raise RunError(f"{path}: signature: does not fit the card, which was changed after it was signed; do not trust it")


def _check_adapter(folder: Path, card: Mapping[str, Any]) -> None:
    stated = card["adapter"]["files"]
    present = {path.name for path in (folder / "adapter").glob("*") if path.name != README}
    for name in sorted({*stated, *present}):
        path = folder / "adapter" / name
        if name not in present:
            raise RunError(f"{path}: adapter: the card states this file and it is missing")
        if name not in stated:
            raise RunError(f"{path}: adapter: the card does not state this file; it was added later")
        if not path.is_file() or sha256_file(path) != stated[name]:
            raise RunError(f"{path}: adapter: its SHA-256 is not the one in the card; the file was changed")
    place, digest = _published(folder)
    if digest is not None and digest != card["adapter"]["state_digest"]:
        raise RunError(f"{place}: adapter: the published round's adapter is not the card's")


def _published(folder: Path) -> tuple[Path, str | None]:
    """The digest of the published round's adapter and where it is recorded: the chosen round's, or the last one's."""
    report = _read(folder / "report.json")
    if report.get("choice"):
        chosen = [row for row in report["rounds"] if row["committed"] and row["round"] == report["choice"]["best_round"]]
        return folder / "report.json", str(chosen[0]["adapter_digest"]) if chosen else ""
    state = _read(folder / "checkpoint" / "state.json")
    return folder / "checkpoint" / "state.json", state.get("adapter_digest")


def _check_epsilon(path: Path, card: Mapping[str, Any]) -> None:
    for site in card["sites"]:
        if site["epsilon"] is None:
            continue
        events = [MechanismEvent(row["sampling_rate"], row["noise_multiplier"], row["steps"]) for row in site["charged"]]
        spent = epsilon(events, site["target_delta"])
        if spent > site["epsilon"] + TOLERANCE:
            raise RunError(
                f"{path}: epsilon: site {site['site_id']} states {site['epsilon']!r}, and its charges come to {spent!r}"
            )


def _check_heads(folder: Path, card: Mapping[str, Any]) -> int:
    """Compare the heads with what the last round recorded, and with the sites' own ledgers where the folder holds them.

    Returns how many of these ledgers there are.
    """
    rounds = _read(folder / "report.json").get("rounds") or []
    recorded = rounds[-1] if rounds else {}
    if rounds and recorded["record"] != card["round_record"]:
        raise RunError(f"{folder / 'report.json'}: ledger head of the server's own rounds: not the one in the card")
    found = 0
    for site in card["sites"]:
        head, path = Head(**site["ledger_head"]), folder / LEDGERS / site["site_id"] / "ledger.jsonl"
        if rounds and recorded["ledgers"].get(site["site_id"], asdict(Head())) != site["ledger_head"]:
            raise RunError(f"{folder / 'report.json'}: ledger head of site {site['site_id']}: not the one in the card")
        if path.is_file():
            _check_ledger(path, head)
            found += 1
    return found


def _check_ledger(path: Path, head: Head) -> None:
    try:
        refuse_unless_holds(read(path), head, path)
    except LedgerError as error:
        raise RunError(f"ledger head: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    """A JSON object of the run's folder; empty where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RunError(f"{path}: no readable JSON, so the card cannot be checked against it") from error
    return found if isinstance(found, dict) else {}
