"""Measure recall by kind and language on generated labelled sentences, with our anonymiser and with stock Presidio.

python -m bench.languages [--kept] [--level L] [--language CODE] [--write FOLDER] [--json]
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from stdnum.at import vnr
from stdnum.be import nn
from stdnum.ch import ssn
from stdnum.de import idnr
from stdnum.es import nif
from stdnum.fr import nir, siret

from bench.languages_frames import FRAMES
from bench.table import parser_of, run_bench
from bench.unseen import Filler
from privacy.detect.levels import LEVELS
from privacy.leakage.comparison import is_held_back, ours, stock
from privacy.leakage.labelled import Texts
from privacy.leakage.score import Marked, leak_score
from shared.config.anonymise import AnonymiseSection
from shared.records.types import Span

SEED, EACH = 1, 240
# One sentence in PLAIN_EVERY has no personal data.
PLAIN_EVERY = 6
DATES: Mapping[str, Sequence[str]] = {
    "de": ("%d.%m.%Y", "%d.%m.%y", "%-d. {month} %Y", "%Y-%m-%d"),
    "fr": ("%d/%m/%Y", "%d.%m.%Y", "%-d {month} %Y", "%Y-%m-%d"),
    "es": ("%d/%m/%Y", "%d-%m-%Y", "%-d de {month} de %Y", "%Y-%m-%d"),
}
MONTHS = {
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}
CASES = ("##-%###", "%####/##", "?-%#####", "??%#####", "%## %### ##", "%#######")
# Official numbers by locale: a form, and the check of its last digits, which are tried until they fit.
OFFICIAL: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    "de_DE": ("%## ### ### ##", idnr.is_valid),
    "de_AT": ("%### 010180", vnr.is_valid),
    "de_CH": ("756.####.####.##", ssn.is_valid),
    "fr_FR": ("2 8# 05 75 ### ### ##", nir.is_valid),
    "fr_BE": ("85.07.30-###.##", nn.is_valid),
    "fr_CH": ("756.####.####.##", ssn.is_valid),
    "es_ES": ("########", nif.is_valid),
}


class LocalFiller(Filler):
    """Fills the sentences of one language with values of its countries."""

    def __init__(self, code: str, kept: bool, seed: int) -> None:
        frames = FRAMES[code]
        super().__init__(code, seed, {code: (frames.locales, frames.kept if kept else frames.seen)})
        self._given, self._family = frames.given.split(), frames.family.split()
        self._plain, self._code_of = frames.plain, code

    def text(self, number: int) -> tuple[str, tuple[Span, ...]]:
        """Return a text with its spans, or every ``PLAIN_EVERY``-th time one without."""
        if number % PLAIN_EVERY == 0:
            return self._random.choice(self._plain), ()
        row = self.row()
        return row["text"], tuple(Span(**span) for span in row["spans"])

    def _values(self, fake: Any) -> Mapping[str, Callable[[], str]]:
        locale = next(name for name, each in self._fakers.items() if each is fake)
        return {
            **super()._values(fake),
            "IBAN": lambda: self._spaced(fake.iban()),
            "DATE": lambda: self._date(fake),
            "AGE": lambda: str(fake.random_int(18, 97)),
            "CASE": lambda: fake.bothify(self._random.choice(CASES)).upper(),
            "NATIONAL_ID": lambda: self._official(fake, locale),
            "COMPANY_ID": lambda: self._valid(fake, "### ### ### #####", siret.is_valid),
        }

    def _date(self, fake: Any) -> str:
        day = fake.date_of_birth()
        form = self._random.choice(DATES[self._code_of])
        return str(day.strftime(form.replace("{month}", MONTHS[self._code_of].split()[day.month - 1])))

    def _official(self, fake: Any, locale: str) -> str:
        if locale == "es_MX":
            return str(fake.curp())
        if locale == "es_AR":
            return str(fake.numerify("DNI ##.###.###"))[4:]  # without check digits
        form, check = OFFICIAL[locale]
        return self._valid(fake, form, check, letters="TRWAGMYFPDXBNJZSQVHLCKE" if locale == "es_ES" else "")

    def _valid(self, fake: Any, form: str, check: Callable[[str], bool], letters: str = "") -> str:
        """Return a number of a form, drawn again until its check digits are right."""
        while True:
            number = fake.numerify(form) + (self._random.choice(letters) if letters else "")
            if check(number):
                return str(number)


def generated(code: str, kept: bool, each: int, seed: int) -> Texts:
    """Return labelled texts of a language, the same for the same seed."""
    filler = LocalFiller(code, kept, seed)
    return [filler.text(number) for number in range(each)]


def row(marked: Sequence[Marked]) -> dict[str, Any]:
    """Return the measures of one detector in one language; a text that is held back counts apart."""
    read = [one for one in marked if not is_held_back(one)]
    score = leak_score(read)
    return {
        "held_back": len(marked) - len(read),
        "direct_identifiers": score.direct.row(),
        "other_text_redacted": score.harmless.row(),
        "by_kind": {kind: [recall.found, recall.total] for kind, recall in score.spans.items()},
    }


def measure(codes: Sequence[str], kept: bool, level: str, each: int, seed: int) -> dict[str, dict[str, Any]]:
    """Return the measures of both detectors by language."""
    found = {}
    for code in codes:
        texts = generated(code, kept, each, seed)
        section = AnonymiseSection.model_validate({"language": code, "level": level, "workers": 1})
        found[code] = {"stock Presidio": row(stock(section)(texts)), f"hushtune, {level}": row(ours(section)(texts))}
    return found


def shown(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return recall by kind and language as a table: covered whole, our detector first, and stock Presidio in brackets."""
    table = Table("kind", *found)
    both = {code: list(rows.values()) for code, rows in found.items()}
    for kind in sorted({kind for rows in both.values() for kind in rows[0]["by_kind"]}):
        table.add_row(kind, *(" ".join(_kind(each, kind) for each in reversed(rows)) for rows in both.values()))
    for name in ("direct_identifiers", "other_text_redacted"):
        cells = (f"{100 * mine[name]['value']:.1f} % ({100 * other[name]['value']:.1f})" for other, mine in both.values())
        table.add_row(name.replace("_", " "), *cells)
    table.add_row("held back", *(str(mine["held_back"]) for _, mine in both.values()))
    return table


def _kind(row: Mapping[str, Any], kind: str) -> str:
    found, total = row["by_kind"].get(kind, (0, 0))
    return f"{found} of {total}" if row["by_kind"] else ""


def main() -> None:
    """Measure and print, or write the texts."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("--kept", action="store_true", help="the sentences that were kept apart from the rules")
    parser.add_argument("--level", default="standard", choices=sorted(LEVELS))
    parser.add_argument("--language", action="append", choices=sorted(FRAMES), help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--each", type=int, default=EACH, help="texts of each language")
    parser.add_argument("--write", type=Path, help="write the texts to this folder instead, for hushtune score-pii")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    codes = arguments.language or sorted(FRAMES)
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        for code in codes:
            rows = generated(code, arguments.kept, arguments.each, arguments.seed)
            lines = [json.dumps({"text": t, "spans": [s.__dict__ for s in spans]}, ensure_ascii=False) for t, spans in rows]
            (arguments.write / f"{code}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    found = measure(codes, arguments.kept, arguments.level, arguments.each, arguments.seed)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        Console(width=140).print(shown(found))


if __name__ == "__main__":
    run_bench(main)
