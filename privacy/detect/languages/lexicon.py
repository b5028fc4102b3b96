"""Load word lists of pyspellchecker (MIT; counted in film subtitles) as data; nothing is downloaded."""

import gzip
import json

from privacy.detect.languages.packages import package_file
from privacy.detect.words import without_accents
from shared.errors import ModelError

# How German is typed on a keyboard without umlauts.
TWO_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def counts(code: str) -> dict[str, int]:
    """Return the words of a language in small letters, with their counts; also as people type them without accents.

    Parameters
    ----------
    code
        ISO 639-1 code.

    Raises
    ------
    ModelError
        The package is not installed as expected.
    """
    try:
        with gzip.open(package_file("spellchecker", f"resources/{code}.json.gz"), "rt", encoding="utf-8") as stream:
            listed = {str(word): int(count) for word, count in json.load(stream).items()}
    except (OSError, ValueError, AttributeError):
        raise ModelError(
            f"pyspellchecker: its word list for '{code}' is missing; install pyspellchecker again (pip)"
        ) from None
    # "fuer" and "numero" stand for "für" and "número".
    plain = {without_accents(word.translate(TWO_LETTERS) if code == "de" else word): count for word, count in listed.items()}
    return {**plain, **listed}
