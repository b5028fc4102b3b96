import time

import pytest

from privacy.anonymise.scrubber import LanguageScrubber
from privacy.detect.addresses import AddressForms, spread
from privacy.detect.analyser import Analyser
from privacy.detect.findings import is_covered, merge
from privacy.detect.languages.en.language import ENGLISH
from shared.records.types import Span

FORMS = AddressForms.of(ENGLISH.addresses)


@pytest.fixture(scope="session")
def analyser(scrubber: LanguageScrubber) -> Analyser:
    return scrubber._analyser


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("we moved to 221B Baker Street last year", "221B Baker Street"),
        (
            "sent to 14 Old Mill Ln. Apt 3C, Springfield, IL 62704 by post",
            "14 Old Mill Ln. Apt 3C, Springfield, IL 62704",
        ),
        ("at 9 rue de la Paix, Paris", "9 rue de la Paix"),
        ("wohnt Hauptstraße 12a in Bonn", "Hauptstraße 12a"),
        ("from Calle de Alcalá, 48 in Madrid", "Calle de Alcalá, 48"),
        ("vive en Via Roma 5", "Via Roma 5"),
        ("by post to P.O. Box 4411 please", "P.O. Box 4411"),
        ("my address is Keizersgracht 324", "Keizersgracht 324"),
        ("near SW1A 2AA in london", "SW1A 2AA"),
        ("postcode: 90210, thanks", "90210"),
        ("K1A 0B1 is ours", "K1A 0B1"),
        ("ring +44 20 7946 0018 now", "+44 20 7946 0018"),
        ("call (212) 555-0187 ext. 4", "(212) 555-0187 ext. 4"),
        ("mobil 0171/2345678", "0171/2345678"),
        ("tel 06 12 34 56 78", "06 12 34 56 78"),
        ("fax +91-98765-43210", "+91-98765-43210"),
        ("MRN 12345678 was read", "12345678"),
        ("mrn: A-4471", "A-4471"),
        ("patient ID is 77x31", "77x31"),
        ("hospital no. 5512", "5512"),
        ("NHS number 943 476 5919", "943 476 5919"),
        ("claim #88213-B", "88213-B"),
        ("my ref is QX48213 ok", "QX48213"),
        ("the number 482910 on it", "482910"),
        ("Dr. Okafor saw me", "Okafor"),
        ("seen by Dr.Adeyemi-Cole today", "Adeyemi-Cole"),
        ("then Mrs Müller-Lüdenscheidt came", "Müller-Lüdenscheidt"),
        ("nurse Siobhán O'Dea and I", "Siobhán O'Dea"),
        ("then Sharpe lives next door", "Sharpe"),
        ("my uncle, originally from PORT O' MOON, sings", "PORT O' MOON"),
        ("she flew to Stone Village on Monday", "Stone Village"),
        ("a shop in Lower Quorn 6091 in its third year", "6091"),
        ("Please return it to Anders and Kirkevej 66 today", "Anders and Kirkevej 66"),
        ("ship it to 12 some old lane 17 apt. 8 please", "12 some old lane 17 apt. 8"),
        ("Address:\n4923 Parmova 109\nMaribor", "4923 Parmova 109"),
        ("He worked for Acme as senior stonemason, but left", "senior stonemason"),
        ("my name is priya raman and i feel ill", "priya raman"),
        ("Kind regards,\nTendai Moyo", "Tendai Moyo"),
        ("Name: Xiulan Zhào", "Xiulan Zhào"),
        ("follow @quiet_otter there", "@quiet_otter"),
        ("write to jo.b+x@clinic.local soon", "jo.b+x@clinic.local"),
        ("card 4111 1111 1111 1111 ok", "4111 1111 1111 1111"),
        ("IBAN GB82 WEST 1234 5698 7654 32", "GB82 WEST 1234 5698 7654 32"),
        ("SSN 536-90-4399", "536-90-4399"),
        ("pay into GB50 GNTR 1936 6949 2672 3 today", "GB50 GNTR 1936 6949 2672 3"),  # too short: a slip, still personal
        ("ssn 5 3 6 9 0 4 3 9 9", "5 3 6 9 0 4 3 9 9"),
        ("the car KL19 XRT left", "KL19 XRT"),
        ("le véhicule FG-482-TB", "FG-482-TB"),
        ("das Auto HH-TK 482", "HH-TK 482"),
        ("a van with plate 7Q 44", "7Q 44"),
        ("the card ending in 2014", "2014"),
        ("last four digits are 4471", "4471"),
        ("policy: QRS 4471 9902", "QRS 4471 9902"),
        ("Claim 44/90210 was closed", "44/90210"),
        ("username: quietotter", "quietotter"),
        ("logged in as marnie.q", "marnie.q"),
        ("in Cork T12 X4N7 since", "T12 X4N7"),
        ("at 412, Lotus Villa, Nashik-422005", "412, Lotus Villa, Nashik-422005"),
        ("at 9 Wattle Bend, Yarram, VIC, 3971", "9 Wattle Bend, Yarram, VIC, 3971"),
        ("in Anna-Seghers-Straße 4", "Anna-Seghers-Straße 4"),
        ("vivo en Calle Colón N° 446", "Calle Colón N° 446"),
        ("see www.example.museum/u/7 and", "www.example.museum/u/7"),
        ("see http://10.0.0.1:80/x and", "http://10.0.0.1:80/x"),
        ("at sub.example.org:8080/~anna?x=1 now", "sub.example.org:8080/~anna?x=1"),
        ("i am 93 y/o", "93"),
    ],
)
def test_a_direct_identifier_is_covered_by_rules_alone(analyser: Analyser, text: str, value: str) -> None:
    findings = merge(text, analyser.detect_patterns(text))
    findings = merge(text, [*findings, *spread(text, findings, FORMS)])
    start = text.index(value)
    assert is_covered(text, Span("", start, start + len(value)), findings)


