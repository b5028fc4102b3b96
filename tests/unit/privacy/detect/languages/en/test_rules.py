"""Official forms of identifiers are found, and numbers and words that look alike are not."""

import pytest

from privacy.detect.languages.registry import language
from privacy.detect.recognisers.base import RuleRecogniser
from privacy.detect.recognisers.registry import pattern_recognisers

FOUND = [
    ("AGE", "Patient is 94 y.o.", "94 y.o."),
    ("AGE", "Seen: 93M with a fall", "93M"),
    ("AGE", "She is 93 years young.", "93 years young"),
    ("AGE", "Age: 92", "92"),
    ("UK_NINO", "NINO QQ 12 34 56 C or AB 12 34 56 C", "AB 12 34 56 C"),
    ("LOCATION", "at 51.5033, -0.1276 now", "51.5033, -0.1276"),
    ("LOCATION", "near 74\u00b036'32\"N 13\u00b008'49\"W.", "74\u00b036'32\"N 13\u00b008'49\"W"),
    ("USERNAME", "see t.me/dorafisk", "t.me/dorafisk"),
    ("USERNAME", "on discord dorafisk#4471", "dorafisk#4471"),
    ("USERNAME", "skype live:anna.b_4", "live:anna.b_4"),
    ("IBAN_CODE", "to de40868133052966032971 by Friday", "de40868133052966032971"),
    ("IBAN_CODE", "to DE40  8681  3305  2966  0329  71 by Friday", "DE40  8681  3305  2966  0329  71"),
    ("PHONE_NUMBER", "Tel 0361/22 33 44", "0361/22 33 44"),
    ("ID_NUMBER", "scooter MH 12 AB 1234 gone", "MH 12 AB 1234"),
    ("ID_NUMBER", "my card ending 4417 is", "4417"),
    ("ID_NUMBER", "The card 4417 was stolen", "4417"),
    ("ID_NUMBER", "plate DL 3C AY 4321 seen", "DL 3C AY 4321"),
    ("PHONE_NUMBER", "ring +41 79/123 45 67 now", "+41 79/123 45 67"),
    ("PHONE_NUMBER", "ring 212/555-0147 now", "212/555-0147"),
    ("LOCATION", "at N 47\u00b0 36.372' W 122\u00b0 19.926' now", "N 47\u00b0 36.372' W 122\u00b0 19.926'"),
    ("LOCATION", "at 41.9028N 12.4964E now", "41.9028N 12.4964E"),
    ("LOCATION", "latitude: -1.2921", "-1.2921"),
    ("AGE", "an 11 day old baby", "11 day old"),
    ("IBAN_CODE", "to AT 61 1904 3002 3457 3201 by Friday", "AT 61 1904 3002 3457 3201"),
    ("IBAN_CODE", "to CH93 00762 011623852957 by Friday", "CH93 00762 011623852957"),
    ("IBAN_CODE", "to DE 18 12 03 00 00 10 52 38 61 77 by Friday", "DE 18 12 03 00 00 10 52 38 61 77"),
    ("PHONE_NUMBER", "ring (0221) / 47 89 11 now", "(0221) / 47 89 11"),
    ("ID_NUMBER", "reg kx71abv, blue", "kx71abv"),
    ("ID_NUMBER", "The last four digits of my card are 7719.", "7719"),
    ("ID_NUMBER", "XXXX XXXX XXXX 4471 is the old one", "4471"),
    ("ID_NUMBER", "the card x-2204 and", "2204"),
    ("ID_NUMBER", "Card no. ends 1006, soon", "1006"),
    ("STREET_ADDRESS", "on the corner of Elm Street and 5th Avenue.", "the corner of Elm Street and 5th Avenue."),
    ("STREET_ADDRESS", "the northwest corner of Maple and Third now", "corner of Maple and Third"),
    ("STREET_ADDRESS", "a crash at Oak Ave and 12th St today", "Oak Ave and 12th St"),
    ("STREET_ADDRESS", "to 14 bis rue des Lilas now", "14 bis rue des Lilas"),
    ("STREET_ADDRESS", "in 3-14-1 Shibuya, Tokyo now", "3-14-1 Shibuya, Tokyo"),
]
NOT_FOUND = [
    ("AGE", "A 40M grant and a 55F tool set"),
    ("AGE", "The film lasts 93 minutes"),
    ("UK_NINO", "GB 12 34 56 C"),
    ("LOCATION", "between 51.50, 12.76 on average"),
    ("LOCATION", "an angle of 45 degrees"),
    ("USERNAME", "discord between the two parties"),
    ("USERNAME", "the skype call dropped"),
    ("IBAN_CODE", "to de41868133052966032971 by Friday"),
    ("PHONE_NUMBER", "at 200/220 degrees"),
    ("ID_NUMBER", "Chapter ending 12 lines before"),
    ("ID_NUMBER", "the card 2024 edition and the card 4417 payments"),
    ("PHONE_NUMBER", "an inhaler 160/4.5 and 500/125-1000 mg"),
    ("AGE", "a 6 week old cheese and a 3-month-old loan"),
    ("IBAN_CODE", "at 61 kg and 172 cm in 2021, 19 of 23 patients, 45 of 73 visits, 20 of 10"),
    ("ID_NUMBER", "EUR 91M, built to DIN EN 1090"),
    ("ID_NUMBER", "the last four weeks, a report card, an account of 1999 events"),
    ("STREET_ADDRESS", "at the corner of the mouth and around the corner"),
    ("STREET_ADDRESS", "Version 3-14-1 is installed"),
    ("USERNAME", "the gb29 gene, the ch93 clip"),
    ("LOCATION", "a lat of 4.5, turned 45\u00b0 36.5'"),
]


def found(label: str, text: str) -> set[str]:
    rules = [rule for rule in pattern_recognisers(language("en")) if isinstance(rule, RuleRecogniser)]
    return {text[f.start : f.end] for rule in rules for f in rule.find(text) if f.label == label}


@pytest.mark.parametrize(("label", "text", "value"), FOUND)
def test_an_identifier_in_its_official_form_is_found(label: str, text: str, value: str) -> None:
    assert value in found(label, text)


@pytest.mark.parametrize(("label", "text"), NOT_FOUND)
def test_a_look_alike_is_not(label: str, text: str) -> None:
    assert not found(label, text)
