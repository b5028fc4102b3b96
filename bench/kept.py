"""Frames of English texts that were written apart from the rules, before the errors of November 2026 were read.

``bench.unseen`` fills them: python -m bench.unseen FILE.jsonl --group kept --group kept_kinds --each 400. The group
``kept_kinds`` has one frame for each way of writing an identifier, the group ``kept`` is everyday text.
"""

from collections.abc import Callable, Mapping

from faker import Faker

KEPT = (
    "The keys are with the caretaker, {PERSON}, at {ADDRESS}.",
    "{COMPANY} has hired {PERSON} as its new {JOB}.",
    "Thanks for your call, {TITLE} {LAST}. We will ring back on {PHONE} before noon.",
    "An {AGE}-year-old retired {JOB} from {CITY} donated the paintings.",
    "He is a {NATION} citizen who came to {CITY} in the spring to work for {COMPANY}.",
    "Two {NATION} students, {FIRST} and {FIRST}, rented the loft from {PERSON}.",
    "Forward everything from {EMAIL} to {EMAIL}, please.",
    "My daughter {FIRST} was born on {DATE} in {CITY}, {COUNTRY}.",
    "To whom it may concern: {PERSON} worked as a {JOB} at {COMPANY} until {DATE}.",
    "The parcel for {PERSON} went to {CITY} by mistake; the right address is {ADDRESS}.",
    "Minutes taken by {PERSON}. Present: {LAST}, {LAST} and {LAST}.",
    "Guess who I saw in {CITY}? {FIRST} {LAST}, our old {JOB}!",
    "Card {CREDIT_CARD} in the name of {PERSON} was reported stolen on {DATE}.",
    "{PERSON} ({NATION}) came second in the slalom.",
    "We bought the sofa from {COMPANY}, but {COMPANY} delivered it.",
    "Ask {FIRST} in accounts, {EMAIL}, for the form.",
    "Hello, this is {FIRST} from {COMPANY}, is {LAST} in?",
    "I share a flat with a {JOB} named {FIRST}.",
    "Lunch with {FIRST} on {DATE} at the café next to {COMPANY}?",
    "The complaint of {PERSON}, {ADDRESS}, {COUNTRY}, was received on {DATE}.",
    "My number is {PHONE} and my social is {SSN}.",
    "The refund goes to {IBAN} ({PERSON}).",
    "{LAST}'s report on the fire in {CITY} is due on {DATE}.",
    "Registration failed for user {USERNAME} from address {IP}.",
    "Even {LAST}, who never praises anybody, liked the {NATION} restaurant in {CITY}.",
    "The printer is out of toner again and nobody cares.",
    "How do I change the language of the app?",
    "We were told to wait in the lobby for half an hour.",
    "The trail is steep at first but the view is worth it.",
    "Please water the plants while I am away.",
    "Is breakfast included in the price of the room?",
    "The package was damaged and two of the plates were broken.",
    "My subscription renews automatically, how can I stop it?",
)
KEPT_KINDS = (
    "Admitted: {SEX_AGE}, known to the clinic, accompanied by {FIRST}.",
    "The deceased was {AGE_FORM}.",
    "Our oldest member, {AGE} years young, still swims daily.",
    "NI number {NINO}, tax code to follow.",
    "The boat sank near {COORD} last night.",
    "Find my channel at t.me/{USERNAME} or on discord as {TAGGED}.",
    "The landlord's account is {IBAN_PARTS}.",
    "iban is {IBAN_LOWER} thanks",
    "The hire car has the number plate {PLATE_DE}.",
    "My bike, {PLATE_IN}, is parked in the basement.",
    "A white lorry ({PLATE_UK}) reversed into the bollard.",
    "Telephone: {PHONE_SLASH}",
    "Charged to the Visa ending in {CARD_END}.",
    "did {rare} tell u about the party at {rare}s place",
    "The accident happened where {STREET_NAME} meets {STREET_NAME}.",
    "Her new address is {FOREIGN_ADDRESS}.",
    "Our solicitors are {FIRM}.",
    "A statement was issued by {TITLE_JOB} {PERSON}.",
    "Passport no. {PASSPORT} was issued in {CITY}.",
    "Policy number {POLICY}, claim {CASE}.",
)
LABELS = {"NATION": "NRP"}
NATIONS = (
    "Peruvian Bulgarian Scottish Vietnamese Kenyan Norwegian Slovak Turkish Sikh Methodist Jewish Zambian Lebanese Cypriot "
    "Mongolian"
)


def values(fake: Faker) -> Mapping[str, Callable[[], str]]:
    """Return the makers of the values that only these frames have."""
    return {"NATION": lambda: str(fake.random_element(NATIONS.split()))}
