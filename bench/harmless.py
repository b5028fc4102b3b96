"""Measure how much harmless text the anonymiser takes: terms of a domain, and the subject of medical questions.

python -m bench.harmless [FILE ...] [--level NAME] [--operator NAME] [--domain NAME ...] [--questions FILE ...] [--show]

A FILE holds one sentence a line, its harmless terms in [[double brackets]]; by default the files in bench/harmless, which
were written by hand, from memory, before any rule or word list for domains was made, and without a look at the lists that
the rules use. A file of questions is JSON lines with "question" and "focus" (MedQuAD). A term is kept if the scrubbed text
holds the term as often as the text did.
"""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.table import parser_of, run_bench
from privacy.anonymise.polyglot import Polyglot
from privacy.anonymise.scrubbed import Quarantined
from privacy.detect.levels import LEVELS
from privacy.detect.normalise import normalise
from shared.config.anonymise import AnonymiseSection
from shared.errors import DataError
from shared.records.types import RawRecord

SENTENCES = Path(__file__).parent / "harmless"
MARKED = re.compile(r"\[\[(.+?)\]\]")
DOMAINS = ("medical", "banking", "legal")
QUESTIONS = 500


@dataclass(frozen=True)
class Sentence:
    """A text and the terms in it that must stay."""

    text: str
    terms: tuple[str, ...]


def marked(path: Path) -> list[Sentence]:
    """Read sentences with marked terms, one a line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot be read as UTF-8 text; give a file of sentences with [[terms]]") from None
    marked_lines = [(MARKED.sub(r"\1", line), MARKED.findall(line)) for line in lines if line.strip()]
    return [Sentence(normalise(text), tuple(map(normalise, terms))) for text, terms in marked_lines]


def questions(paths: Sequence[Path], count: int = QUESTIONS) -> list[Sentence]:
    """Read questions that hold their subject, each once, and return ``count`` of them, spread evenly over the files."""
    found: dict[str, Sentence] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text, focus = normalise(row["question"]), normalise(row["focus"])
            at = text.casefold().find(focus.casefold())
            if at >= 0:
                found.setdefault(text, Sentence(text, (text[at : at + len(focus)],)))
    every = list(found.values())
    return [every[index * len(every) // count] for index in range(min(count, len(every)))]


def scrubbed(section: AnonymiseSection, sentences: Sequence[Sentence]) -> Iterator[str | None]:
    """Yield each scrubbed text; None for a text that was held back."""
    scrubber = Polyglot(section, b"a key for measuring only")
    records = [RawRecord({"text": sentence.text}, None, place) for place, sentence in enumerate(sentences, start=1)]
    for done in scrubber.examine(records):
        yield None if isinstance(done, Quarantined) else done.record.fields["text"]


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("files", type=Path, nargs="*", help="sentences with [[harmless terms]]")
    parser.add_argument("--level", default="standard", choices=sorted(LEVELS))
    parser.add_argument("--operator", default="tag", choices=("tag", "surrogate"))
    parser.add_argument("--domain", nargs="*", default=DOMAINS, help="domains of the text")
    parser.add_argument("--questions", type=Path, nargs="*", default=(), help="MedQuAD files, JSON lines")
    parser.add_argument("--count", type=int, default=QUESTIONS, help="how many questions")
    parser.add_argument("--show", action="store_true", help="print each text that lost a term")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    section = AnonymiseSection.model_validate(
        {"level": arguments.level, "operator": arguments.operator, "workers": 1, "domain": list(arguments.domain)}
    )
    sets = {path.stem: marked(path) for path in arguments.files or sorted(SENTENCES.glob("*.txt"))}
    if arguments.questions:
        sets["questions"] = questions(arguments.questions, arguments.count)
    everything = [sentence for sentences in sets.values() for sentence in sentences]
    results = iter(list(scrubbed(section, everything)))
    total = lost = 0
    for name, sentences in sets.items():
        pairs = [(sentence, next(results)) for sentence in sentences]
        missing = [(sentence, after, _lost(sentence, after)) for sentence, after in pairs]
        here, gone = sum(len(s.terms) for s in sentences), sum(len(terms) for *_, terms in missing)
        print(f"{name}: {gone} of {here} terms touched ({gone / here:.1%}) in {len(sentences)} texts")
        if name != "questions":
            total, lost = total + here, lost + gone
        for sentence, after, terms in missing if arguments.show else ():
            if terms:
                print(f"  {sentence.text!r} -> {after!r}: {', '.join(terms)}")
    print(f"all sentences: {lost} of {total} terms touched ({lost / total:.1%})")


def _lost(sentence: Sentence, after: str | None) -> list[str]:
    """Return the terms that the scrubbed text holds less often than the text did."""
    if after is None:
        return list(sentence.terms)
    return [term for term in sentence.terms if after.count(term) < sentence.text.count(term)]


if __name__ == "__main__":
    run_bench(main)
