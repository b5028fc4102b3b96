"""What personal data looks like: expressions as data, each (name, expression, score).

General forms, fitted to no data set, written for the ``regex`` package (``\\p{Lu}``, and ``\\K``: what
stands before it is needed but not taken) with the flags below: white space in an expression means nothing, so a
space is ``[ ]``. Texts are normalised first, so there is one kind of apostrophe and of hyphen.
"""

import regex  # no stubs; Presidio itself runs patterns with it

FLAGS = int(regex.MULTILINE | regex.DOTALL | regex.VERBOSE)

Rules = tuple[tuple[str, str, float], ...]


def any_of(words: str) -> str:
    """One of the words, in any case; they are expressions without spaces, separated by spaces."""
    return f"(?i:{'|'.join(words.split())})"


def any_titled(words: str) -> str:
    """One of the words, beginning with a capital or all in capitals."""
    return f"(?:{'|'.join(f'{word.capitalize()}|{word.upper()}' for word in words.split())})"


# --- people: titles, cues, middle initials; MS is a disease and a brand
TITLE = any_of(
    "dr drs mr mrs ms mx miss prof professor doctor nurse sir dame rev reverend father sister capt captain sgt "
    "herr frau mme mlle monsieur madame señora? sra? srta signora? dott"
)
NO_NAME = any_titled(
    "sir madam doctor dr doc team all everyone there customer support colleague colleagues friend friends staff nurse "
    "and the for so very not no yes if it is in on at to my we you your this that i type stage"
)
LETTERED = any_titled(
    "vitamin vitamins hepatitis type group grade stage class plan part factor protein coenzyme influenza strep complex "
    "appendix section table figure schedule plate phase category i a the"
)
NAME = r"(?:\p{Lu}'?\p{Lu}?\p{Ll}[\p{L}'-]*|\p{Lu}\.)"
PARTICLES = rf"(?:{any_of('van von der den de del della di da dos la le al el bin ibn ter ten zu')}[ ]){{0,2}}"
NAMES = rf"{PARTICLES}{NAME}(?:[ -]{PARTICLES}{NAME}){{0,3}}"
SAID = r"""(?i:
    (?:(?:my|his|her|their|full|first|last|sur|maiden|patient|user|contact|account|card|holder)[ ]?)?
    name(?:'s|[ ]is)?[ ]?[:=?]?
    |signed(?:[ ]by)?|sincerely|regards|yours[ ]truly|dear|attn|contact|patient|i[ ]am|i'm|spoke[ ](?:to|with)
)"""
PEOPLE: Rules = (
    ("title", rf"\b(?!MS\b){TITLE}(?:\.[ ]{{0,3}}|[ ]{{1,3}})\K(?!{NO_NAME}\b){NAMES}", 0.6),
    ("cue", rf"\b{SAID}[ ]?[:,]?\s{{1,6}}\K(?!{NO_NAME}\b){NAMES}", 0.5),
    ("caller", rf"\b(?i:this[ ]is|speaking[ ]with)[ ]\K(?!{NO_NAME}\b){NAME}[ ]{NAME}", 0.5),
    ("initial", rf"\b(?!{LETTERED}\b)\p{{Lu}}[\p{{L}}'-]+[ ]\p{{Lu}}\.?[ ](?!I\b)\p{{Lu}}[\p{{L}}'-]+", 0.5),
    (
        "said",
        r"(?i)\bmy[ ]name(?:'s|[ ]is)\s\K\p{L}[\p{L}'-]+"
        r"(?:[ ](?!(?:and|but|i|im|i'm|from|my|the|is)\b)\p{L}[\p{L}'-]+)?",
        0.5,
    ),
)
# A company by what stands at the end of its name, in several languages.
COMPANY = (
    "inc incorporated llc llp ltd limited corp corporation plc gmbh ag kg ohg srl spa bv nv oy ab asa oü kft zrt sro sarl "
    "sas holdings? technologies partners associates group industries enterprises solutions laboratories "
    "consulting bank insurance"
)
COMPANIES: Rules = (
    (
        "company",
        r"(?<![\w&])(?:\p{Lu}[\p{L}\d.'-]*,?[ ](?:(?:and|&|of)[ ])?){1,4}"
        rf"(?:{any_titled(COMPANY)}|GmbH|s\.r\.o|S\.A|AS|A/S)(?!\w)\.?",
        0.4,
    ),
)
MONTH = any_of(
    "jan(?:uary)? feb(?:ruary)? mar(?:ch)? apr(?:il)? may june? july? aug(?:ust)? sept?(?:ember)? oct(?:ober)? "
    "nov(?:ember)? dec(?:ember)?"
)
CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:[ ]?(?i:[ap]\.?m\b\.?))?"
DATES: Rules = (
    ("day first", rf"(?<![\d.])\d{{1,2}}(?:st|nd|rd|th)?[ ](?:of[ ])?{MONTH}\.?(?:,?[ ](?:'?\d{{2}}|\d{{4}}))?\b", 0.4),
    ("month first", rf"\b{MONTH}\.?[ ]\d{{1,2}}(?:st|nd|rd|th)?(?:,?[ ]\d{{4}})?\b(?![.:]\d)", 0.4),
    ("month and year", rf"\b{MONTH}\.?,?[ ](?:19|20)\d\d\b", 0.4),
    ("stamp", rf"\b\d{{4}}-\d\d-\d\d[T ]{CLOCK}(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?", 0.6),
)
AGES: Rules = (
    ("age", r"(?i)\b\d{1,3}[ -]?(?:y/?o\b|(?:yrs?|years?)[ -]?olds?\b)|\b(?:aged|turned|turning)[ ]\K\d{1,3}\b", 0.5),
)
# Presidio's own rule takes 20 s over 20,000 characters of "a.a.a." and takes "e.g" for a domain. Here a bare domain
# counts under the endings that are no English words; with a scheme or www, any.
ENDING = any_of(
    "com org net edu gov mil int info biz io co ai app dev eu uk ca au nz ie de fr es nl ch se dk fi pl cz sk pt gr hu "
    "ro ru ua tr cn jp kr tw br mx ar cl za ng ke il ae online site xyz shop blog clinic hospital health care doctor"
)
LINKS: Rules = (
    ("address", r"(?i)(?<!\w)(?:(?:https?|ftps?)://|www\d?\.)[^\s<>\"']+", 0.6),
    ("domain", rf"(?i)(?<![\w@.-])(?:[\w-]{{2,63}}\.)+{ENDING}\b(?![@-])(?:[/?\#:][^\s<>\"']*)?", 0.5),
)
HANDLES: Rules = (
    ("handle", r"(?<![\w.])@[A-Za-z_][\w.-]{2,}", 0.5),
    (
        "named",
        r"(?i)\b(?:(?:user|login|screen)[ ]?(?:name|id)(?:[ ]is[ ])?|(?:login|handle|nick(?:[ ]?name)?)|logged[ ]in[ ]as[ ])"
        r"(?:(?<=is[ ])|(?<=as[ ])|[ ]?[:=][ ]?|[ ](?=\S*[\d_]))\K"
        r"(?!(?:the|a|an|not|no|in|on|at|and|or|is|was)\b)[\w.@-]{3,40}(?<!\.)",
        0.5,
    ),
    # Letters and at least two digits with an underscore, or in small letters: xX_jsmith87_Xx, jane.doe1987.
    ("underscored", r"(?<![\w@/<-])(?=\w*\d{2})(?=\w*[A-Za-z]{3})\w+_\w+(?![\w>])", 0.3),
    ("numbered", r"(?<![\w@/.-])(?!covid|vitamin)[a-z]{2,}(?:[._]?[a-z]{2,})*[._]?(?:\d{4}|\d{2})(?![\w-])", 0.2),
)
DOT = r"[ ]?(?:[\[({][ ]?(?:dot|\.)[ ]?[\])}]|(?<=[ ])dot(?=[ ]))[ ]?"
AT = r"[ ]?(?:[\[({][ ]?(?:at|@)[ ]?[\])}]|(?<=[ ])at(?=[ ]))[ ]?"
SPELT_EMAILS: Rules = (
    ("spelt", rf"(?i)(?<!\w)\w+(?:(?:{DOT}|[._-])\w+){{0,4}}{AT}\w+(?:(?:{DOT}|[.-])\w+){{0,3}}{DOT}[a-z]{{2,10}}\b", 0.6),
)

