"""Read spaCy's stop words (MIT) as data."""

import runpy
from importlib.util import find_spec
from pathlib import Path

from shared.errors import ModelError


def stop_words(code: str) -> frozenset[str]:
    """Return spaCy's stop words of a language, in small letters.

    Only the module with the words runs, without its package: spaCy takes a second to import, and its French package four
    more, and a process that reads English needs the French words too, to tell the languages apart.

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
    try:
        return frozenset(runpy.run_path(str(folder / "lang" / code / "stop_words.py"))["STOP_WORDS"])
    except (OSError, KeyError):
        raise ModelError(f"spacy: its stop words for '{code}' are missing; install spacy again (pip)") from None
