"""Keep scrubbed records on the site's disk, so that a restart need not scrub them again; the cache never holds raw text.

The name of an entry is a digest of all that its content depends on: the raw records, the config of the data stage, the
language model, the code of the anonymiser and the versions of the libraries that it uses. So an entry that is out of date is
never found.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import privacy.anonymise
import privacy.detect
import privacy.leakage
import privacy.replace
import shared.records
from privacy.anonymise.scrubbed import Quarantined, Scrubbed
from privacy.detect.spacy_models import locate_models, locate_second
from privacy.detect.unfit import Reason
from privacy.leakage.recall import Recall
from shared.config.anonymise import AnonymiseSection
from shared.errors import DataError
from shared.ops.disk import replace_file
from shared.records.types import RawRecord, Record, Span

NONCE_BYTES = 12
PURPOSE = b"hushtune cache 1"
LIBRARIES = (  # packages that the anonymiser uses
    *("presidio-analyzer", "presidio-anonymizer", "spacy", "transformers", "faker"),
    *("chunspell", "symspellpy", "phonenumbers", "regex"),
)


@dataclass(frozen=True)
class Cache:
    """A folder of scrubbed records; with ``key`` each entry is encrypted (AES-256-GCM) and its name reveals nothing.

    The keys for contents and for names are derived from the site's key, which is not in the folder.
    """

    folder: Path
    key: bytes | None = field(repr=False, default=None)

    def name(self, records: Sequence[RawRecord], section: AnonymiseSection, purpose: str = "") -> str:
        """Return the name of an entry: an HMAC over all that its content depends on.

        Parameters
        ----------
        records
            The raw records.
        section
            The ``[anonymise]`` section of the config.
        purpose
            Empty for scrubbed records; for another kind of entry all else that it depends on.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        digest = hmac.new(self._derived(b"names"), digestmod="sha256")
        for part in (
            *((purpose,) if purpose else ()),
            section.model_dump_json(exclude={"workers", "batch_size"}),
            *(f"{code} {_tree(model, '') if model else ''}" for code, model in locate_models(section).items()),
            *((_tree(second, ""),) if (second := locate_second(section)) else ()),
            _code(),
        ):
            digest.update(hashlib.sha256(part.encode()).digest())
        for record in records:
            row = json.dumps(
                [
                    *(dict(record.fields), record.label, record.position, record.lacks),
                    *(_spans(record), record.known, _tags(record)),
                ],
                sort_keys=True,
            )
            digest.update(hashlib.sha256(row.encode()).digest())
        return digest.hexdigest()

    def get(self, name: str) -> Scrubbed | None:
        """Return scrubbed records, or None where there is no entry that can be read whole."""
        try:
            content = self.read(name)
            return None if content is None else _parsed(content)
        except (ValueError, KeyError, TypeError):
            return None

    def put(self, name: str, scrubbed: Scrubbed) -> None:
        """Keep scrubbed records.

        Raises
        ------
        DataError
            The folder cannot be written.
        """
        self.write(name, _plain(scrubbed))

    def read(self, name: str) -> Any:
        """Return an entry as JSON values, or None where there is none that can be read whole."""
        try:
            return json.loads(self._opened(name, self._path(name).read_bytes()))
        except (OSError, InvalidTag, ValueError):
            return None  # cut short, altered or under another key: it is made again

    def write(self, name: str, content: Any) -> None:
        """Keep JSON values, whole or not at all, in a file that only its owner can read.

        Raises
        ------
        DataError
            The folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._path(name), self._sealed(name, json.dumps(content).encode()))
        except OSError as error:
            raise DataError(
                f"{self.folder}: the cache cannot be written ({error.strerror}); make the folder writable and free some "
                "space, or turn data.cache off"
            ) from error

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.{'json' if self.key is None else 'sealed'}"

    def _derived(self, what: bytes) -> bytes:
        return hmac.digest(self.key or b"", PURPOSE + what, "sha256")

    def _sealed(self, name: str, content: bytes) -> bytes:
        if self.key is None:
            return content
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._derived(b"content")).encrypt(nonce, content, name.encode())

    def _opened(self, name: str, content: bytes) -> bytes:
        if self.key is None:
            return content
        cipher = AESGCM(self._derived(b"content"))
        return cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], name.encode())


def _spans(record: RawRecord) -> Mapping[str, list[tuple[str, int, int]]]:
    return {name: [(span.label, span.start, span.end) for span in spans] for name, spans in record.spans.items()}


def _tags(record: RawRecord | Record) -> list[tuple[str, int, int]] | None:
    return None if record.tags is None else [(tag.label, tag.start, tag.end) for tag in record.tags]


def _code() -> str:
    """Return a digest of the anonymiser's own code, and the versions of its libraries: other rules give other text."""
    folders = (privacy.anonymise, privacy.detect, privacy.leakage, privacy.replace, shared.records)
    code = [_tree(Path(package.__path__[0]), ".py") for package in folders]
    return "/".join([*code, *(f"{name} {version(name)}" for name in LIBRARIES)])


def _tree(folder: Path, suffix: str) -> str:
    """Return a digest of a folder's files, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob(f"*{suffix}")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _plain(scrubbed: Scrubbed) -> dict[str, Any]:
    """Return scrubbed records as JSON values."""
    return {
        "records": [[dict(record.fields), record.label, record.position, _tags(record)] for record in scrubbed.records],
        "quarantined": [asdict(held) for held in scrubbed.quarantined],
        "entities": dict(scrubbed.entities),
        "recall": {label: asdict(recall) for label, recall in scrubbed.recall.items()},
        "unmeasured": scrubbed.unmeasured,
    }


def _parsed(content: Mapping[str, Any]) -> Scrubbed:
    return Scrubbed(
        records=tuple(
            Record(fields, label, position, tags=tuple(Span(*tag) for tag in tags))
            for fields, label, position, tags in content["records"]
        ),
        quarantined=tuple(Quarantined(**(held | {"reason": Reason(held["reason"])})) for held in content["quarantined"]),
        entities=content["entities"],
        recall={label: Recall(**recall) for label, recall in content["recall"].items()},
        unmeasured=content["unmeasured"],
    )
