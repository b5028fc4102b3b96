"""Write labelled English texts of domains that no rule of the anonymiser was written for, to measure it there.

python -m bench.unseen FILE.jsonl [--seed N] [--each N] [--group NAME], then python -m bench.pii FILE.jsonl

The frames are written by hand and the values are Faker's, of many locales. They show general weaknesses; a rule that fits
only one of these frames would make them worthless.
"""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faker import Faker

from bench import fresh, kept
from bench.fresh import ENGLISH
from bench.table import parser_of
from shared.records.types import Span

# {SLOT} is a value with its label; the language of a frame says which locales its values may come from.
FRAMES: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "bank": (
        ENGLISH,
        (
            "I am writing to complain about the overdraft fee on account {ACCOUNT}. Yours faithfully, {PERSON}, {ADDRESS}",
            "On {DATE} someone withdrew 400 from my card {CREDIT_CARD} at a shop that I have never been to.",
            "The transfer to {IBAN} has not arrived. Please ring {PERSON} on {PHONE}.",
            "{PERSON} at the branch promised me a refund, but nothing came. My e-mail is {EMAIL}.",
            "Re: joint account of {PERSON} and {PERSON} - sort code {SORT_CODE}, account number {ACCOUNT}",
            "The clerk ({PERSON}) asked for my social security number {SSN} in front of everybody!",
            "Statement went to my old address, {ADDRESS}, again. I moved in March.",
        ),
    ),
    "court": (
        ENGLISH,
        (
            "IN THE MATTER OF {PERSON} v {PERSON}, case number {CASE}, heard on {DATE}.",
            "The defendant, {PERSON}, born {DATE}, residing at {ADDRESS}, did not appear.",
            "Counsel for the claimant, {PERSON}, may be reached at {EMAIL} or by telephone ({PHONE}).",
            "The witness {PERSON} identified the vehicle with registration {PLATE} as the one that struck {PERSON}.",
            "Bail was set by Judge {PERSON}; the passport {PASSPORT} was surrendered to the clerk.",
            "Documents were served on {PERSON} at {ADDRESS} at 9:40 in the morning.",
        ),
    ),
    "school": (
        ENGLISH,
        (
            "Dear parents of {FIRST}, the trip on {DATE} costs 12 a head. Best wishes, {PERSON} (form tutor)",
            "{FIRST} and {FIRST} were fighting again in the corridor, so I rang their mother, {PERSON}, on {PHONE}.",
            "Could {PERSON} in year 9 please collect her lost inhaler? Student ID {STUDENT}.",
            "We have changed our address to {ADDRESS}; please update the file of our son {FIRST}.",
            "{PERSON} will be absent until {DATE}. For homework write to {EMAIL}.",
            "Library reminder for {LAST}, {FIRST}: two books are overdue.",
        ),
    ),
    "insurance": (
        ENGLISH,
        (
            "Claim {CASE}: a branch fell on the car ({PLATE}) of {PERSON} outside {ADDRESS}.",
            "Our assessor {PERSON} will call you from {PHONE} tomorrow afternoon.",
            "Policyholder: {PERSON}\nDate of birth: {DATE}\nPolicy: {POLICY}\nMobile: {PHONE}",
            "I was rear-ended near {CITY} by a van driven by {PERSON}. His insurer wants {IBAN} for the refund.",
            "Log: user {USERNAME} signed in from {IP} and changed the payout account to {IBAN}.",
        ),
    ),
    "work": (
        ENGLISH,
        (
            "hi team, {FIRST} from payroll says the {CITY} office closes early today",
            "Employee {STAFF} ({PERSON}) reports to {PERSON}. Desk phone {PHONE}.",
            "Interview with {PERSON}: lives in {CITY}, speaks two languages, see {URL}",
            "Expense report of {PERSON}, hotel in {CITY} from {DATE} to {DATE}, card ending in {CARD_END}.",
            "@{USERNAME} can you ask {FIRST} whether {PERSON} signed? her mail is {EMAIL}",
            "{PERSON} <{EMAIL}> wrote on {DATE}:\n> Ship it to {ADDRESS}\n> Thanks, {FIRST}",
            "Visitor badge for {PERSON}, {COMPANY}, arriving {DATE} with car {PLATE}",
        ),
    ),
    "chat": (
        ENGLISH,
        (
            "hey its {person}, my number changed its {PHONE} now",
            "omg {first} told {first} that {person} got fired lol",
            "can u send it to {address} pls, name is {person}",
            "im {first} btw, born {DATE}, from {city} originally",
            "order {CASE} never arrived, im {person} and my email is {EMAIL}",
            "yo {first} call {person} asap {PHONE}",
            "my landlord {person} lives at {address} and never picks up",
        ),
    ),
    # Nobody looked at the missed texts of the next two groups, so their figures are less biased than the others.
    "travel": (
        ENGLISH,
        (
            "Booking {CASE} for {PERSON} and two children, passport {PASSPORT}, leaving {CITY} on {DATE}.",
            "The guest in the garden room is {PERSON}; she left her number ({PHONE}) with the porter.",
            "Lost: a grey suitcase. If found, please post it to {PERSON}, {ADDRESS}.",
            "Our driver {FIRST} waits at arrivals in {CITY} with a sign that says {LAST}.",
            "i booked under {person} but the email says {EMAIL} so i cant check in",
        ),
    ),
    "housing": (
        ENGLISH,
        (
            "Tenant {PERSON} of {ADDRESS} has not paid since {DATE}. Standing order from {IBAN}.",
            "The boiler man, {PERSON}, wants to be let in. You can text him: {PHONE}.",
            "Neighbours {PERSON} and {LAST} keep parking their car ({PLATE}) in front of my gate.",
            "Deposit reference {CASE}, paid by {PERSON} ({EMAIL}) into account {ACCOUNT}.",
            "{FIRST} moved out, so please change the name on the bell to {LAST}.",
        ),
    ),
    "fresh": (fresh.MIXED, fresh.FRESH),
    "kinds": (ENGLISH, fresh.KINDS),
    "lookalikes": (ENGLISH, fresh.LOOKALIKES),
    "kept": (fresh.MIXED, kept.KEPT),
    "kept_kinds": (ENGLISH, kept.KEPT_KINDS),
}
# Names of many origins, written by hand: names in Faker's lists are in the anonymiser's lists too, which would flatter it.
GIVEN = (
    "Adaeze Aoife Bautista Bronagh Caoimhe Dagny Eilidh Farhan Ghislaine Gwenllian Hyacinth Ikechukwu Jadwiga Kwabena "
    "Lourdes Mairead Nkechi Oyinlola Parvaneh Quetzalli Rhiannon Saoirse Tamsin Ulrike Vashti Wanjiku Xiomara Ysolde "
    "Zephaniah Babajide Chukwuemeka Fatoumata Hevin Lwazi Ngozi Phuong Siobhan Tuan Yeon-ju Zbigniew"
)
FAMILY = (
    "Abubakar Achterberg Bhattacharjee Ceesay Dombrowski Enwezor Featherstonehaugh Gyasi Hakobyan Iwu Jaramillo Kipchoge "
    "Lloyd-Pugh Mbeki Nwosu O'Shaughnessy Papadimitriou Quansah Ravensdale Szymborska Tuilagi Uchenna Van-Rensburg "
    "Wojnarowicz Xhaka Yeboah Zadrozny Tchouameni Mac-an-Bhaird Thorneycroft Duc-Nguyen El-Masri Farrukhzad Blenkinsop "
    "Cholmondeley Kamakau Tupou Begaye Whitefeather Okonjo"
)
SLOT = re.compile(r"\{([A-Za-z_]+)\}")
DATES = (
    "%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%d.%m.%Y", "%d %B %Y", "%B %d, %Y", "%d %b %y", "%d-%b-%Y", "%A, %d %B %Y",
    "%d.%m.%y",
)  # fmt: skip
LABELS = {
    "FIRST": "PERSON", "LAST": "PERSON", "ADDRESS": "STREET_ADDRESS", "PHONE": "PHONE_NUMBER", "EMAIL": "EMAIL_ADDRESS",
    "IBAN": "IBAN_CODE", "SSN": "US_SSN", "DATE": "DATE_TIME", "CITY": "LOCATION", "COMPANY": "ORGANIZATION",
    "IP": "IP_ADDRESS", "ACCOUNT": "ID_NUMBER", "SORT_CODE": "ID_NUMBER", "CASE": "ID_NUMBER", "PLATE": "ID_NUMBER",
    "PASSPORT": "ID_NUMBER", "STUDENT": "ID_NUMBER", "STAFF": "ID_NUMBER", "POLICY": "ID_NUMBER", "CARD_END": "ID_NUMBER",
    **fresh.LABELS,
    **kept.LABELS,
}  # fmt: skip