# --- quantities, which are no postcode and no record number
UNIT = any_of(
    "mg mcg g kg ml l dl mm cm m km iu mmol mol kcal cal bpm hz khz mhz gb mb kb px percent dollars? euros? pounds? usd "
    "eur gbp hours? hrs? minutes? mins? seconds? secs? days? weeks? months? years? times people patients records units"
)
# --- numbers: long ones, codes, and what follows the name of a register
PLATED = (
    "registration reg plates? kennzeichen immatriculation matrícula placa targa kenteken vehicle car van truck taxi lorry"
)
NUMBERS: Rules = (
    ("run", r"(?<!\d)(?<!\d[.,])(?!(?:19|20)\d\d-(?:19|20)\d\d(?!\d))\d(?:-?\d){5,}(?!\d)", 0.3),
    (
        "code",
        r"(?<![\w-])(?=[A-Z\d/-]{0,24}[A-Z])(?=(?:[A-Z/-]{0,8}\d){4})[A-Z\d](?:[/-]?[A-Z\d]){4,40}",
        0.3,
    ),
    # As on a vehicle: British, European, American and other forms; without a cue only such as are nothing else.
    (
        "plate",
        r"(?<![\w-])(?:[A-Z]{2}\d{2}[ ]?[A-Z]{3}|[A-Z]{2}[ -]?\d{3}[ -]?[A-Z]{2}|\d{4}[ -]?[BCDFGHJ-NPRSTV-Z]{3}"
        r"|\d[A-Z]{3}[ -]?\d{2,3}|(?!ISO|RFC|USD|EUR|GBP|CHF|THE|AND|FOR)[A-Z]{3}-\d{3,4}"
        r"|[A-ZÄÖÜ]{1,3}-[A-Z]{1,2}[ ]?\d{1,4}|[A-Z]{1,2}-\d{1,3}[ ]?(?:\d{3}|[A-Z]{1,3}))(?![\w-]|[ ]?%)",
        0.3,
    ),
    (
        "named plate",
        rf"\b{any_of(PLATED)}(?:[ ](?i:number|no\.?|plate|is|with))*[ ]?[:(]?[ ]?\K"
        r"(?=[A-Z\d -]{0,9}\d)[A-Z\d]{1,7}(?:[ -][A-Z\d]{1,5}){0,2}(?![\w-])",
        0.5,
    ),
    (
        "ending",
        r"(?i)\b(?:end(?:ing|s)?(?:[ ](?:in|with|on))|last[ ](?:four|4)(?:[ ]digits)?(?:[ ](?:are|is|of))?)[ ]?:?[ ]?"
        r"\K(?!(?:19|20)\d\d\b)\d{3,5}\b(?![.,/:-]\d)",
        0.4,
    ),
    (
        "card ending",
        r"(?i)\b(?:card|account|number|phone|iban)\b[^.\n]{0,24}?\bend(?:ing|s)?[ ](?:in|with|on)[ ]\K\d{3,5}\b",
        0.5,
    ),
    # Digits one by one, as some write them against machines.
    ("spaced", r"(?<![\w.,])(?=[\d./-]{0,64}[ ])\d(?:[ ./-]\d){4,}(?![\w/.-]?\w)", 0.3),
    ("split", r"(?<![\w.,-])\d{2,4}(?:[ ]?-[ ]?\s?\d{2,4}){2,4}(?![\w-])", 0.2),
    ("grouped", r"(?<![\w.,])\d{3,4}(?:[ ]\d{3,4}){2,4}(?!\w|[.,]\d)", 0.2),
)
DIGIT_NAME = any_of("zero oh one two three four five six seven eight nine double triple")
SAID_NUMBERS: Rules = (("said", rf"\b{DIGIT_NAME}(?:[ ,-]{{1,2}}{DIGIT_NAME}){{5,}}\b", 0.4),)
# A long token of letters and digits, as keys and encoded text are; what decides is how it is made up.
TOKENS: Rules = (("token", r"(?<![\w+/=.-])(?=[A-Za-z+/_-]*\d)[A-Za-z0-9+/_-]{16,}={0,2}(?![\w+/=-])", 0.2),
                 ("padded", r"(?<![\w+/=.-])(?=\S*[A-Z])(?=\S*[a-z])[A-Za-z0-9+/]{12,}={1,2}(?![\w+/=])", 0.3))  # fmt: skip
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
    ("hash", r"(?<![\w&])\#[ ]?\K\d[\w-]{2,24}", 0.4),
)
# By its form alone: a number with a slip in it, or of a country that Presidio does not know, is personal all the same.
ACCOUNTS: Rules = (
    (
        "iban",
        r"(?<!\w)[A-Z]{2}\d{2}(?=(?:[ ]?[A-Z]{0,4}[ ]?\d){8})(?:[ -]?[A-Z\d]{4}){2,7}(?:[ -]?[A-Z\d]{1,4})?(?!\w)",
        0.4,
    ),
)
SEPARATOR = r"(?:[ ]?[./-][ ]?|[ ]|(?<=\))|(?=\())"
PHONES: Rules = (
    (
        "phone",
        rf"(?<!\w)(?<!\d[.,/-])(?:(?:\+|00)[ ]?)?\(?\+?\d{{1,12}}\)?(?:{SEPARATOR}\(?\d{{1,11}}\)?){{1,6}}"
        r"(?:[ ,]*(?i:x|ext\.?|extension)[ :.]*\d{1,6})?(?!\w)",
        0.4,
    ),
)

