"""Verify a privacy card: check its signature, and that adapter, ledger heads and epsilons are as the card states."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from privacy.accounting import Accountant
from privacy.entries import read, refuse_unless_holds
from privacy.mechanism_event import MechanismEvent
from privacy.privacy_loss import ROUNDING_LOSS
from server.report.signed import CARD_FILE, SignedCard
from shared.errors import LedgerError, RunError
from shared.models.wheels import sha256_file
from shared.wire.chain_head import ChainHead

LEDGERS = "ledger"  # the folder in which a simulation keeps its sites' ledgers
README = "README.md"  # rendered from the card, so the card does not list its digest
TOLERANCE = 1e-6
SHARES_TOLERANCE = 1e-4  # relative; the formula leaves out the rounding kernel of the noise shares


@dataclass(frozen=True)
class Verified:
    """A card that passed all checks.

    ``known_key`` says whether the caller supplied the public key; ``ledgers`` is the number of site ledgers that were
    present and compared.
    """

    signed: SignedCard
    known_key: bool
    ledgers: int


def verify(folder: Path, public_key: str | None = None) -> Verified:
    """Verify the privacy card of a run's folder.

    Parameters
    ----------
    folder
        The run's folder.
    public_key
        The signer's public key (64 hexadecimal digits), obtained through another channel; None skips the check of the
        signer.

    Raises
    ------
    RunError
        A check fails; the message names the first one that fails.
    """
    signed = SignedCard.load(folder)
    _check_signature(folder / CARD_FILE, signed, public_key)
    try:
        _check_adapter(folder, signed.card)
        _check_epsilon(folder / CARD_FILE, signed.card)
        _check_colluders(folder / CARD_FILE, signed.card)
        ledgers = _check_heads(folder, signed.card)
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise RunError(f"{folder}: form: the card or the report is malformed; give the folder of a finished run") from error
    return Verified(signed, public_key is not None, ledgers)


def read_public_key(given: str) -> str:
    """Return a public key given as 64 hexadecimal digits or as the path of a file that contains them.

    Raises
    ------
    RunError
        The text is neither.
    """
    path = Path(given)
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else given
    if len(text) != 64 or not all(digit in "0123456789abcdef" for digit in text):
        raise RunError("--key: not a public key; give 64 hexadecimal digits (0-9, a-f), or a file that contains them")
    return text


def _check_signature(path: Path, signed: SignedCard, public_key: str | None) -> None:
    if public_key not in (None, signed.public_key):
        raise RunError(f"{path}: key: signed with {signed.public_key[:16]}..., not with the key given; do not trust it")
    if not signed.holds:
        raise RunError(f"{path}: signature: not valid, so the card was changed after it was signed; do not trust it")


def _check_adapter(folder: Path, card: Mapping[str, Any]) -> None:
    stated = card["adapter"]["files"]
    present = {path.name for path in (folder / "adapter").glob("*") if path.name != README}
    for name in sorted({*stated, *present}):
        path = folder / "adapter" / name
        if name not in present:
            raise RunError(f"{path}: adapter: the card lists this file, but it is missing")
        if name not in stated:
            raise RunError(f"{path}: adapter: the card does not list this file, so it was added later")
        if not path.is_file() or sha256_file(path) != stated[name]:
            raise RunError(f"{path}: adapter: its SHA-256 differs from the one in the card, so the file was changed")
    place, digest = _published(folder)
    if digest is not None and digest != card["adapter"]["state_digest"]:
        raise RunError(f"{place}: adapter: the adapter of the published round is not the one in the card")


def _published(folder: Path) -> tuple[Path, str | None]:
    """Return the digest of the published adapter (of the chosen round, else the last) and the file that records it."""
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
        spent = Accountant().epsilon(events, site["target_delta"])
        # Another machine may round differently, by less than a quarter of what is charged for rounding.
        rounding = ROUNDING_LOSS / 4 * sum(event.steps for event in events) / site["target_delta"]
        if spent > site["epsilon"] + TOLERANCE + rounding:
            raise RunError(
                f"{path}: epsilon: site {site['site_id']} states {site['epsilon']!r}, but its charges amount to {spent!r}"
            )


def _check_colluders(path: Path, card: Mapping[str, Any]) -> None:
    """Recompute the table of colluding sites from the charges; z^2 is in proportion to the sites that do not collude."""
    shared, worst = card["privacy"].get("colluders"), max(card["sites"], key=lambda site: len(site["charged"]))
    for row in shared["table"] if shared else ():
        if row["epsilon"] is None or not worst["charged"]:
            continue
        sizes = shared["smallest_sum"], shared["largest_sum"]
        left = min((size - row["colluders"]) / (size - shared["planned"]) for size in sizes)
        charged = [(e["sampling_rate"], e["noise_multiplier"] * left**0.5, e["steps"]) for e in worst["charged"]]
        spent = Accountant().epsilon([MechanismEvent(*each) for each in charged], worst["target_delta"])
        if spent > row["epsilon"] * (1 + SHARES_TOLERANCE):
            raise RunError(
                f"{path}: epsilon: states {row['epsilon']!r} for {row['colluders']} colluding sites, but its charges amount "
                f"to {spent!r}"
            )


def _check_heads(folder: Path, card: Mapping[str, Any]) -> int:
    """Compare the card's ledger heads with the last round's and with the sites' ledgers that are in the folder.

    Returns the number of these ledgers.
    """
    rounds = _read(folder / "report.json").get("rounds") or []
    recorded = rounds[-1] if rounds else {}
    if rounds and recorded["record"] != card["round_record"]:
        raise RunError(f"{folder / 'report.json'}: head of the server's chain of rounds: not the one in the card")
    found = 0
    for site in card["sites"]:
        head, path = ChainHead(**site["ledger_head"]), folder / LEDGERS / site["site_id"] / "ledger.jsonl"
        if rounds and recorded["ledgers"].get(site["site_id"], asdict(ChainHead())) != site["ledger_head"]:
            raise RunError(f"{folder / 'report.json'}: ledger head of site {site['site_id']}: not the one in the card")
        if path.is_file():
            _check_ledger(path, head)
            found += 1
    return found


def _check_ledger(path: Path, head: ChainHead) -> None:
    try:
        refuse_unless_holds(read(path), head, path)
    except LedgerError as error:
        raise RunError(f"ledger head: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object from the run's folder; empty if the file does not exist."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RunError(f"{path}: not readable JSON, so the card cannot be checked against it") from error
    return found if isinstance(found, dict) else {}
