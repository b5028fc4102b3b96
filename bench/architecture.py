"""Draw docs/architecture.svg from the code: python -m bench.architecture.

The upper half shows the two journeys of the design, the steps of a record and of an adapter, each with its file. The lower
half shows the packages as floors of a house; each floor imports only the floors below. Both are read from the syntax trees
(`bench.journeys`), and the same code always gives the same bytes.
"""

from collections.abc import Iterable, Iterator
from html import escape
from itertools import pairwise
from pathlib import Path

from bench.journeys import AGGREGATING, ASKING, RECORD, TRAINING, Code, Stop, follow, imported, purpose, rooms
from shared.errors import ConfigError

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
WIDTH, HEIGHT = 1160, 926
COLOURS = {"shared": "#5b6b7f", "privacy": "#1a7f5a", "client": "#b45f06", "server": "#3b5bb5", "simulations": "#8a3b8f"}
FLOORS = (("simulations",), ("client", "server"), ("privacy",), ("shared",))
BOX, TALL, PITCH, TOP = 262, 50, 66, 106  # width and height of a step, distance of two rows, y of the first row
RECORDS, ORDERS, ANSWERS = 36, 338, 862  # x of the three columns of steps
SANS, MONO = "Helvetica, Arial, sans-serif", "Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def picture(root: Path) -> str:
    """Return the architecture of the code below ``root`` as an SVG image.

    Raises
    ------
    ConfigError
        A step of a journey is no longer in the code, or a package imports a floor that is not below it.
    """
    parts = [*_lanes(), *_journeys(Code.of(root)), *_arrows(), *_house(root)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="{SANS}">'
    )
    title = "<title>Two journeys through hushtune, and the packages that they pass</title>"
    marker = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#39424e"/></marker></defs>'
    )
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#ffffff"/>'
    return "\n".join([head, title, marker, ground, *parts, "</svg>"]) + "\n"


def _row(number: float) -> float:
    """Return the y of a row of steps, counted from 0."""
    return TOP + PITCH * number


def _text(x: float, y: float, text: str, size: float, colour: str = "#1d242d", more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}"{more}>{escape(text)}</text>'