# --- not patterns of Presidio: what the language model's names and times and an address's neighbours look like
TITLED = regex.compile(rf"{TITLE}\b\.?[ ]+(?=\p{{L}})", FLAGS)
# A time that points at a day or an age; the rest is like "today", "for two weeks", "daily".
CALENDAR = regex.compile(
    r"""\b(?:1[89]|20)\d\d\b | \d[/.:-]\d | \d\s?(?:[ap]\.?m\b|st\b|nd\b|rd\b|th\b) | ^\W*\d{1,3}\W*$ | \bage | \bold\b
    |\b(?:jan|feb|mar(?:ch|\b)|apr|may\b|june?\b|july?\b|aug|sept?\b|septem|oct|nov|dec\b|decem)
    |\b(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:days?)?\b""",
    FLAGS | regex.IGNORECASE,
)
# Numbers and capitalised words in a row, with the white space, commas and quotation marks of e-mail between them.
ADDRESS_WORD = rf"""
    (?!(?:{any_titled("i i'm my the we it he she they you please and but if in on at this that is are so thanks")})\b)
    (?:\p{{Lu}}[\p{{L}}'-]*+(?:(?<=\b\p{{L}}{{1,3}})\.)?|\d[\d-]{{0,9}}\p{{L}}?|d[aei]l?|la|le|von|an|am|der|den)(?!\w)
"""
ADDRESS_ROW = regex.compile(rf"(?<!\w)(?P<word>{ADDRESS_WORD})(?:[\s,>]{{1,8}}(?P<word>{ADDRESS_WORD}))*", FLAGS)
DIGIT_GROUP = regex.compile(r"\d+")
