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
    ("handle", r"(?<![\w.])@[A-Za-z_]\w{2,}", 0.5),
    # Letters and at least two digits with an underscore, or in small letters: xX_jsmith87_Xx, jane.doe1987.
    ("underscored", r"(?<![\w@/<-])(?=\w*\d{2})(?=\w*[A-Za-z]{3})\w+_\w+(?![\w>])", 0.3),
    ("numbered", r"(?<![\w@/.-])(?!covid|vitamin)[a-z]{2,}(?:[._]?[a-z]{2,})*[._]?(?:\d{4}|\d{2})(?![\w-])", 0.2),
)
DOT = r"[ ]?(?:[\[({][ ]?(?:dot|\.)[ ]?[\])}]|(?<=[ ])dot(?=[ ]))[ ]?"
AT = r"[ ]?(?:[\[({][ ]?(?:at|@)[ ]?[\])}]|(?<=[ ])at(?=[ ]))[ ]?"
SPELT_EMAILS: Rules = (
    ("spelt", rf"(?i)(?<!\w)\w+(?:(?:{DOT}|[._-])\w+){{0,4}}{AT}\w+(?:(?:{DOT}|[.-])\w+){{0,3}}{DOT}[a-z]{{2,10}}\b", 0.6),
)

# --- addresses: number and street in either order, in several languages; parts of an address on their own
STREET = any_of(
    "street str st avenue ave? road rd lane ln drive court crescent boulevard blvd bvd square sq terrace highway hwy "
    "parkway pkwy broadway turnpike freeway"
)
# These are common words too, so they count only with a capital.
STREET_TITLED = any_titled(
    "alley bayou beach bend bluff bluffs branch bridge brook brooks bypass camp canyon circle cir cliff cliffs close "
    "common corner corners cove creek cres crossing ct dr drv estate estates extension falls field fields flat forest "
    "fork forks garden gardens glen green greens grove harbor harbour haven heights hill hills hollow island junction "
    "key knoll lake lakes landing loop manor meadow meadows mews mill mills mount orchard oval park parks pass path "
    "pike pine pines pl place plain plains plaza point port prairie quay radial ranch rapids rest ridge rise river "
    "route row rte run shore shores spring springs spur station stream summit ter trace track trail trl tunnel union "
    "valley viaduct view village vista walk way wells wharf"
)
SUFFIX = any_of(
    "stra(?:ß|ss)e str\\. gasse weg platz allee ring damm ufer gatan gränd vägen gata gate vegen? veien vej gade allé "
    "terrasse chaussee promenade steig pfad graben markt brygge løkken sti parken kaj kai maantee tänav põik trg cesta "
    "nábřeží aleja rakpart kapu sétány sokak caddesi cad mahallesi jalan väg vägen backe "
    "strand stranda torv "
    "torget stræde bakken stræti vegur katu kuja polku tie tee puiestee laan straat plein gracht kade dreef dijk "
    "utca útja körút tér tere ulica ulice náměstí cesta třída"
)
PREFIX = any_of("rue avenue avda boulevard chemin viale piazza calle c/ paseo rúa rua avenida travessa praça")
PREFIX_NAMED = any_of(
    "av bd blvd allée impasse quai route via vicolo corso largo strada plaza camino carrer ronda estrada ul ulica al "
    "aleja os plac jalan jl ulitsa улица ул"
)
LINK = r"(?:(?:d[aeiou]s?|de[il]|d[ae]gli|d[ae]ll[aeo]|dal|la|le|les|los|las|el|al|d'|l'|dell')[ ]?)"
NUMBER = r"\d{1,5}(?:[ ]?[A-Za-z]\b|[/-]\d{1,4}[A-Za-z]?)?"
WORD = r"[\p{Lu}\d][\p{L}\d'.-]*"
AMOUNT = any_of("of in on the down a x mile miles km block blocks times mg minutes? hours? days? weeks? months? years?")
AT_HOME = r"""(?i:
    (?:lives?|living|lived|resid(?:es?|ing)|stay(?:s|ing)?|located|home|house|office)[ ](?:is[ ])?(?:at|on)
    |address(?:[ ]is|[ ]?:)|corner[ ]of
)[ ](?i:the[ ])?"""
ADDRESSES: Rules = (
    (
        "number first",
        rf"\b{NUMBER},?[ ]+(?:[NSEW]{{1,2}}\.?[ ]+)?(?:{WORD}[ ]+){{1,4}}(?:{STREET}|{STREET_TITLED})\b\.?"
        r"(?:[ ][NSEW]{1,2}\b)?",
        0.7,
    ),
    (
        "lower case",
        rf"(?i)\b{NUMBER},?[ ]+(?!{AMOUNT}\b)\p{{L}}+[ ](?:\p{{L}}+[ ])?"
        r"(?:street|avenue|road|lane|boulevard|highway)\b",
        0.6,
    ),
    ("one word, number", rf"\b\p{{Lu}}\p{{L}}*{SUFFIX}(?<=\.|\b),?[ ]+{NUMBER}", 0.7),
    (
        "words, number",
        rf"\b\p{{Lu}}[\p{{L}}'.-]*(?:[ ]\p{{L}}[\p{{L}}'.-]*){{0,3}}[ ]{SUFFIX}(?<=\.|\b),?[ ]+{NUMBER}",
        0.7,
    ),
    ("number, one word", rf"\b{NUMBER},?[ ]+\p{{Lu}}\p{{L}}*{SUFFIX}\b", 0.7),
    (
        "prefix, number",
        rf"(?<!\w){PREFIX}\.?[ ]+(?:[\p{{L}}\d][\p{{L}}\d'.-]*,?[ ]+){{1,5}}(?:n[º°o]?\.?[ ]?)?{NUMBER}",
        0.7,
    ),
    (
        "prefix, name, number",
        rf"(?<!\w){PREFIX_NAMED}\.?[ ]+{LINK}{{0,2}}(?:{WORD},?[ ]+(?:de[ ]|y[ ])?){{1,4}}"
        rf"(?:n[ro]?[º°]?\.?[ ]?)?{NUMBER}",
        0.7,
    ),
    (
        "number, prefix",
        rf"\b{NUMBER},?[ ]+{PREFIX}\b\.?[ ]+{LINK}{{0,2}}\p{{L}}[\p{{L}}'-]*(?:[ -]\p{{Lu}}[\p{{L}}'-]*){{0,3}}",
        0.7,
    ),
    (
        "number, prefix, name",
        rf"\b{NUMBER},?[ ]+{PREFIX_NAMED}\b\.?[ ]+{LINK}{{0,2}}\p{{Lu}}[\p{{L}}'-]*(?:[ -]\p{{Lu}}[\p{{L}}'-]*){{0,3}}",
        0.7,
    ),
    (
        "short form, number",
        r"\b\p{Lu}[\p{L}'-]+[ ](?!(?:no|nr|vol|fig|pp?|vs|ca|approx|ext|tel|ch|sec|art|para)\.)"
        r"\p{Ll}{1,4}\.[ ]\d{1,4}(?![.,]?\d|[ ]?(?:mg|ml))",
        0.5,
    ),
    ("crossing", r"(?i)\b(?:the[ ])?(?:corner|intersection|junction|crossing)[ ]of[ ](?=[^\n]{0,30}[\p{Lu}\d])", 0.6),
    ("cue", rf"\b{AT_HOME}\K(?:{NUMBER},?[ ]+)?(?:\p{{Lu}}[\p{{L}}'.-]*[ ]+){{1,5}}{NUMBER}", 0.6),
    (
        "unit",
        rf"\b{any_of('apt apartment suite ste unit flat room rm floor fl bldg building door lot house')}"
        r"\.?[ ]?(?i:no\.?|number)?[ ]?\#?(?:\d{1,5}[A-Za-z]?|[A-Z]\d{1,4})\b",
        0.5,
    ),
    (
        "box",
        r"(?i)\b(?:p\.?[ ]?o\.?[ ]?box|post(?:al)?[ ]?box|postfach|apartado|casilla|bo[iî]te[ ]postale|b\.?p\.)"
        r"[ ]*(?:no\.?|\#)?[ ]*\d{1,7}",
        0.7,
    ),
    ("military", r"(?i)\b(?:(?:psc|cmr|unit)[ ]\d{1,5},?\s+box[ ]\d{1,5}|[afd]po,?\s+a[aep][ ]\d{5}\b)", 0.7),
)

