"""spaCy's stop words, read without the packages that take seconds to import."""

import subprocess
import sys

import pytest
from spacy.lang.de.stop_words import STOP_WORDS as GERMAN
from spacy.lang.es.stop_words import STOP_WORDS as SPANISH

from privacy.detect.languages.stop_words import stop_words
from shared.errors import ModelError


def test_the_words_are_those_of_spacy() -> None:
    assert stop_words("de") == GERMAN
    assert stop_words("es") == SPANISH


def test_french_has_its_words() -> None:
    assert {"avec", "c'", "vous-m\u00eames"} <= stop_words("fr")


def test_a_language_that_spacy_lacks_is_refused_in_a_sentence() -> None:
    with pytest.raises(ModelError, match="stop words for 'xy' are missing"):
        stop_words("xy")


@pytest.mark.slow
def test_reading_the_words_imports_no_spacy() -> None:
    code = "import sys; from privacy.detect.languages.fr.words import function_words; function_words(); "
    code += "sys.exit('spacy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
