"""Frames of English texts that were written before the rules for the identifiers in ``KINDS`` were made.

They were never read while these rules were made. ``bench.unseen`` fills them: python -m bench.unseen FILE.jsonl
--group fresh --group kinds --each 400. The group ``kinds`` has one frame for each way in which an identifier was missed,
the group ``fresh`` is everyday text.
"""

from collections.abc import Callable, Mapping, Sequence

from faker import Faker

ENGLISH = ("en_US", "en_GB", "en_IN", "en_AU", "en_CA", "en_NZ", "en_IE")
# Half of the locales are not English: names and addresses of people who write English and live elsewhere.
MIXED = (*ENGLISH, "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "sv_SE", "cs_CZ", "pt_BR", "fi_FI", "da_DK")

FRESH = (
    "Could you forward the parcel to {ADDRESS} instead? I am staying with {PERSON} until {DATE}.",
    "{PERSON} has been our {JOB} since the merger with {COMPANY}.",
    "I met a {NATIONALITY} violinist called {FIRST} on the night train from {CITY}.",
    "Please cancel card {CREDIT_CARD}; the replacement goes to {PERSON}, {ADDRESS}",
    "According to {PERSON}, the {JOB} at {COMPANY}, nobody was hurt.",
    "Has {LAST} answered yet? If not, try {EMAIL} or {PHONE}.",
    "We were married in {CITY} on {DATE} and moved to {COUNTRY} the year after.",
    "Delivery note\n{PERSON}\n{ADDRESS}\n{COUNTRY}\n{PHONE}",
    "{PERSON}, {AGE}, from {CITY} won the regional bake-off.",
    "Whose dog was barking at {ADDRESS} all night? I think it belongs to {FIRST}.",
    "The lease names {PERSON} and {PERSON} as tenants of {ADDRESS}.",
    "The site {DOMAIN} asked for my social security number, {SSN}, and I gave it.",
    "My {NATIONALITY} neighbour {FIRST} {LAST} turns {NUMBER_AGE} tomorrow!",
    "{FIRST} and {FIRST} want to know whether {COMPANY} pays for the flight to {CITY}.",
    "I can't log in from {IP} since yesterday, my user name is {USERNAME}.",
    "Is {PERSON} still the {JOB}? The brochure of {COMPANY} says so.",
    "Ship to:\n  {ADDRESS}\nBill to:\n  {PERSON}, card {CREDIT_CARD}",
    "Somebody named {FIRST} left a voicemail from {PHONE} about the piano.",
    "The award went to {LAST} of {COMPANY} for her work in {COUNTRY}.",
    "what is the best way to reach {PERSON}? i only have {EMAIL}",
    "Our branch in {CITY} is closed on {DATE}, please go to {ADDRESS}.",
    "Reviewed by {PERSON} on {DATE}\nThe acting is wooden and the plot forgettable.",
    "A {NUMBER_AGE} year old from {CITY} was rescued by a {NATIONALITY} fishing boat.",
    "Transfer 300 to {IBAN}, account holder {PERSON}.",
    "Not again! {COMPANY} sent the invoice to {EMAIL} even though {FIRST} had left.",
    "Yesterday {PERSON} sang at the open mic, and the room went quiet.",
    "The kettle leaks and the handle is loose. I would not buy it again.",
    "When does the shop open on a bank holiday?",
    "I'd like to speak to a human being, not to a machine.",
    "How long does a refund usually take to appear on my statement?",
    "The soup was lukewarm but the waiter was charming.",
    "What documents do I need to open a savings account for a child?",
    "I forgot my password and the reset link does not work.",
    "It has been raining for a week and the cellar is damp.",
    "Can I pay my bill in two parts, half now and half at the end of the month?",
    "{TITLE} {LAST} will see you at the practice in {CITY}.",
)
KINDS = (
    "Patient is {AGE_FORM} and lives alone.",
    "Seen today: {SEX_AGE} with a fall at home, brought in by {FIRST}.",
    "My grandmother is {NUMBER_AGE} years young and still drives.",
    "Her National Insurance number is {NINO}, please update the payroll.",
    "They met at {COORD} and walked north.",
    "The drone was last seen near {DEGREES}.",
    "Message me on t.me/{USERNAME} when you land.",
    "I post it on discord {TAGGED} every day.",
    "My telegram is {USERNAME}, and on skype look for {SKYPE}.",
    "instagram: {USERNAME}, snapchat {USERNAME}",
    "Pay into {IBAN_PARTS} by Friday.",
    "Pay into {IBAN_LOWER} by Friday.",
    "A grey van, {PLATE_DE}, blocked the gate.",
    "The scooter {PLATE_IN} was stolen outside the mall.",
    "Vehicle {PLATE_UK} failed its inspection.",
    "Ring me under {PHONE_SLASH} after six.",
    "The charge on my card ending {CARD_END} is wrong.",
    "so {rare} told me that {rare} is moving out in june",
    "We waited at the corner of {STREET_NAME} and {STREET_NAME} for an hour.",
    "The flat at {FOREIGN_ADDRESS} is still empty.",
    "The deeds were drawn up by {FIRM} last spring.",
    "{TITLE_JOB} {LAST} opened the meeting.",
)
# The same with look-alikes, which must stay: they name nobody.
LOOKALIKES = (
    "The battery lasts 94 minutes and the film 93 minutes.",
    "The ward has 96 beds, and 93 M cables were laid.",
    "The ratio is 51.50, 12.76 on average, and the angle is 45 degrees.",
    "Add 20 ml, stir, and wait 10 minutes at 180 C.",
    "The committee met twice, in parts A, B and C of the building.",
    "Bread, Butter and Jam are on the list.",
    "The final score was 3-2 after extra time.",
    "Chapter ending 12 lines before the index.",
    "Version 3.11.4 came out; see section 4.2.1 for changes.",
    "The corner of the table is chipped and the corner of the page is torn.",
    "discord between the two parties grew last year.",
    "The telegram arrived late, the signal was weak and the skype call dropped.",
    "The order of 1250 bricks weighs 2400 kg.",
    "Heat 350 g of flour, 12/16 of the butter, at 200/220 degrees.",
    "A 40M grant and a 55F tool set were approved.",
    "The head of department opens at nine and the director of photography won a prize.",
)
LABELS = {
    "JOB": "TITLE", "NATIONALITY": "NRP", "AGE_FORM": "AGE", "SEX_AGE": "AGE", "NUMBER_AGE": "AGE", "NINO": "UK_NINO",
    "COORD": "LOCATION", "DEGREES": "LOCATION", "TAGGED": "USERNAME", "SKYPE": "USERNAME", "IBAN_PARTS": "IBAN_CODE",
    "IBAN_LOWER": "IBAN_CODE", "PLATE_DE": "ID_NUMBER", "PLATE_IN": "ID_NUMBER", "PLATE_UK": "ID_NUMBER",
    "PHONE_SLASH": "PHONE_NUMBER", "RARE": "PERSON", "STREET_NAME": "STREET_ADDRESS", "FOREIGN_ADDRESS": "STREET_ADDRESS",
    "FIRM": "ORGANIZATION", "TITLE_JOB": "TITLE", "COUNTRY": "LOCATION", "DOMAIN": "URL",
}  # fmt: skip
NATIONS = "Moldovan Bolivian Laotian Estonian Ghanaian Icelandic Maltese Nepalese Uruguayan Welsh Basque Catholic Muslim"
RARE = (
    "wojnarowicz szymborska tchouameni adaeze caoimhe oyinlola farrukhzad nkechi mairead gwenllian hakobyan quansah xiomara "
    "zbigniew parvaneh yeboah bronagh ikechukwu"
)
FOREIGN = ("de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "sv_SE", "pt_PT", "da_DK", "cs_CZ")


def values(fake: Faker, abroad: Callable[[str], Faker]) -> Mapping[str, Callable[[], str]]:
    """Return the makers of the values that only these frames have.

    Parameters
    ----------
    fake
        Values of the frame's locale.
    abroad
        Returns the Faker of another locale.
    """
    pick: Callable[[Sequence[str]], str] = fake.random_element
    form = fake.bothify
    upper = "ABCEGHJKLMNPRSTWXYZ"

    def letters(text: str) -> str:
        return form(text, letters=upper)

    return {
        "JOB": lambda: fake.job().split(",")[0].lower(),
        "NATIONALITY": lambda: pick(NATIONS.split()),
        "COUNTRY": fake.country,
        "DOMAIN": fake.domain_name,
        "TITLE": lambda: pick(("Dr.", "Mrs.", "Prof.", "Mr", "Ms")),
        "AGE": lambda: str(fake.random_int(20, 99)),
        "NUMBER_AGE": lambda: str(fake.random_int(20, 99)),
        "AGE_FORM": lambda: f"{fake.random_int(18, 99)}{pick((' y.o.', ' yo', ' y/o', '-year-old', ' yrs old', ' years of age'))}",  # noqa: E501
        "SEX_AGE": lambda: f"{fake.random_int(18, 99)}{pick(('M', 'F', 'yoM', 'yo F', ' y/o male'))}",
        "NINO": lambda: letters(pick(("A? ## ## ## C", "J?######B", "C? ## ## ## D", "A?-##-##-##-A"))),
        "COORD": lambda: f"{fake.latitude():.4f}, {fake.longitude():.4f}",
        "DEGREES": lambda: form(f"%#°##'##\"N {pick(('0%', '1#'))}°##'##\"{pick('EW')}"),
        "TAGGED": lambda: f"{fake.user_name()}#{fake.numerify('%###')}",
        "SKYPE": lambda: f"live:{fake.user_name()}.{fake.last_name().lower()}_{fake.random_int(2, 9)}",
        "IBAN_PARTS": lambda: pick((" ", "-", "  ")).join(_groups(abroad(pick(FOREIGN)).iban())),
        "IBAN_LOWER": lambda: abroad(pick(FOREIGN)).iban().lower(),
        "PLATE_DE": lambda: letters(pick(("M-?? ####", "HH ?? ###", "B:?? ##", "KA-? ####", "WOB ?? %##E"))),
        "PLATE_IN": lambda: letters(pick(("MH 12 ?? ####", "DL3C??####", "KA-05-??-####", "TN 09 ? ####"))),
        "PLATE_UK": lambda: letters(pick(("A?## ???", "L?##???", "?%## ???"))),
        "PHONE_SLASH": lambda: form(pick(("0%##/########", "0%#/#######", "+49 (0)%##/######", "0%##/### ## ##"))),
        "CARD_END": lambda: fake.numerify("####"),
        "RARE": lambda: pick(RARE.split()),
        "STREET_NAME": lambda: fake.street_name(),
        "FOREIGN_ADDRESS": lambda: ", ".join(abroad(pick(FOREIGN)).address().splitlines()),
        "FIRM": lambda: "{}, {} and {}".format(*(fake.last_name() for _ in range(3))),
        "TITLE_JOB": lambda: pick(("Chief Executive", "Deputy Mayor", "Head of Finance", "Vice President", "Chief Nurse")),
    }  # fmt: skip


def _groups(iban: str) -> list[str]:
    return [iban[at : at + 4] for at in range(0, len(iban), 4)]
