"""Pages of the documentation that are made and not written; MkDocs calls `on_files` and `on_page_markdown` as hooks.

A page that is made while the site is built cannot be out of date: the reference of the configuration from its classes,
the pages of the notebooks from the notebooks, and SECURITY.md as a page of the site.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.config.reference import field_rows, markdown

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
CONFIG = (
    "# The configuration\n\nA run is described by one TOML file. These are all of its fields. `hushtune config` prints the "
    "same, and `hushtune config training.steps` one field. `[]` marks a list of tables, such as one table for each site.\n\n"
)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made; ``files`` is the collection of pages that MkDocs builds."""
    from mkdocs.structure.files import File

    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(text: str, page: Any, **_: Any) -> str:
    """Point links that leave ``docs`` at their page on the site, and turn the others into code."""
    return relinked(text, page.file.src_uri)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the Markdown of every page that is made."""
    yield "reference/config.md", CONFIG + markdown(field_rows())
    for place, path in _made().items():
        text = path.read_text(encoding="utf-8")
        yield place, notebook_page(json.loads(text)) if path.suffix == ".ipynb" else text


def notebook_page(notebook: Mapping[str, Any]) -> str:
    """Return the cells of a notebook as Markdown, its code as Python blocks."""
    return "\n\n".join(_cell(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]) + "\n"


def _cell(kind: str, source: str) -> str:
    return f"```python\n{source}\n```" if kind == "code" else source


def relinked(text: str, page: str) -> str:
    """Return Markdown whose links work on the site.

    Parameters
    ----------
    text
        The page as it is written, with links that work between the files of the repository.
    page
        The path of the page below ``docs``.
    """
    made = _made()
    folder = made.get(page, ROOT / "docs" / page).parent
    on_site = {path: place for place, path in made.items()}
    up = "../" * page.count("/")

    def replaced(link: re.Match[str]) -> str:
        words, target = link[1], (folder / link[2]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return f"[{words}]({up}{target.relative_to(ROOT / 'docs').as_posix()}{link[3] or ''})"
        if target in on_site:
            return f"[{words}]({up}{on_site[target]}{link[3] or ''})"
        return words if words.startswith("`") else f"{words} (`{link[2].removeprefix('../')}`)"

    return LINK.sub(replaced, text)


def _made() -> dict[str, Path]:
    """Return the pages that show a file outside ``docs``, by their path on the site."""
    notebooks = {f"notebooks/{path.stem}.md": path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    return {"security.md": ROOT / "SECURITY.md", **notebooks}
