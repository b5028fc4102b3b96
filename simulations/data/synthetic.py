"""Generate the default data: patients' messages to hospitals, with the true positions of the personal data in them.

Nothing is downloaded and all people are invented. Each site has its own mix of departments, writing style, people and
random numbers.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache
from pathlib import Path

from faker import Faker

from shared.config.data import SiteSection
from simulations.data.bias import biased
from simulations.data.message_grammar import DEPARTMENTS, Style, compose

__all__ = ["DEPARTMENTS", "patient_messages", "write_sites"]

Span = dict[str, str | int]

# The label skew between sites: the Dirichlet concentration (smaller means more skew), and the share of each site's messages
# that is spread evenly over the departments.
CONCENTRATION = 0.8
EVEN_PART = 0.4

# Share of messages with a wrong label, which no model can predict.
MISFILED = 0.02

# Records per person on average. A person here is the holder of the sending account, not the patient in the text.
RECORDS_A_PERSON = 5

# The share of messages without personal details, and the probability of each detail in the others.
ANONYMOUS = 0.1
GIVEN = {
    "NAME": 0.5,
    "MEDICAL_RECORD_NUMBER": 0.2,
    "DATE_OF_BIRTH": 0.16,
    "PHONE_NUMBER": 0.18,
    "EMAIL_ADDRESS": 0.16,
    "STREET_ADDRESS": 0.1,
    "SIGNATURE": 0.4,
}

LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "pl_PL", "nl_NL")
PROVIDERS = ("person", "address", "phone_number", "internet", "company")
PEOPLE_PER_LOCALE = 60  # at a site of at least 240 messages; fewer at smaller sites, because inventing them takes longest
MESSAGES_PER_PERSON = 4  # of a locale
# One format per site, in Faker's notation: # is a digit, % a digit except 0, ? a letter.
RECORD_NUMBERS = ("%######", "H-######", "##-####-##", "%%%-###-###", "PAT######", "??######")
BIRTH_DATES = ("{:%d/%m/%Y}", "{:%Y-%m-%d}", "{:%d %B %Y}", "{:%B %d, %Y}", "{:%d.%m.%Y}")

# Writing styles, one per site in turn: text messages, letters, rambling texts, and messages relayed by relatives or staff.
STYLES = (
    Style(typos=0.06, lower=True, words={
        "opening": ("hi", "hello", "hey there", "hi all", "good morning", ""),
        "closing": ("thx", "thanks a lot", "cheers", "thx in advance", ""),
        "signed": ("thx [PERSON]", "cheers, [PERSON]", "[PERSON]"),
        "request": ("need {want} pls.", "pls {ask}, thx.", "any news on {want}?", "{trouble}, help."),
        "settled": ("got {want} {recently}.", "no need to {ask} anymore.", "{want} is ok now.", "forget {want}."),
        "NAME": ("[PERSON] here.", "its [PERSON].", "this is [PERSON]."),
        "DATE_OF_BIRTH": ("dob [DATE_OF_BIRTH].", "born [DATE_OF_BIRTH]."),
        "MEDICAL_RECORD_NUMBER": ("my no is [MEDICAL_RECORD_NUMBER].", "mrn [MEDICAL_RECORD_NUMBER]."),
        "PHONE_NUMBER": ("cell [PHONE_NUMBER].", "ring me [PHONE_NUMBER]."),
        "EMAIL_ADDRESS": ("mail me [EMAIL_ADDRESS].", "mail is [EMAIL_ADDRESS]."),
        "STREET_ADDRESS": ("i live at [STREET_ADDRESS].", "adress [STREET_ADDRESS]."),
    }),
    Style(typos=0.004, words={
        "opening": ("Dear Sir or Madam,", "Dear team,", "Good day,", "To whom it may concern,"),
        "closing": ("Yours sincerely", "Kind regards", "With best regards", "Yours faithfully"),
        "signed": ("{closing}, [PERSON]",),
        "request": ("I should be most grateful if you would {ask}.", "may I ask you to {ask}?",
                    "I hereby request {want}.", "to date I have not received {want}.",
                    "I regret to inform you that {trouble}."),
        "settled": ("{want} has been received with thanks.", "my earlier request that you {ask} is withdrawn.",
                    "I do not request {want}.", "I informed you that {trouble}; this matter is closed."),
        "NAME": ("I, [PERSON], am a patient of your hospital.",),
        "MEDICAL_RECORD_NUMBER": ("reference: [MEDICAL_RECORD_NUMBER].", "my file number is [MEDICAL_RECORD_NUMBER]."),
        "EMAIL_ADDRESS": ("kindly reply to [EMAIL_ADDRESS].",),
        "STREET_ADDRESS": ("I reside at [STREET_ADDRESS].",),
    }),
    Style(typos=0.015, asides=0.4, words={
        "opening": ("Hello dear people,", "Hi everyone,", "Hello again,", "Good evening all,"),
        "closing": ("Sorry for the long mail!", "Have a lovely week!", "Bye for now!", "Many thanks to the nurses!"),
        "signed": ("{closing} [PERSON]", "{closing} Yours, [PERSON]"),
        "request": ("oh, and what keeps me awake: {trouble}.", "be an angel and {ask}, will you?",
                    "I would be so happy to finally have {want}.", "well, I keep hoping that somebody will {ask}."),
        "settled": ("oh, and {want}, well, that is all sorted by now.", "you were angels to {ask} so quickly.",
                    "I was so happy to finally have {want}.",
                    "for a while it looked as if {trouble}, but no, all is well there."),
        "aside": ("(the weather has been awful|my tomatoes are ripe|the bus was late again), but never mind.",
                  "my (neighbour|sister|friend) [FRIEND] (sends greetings|says I worry too much).",
                  "at my age one (forgets half of it|gets confused by all this).",
                  "I (always enjoy|never liked) your canteen, by the way."),
        "NAME": ("it is [PERSON] (again|writing), you may remember me.", "this is [PERSON]."),
        "PHONE_NUMBER": ("just ring me on [PHONE_NUMBER], I am (mostly|always) at home.",),
    }),
    Style(typos=0.01, asides=0.1, relayed=True, words={
        "opening": ("Hello, I am writing for {patient}.", "This concerns {patient}.", "A message from {patient}."),
        "closing": ("Thank you", "Thanks for your help", "Regards", "Best wishes"),
        "signed": ("{closing}, [WRITER]",),
        "request": ("{I} asked me to get {want}.", "the family would like you to {ask}.",
                    "{I} {am} upset that {trouble}."),
        "settled": ("{I} told me that {want} is settled.", "{I} {am} glad that you could {ask}.",
                    "{I} {have} {want} by now."),
        "aside": ("{I} cannot write at the moment.", "we spoke before.", "I note this down for the file."),
        "NAME": ("patient: [PERSON].", "{I} {am} called [PERSON], my name is [WRITER]."),
        "MEDICAL_RECORD_NUMBER": ("on the wristband: [MEDICAL_RECORD_NUMBER].",),
        "PHONE_NUMBER": ("call me, [WRITER], on [PHONE_NUMBER].",),
    }),
)  # fmt: skip

# Mark in a message -> (label of its span, index of the person: 0 patient, 1 writer, 2 somebody else, field of Person).
MARKS: Mapping[str, tuple[str, int, str]] = {
    "PERSON": ("PERSON", 0, "name"),
    "WRITER": ("PERSON", 1, "name"),
    "FRIEND": ("PERSON", 2, "first_name"),
    "DOCTOR": ("PERSON", 2, "last_name"),
    "DATE_OF_BIRTH": ("DATE_OF_BIRTH", 0, "born"),
    "MEDICAL_RECORD_NUMBER": ("MEDICAL_RECORD_NUMBER", 0, "record_number"),
    "STREET_ADDRESS": ("STREET_ADDRESS", 0, "address"),
    "PHONE_NUMBER": ("PHONE_NUMBER", 0, "phone"),
    "EMAIL_ADDRESS": ("EMAIL_ADDRESS", 0, "email"),
}
MARK = re.compile(r"\[([A-Z_]+)\]")
WORD = re.compile(r"[a-z]{4,}")


@dataclass(frozen=True)
class Person:
    """The personal data of one invented person."""

    pronoun: str
    first_name: str
    last_name: str
    born: str
    record_number: str
    address: str
    phone: str
    email: str

    @property
    def name(self) -> str:
        """The full name."""
        return f"{self.first_name} {self.last_name}"


def patient_messages(
    site_index: int, sites: int, records: int, seed: int, labels: Sequence[str] = DEPARTMENTS
) -> Iterator[dict[str, object]]:
    """Yield the messages of one site: ``text``, ``label`` (one of ``labels``) and the true ``spans``.

    A span is ``{"label", "start", "end"}``, in characters of the text, end excluded. The same arguments give the same
    messages in each process; a site's messages do not depend on how many messages the other sites have.

    Parameters
    ----------
    site_index
        The number of the site, from 0.
    sites
        The number of sites, which the label skew depends on.
    records
        The number of messages.
    seed
        The run's seed.
    labels
        The departments; or some of `NEED_LABELS`, which makes a harder task.

    Raises
    ------
    ValueError
        ``site_index`` is not one of ``sites``.
    """
    if not 0 <= site_index < sites:
        raise ValueError(f"site_index = {site_index}: must be from 0 to {sites - 1}")
    style = STYLES[site_index % len(STYLES)]
    shares = label_shares(sites, seed)[site_index]
    people = invent_people(site_index, seed, min(PEOPLE_PER_LOCALE, max(1, records // MESSAGES_PER_PERSON)))
    needs = {department: [label for label in labels if label.startswith(f"{department}-")] for department in DEPARTMENTS}
    rng = stream(seed, "messages", site_index)
    for _ in range(records):
        department = rng.choices(DEPARTMENTS, shares)[0]
        need = rng.choice(needs[department]) if needs[department] else None
        trio = rng.sample(people, 3)
        voice = trio[0].pronoun if style.relayed else "self"
        sentences = compose(department, style, voice, details_given(rng), rng, need)
        text, spans = plant(sentences, style, trio, rng)
        wrong = rng.random() < MISFILED
        right, others = need or department, labels if need else DEPARTMENTS
        label = rng.choice([other for other in others if other != right]) if wrong else right
        yield {"text": text, "label": label, "spans": spans}


def write_sites(
    folder: Path, sites: Sequence[SiteSection], seed: int, bias: float = 0.0, labels: Sequence[str] = DEPARTMENTS
) -> None:
    """Write ``<site id>.jsonl`` with ``site.records`` messages for each site.

    Parameters
    ----------
    folder
        Where to write; created if missing.
    sites
        The sites and their numbers of records.
    seed
        The run's seed.
    bias
        The share of messages whose sender's gender follows the department (see `simulations.data.bias`); with 0, messages
        name no sender.
    labels
        The labels of the messages (see `patient_messages`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index, site in enumerate(sites):
        messages = patient_messages(index, len(sites), site.records, seed, labels)
        if bias:
            messages = biased(messages, bias, stream(seed, "senders", index))
        owners = account_holders(site.records, stream(seed, "accounts", index))
        rows = [message | {"person": f"{site.id}-{owner}"} for message, owner in zip(messages, owners, strict=True)]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{site.id}.jsonl").write_text(lines, encoding="utf-8")


def stream(*parts: object) -> random.Random:
    """Return a random generator seeded by ``parts``, the same in every process; not for security."""
    return random.Random("/".join(map(str, parts)))  # noqa: S311  reproducible data, no secret


def account_holders(records: int, rng: random.Random) -> list[int]:
    """Draw the account of each record: a tenth of the persons write half of the records, as in real mailboxes."""
    persons = max(1, records // RECORDS_A_PERSON)
    busy = range(max(1, persons // 10))
    return [
        rng.choice(busy) if rng.random() < 0.5 else rng.randrange(len(busy), max(persons, len(busy) + 1))
        for _ in range(records)
    ]


@lru_cache(maxsize=1)  # the same for all sites of a run
def label_shares(sites: int, seed: int) -> Sequence[Sequence[float]]:
    """Draw the share of each department at each site: skewed within a site, even over all sites together.

    The skew is a Dirichlet label skew (Hsu, Qi and Brown 2019, arXiv 1909.06335), balanced over rows and columns (Sinkhorn).
    An even part keeps every department at every site. A single site has even shares.
    """
    rng = stream(seed, "labels", sites)
    skew = [[rng.gammavariate(CONCENTRATION, 1) + 1e-6 for _ in DEPARTMENTS] for _ in range(sites)]
    for _ in range(100):
        totals = [sum(column) for column in zip(*skew, strict=True)]
        skew = [[share / total for share, total in zip(row, totals, strict=True)] for row in skew]
        skew = [[share / sum(row) for share in row] for row in skew]
    return [[(1 - EVEN_PART) * share + EVEN_PART / len(DEPARTMENTS) for share in row] for row in skew]


@lru_cache(maxsize=16)  # a simulation generates its records twice: once to scrub them early, and once into its folder
def invent_people(site_index: int, seed: int, per_locale: int = PEOPLE_PER_LOCALE) -> Sequence[Person]:
    """Invent the people of a site: ``per_locale`` from each country, with record numbers in the site's format."""
    rng = stream(seed, "people", site_index)
    pattern = RECORD_NUMBERS[site_index % len(RECORD_NUMBERS)]
    people = []
    for locale in LOCALES:
        faker = generator_of(locale)
        faker.seed_instance(rng.getrandbits(64))
        people += [invent_person(faker, pattern, rng) for _ in range(per_locale)]
    return people


@cache
def generator_of(locale: str) -> Faker:
    """Return the generator of a country's people; the caller seeds it first."""
    return Faker(locale, providers=[f"faker.providers.{name}" for name in PROVIDERS])


def invent_person(faker: Faker, record_pattern: str, rng: random.Random) -> Person:
    """Invent one person of the generator's country, 18 to 95 years old in 2025."""
    pronoun = rng.choice(("she", "he"))
    born = date(1930, 1, 1) + timedelta(days=rng.randrange(77 * 365))
    return Person(
        pronoun=pronoun,
        first_name=faker.first_name_female() if pronoun == "she" else faker.first_name_male(),
        last_name=faker.last_name(),
        born=rng.choice(BIRTH_DATES).format(born),
        record_number=faker.bothify(record_pattern).upper(),
        address=", ".join(faker.address().splitlines()).replace(" ,", ","),
        phone=faker.phone_number(),
        email=faker.ascii_email(),
    )


def details_given(rng: random.Random) -> list[str]:
    """Draw the kinds of personal details that a message gives, in random order; there may be none."""
    if rng.random() < ANONYMOUS:
        return []
    details = [kind for kind, chance in GIVEN.items() if rng.random() < chance]
    return rng.sample(details, len(details))


def plant(sentences: Sequence[str], style: Style, people: Sequence[Person], rng: random.Random) -> tuple[str, list[Span]]:
    """Join the sentences, replace the marks by personal data, and return the text and the spans of these data.

    ``people`` are the patient, the writer and somebody else. Typos are added only outside the personal data.
    """
    text = ""
    spans: list[Span] = []
    # Split at the marks: even places hold words, odd places the names of marks.
    for place, piece in enumerate(MARK.split(" ".join(sentences))):
        is_mark = place % 2 == 1
        if is_mark:
            label, person, field = MARKS[piece]
            piece = getattr(people[person], field)
        else:
            piece = WORD.sub(lambda word: slip(word[0], rng) if rng.random() < style.typos else word[0], piece)
        start = len(text)
        text += piece.lower() if style.lower else piece
        if is_mark:
            spans.append({"label": label, "start": start, "end": len(text)})
    return text, spans


def slip(word: str, rng: random.Random) -> str:
    """Return the word with a typo: two letters swapped, one left out, or one doubled; the first letter is kept."""
    at = rng.randrange(1, len(word) - 1)
    return word[:at] + rng.choice((word[at + 1] + word[at], "", word[at] * 2)) + word[at + 1 :]
