"""List the languages that the anonymiser can read."""

from collections.abc import Mapping

from privacy.detect.languages.base import Language, missing_parts
from privacy.detect.languages.en.language import ENGLISH
from shared.errors import ModelError

LANGUAGES: Mapping[str, Language] = {"en": ENGLISH}


def language(code: str) -> Language:
    """Return the language with a code; refuse it unless it is complete.

    Parameters
    ----------
    code
        ISO 639-1 code, as ``anonymise.language`` gives it.

    Raises
    ------
    ModelError
        There is no such language, or a part of it is missing, so personal data in its texts would stay.
    """
    found = LANGUAGES.get(code)
    if found is None:
        raise ModelError(f"anonymise.language = '{code}': has no rules; set one of {', '.join(sorted(LANGUAGES))}")
    if missing := missing_parts(found):
        raise ModelError(
            f"anonymise.language = '{code}': lacks {', '.join(missing)}, so nothing is read in it; complete the folder "
            f"privacy/detect/languages/{code}, or set another language"
        )
    return found
