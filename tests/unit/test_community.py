"""What strangers meet first: issue forms that never ask for records, a citation and a changelog that fit the version."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
FORMS = sorted((REPOSITORY / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))
VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_there_is_a_form_for_a_bug_a_privacy_question_and_a_feature() -> None:
    assert [form.stem for form in FORMS] == ["bug", "feature", "privacy_question"]
    assert read(FORMS[0].with_name("config.yml")) == {"blank_issues_enabled": False}


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_has_the_parts_that_its_reader_needs_and_warns_of_record_text_first(form: Path) -> None:
    content = read(form)
    assert {"name", "description", "labels", "body"} == set(content)
    first, *fields = content["body"]
    assert "Never paste text of records" in first["attributes"]["value"]
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids)
    for field in fields:
        assert field["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert field["attributes"]["label"]
        options = field["attributes"].get("options", [])
        assert all(isinstance(option, str | dict) for option in options)
        assert bool(options) == (field["type"] in ("dropdown", "checkboxes"))


def test_the_citation_is_of_this_version() -> None:
    citation = read(REPOSITORY / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == VERSION
    assert citation["license"] == "Apache-2.0"
    assert {"title", "authors", "message", "type", "abstract"} <= set(citation)


def test_the_changelog_begins_with_what_is_not_released_and_uses_the_known_headings() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall("^## (.*)", text, re.MULTILINE)[0] == "[Unreleased]"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall("^### (.*)", text, re.MULTILINE)) <= kinds
