"""Gather the pages of the documentation for the site builder: python -m bench.documentation, as `make docs` does.

The command copies ``docs`` to ``build/pages``, and adds the notebooks, SECURITY.md, and a reference of the configuration
that is generated from its classes. MkDocs with the theme Material builds the site from there. No code here depends on
MkDocs, and its announced successor Zensical reads the same files.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.architecture import main as draw_architecture
from shared.config.reference import field_rows, markdown

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
CONFIG = (
    "# The configuration\n\nA run is described by one TOML file. These are all of its fields. `hushtune config` prints the "
    "same, and `hushtune config training.steps` one field. `[]` marks a list of tables, such as one table for each site.\n\n"
)


def gather(folder: Path) -> None:
    """Write all pages, and the files that they show, into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    for place, text in pages():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the Markdown of every page."""
    yield "reference/config.md", CONFIG + markdown(field_rows())
    written = {path.relative_to(ROOT / "docs").as_posix(): path for path in sorted((ROOT / "docs").rglob("*.md"))}
    for place, path in (written | _from_outside()).items():
        text = path.read_text(encoding="utf-8")
        yield place, relinked(notebook_page(json.loads(text)) if path.suffix == ".ipynb" else text, place)


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
        The page as it is written, with links that work between the files of the repository. A link to a file that is not
        a page, such as a config, becomes the name of the file.
    page
        The path of the page on the site.
    """
    outside = _from_outside()
    folder = outside.get(page, ROOT / "docs" / page).parent
    on_site = {path: place for place, path in outside.items()}
    up = "../" * page.count("/")

    def replaced(link: re.Match[str]) -> str:
        words, target = link[1], (folder / link[2]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return f"[{words}]({up}{target.relative_to(ROOT / 'docs').as_posix()}{link[3] or ''})"
        if target in on_site:
            return f"[{words}]({up}{on_site[target]}{link[3] or ''})"
        return words if words.startswith("`") else f"{words} (`{link[2].removeprefix('../')}`)"

    return LINK.sub(replaced, text)


def _from_outside() -> dict[str, Path]:
    """Return the pages that show a file outside ``docs``, by their path on the site."""
    notebooks = {f"notebooks/{path.stem}.md": path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    return {"security.md": ROOT / "SECURITY.md", **notebooks}


def main() -> None:
    """Draw the architecture and write the pages."""
    draw_architecture()
    gather(ROOT / "build" / "pages")


if __name__ == "__main__":
    main()