def _box(x: float, y: float, wide: float, tall: float, corner: float, look: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{tall:g}" rx="{corner:g}" {look}/>'


def _lanes() -> Iterator[str]:
    """Draw the two sides and the border between them."""
    tall = _row(7) - 20 + 6
    for x, wide, colour, name, said in (
        (20, 596, "#fdf6ee", "At each site", "Records stay in this box. Steps A to G: the path of a record."),
        (846, 294, "#f0f3fc", "At the server", "Steps 1 to 13: the path of an adapter."),
    ):
        yield _box(x, 20, wide, tall, 10, f'fill="{colour}" stroke="#d5d9e0"')
        yield _text(x + 16, 50, name, 19, more=' font-weight="bold"')
        yield _text(x + 16, 74, said, 13, "#4a5461")
    yield f'<path d="M 731 94 V {tall + 16:g}" stroke="#b3261e" stroke-width="1.5" stroke-dasharray="5 5"/>'
    for line, words in enumerate(("The network: TLS, a key", "for each site, and no message", "that can carry text")):
        yield _text(731, 48 + 17 * line, words, 12.5, "#8c1d18", ' text-anchor="middle"')


def _journeys(code: Code) -> Iterator[str]:
    """Draw the steps of both journeys."""
    for row, (letter, stop) in enumerate(zip("ABCDEFG", follow(code, RECORD), strict=True)):
        yield from _step(RECORDS, _row(row), letter, stop)
    numbers = iter(range(1, 14))
    for x, steps, places in (
        (ANSWERS, ASKING, (0, 1)),
        (ORDERS, TRAINING, (0, 1.5, 3, 4, 5, 6)),
        (ANSWERS, AGGREGATING, (2, 3, 4, 5, 6)),
    ):
        for place, stop in zip(places, follow(code, steps), strict=True):
            yield from _step(x, _row(place), str(next(numbers)), stop)


def _step(x: float, y: float, sign: str, stop: Stop) -> Iterator[str]:
    """Draw one step: its number or letter, what happens, and the file."""
    colour = COLOURS[stop.package]
    yield _box(x, y, BOX, TALL, 6, f'fill="#ffffff" stroke="{colour}" stroke-width="1.4"')
    yield f'<circle cx="{x + 21:g}" cy="{y + 25:g}" r="13" fill="{colour}"/>'
    yield _text(x + 21, y + 29.5, sign, 13, "#ffffff", ' text-anchor="middle" font-weight="bold"')
    yield _text(x + 42, y + 21, stop.says, 13.5)
    yield _text(x + 42, y + 39, stop.path, 11, colour, f' font-family="{MONO}"')


def _arrows() -> Iterator[str]:
    """Draw the arrows between steps."""
    for column, places in ((RECORDS, range(7)), (ORDERS, (0, 1.5, 3, 4, 5, 6)), (ANSWERS, range(7))):
        for above, below in pairwise(places):
            if (column, above) not in ((ORDERS, 3), (ANSWERS, 1)):  # arrows from other columns lead to these steps
                yield _line(f"M {column + BOX / 2:g} {_row(above) + TALL:g} V {_row(below) - 2:g}")
    middle = TALL / 2
    left, right = RECORDS + BOX, ORDERS + BOX
    yield _line(f"M {ORDERS:g} {_row(3) + middle:g} H {left + 2:g}")
    yield _line(f"M {left:g} {_row(6) + middle:g} H {left + 20:g} V {_row(4) + middle:g} H {ORDERS - 2:g}")
    yield _line(f"M {ANSWERS:g} {_row(1) + middle:g} H 780 V {_row(0) + middle:g} H {right + 2:g}")
    yield _line(f"M {right:g} {_row(6) + middle:g} H 682 V {_row(2) + middle:g} H {ANSWERS - 2:g}")
    edge = ANSWERS + BOX
    yield _line(f"M {edge:g} {_row(6) + middle:g} H {edge + 9:g} V {_row(0) + middle:g} H {edge + 2:g}")
    for y, words in ((_row(0) + middle, "order"), (_row(2) + middle, "reply")):
        yield _box(708, y - 10, 46, 20, 0, 'fill="#ffffff"')
        yield _text(731, y + 4, words, 13, "#39424e", ' text-anchor="middle" font-style="italic"')


def _line(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#39424e" stroke-width="1.6" marker-end="url(#tip)"/>'


def _house(root: Path) -> Iterator[str]:
    """Draw the packages as floors; refuse a package that imports a floor that is not below it."""
    top = _row(7) + 32
    yield _text(20, top + 4, "The packages", 19, more=' font-weight="bold"')
    said = "Each floor imports only the floors below; client and server never import each other."
    yield _text(176, top + 3, said, 13, "#4a5461")
    below: set[str] = {name for floor in FLOORS for name in floor}
    for number, floor in enumerate(FLOORS):
        below -= set(floor)
        wide = (WIDTH - 40 - 12 * (len(floor) - 1)) / len(floor)
        for place, package in enumerate(floor):
            if not imported(root, package) <= below:
                raise ConfigError(f"{package} imports a package that is not below; docs/architecture.svg cannot be drawn")
            yield from _floor(root, package, 20 + place * (wide + 12), top + 18 + 70 * number, wide)


def _floor(root: Path, package: str, x: float, y: float, wide: float) -> Iterator[str]:
    """Draw one package: its name, its purpose and its folders."""
    colour = COLOURS[package]
    yield _box(x, y, wide, 62, 6, f'fill="{colour}" fill-opacity="0.09" stroke="{colour}"')
    yield _text(x + 12, y + 23, f"{package}/", 14.5, colour, ' font-weight="bold"')
    space = int((wide - 24 - 9.6 * len(package) - 14) / 6.1)
    yield _text(x + 24 + 9.6 * len(package), y + 23, _shortened(purpose(root, package), space), 12.5)
    yield from _chips(rooms(root, package), x + 12, y + 36, colour)


def _shortened(text: str, most: int) -> str:
    """Return the text, cut at a word where it is longer than ``most`` letters."""
    return text if len(text) <= most else text[:most].rsplit(" ", 1)[0].rstrip(",:;") + " ..."


def _chips(names: Iterable[str], x: float, y: float, colour: str) -> Iterator[str]:
    """Draw folder names side by side."""
    for name in names:
        wide = 6.7 * len(name) + 12
        yield _box(x, y, wide, 18, 9, f'fill="#ffffff" stroke="{colour}" stroke-width="0.8"')
        yield _text(x + wide / 2, y + 13, name, 11, colour, f' text-anchor="middle" font-family="{MONO}"')
        x += wide + 6


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(picture(ROOT), encoding="utf-8")


if __name__ == "__main__":
    main()