# --- postcodes: own forms, or a number in the place of one; not a count, a dose or a year
NO_COUNT = r"(?![\d%°]|[.,:/-]\d|[ ]?(?:IU|MG|ML|MCG|KG|KM|[a-zµ]))"
UNIT = any_of(
    "mg mcg g kg ml l dl mm cm m km iu mmol mol kcal cal bpm hz khz mhz gb mb kb px percent dollars? euros? pounds? usd "
    "eur gbp hours? hrs? minutes? mins? seconds? secs? days? weeks? months? years? times people patients records units"
)
NO_POSTCODE = any_of("iu mg ml mm am pm ad bc ce kg km lb hz mb gb sa sd ss in or is er ed iv tv uk us eu")
POSTCODES: Rules = (
    ("british", r"(?i)\b[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[ABD-HJLNP-UW-Z]{2}\b", 0.5),
    ("canadian", r"(?i)\b[ABCEGHJ-NPRSTVXY]\d[A-Z][ -]?\d[A-Z]\d\b", 0.5),
    ("dutch", rf"\b(?!19|20)[1-9]\d{{3}}[ ]?(?!{NO_POSTCODE}\b)[A-Z]{{2}}\b", 0.4),
    ("state", r"\b[A-Z]{2},?\s+\d{5}(?:-\d{4})?\b", 0.5),
    ("five digits", rf"(?<![\w.,:/$£€\#-])\d{{5}}\b{NO_COUNT}", 0.4),
    ("parted", r"(?<![\w.,:/-])(?:\d{2}-\d{3}|\d{3}[ ]\d{2})\b(?=,?[ ]\p{Lu}|\s*$)", 0.4),
    (
        "named",
        r"(?i)\b(?:zip|post[ ]?code|postal[ ]code|plz|cap|cp)(?:[ ]?code)?(?:[ ]is|[ ]to|[ ]?[:=])?[ ]"
        r"\K(?=[\w-]*\d)\w[\w-]{2,9}(?:[ ]\d\w{2})?",
        0.6,
    ),
    ("after a place", r"\b\p{Lu}\p{L}{2,},?\s+\K(?!(?:19|20)\d\d\b|\d\d00\b)\d{4,6}(?=\s*(?:[.,;]?$|,))", 0.4),
)

# --- numbers: long ones, codes, and what follows the name of a register
NUMBERS: Rules = (
    ("run", r"(?<!\d)(?<!\d[.,])(?!(?:19|20)\d\d-(?:19|20)\d\d(?!\d))\d(?:-?\d){5,}(?!\d)", 0.3),
    (
        "code",
        r"(?<![\w-])(?=[A-Z\d/-]{0,24}[A-Z])(?=(?:[A-Z/-]{0,8}\d){4})[A-Z\d](?:[/-]?[A-Z\d]){4,40}",
        0.3,
    ),
    ("spaced", r"(?<![\w.,])\d(?:[ ]\d){5,}(?!\w)", 0.3),
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
        r"(?:[ ]is|[ ]was)?[ ]?[:=\#]?[ ]?\K(?=[\w/-]*\d)\w[\w/-]{2,24}",
        0.8,
    ),
    ("hash", r"(?<![\w&])\#[ ]?\K\d[\w-]{2,24}", 0.4),
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
