"""Load word lists of pyspellchecker (MIT; counted in film subtitles) and spaCy (MIT) as data; nothing is downloaded."""

import gzip
import json
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

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
    spec = find_spec("spellchecker")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
    try:
        with gzip.open(folder / "resources" / f"{code}.json.gz", "rt", encoding="utf-8") as stream:
            listed = {str(word): int(count) for word, count in json.load(stream).items()}
    except (OSError, ValueError, AttributeError):
        raise ModelError(
            f"pyspellchecker: its word list for '{code}' is missing; install pyspellchecker again (pip)"
        ) from None
    # "fuer" and "numero" stand for "für" and "número".
    plain = {without_accents(word.translate(TWO_LETTERS) if code == "de" else word): count for word, count in listed.items()}
    return {**plain, **listed}


def stop_words(code: str) -> frozenset[str]:
    """Return spaCy's function words of a language, without the rest of spaCy's code for that language.

    A run in one language tells others apart by these words. ``import spacy.lang.fr`` would compile a pattern of the French
    tokenizer, which takes several seconds in each process.

    Parameters
    ----------
    code
        ISO 639-1 code.

    Raises
    ------
    ModelError
        The package is not installed as expected.
    """
    spec = find_spec("spacy")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
    place = spec_from_file_location(f"stop_words_{code}", folder / "lang" / code / "stop_words.py")
    try:
        assert place is not None  # noqa: S101  the name ends with .py
        assert place.loader is not None  # noqa: S101
        module = module_from_spec(place)
        place.loader.exec_module(module)
        return frozenset(module.STOP_WORDS)
    except (OSError, AttributeError):
        raise ModelError(f"spaCy: its function words of '{code}' are missing; install spaCy again (pip)") from None
