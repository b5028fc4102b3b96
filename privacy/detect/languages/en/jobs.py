"""List the words of English job titles: those of Faker's job titles (MIT), and the nouns of ISCO-08's groups (ILO)."""

import re

from privacy.detect.languages.base import JobWords

# The nouns for people in the titles of the groups of ISCO-08, the international classification of occupations, that are in
# none of Faker's titles, which are of graduates.
ISCO = (
    "aide ambulanceman assembler attendant auctioneer auditor baker barber bartender beautician blacksmith bookkeeper "
    "bricklayer butcher butler cabinetmaker caretaker carer caregiver carpenter caseworker cashier chaplain chef "
    "childminder cleaner clerk collector concierge conductor constable cook courier craftsman decorator deputy detective "
    "dispatcher doorman driver electrician farmer fireman firefighter fisherman fitter florist foreman forewoman "
    "forester gardener glazier governor guard guide hairdresser handyman head headmaster headmistress headteacher "
    "housekeeper instructor investigator janitor jeweller joiner judge labourer laborer legislator lieutenant locksmith "
    "machinist magistrate mason matron mechanic messenger miner minister moulder notary nursemaid orderly painter "
    "paralegal phlebotomist plasterer plumber policeman policewoman porter postman potter principal printer prosecutor "
    "receptionist registrar roofer sailor salesman saleswoman salesperson seamstress sergeant shepherd shopkeeper "
    "steward stewardess stockbroker superintendent supervisor tailor teller tiler toolmaker trainee undertaker usher "
    "valuer veterinarian waiter waitress warden watchman watchmaker weaver welder bailiff coroner councillor ombudsman "
    "chairman chairwoman chairperson president"
)
# Last words of Faker's titles that are no noun for a person.
NO_PERSON = "boy copy crew emeritus land make person professional staff sub visitor maths medical sciences wales"
# Verbs before a noun for a person: "met driver Tom", "Ask manager Ann".
VERBS = (
    "ask asks call calls tell tells contact email phone see saw meet met thank inform text ring rang notify visit pay paid "
    "sue told said says knew know let hired fired spoke wrote gave took sent left became named found like likes trust please"
)


def job_words() -> JobWords:
    """Return the nouns for people in job titles, and the words that stand before them."""
    from faker.providers.job.en_US import Provider  # Faker's providers take time to import

    titles = [re.findall(r"[a-z]+", title.partition(",")[0].lower()) for title in Provider.jobs]
    heads = {words[-1] for words in titles} - set(NO_PERSON.split())
    others = {word for words in titles for word in words[:-1]}
    return JobWords(frozenset(heads | set(ISCO.split())), frozenset(others), frozenset(VERBS.split()))
