"""The pages of the site are complete, link to what exists, and need nothing from the network."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import hushtune
from bench.documentation import LINK, ROOT, gather, notebook_page, pages, relinked
from shared.config.reference import field_rows

WRITTEN = [*(ROOT / f"{name}.md" for name in ("README", "SECURITY", "CONTRIBUTING")), *sorted((ROOT / "docs").rglob("*.md"))]
SITE: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def navigation(entry: object) -> Iterator[str]:
    """Yield the pages of an entry of the navigation."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict | list):
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from navigation(inner)


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") for heading in headings}


def broken(folder: Path, text: str, known: dict[Path, str] | None = None) -> list[str]:
    """Return the links of a text in ``folder`` that lead nowhere."""
    found = []
    for words, place, anchor in LINK.findall(text):
        target = (folder / place).resolve()
        content = (known or {}).get(target) or (
            target.read_text(encoding="utf-8") if target.suffix == ".md" and target.is_file() else ""
        )
        exists = target in (known or {}) or target.exists()
        if not exists or (anchor and anchor[1:] not in anchors(content)):
            found.append(f"[{words}]({place}{anchor})")
    return found


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_every_link_between_files_of_the_repository_leads_somewhere(path: Path) -> None:
    made = ROOT / "docs/reference/config.md"  # on the site alone
    text = path.read_text(encoding="utf-8")
    assert not broken(path.parent, text, {made: ""})


def test_every_link_of_the_site_leads_to_a_page_or_file_of_the_site(tmp_path: Path) -> None:
    gather(tmp_path)
    site = {(tmp_path / place).resolve(): text for place, text in pages()}
    wrong = {path.name: broken(path.parent, text, site) for path, text in site.items()}
    assert not {name: links for name, links in wrong.items() if links}
    assert (tmp_path / "architecture.svg").is_file()


def test_the_navigation_has_every_page_once() -> None:
    assert sorted(navigation(SITE["nav"])) == sorted(place for place, _ in pages())


def test_the_reference_of_the_configuration_has_every_field() -> None:
    reference = dict(pages())["reference/config.md"]
    for row in field_rows():
        assert f"`{row.path}`" in reference


def test_the_site_loads_nothing_from_foreign_servers() -> None:
    assert SITE["theme"]["font"] is False
    assert {next(iter(each)) if isinstance(each, dict) else each for each in SITE["plugins"]} == {"search", "mkdocstrings"}
    assert not {"extra_javascript", "extra_css", "hooks"} & set(SITE)


def test_the_python_reference_has_every_public_name() -> None:
    page = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^::: hushtune\.(\w+)$", page, flags=re.MULTILINE))
    assert named | {"__version__"} == set(hushtune.__all__)
    assert "`__version__`" in page


@pytest.mark.parametrize("page", ["architecture", "commands", "extend", "privacy", "quick-start", "researcher", "results"])
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    ours = r"(?:shared|privacy|client|server|simulations|bench|configs|docs|deploy)/[\w./-]*"
    for name in re.findall(rf"(?<![\w/.-])({ours})", re.sub(r"\]\([^)]*\)", "", text)):
        placeholder = re.search(r"/[A-Z]{4,}", name)
        assert placeholder or (ROOT / name.rstrip(".")).exists(), name


def test_a_link_to_a_file_that_is_no_page_becomes_its_name() -> None:
    assert relinked("[a config](../configs/demo.toml)", "researcher.md") == "a config (`configs/demo.toml`)"
    assert relinked("[`configs/`](../configs/)", "researcher.md") == "`configs/`"


def test_a_link_from_a_page_made_elsewhere_is_turned_to_its_place_on_the_site() -> None:
    assert relinked("[x](docs/engine.md#rounding)", "security.md") == "[x](engine.md#rounding)"
    assert relinked("[x](../SECURITY.md)", "privacy.md") == "[x](security.md)"
    assert relinked("[x](https://example.org) [y](#here)", "privacy.md") == "[x](https://example.org) [y](#here)"


def test_a_notebook_becomes_a_page_with_its_code_in_blocks() -> None:
    cells = [{"cell_type": "markdown", "source": ["# A\n", "b"]}, {"cell_type": "code", "source": ["x = 1"], "outputs": []}]
    assert notebook_page({"cells": cells}) == "# A\nb\n\n```python\nx = 1\n```\n"
