"""Sign, save and load a privacy card. The file is JSON; the signature covers the canonical form of the card in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from server.signing import SigningKey, is_signed
from shared.errors import RunError
from shared.ops.canonical_json import canonical_json

CARD_FILE = "privacy_card.json"
KIND, VERSION = "hushtune privacy card", 1


@dataclass(frozen=True)
class SignedCard:
    """A card and the signature of its canonical form under the public key that the card names."""

    card: Mapping[str, Any] = field(repr=False)
    signature: str

    @property
    def public_key(self) -> str:
        """The public key that the card names, as 64 hexadecimal digits."""
        return str(self.card["signing"]["public_key"])

    @property
    def holds(self) -> bool:
        """Whether the signature is valid for this card under the public key that the card names."""
        return is_signed(canonical_json(self.card).encode(), self.signature, self.public_key)

    @classmethod
    def sign(cls, card: Mapping[str, Any], key: SigningKey) -> Self:
        """Sign a card, which must name the public key of ``key``."""
        return cls(card, key.sign(canonical_json(card).encode()))

    def save(self, folder: Path) -> None:
        """Write privacy_card.json into a folder, with sorted keys and one value per line."""
        content = json.dumps({"card": self.card, "signature": self.signature}, sort_keys=True, indent=1, allow_nan=False)
        (folder / CARD_FILE).write_text(content + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read privacy_card.json from a run's folder, without checking the signature.

        Raises
        ------
        RunError
            There is no readable card, or its version is unknown.
        """
        path = folder / CARD_FILE
        try:
            whole = json.loads(path.read_bytes(), object_pairs_hook=_unique, parse_constant=_refuse)
            signed = cls(whole.pop("card"), whole.pop("signature"))
            canonical_json(signed.card)  # refuses 1e999, which was read as an infinite number
            known = (signed.card["kind"], signed.card["version"]) == (KIND, VERSION) and not whole
            fits = known and isinstance(signed.signature, str) and bool(signed.public_key)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(f"{path}: not a readable privacy card; give the folder of a finished run") from error
        if not fits:
            raise RunError(f"{path}: not a privacy card of version {VERSION}; give the folder of a finished run")
        return signed


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; refuse repeated names, because two programs could read different values for one name."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name is repeated")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
