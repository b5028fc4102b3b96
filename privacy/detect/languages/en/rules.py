"""Define the detection rules for English: join the rules for people and places with those for dates, numbers and accounts.

``privacy.detect.rules`` explains their syntax.
"""

from privacy.detect.languages.en.people import PEOPLE, TITLES
from privacy.detect.languages.en.places import ADDRESSES, CORNERS, MOVES, PLACES
from privacy.detect.languages.forms import said_numbers, spelt_emails
from privacy.detect.rules import Rules, any_of

MONTH = any_of(
    "jan(?:uary)? feb(?:ruary)? mar(?:ch)? apr(?:il)? may june? july? aug(?:ust)? sept?(?:ember)? oct(?:ober)? "
    "nov(?:ember)? dec(?:ember)?"
)
DATES: Rules = (
    ("day first", rf"(?<![\d.])\d{{1,2}}(?:st|nd|rd|th)?[ ](?:of[ ])?{MONTH}\.?(?:,?[ ](?:'?\d{{2}}|\d{{4}}))?\b", 0.4),
    ("month first", rf"\b{MONTH}\.?[ ]\d{{1,2}}(?:st|nd|rd|th)?(?:,?[ ]\d{{4}})?\b(?![.:]\d)", 0.4),
    ("month and year", rf"\b{MONTH}\.?,?[ ](?:19|20)\d\d\b", 0.4),
)
# What follows "93M" where it is the age and the sex of a patient, not an amount.
PATIENT_IS = any_of(
    "with w/ c/o p/w presents? presenting presented admitted who s/p h/o hx here seen was is has brought found referred "
    "complains complaining smoker known lives living reports denies status"
)
AGES: Rules = (
    (
        "age",
        r"(?i)\b\d{1,3}[ -]?(?:y[ ]?[./][ ]?o\b\.?|yo(?=\b|[mf]\b)|yoa\b|(?:yrs?\.?|years?)[ -]?(?:olds?|young|of[ ]age)\b)"
        r"(?:[ ]?(?:[mf]|male|female)\b)?",
        0.5,
    ),
    (
        "aged",
        r"(?i)\b(?:aged|turn(?:s|ed|ing)?|age(?:[ ]is|[ ]of)?[ ]?[:=]?)[ ]?\K\d{1,3}\b(?![.,/:-]\d|[ ]?"
        r"(?:°|%|degrees?|to\b))",
        0.5,
    ),
    ("age and sex", rf"(?<![\w$£€.,-])(?:1[01]\d|[1-9]\d?)(?:M|F|m|f)\b(?=[ ]*(?:[,.;:)]|$)|[ ]{PATIENT_IS}(?!\w))", 0.5),
    # A child's age in weeks, days or months, before a word for a child; what else is some weeks old is no person.
    (
        "infant",
        r"(?i)\b\d{1,3}[ -]?(?:d|days?|w|wks?|weeks?|mos?|mths?|months?)[ -]old\b(?=[ ](?:[a-z]+[ ])?"
        r"(?:infant|baby|babies|boy|girl|child|son|daughter|male|female|newborn|neonate|toddler|twins?|patient)\b)",
        0.5,
    ),
    ("birthday", r"(?i)\b\d{1,3}(?:st|nd|rd|th)[ ]birthday\b", 0.5),
)
# HM Revenue & Customs, NIM39110: the letters that a prefix may have, and the groups in which a card shows the number.
NINOS: Rules = (
    (
        "nino",
        r"(?i)(?<!\w)(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?:[ -]?\d{2}){3}[ -]?[A-D](?!\w)",
        0.7,
    ),
)
SERVICES = (
    "discord telegram skype snapchat snap instagram insta ig twitter tiktok github gitlab whatsapp kik steam xbox psn "
    "reddit twitch wechat viber threads mastodon bluesky facebook fb linkedin slack signal"
)
SERVICE = any_of(SERVICES)
HANDLES: Rules = (
    (
        "page",
        r"(?i)(?<![\w.-])(?:t\.me|telegram\.me|wa\.me|m\.me|fb\.me|discord\.gg|(?:instagram|facebook|twitter|x|tiktok|linkedin|github|"
        r"gitlab|reddit|snapchat|twitch)\.(?:com|tv))/(?:(?:in|u|user|add)/)?@?[\w.-]{2,40}(?<!\.)",
        0.6,
    ),
    ("tagged", r"(?<![\w\#])(?=[\w.]*[a-z]{2})[\w.]{2,32}\#\d{4}(?!\w)", 0.5),
    ("skype", r"(?i)(?<!\w)live:\.?[\w.-]{3,40}(?<!\.)", 0.6),
    (
        "service",
        rf"(?<![\w.]){SERVICE}(?:[ ](?i:id|name|user|username|handle|account|tag|is|as|me|at))*(?:[ ]?[:=][ ]?"
        rf"|[ ]@?(?=[\w.]*[a-z][\w.]*[\d_])|[ ]@)"
        r"\K@?[A-Za-z][\w.]{2,31}(?:\#\d{4})?(?<!\.)",
        0.5,
    ),
    (
        "named",
        r"(?i)\b(?:(?:user|login|screen)[ ]?(?:name|id)(?:[ ]is[ ])?|(?:login|handle|nick(?:[ ]?name)?)|logged[ ]in[ ]as[ ])"
        r"(?:(?<=is[ ])|(?<=as[ ])|[ ]?[:=][ ]?|[ ](?=\S*[\d_]))\K"
        r"(?!(?:the|a|an|not|no|in|on|at|and|or|is|was)\b)[\w.@-]{3,40}(?<!\.)",
        0.5,
    ),
)
# A card, by its word or its network.
CARD = any_of("cards? visa master[ ]?card maestro amex diners discover mc jcb girocard rupay unionpay")
NUMBERS: Rules = (
    (
        "ending",
        r"(?i)\b(?:end(?:ing|s)?(?:[ ](?:in|with|on))|(?:last|final)[ ](?:four|4)(?:[ ](?:digits|numbers))?"
        r"(?:[ ]of[ ][^.\d\n]{1,30}?)?(?:[ ](?:are|is|of))?)[ ]?:?[ ]?"
        r"\K(?!(?:19|20)\d\d\b)\d{3,5}\b(?![.,/:-]\d)",
        0.4,
    ),
    (
        "card ending",
        rf"(?i)\b(?:{CARD}|account|acct|number|phone|mobile|iban|debit|credit)\b(?:no\.|[^.\n]){{0,24}}?"
        r"\b(?:end|finish|terminat)(?:ing|e?s)(?:[ ](?:in|with|on))?[ ]?:?[ ]?[-#*.]{0,4}\K\d{3,5}\b",
        0.6,
    ),
    (
        "card, last digits",
        rf"(?i)\b{CARD}(?:[ ](?:no\.?|number|with|is))?[ ]?[:\#]?[ ]\K(?!(?:19|20)\d\d\b)\d{{4}}"
        r"(?![\w/-]|[.,:]\d|[ ](?:payments?|transactions?|holders?|users?|points?)\b)",
        0.5,
    ),
    # Statements print one mark for all digits that they hide: "card x-2204", "account -4093".
    (
        "hidden",
        rf"(?i)\b(?:{CARD}|account|acct|a/c|debit|credit)[ ](?:x{{1,2}}-?|-|\.{{2,3}})\K\d{{4}}(?![\w/-]|[.,:]\d)",
        0.6,
    ),
    # Nothing but a card or an account is masked, so no word before the digits makes them a value.
    ("masked", r"(?<!\w)(?:[*•.]{2,}|[xX]{2,})[ -]?(?:(?:[*•]{4}|[xX]{4})[ -]?){0,3}\K\d{3,5}\b", 0.6),
)
DIGITS = "zero oh one two three four five six seven eight nine double triple"
# Words for what a record belongs to, and the marks between such a word and the record's number.
REGISTER = any_of(
    "medical health hospital patient chart record file case claim member(?:ship)? policy insurance account acct "
    "customer client order invoice ticket booking reservation student employee staff licen[cs]e passport permit tax "
    "visa prescription rx lab specimen sample accession encounter visit admission registration badge"
)
MARKER = r"(?:[ ]?(?:no|number|num|nr|id|identifier|code|ref(?:erence)?)\b\.?|[ ]?\#|(?=[ ]?[:=]))"
RECORDS: Rules = (
    (
        "register",
        rf"(?i)\b(?:{any_of('mrn mr nhs emr ehr ssn nino medicare medicaid hicn mbi npi id ref reference')}\b{MARKER}?"
        rf"|{REGISTER}(?:[ ](?:record|chart|file|card))?{MARKER})"
        r"(?:[ ]is|[ ]was)?[ ]?[:=\#]?[ ]?\K(?=(?-i:[A-Z]{1,4}[ ])?[\w/-]*\d)(?-i:[A-Z]{1,4}[ ](?=\d))?\w[\w/-]{2,24}"
        r"(?:[ ]\d{3,6}){0,4}",
        0.8,
    ),
    ("register, parts", rf"(?i)\b{REGISTER}[ ]\K(?=(?:[A-Z/-]{{0,4}}\d){{5}})[A-Z\d]+(?:[/-][A-Z\d]+)+", 0.6),
)