class Filler:
    """Fills the frames of a group with values; the same seed gives the same texts, whatever other groups are filled."""

    def __init__(
        self, group: str, seed: int, frames: Mapping[str, tuple[Sequence[str], Sequence[str]]] | None = None
    ) -> None:
        self._locales, self._frames = (frames or FRAMES)[group]
        self._group = group
        self._random = random.Random(f"{seed}/{group}")  # noqa: S311  test data, no secret
        self._fakers: dict[str, Faker] = {}
        self._seed = seed
        self._given, self._family = GIVEN.split(), FAMILY.split()

    def row(self) -> dict[str, Any]:
        """Return a labelled text."""
        values = self._values(self._faker(self._random.choice(self._locales)))
        text, spans = "", []
        for at, part in enumerate(SLOT.split(self._random.choice(self._frames))):
            value = values[part.upper()]() if at % 2 else part
            if at % 2:
                value = value.lower() if part.islower() else value
                spans.append(Span(LABELS.get(part.upper(), part.upper()), len(text), len(text) + len(value)))
            text += value
        return {"text": text, "spans": [span.__dict__ for span in spans], "group": self._group}

    def _faker(self, locale: str) -> Faker:
        if locale not in self._fakers:
            self._fakers[locale] = Faker(locale)
            self._fakers[locale].seed_instance(f"{self._seed}/{self._group}/{locale}")
        return self._fakers[locale]

    def _values(self, fake: Faker) -> Mapping[str, Callable[[], str]]:
        return {
            "PERSON": lambda: f"{self._name(fake.first_name, self._given)} {self._name(fake.last_name, self._family)}",
            "FIRST": lambda: self._name(fake.first_name, self._given),
            "LAST": lambda: self._name(fake.last_name, self._family),
            "ADDRESS": lambda: ", ".join(fake.address().splitlines()),
            "CITY": fake.city,
            "PHONE": fake.phone_number,
            "EMAIL": fake.email,
            "USERNAME": fake.user_name,
            "URL": fake.url,
            "IP": fake.ipv4_public,
            "COMPANY": fake.company,
            "IBAN": lambda: self._spaced(self._faker("en_GB").iban() if fake.random_int(0, 3) == 0 else fake.iban()),
            "CREDIT_CARD": lambda: self._spaced(fake.credit_card_number("visa16")),
            "DATE": lambda: fake.date_of_birth().strftime(self._random.choice(DATES)),
            "PLATE": fake.license_plate,
            "SSN": lambda: fake.numerify("%##-%#-%###"),
            "ACCOUNT": lambda: fake.numerify(self._random.choice(("########", "%#########", "%### ####"))),
            "SORT_CODE": lambda: fake.numerify("##-##-##"),
            "CARD_END": lambda: fake.numerify("%###"),
            **fresh.values(fake, self._faker),
            **kept.values(fake),
            **{name: self._code(fake, forms) for name, forms in CODES.items()},
        }

    def _name(self, listed: Callable[[], str], others: Sequence[str]) -> str:
        """Return a name from Faker's list or from ours, with equal probability."""
        return self._random.choice(others) if self._random.random() < 0.5 else listed()

    def _code(self, fake: Faker, forms: Sequence[str]) -> Callable[[], str]:
        return lambda: fake.bothify(self._random.choice(forms)).upper()

    def _spaced(self, number: str) -> str:
        """Return a long number as it is, or in groups of four."""
        return " ".join(re.findall(".{1,4}", number)) if self._random.random() < 0.5 else number


CODES: Mapping[str, Sequence[str]] = {
    "CASE": ("??-####-%##", "%#/####", "????%%%%", "#%-cv-#####", "?%%%%%%%", "%####-%#"),
    "PASSPORT": ("?%#######", "%########", "??%######"),
    "STUDENT": ("s%######", "%######", "??%####"),
    "STAFF": ("E%####", "%#####", "EMP-%###"),
    "POLICY": ("POL-%#####-?", "??? %### %###", "%#########"),
}


def main() -> None:
    """Write the texts."""
    parser = parser_of(__doc__)
    parser.add_argument("file", type=Path, help="JSON lines to write")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other texts")
    parser.add_argument("--each", type=int, default=60, help="texts of each group")
    parser.add_argument("--group", choices=sorted(FRAMES), action="append", help="only this group; may be repeated")
    arguments = parser.parse_args()
    fillers = [Filler(group, arguments.seed) for group in arguments.group or FRAMES]
    rows = [filler.row() for filler in fillers for _ in range(arguments.each)]
    arguments.file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
