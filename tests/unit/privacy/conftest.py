"""One analyser for the whole session: building it takes a second."""

from pathlib import Path

import pytest

from privacy.anonymise.scrubber import LanguageScrubber
from privacy.detect.spacy_models import locate
from shared.config.anonymise import AnonymiseSection


@pytest.fixture(scope="session")
def folder() -> Path:
    return locate("en-core-web-sm")


@pytest.fixture(scope="session")
def scrubber(folder: Path) -> LanguageScrubber:
    return LanguageScrubber(AnonymiseSection(max_chars=2000), folder)
