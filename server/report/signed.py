"""The signed privacy card on disk: one JSON file; what is signed is the card in it, in canonical form."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from server.signing import SigningKey, is_signed
from shared.errors import RunError

CARD_FILE = "privacy_card.json"
KIND, VERSION = "hushtune privacy card", 1


@dataclass(frozen=True)
class SignedCard:
    """A card and the signature of its canonical form under the public key that the card names."""

    card: Mapping[str, Any] = field(repr=False)
    signature: str

    @property
    def public_key(self) -> str:
        """The key that the card says it is signed with, 64 hexadecimal digits."""
        return str(self.card["signing"]["public_key"])

    @property
    def holds(self) -> bool:
        """Whether the signature is that of this card."""
        return is_signed(canonical(self.card), self.signature, self.public_key)

    @classmethod
    def sign(cls, card: Mapping[str, Any], key: SigningKey) -> Self:
        """Sign a card that names this key."""
        return cls(card, key.sign(canonical(card)))

    def save(self, folder: Path) -> None:
        """Write the file, with sorted keys and one value a line."""
        content = json.dumps({"card": self.card, "signature": self.signature}, sort_keys=True, indent=1, allow_nan=False)
        (folder / CARD_FILE).write_text(content + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the file of a run's folder; the signature is not checked yet.

        Raises
        ------
        RunError
            There is none, or it is no privacy card of a version that is known here.
        """
        path = folder / CARD_FILE
        try:
            whole = json.loads(path.read_bytes(), object_pairs_hook=_unique, parse_constant=_refuse)
            signed = cls(whole.pop("card"), whole.pop("signature"))
            known = (signed.card["kind"], signed.card["version"]) == (KIND, VERSION) and not whole
            fits = known and isinstance(signed.signature, str) and bool(signed.public_key)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path}: no readable privacy card; give the folder of a finished run") from error
        if not fits:
            raise RunError(f"{path}: no privacy card of version {VERSION}; give the folder of a finished run")
        return signed


def canonical(card: Mapping[str, Any]) -> bytes:
    """What is signed: JSON with sorted keys, no spaces and no NaN, in ASCII."""
    return json.dumps(card, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated names: two readers could take different ones of them."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name is repeated")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