@pytest.mark.parametrize(
    "text",
    [
        "I take Metformin 1000 and Lexapro 20 rest of the day.",
        "Vitamin D 5000 IU, vitamin B12 5mg and 2000 IU more",
        "BP was 120/80 130/85 and 118/76, pulse 72",
        "10 20 30 40 50 mg over 5 days, 2-3 times a day, 1,000,000 cells",
        "the drug works as a diuretic and was used as rescue in Table 4100 patients",
        "a drug called Gabapentin via email and 20 pills",
        "between 1999-2001 and 2019 2020 things were fine",
        "COVID-19, HER2, CYP3A4 and SARS-CoV-2, stage 3, type 2",
        "it took 3 hours on the road and 20 miles of highway",
        "Hi Doctor, thanks. I'm Very tired, p<0.05, 3.14159265",
        "Hepatitis C Virus or Vitamin B Complex",
        "MS Contin and 24 hr Allegra",
        "e.g. at 9 a.m. i.e. early.In pain.It hurts",
        "ISO 9001 and RFC 2104 and a season ending in 2019, user error, Top 10, USD 4000, Boeing 737, Windows 11, an F-16",
        "the user was happy, the login is broken, handle with care, plates of 12, the van came at 8",
    ],
)
def test_medical_prose_is_left_alone_by_the_rules(analyser: Analyser, text: str) -> None:
    assert [text[f.start : f.end] for f in analyser.detect_patterns(text)] == []


def test_organisations_are_found(analyser: Analyser) -> None:
    (found,) = analyser.detect(["She works at Haldane Logistics Ltd in Washington."])
    assert "ORGANIZATION" in {f.label for f in found}  # type: ignore[union-attr]


def test_times_that_point_at_nobody_are_left_alone(analyser: Analyser) -> None:
    texts = ["I felt ill yesterday and for two weeks I slept 10 hours a day.", "It began on 3 March 2021, a Monday."]
    vague, exact = analyser.detect(texts)
    assert "DATE_TIME" not in {f.label for f in vague}  # type: ignore[union-attr]
    assert "DATE_TIME" in {f.label for f in exact}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "piece", ["a.", "1.", "A ", "1 ", "12 A ", "Ab, 12345 ", "12/", "(1", "5 rue de la ", "1-", "a@", " "]
)
@pytest.mark.slow
def test_no_rule_takes_long_over_a_monotonous_text(analyser: Analyser, piece: str) -> None:
    text = (piece * 20_000)[:20_000]
    started = time.process_time()
    merge(text, spread(text, analyser.detect_patterns(text), FORMS))
    assert time.process_time() - started < 2
