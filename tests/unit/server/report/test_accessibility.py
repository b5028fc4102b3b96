"""Every page has one main landmark, a language, a title, headings in order, unique landmarks, and colours with contrast."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_report import classification, interval

import server.review
from server.explanation.attribution import Explanation
from server.explanation.page import render as explanations
from server.live_page import Live
from server.report.comparison import write_page
from server.report.html import render, summary

REVIEW = Path(server.review.__file__).parent
DIFFERENCES = [{"against": "base", "metric": "accuracy", "change": interval(0.1, 0.05), "p_value": 0.01}]
VOID = {"meta", "link", "br", "img", "input", "col", "hr"}


class Outline(HTMLParser):
    """The landmarks, headings and words that a screen reader goes by."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags = Counter[str]()
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.headings, self.regions = list[int](), list[str]()
        self.texts, self.labelled = dict[str, str](), list[str]()
        self.cells, self.tables = list[tuple[str, dict[str, str | None]]](), 0
        self._open: list[tuple[str, str | None]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        self.attributes.setdefault(tag, given)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "th":
            self.cells.append((tag, given))
        if given.get("role") == "region" or tag in ("section", "nav"):
            if label := given.get("aria-label"):
                self.regions.append(label)
            elif label := given.get("aria-labelledby"):
                self.labelled.append(label)
        if tag not in VOID:
            self._open.append((tag, given.get("id")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _, name in self._open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data

    @property
    def landmarks(self) -> list[str]:
        """The accessible names of all regions."""
        return [" ".join(name.split()) for name in (*self.regions, *(self.texts[name] for name in self.labelled))]


def comparison(folder: Path) -> str:
    row: dict[str, Any] = {
        "method": "federation", "epsilon": 8.0, "sites": ["north"], "model": "minilm", "metric": "accuracy", "seeds": 2,
        "value": interval(0.8, 0.1), "lowest": 0.7, "highest": 0.9, "bytes": 10, "seconds": 1.0, "kwh": None,
    }  # fmt: skip
    same = interval(0.8, 0.1)
    group = {"group": "a", "records": 10, "free": same, "private": same, "change": same}
    each = {
        "method": "federation", "epsilon": 8.0, "sites": ["north"], "model": "minilm", "rows": [group],
        "worst": {"free": "a", "private": "a"}, "gap": {"free": same, "private": same, "change": same},
    }  # fmt: skip
    document = {
        "run": "wards", "task": "classification", "config_digest": "d" * 64, "confidence": 0.95,
        "config": {
            "run": {"seed": 1}, "evaluation": {"probes": None},
            "compare": {"models": ["a", "b"]}, "privacy": {"epsilon": 8.0},
        },
        "records": {"test": 10, "public": 5}, "rows": [row, {**row, "model": "other"}], "conclusions": [],
        "disparities": [{**each, "by": "class"}, {**each, "by": "site"}, {**each, "by": "class", "model": "other"}],
    }  # fmt: skip
    write_page(document, folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


def assessed() -> dict[str, Any]:
    """Return a report whose assessment has each of its tables, and so each of their labels."""
    report = classification()
    report["assessment"] = {
        "records": 10,
        "differences": DIFFERENCES,
        "generation": {
            "max_new_tokens": 4, "answers": 3, "signature": "s",
            "metrics": {"bleu": interval(1.0, 0.5)}, "differences": DIFFERENCES,
        },
    }  # fmt: skip
    return report


def explained() -> str:
    found = Explanation(("[CLS]", "a"), (False, True), "yes", "logit", 1.0, 0.0, np.array([0.0, 1.0]), np.ones((2, 2)), 32)
    return explanations([found, found], "wards", "minilm")


PAGES: dict[str, Callable[[Path], str]] = {
    "report": lambda folder: render(assessed()),
    "bare report": lambda folder: render({}),
    "summary": lambda folder: summary(assessed()),
    "comparison": comparison,
    "explanation": lambda folder: explained(),
    "live": lambda folder: live_page(),
    "review": lambda folder: (REVIEW / "page.html.j2").read_text(encoding="utf-8").replace("{{ token | tojson }}", "''"),
}


def live_page() -> str:
    with Live("127.0.0.1:0") as page:
        return page.html("n")


@pytest.fixture(scope="module", params=sorted(PAGES))
def outline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outline:
    return Outline(PAGES[request.param](tmp_path_factory.mktemp("page")))


def test_a_page_has_a_language_a_title_a_width_and_one_main_landmark_with_one_heading_of_the_first_level(
    outline: Outline,
) -> None:
    assert outline.attributes["html"]["lang"] == "en"
    assert outline.tags["title"] == outline.tags["main"] == outline.tags["h1"] == 1
    assert outline.tags["meta"] >= 3


def test_no_level_of_headings_is_skipped(outline: Outline) -> None:
    assert outline.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))


def test_landmarks_have_names_that_differ(outline: Outline) -> None:
    assert [name for name, times in Counter(outline.landmarks).items() if times > 1 or not name] == []


def test_every_heading_of_a_table_says_what_it_heads(outline: Outline) -> None:
    assert all(attributes.get("scope") in ("row", "col") for _, attributes in outline.cells)


def colours_of(style: str, theme: str) -> dict[str, tuple[float, ...]]:
    light, dark = re.findall(r":root \{(.*?)\}", style, flags=re.S)[:2]
    found = re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if theme == "light" else dark)
    return {name: channels(colour) for name, colour in found}


def channels(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def mixed(one: tuple[float, ...], other: tuple[float, ...], share: float) -> tuple[float, ...]:
    return tuple(share * a + (1 - share) * b for a, b in zip(one, other, strict=True))


def luminance(colour: tuple[float, ...]) -> float:
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (each / 255 for each in colour))
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def shades(style: str, colours: dict[str, tuple[float, ...]]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield each background that is mixed with the paper, at its strongest."""
    for selector, colour, share in re.findall(
        r"(\.[\w ]+) \{[^}]*background: color-mix\(in srgb, ([^ ]+) calc\([^)]*?(?:\) )?\*? ?(\d+)%", _ordered(style)
    ):
        own = colours[colour[6:-1]] if colour.startswith("var(") else channels(colour)
        yield selector, mixed(own, colours["paper"], int(share) / 100)


def _ordered(style: str) -> str:
    """Return the style with every share written the same way."""
    return re.sub(
        r"calc\((?:var\(--share\) \* (\d+)%|(\d+)% \* var\(--share\))\)",
        lambda found: f"calc({found.group(1) or found.group(2)}%)",
        style,
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_contrast(theme: str) -> None:
    colours = colours_of(render({}), theme)
    for ground in ("paper", "card", "warn-paper"):
        for ink in ("ink", "muted", "accent", "good", "warn", "bad"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for line in ("s1", "s2", "s3", "s4", "s5", "s6"):  # WCAG 1.4.11: graphics need 3
        assert contrast(colours[line], colours["paper"]) >= 3, line


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_on_a_coloured_cell_has_contrast(theme: str) -> None:
    style = explained()
    colours = colours_of(style, theme)
    found = dict(shades(style, colours))
    assert set(found) == {".shade", ".for", ".against", ".attention td"}
    assert {
        name: contrast(colours["ink"], ground) for name, ground in found.items() if contrast(colours["ink"], ground) < 4.5
    } == {}


def test_no_text_is_made_transparent() -> None:
    for page in (explained(), render({}), summary({}), (REVIEW / "page.html.j2").read_text(encoding="utf-8")):
        assert "opacity" not in re.sub(r"fill-opacity|stroke-opacity", "", page.split("</style>")[0])


@pytest.mark.parametrize("theme", [0, 1])
def test_the_page_of_ratings_has_contrast(theme: int) -> None:
    style = (REVIEW / "page.html.j2").read_text(encoding="utf-8")
    pairs = {name: both for name, *both in re.findall(r"--(\w+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)", style)}
    colours = {
        name: channels(both[theme] if len(both[theme]) == 7 else "#" + 2 * both[theme][1:]) for name, both in pairs.items()
    }
    quiet = mixed(colours["ink"], colours["paper"], 0.7)
    assert contrast(colours["ink"], colours["paper"]) >= 4.5
    assert contrast(quiet, colours["paper"]) >= 4.5
    assert contrast(colours["line"], colours["paper"]) >= 3
    assert contrast(colours["mark"], colours["paper"]) >= 3
