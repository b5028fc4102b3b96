"""List the languages that the anonymiser can read."""

from collections.abc import Mapping

from privacy.detect.languages.base import Language, missing_parts
from privacy.detect.languages.de.language import GERMAN
from privacy.detect.languages.en.language import ENGLISH
from privacy.detect.languages.es.language import SPANISH
from privacy.detect.languages.fr.language import FRENCH
from shared.errors import ModelError

LANGUAGES: Mapping[str, Language] = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH}
# The value of ``anonymise.language`` that stands for all of them.
AUTO = "auto"


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


def complete() -> tuple[Language, ...]:
    """Return the languages of which no part is missing."""
    return tuple(each for each in LANGUAGES.values() if not missing_parts(each))


def languages(setting: str) -> tuple[Language, ...]:
    """Return the languages that a site reads: the one that ``anonymise.language`` names, or all complete ones for ``auto``.

    Parameters
    ----------
    setting
        The value of ``anonymise.language``.

    Raises
    ------
    ModelError
        There is no such language, or a part of it is missing.
    """
    return complete() if setting == AUTO else (language(setting),)