FIRMS: Rules = (
    (
        "and sons",
        r"(?<!\w)\p{Lu}[\p{L}'-]+(?:,[ ]\p{Lu}[\p{L}'-]+)*[ ](?:and|&)[ ](?:Sons?|Daughters?|Partners|Co"
        r"|Company|Brothers|Bros|Associates)\b\.?",
        0.4,
    ),
)

RULES = {
    "PERSON": PEOPLE,
    "LOCATION": MOVES,
    "ORGANIZATION": FIRMS,
    "STREET_ADDRESS": CORNERS,
    "JOB_TITLE": TITLES,  # not TITLE, whose tag would be an element of HTML
    "EMAIL_ADDRESS": spelt_emails("dot", "at"),
    "USERNAME": HANDLES,
    "ID_NUMBER": said_numbers(DIGITS),
}
DIGIT_RULES = {
    "AGE": AGES,
    "LOCATION": PLACES,
    "UK_NINO": NINOS,
    "DATE_TIME": DATES,
    "ID_NUMBER": NUMBERS,
    "RECORD_NUMBER": RECORDS,
    "STREET_ADDRESS": ADDRESSES,
}

# Units of quantities, which are neither postcodes nor numbers of records.
UNIT = any_of(
    "mg mcg g kg ml l dl mm cm m km iu mmol mol kcal cal bpm hz khz mhz gb mb kb px percent dollars? euros? pounds? usd "
    "eur gbp hours? hrs? minutes? mins? seconds? secs? days? weeks? months? years? times people patients records units"
)
# A time that names a day or an age, unlike "today", "for two weeks" or "daily".
CALENDAR = r"""(?i)
    \b(?:1[89]|20)\d\d\b | \d[/.:-]\d | \d\s?(?:[ap]\.?m\b|st\b|nd\b|rd\b|th\b) | ^\W*\d{1,3}\W*$ | \bage | \bold\b
    |\b(?:jan|feb|mar(?:ch|\b)|apr|may\b|june?\b|july?\b|aug|sept?\b|septem|oct|nov|dec\b|decem)
    |\b(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:days?)?\b
"""
# Words before the name of a user, which is the group ``word``.
LOGIN = (
    rf"(?i)\b(?:users?|login|account|profile|handle|nick|member|{SERVICE})(?:[ ](?:id|name|handle|account|is|as|at))*[ ]"
    r"(?:['\"]?)(?P<word>[\p{L}][\w.-]{2,39}\w)"
)
