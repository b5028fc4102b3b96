"""The job of a person is found beside the name, with its words and without those around it."""

import pytest

from privacy.detect.findings import Finding
from privacy.detect.job_titles import JobTitles
from privacy.detect.languages.en.language import ENGLISH


@pytest.fixture(scope="module")
def jobs() -> JobTitles:
    assert ENGLISH.jobs is not None
    return JobTitles(ENGLISH.jobs(), ENGLISH.function_words(), ENGLISH.titles)


def split(jobs: JobTitles, text: str, name: str) -> list[tuple[str, str]]:
    at = text.index(name)
    found = jobs.split(text, [Finding("PERSON", at, at + len(name), 0.5)])
    return sorted((f.label, text[f.start : f.end]) for f in found)


@pytest.mark.parametrize(
    ("text", "job"),
    [
        ("Ward manager Anna Bell signed.", "Ward manager"),
        ("The bus driver Anna Bell stopped.", "bus driver"),
        ("It is by social worker Anna Bell.", "social worker"),
        ("Please ask receptionist Anna Bell.", "receptionist"),
        ("I met Senior Loan Officer Anna Bell.", "Senior Loan Officer"),
        ("We told Head of Compliance Anna Bell.", "Head of Compliance"),
        ("A consultant cardiologist, Anna Bell, came.", "consultant cardiologist"),
        ("Anna Bell, court interpreter, was sworn in.", "court interpreter"),
        ("Anna Bell (our taxi driver) saw it.", "taxi driver"),
    ],
)
def test_a_job_beside_a_name_is_found(jobs: JobTitles, text: str, job: str) -> None:
    assert split(jobs, text, "Anna Bell") == [("JOB_TITLE", job), ("PERSON", "Anna Bell")]


@pytest.mark.parametrize(
    "text",
    [
        "Dr Anna Bell came.",
        "Nurse Anna Bell came.",
        "The ward manager saw Anna Bell.",
        "Anna Bell, who met the driver, left.",
        "Anna Bell, said the manager, left.",
        "Later Anna Bell came, however.",
    ],
)
def test_a_title_and_a_job_of_another_person_stay(jobs: JobTitles, text: str) -> None:
    assert split(jobs, text, "Anna Bell") == [("PERSON", "Anna Bell")]


def test_a_job_that_was_taken_for_a_part_of_the_name_is_taken_off(jobs: JobTitles) -> None:
    found = split(jobs, "Chief Cashier Tom Reed came.", "Cashier Tom Reed")
    assert found == [("JOB_TITLE", "Cashier"), ("JOB_TITLE", "Chief Cashier"), ("PERSON", "Tom Reed")]


def test_a_name_that_is_a_job_as_well_stays_a_name(jobs: JobTitles) -> None:
    assert split(jobs, "Mason Greene came.", "Mason Greene") == [("PERSON", "Mason Greene")]
