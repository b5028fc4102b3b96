"""Recognise long numbers, codes and number plates."""

from privacy.detect.recognisers.base import DigitRecogniser
from privacy.detect.rules import any_of

# Words before a number plate, in several languages.
PLATED = (
    "registration reg plates? kennzeichen immatriculation matrícula placa targa kenteken vehicle car van truck taxi lorry"
)
# Codes of states and territories on Indian plates (Central Motor Vehicles Rules 1989).
INDIAN = (
    "(?:AN|AP|AR|AS|BR|CG|CH|DD|DL|DN|GA|GJ|HP|HR|JH|JK|KA|KL|LA|LD|MH|ML|MN|MP|MZ|NL|OD|OR|PB|PY|RJ|SK|TN|TR|TS|UK|UP|WB)"
)
# Codes of currencies (ISO 4217): "EUR 91M" is an amount.
CURRENCY = "USD|EUR|GBP|CHF|JPY|AUD|CAD|NZD|SEK|NOK|DKK|INR|CNY|ZAR|SGD|HKD|PLN|CZK|HUF|MXN|BRL|ARS|CLP|TRY|ILS|AED"
# A European standard (EN) that a national body of CEN publishes: "DIN EN 1090".
STANDARD = "(?:DIN|BS|NF|UNI|NEN|SN|SS|DS|NS|PN|NBN|UNE|SFS)[ ]EN[ ]"


class IdNumber(DigitRecogniser):
    """Recognises numbers by their length or their groups.

    Number plates have the forms of Britain, Europe and America. Without a word such as "plate" before it, a plate counts
    only if its form has no other meaning. The rule ``spaced`` finds digits that are written one by one, to hide them
    from programs.
    """

    label = "ID_NUMBER"
    rules = (
        ("run", r"(?<!\d)(?<!\d[.,])(?!(?:19|20)\d\d-(?:19|20)\d\d(?!\d))\d(?:-?\d){5,}(?!\d)", 0.3),
        (
            "code",
            r"(?<![\w-])(?=[A-Z\d/-]{0,24}[A-Z])(?=(?:[A-Z/-]{0,8}\d){4})[A-Z\d](?:[/-]?[A-Z\d]){4,40}",
            0.3,
        ),
        (
            "plate",
            r"(?<![\w-])(?=[A-ZÄÖÜ\d])"
            r"(?:[A-Z]{2}\d{2}[ ]?[A-Z]{3}|[A-Z]{2}[ -]?\d{3}[ -]?[A-Z]{2}|\d{4}[ -]?[BCDFGHJ-NPRSTV-Z]{3}"
            r"|\d[A-Z]{3}[ -]?\d{2,3}|(?!ISO|RFC|USD|EUR|GBP|CHF|THE|AND|FOR)[A-Z]{3}-\d{3,4}"
            r"|[A-ZÄÖÜ]{1,3}[-:][ ]?[A-Z]{1,2}[ -]?[1-9]\d{0,3}[EH]?"
            rf"|(?!{STANDARD})[A-ZÄÖÜ]{{1,3}}[ ][A-Z]{{2}}[ ][1-9]\d{{2,3}}[EH]?"
            rf"|{INDIAN}[ -]?\d{{1,2}}[ -]?[A-Z]{{1,3}}[ -]?\d{{4}}|DL[ -]?\d{{1,2}}[CPRSTVY][ -]?[A-Z]{{1,2}}[ -]?\d{{4}}"
            r"|\d{2}[ ]?BH[ ]?\d{4}[ ]?[A-Z]{1,2}"
            rf"|[A-HJ-NPRSTV-Y]\d{{2,3}}[ ]?[A-HJ-PR-Y]{{3}}|(?!{CURRENCY})[A-HJ-PR-Y]{{3}}[ ]?\d{{2,3}}[A-HJ-NPRSTV-Y]"
            r"|[A-Z]{1,2}-\d{1,3}[ ]?(?:\d{3}|[A-Z]{1,3}))(?![\w-]|[ ]?%)",
            0.3,
        ),
        (
            "named plate, small letters",
            rf"(?i)\b{any_of(PLATED)}\b(?:[ ](?:number|no\.?|plate|is|with))*[ ]?[:(]?[ ]?\K"
            r"[a-z]{2}\d{2}[ ]?[a-z]{3}(?![\w-])",
            0.5,
        ),
        (
            "named plate",
            rf"\b{any_of(PLATED)}\b(?:[ ](?i:number|no\.?|plate|is|with))*[ ]?[:(]?[ ]?\K"
            r"(?=[A-Z\d -]{0,9}\d)[A-Z\d]{1,7}(?:[ -][A-Z\d]{1,5}){0,2}(?![\w-])",
            0.5,
        ),
        ("spaced", r"(?<![\w.,])(?=[\d./-]{0,64}[ ])\d(?:[ ./-]\d){4,}(?![\w/.-]?\w)", 0.3),
        ("split", r"(?<![\w.,-])\d{2,4}(?:[ ]?-[ ]?\s?\d{2,4}){2,4}(?![\w-])", 0.2),
        ("grouped", r"(?<![\w.,])\d{3,4}(?:[ ]\d{3,4}){2,4}(?!\w|[.,]\d)", 0.2),
    )
