"""Describe numbers that point at nobody: quantities, ranges, scores, stages, and codes of public code systems.

The units are those of SI and UCUM (Unified Code for Units of Measure), and the stage is TNM (UICC). A code counts after the
name of its system: ICD (WHO), CPT, LOINC, SNOMED CT and so on. Laws and law reports have the forms in which they are cited.
"""

import regex
from stdnum import isin

from privacy.detect.domains.lexicon import Lexicon
from privacy.detect.domains.measures import is_measure
from privacy.detect.domains.terms import plain
from privacy.detect.rules import DIGIT_GROUP, FLAGS

PREFIXED = r"[kKMmcdunµμpG]?(?:mol|Eq|Osm|IU|cal|Hz|Pa|Bq|Gy|Sv|[gGlLmsJVWU])"
UNIT = rf"""
    (?:%|°[ ]?[CF]?|[CF]\b|mm[ ]?Hg|cm[ ]?H2O|bpm|cpm|units?|tablets?|tabs?|capsules?|puffs?|drops?|cells?|copies|hpf
    |{PREFIXED}
    |kg|lbs?|oz|mcg|hrs?|h|min|in|ft|weeks?|days?|months?
    |(?i:grays?|sieverts?|pascals?|newtons?|joules?|kelvin|hertz|becquerels?|curies?|teslas?|watts?|volts?|amperes?|ohms?|celsius
    |fahrenheit|daltons?|torr|angstroms?|french|gauge))(?![A-Za-z])
"""
QUANTITY = r"(?:\d{1,3}(?:,\d{3})+|\d{1,7})(?:\.\d{1,4})?"
SYSTEM = (
    r"(?:ICD(?:-?(?:O|9|10|11))?(?:-(?:CM|PCS|AM|GM))?|CPT(?:-4)?|HCPCS|LOINC|SNOMED"
    r"(?:[ -]?CT)?|RxNorm|RxCUI|NDC|ATC|CVX|MedDRA|OPCS"
    r"(?:-4)?|DRG|OMIM|MIM|ORPHA|MeSH|NCT|Read[ ]code|DSM(?:-(?:III|IV|5))?"
    r"(?:-TR)?|NAICS|UNSPSC|MCC|[Mm]erchant[ ][Cc]ategory[ ][Cc]ode"
    r"|SIC|ISO|ISIN|CUSIP|SEDOL|WKN|FIGI|[Rr]eason[ ][Cc]ode|[Rr]eturn[ ][Cc]ode|IFRS|IAS|GAAP)"
)
CODE = r"(?:[A-Z]{1,2}-?)?\d[\dA-Z]{0,9}(?:[.-][\dA-Z]{1,4})?"
# What holds a number in laws, forms and standards.
CITED = (
    r"(?:[Ff]orms?|[Rr]ules?|[Ss]ections?|[Ss]ec\.|§{1,2}|[Aa]rticles?|[Aa]rt\.|[Pp]arts?|[Cc]hapters?|[Tt]itle|[Rr]egulations?|"
    r"[Ss]chedule|[Pp]aragraphs?|[Cc]lauses?|[Dd]irective|[Aa]mendment|[Pp]ractice[ ][Dd]irection)"
)
SCORED = (
    r"(?:scor(?:es?|ed|ing)|scale|acuity|pain|strength|power|rating|index|exam(?:ination)?|apgar|gcs|mmse|moca|esas|vas|level|test|"
    r"vision|reflex(?:es)?)"
)
SEEN = "vision|visual[ ]acuity|acuity|snellen|visus|pinhole"
ACUITY = r"(?<![\w/.-])(?:[1-6]|20)/(?:[3-9]|[1-9]\d|[1-4]00)(?![\w/]|[.,-]\d)"
# Words for what statistics, banks and laboratories give in a row: "odds ratios 0.8712, 1.2045".
MEASURED_BY = (
    r"(?i:ratios?|rates?|interest|coefficients?|betas?|means?|medians?|averages?|errors?|deviations?|values?|scores?|weights?|"
    r"levels?|indexe?s?|indices|yields?|prices?|factors?|probabilit(?:y|ies)|doses?|concentrations?)"
)
DECIMALS = r"-?\d{1,4}\.\d{1,6}(?:(?:,|[ ]and|;)[ ]-?\d{1,4}\.\d{1,6}){1,8}"
FORMS = (
    # A quantity with its unit, and a range of quantities: "20 mg", "130.0 - 170.0 g/L", "4.5 x 10^9/L".
    rf"(?<![\w.,/-])[<>~]?{QUANTITY}(?:[ ]?(?:-|to|/)[ ]?{QUANTITY})?[ ]?{UNIT}(?:[ ]?/[ ]?[\w.^]+(?:[ ]m\^?2)?){{0,3}}"
    rf"(?:[ ]*[(\[]?{QUANTITY}[ ]?-[ ]?{QUANTITY}[)\]]?)?",
    rf"(?<![\w.,/-]){QUANTITY}[ ]?[x\u00d7*][ ]?10[ ]?[\^*eE]?[ ]?-?\d{{1,2}}(?:[ ]?/[ ]?[\w.^]+)?",
    # A range between two decimals, or between two round numbers; a telephone number has neither form.
    r"(?<![\w.,/+-])\d{1,4}\.\d{1,3}[ ]?(?:-|to)[ ]?\d{1,4}\.\d{1,3}(?![\w.,/-]\d|\w)",
    r"(?<![\w.,/+-])\d{1,4}0[ ]?-[ ]?\d{1,5}0(?![\w.,/-]\d|\w)",
    # A row of decimals after what they measure, or before what they count; coordinates have neither.
    rf"\b{MEASURED_BY}\b[^\d\n.;]{{0,24}}\K{DECIMALS}(?!\w)",
    rf"(?<![\w.,/+-]){DECIMALS}(?=[ ]?(?:%|per[ ]?cent\b|{UNIT}))",
    # A part of a year; an age has no decimals.
    r"(?<![\w.,/-])\d{1,3}\.\d{1,2}[ -]years?(?!\w)",
    # Stages and scores.
    r"(?<!\w)[cpyr]{0,2}T(?:is|[0-4xX])[a-d]?[ ]?N[0-3xX][a-c]?(?:[ ]?M[01xX][a-c]?)?(?!\w)",
    r"(?<!\w)E[1-4]V[1-5T]M[1-6](?!\w)",
    rf"\b(?i:{SCORED})\b[^\d\n.;]{{0,24}}\K\d{{1,3}}(?:\.\d)?/\d{{1,3}}(?:(?:[ ]"
    rf"(?:and|to|or)[ ]|,[ ])\d{{1,3}}/\d{{1,3}})*(?!/?\d)",
    r"(?<![\w/.-])(?:3[2-9]|[4-9]\d|[12]\d\d)/(?:[2-9]\d|1\d\d)(?![\w/.-])",
    r"(?<![\w/.-])(?:1[3-9]|[2-9]\d)/(?:1[3-9]|[2-9]\d|[12]00)(?![\w/.-])",
    # A result with its range of reference: "118 (115-165)". A group of a telephone number may begin with 0, a limit may not.
    r"(?<![\w.,/+-])(?:0|[1-9]\d{0,3})(?:\.\d{1,3})?[ ]?[HL*]?[ ]?[(\[]"
    r"(?:0|[1-9]\d{0,2}|(?=\d+\.)\d{1,4})(?:\.\d{1,3})?[ ]?(?:-|to)[ ]?[1-9]\d{0,2}(?:\.\d{1,3})?[)\]]?(?!\w)",
    # Grades such as "2+", titres and dilutions that are no time of day or month of a year, and visual acuity (Snellen).
    r"(?<![\w+.,-])[0-4]\+(?![\w+])",
    r"(?<![\w:.,/-])1:(?:[6-9]\d|[1-9]\d{2,5}|[1-9]\d{0,2},\d{3})(?![\w:/-]|[.,]\d)",
    r"(?<![\w:.,/-])1/(?!1[89]|20)[1-9]\d{0,2}00(?![\w:/-]|[.,]\d)",
    rf"(?<=\b(?:VA|BCVA|UCVA|(?i:{SEEN}))\b[^\n;]{{0,32}}){ACUITY}",
    rf"{ACUITY}(?=[ ](?i:{SEEN}|(?:in[ ](?:the|his|her)[ ])?(?:right|left)[ ]eye|OD|OS|OU)\b)",
    # Terms of payment: 2 % within 10 days, all within 30.
    r"(?<![\w/.-])\d{1,2}(?:\.\d)?/\d{1,2},?[ ](?i:net|n)[ /]?\d{1,3}(?!\w)",
    # Codes of public systems.
    rf"\b{SYSTEM}(?:[ ](?:codes?|concept|number|id|diagnosis|stages?))?(?:[ ]"
    rf"(?:is|was|for))?[ ]?[:=\#]?[ ]?\K{CODE}(?:(?:,[ ]?|[ ](?:and|or)[ ]){CODE})*(?![\w-])",
    r"(?<![\w-])[A-TV-Z]\d[\dAB]\.\d[\dA-Z]{0,3}(?![\w-])",
    # Laws, forms and law reports.
    rf"(?<!\w){CITED}[ ]?(?:[Nn]o\.?[ ])?\K(?:[A-Z]{{1,3}}-?)?\d{{1,5}}[A-Z]{{0,3}}"
    rf"(?:[.-]\d{{1,4}}|\([\da-zA-Z]{{1,4}}\)|-[A-Z]{{1,4}})*(?![\w-])",
    r"(?<!\w)\d{1,3}[ ](?:U\.?[ ]?S\.?[ ]?C\.?|C\.?[ ]?F\.?[ ]?R\.?|U\.S\.|S\.[ ]?Ct\.|F\.[ ]?"
    r"(?:[23]d|4th|Supp\.(?:[ ][23]d)?))[ ]?(?:§+[ ]?)?\d{1,5}(?:\([\da-z]{1,3}\))*"
    r"(?:,[ ]\d{1,5}){0,2}(?:[ ]\((?:[\w.]{1,8}[ ]){0,3}(?:1[789]|20)\d\d\))?",
    r"\[(?:19|20)\d\d\][ ](?:\d{1,2}[ ])?[A-Z][A-Za-z]{1,5}(?:[ ](?:Civ|Crim|Fam|Ch|QB|KB|Admin|Comm))?[ ]\d{1,5}",
    # Acts, directives and judgments of the European Union (EUR-Lex), and an act by its initials: "s. 172 CA 2006".
    r"(?<![\w/-])(?:19|20)?\d\d/\d{1,4}/(?:EE?C|EU|JHA|CFSP|Euratom)(?!\w)",
    r"(?<![\w/-])[CTF]-\d{1,4}/\d\d(?:[ ](?:P|PPU|RENV))?(?![\w/-])",
    r"(?<!\w)(?:[Ss]s?\.?|[Ss]ections?|[Ss]ec\.|[Aa]rt\.)[ ]?\d{1,4}[A-Z]{0,2}(?:\(\w{1,3}\))*"
    r"[ ][A-Z]{2,5}[ ](?:19|20)\d\d(?![\w/-])",
    # Messages of ISO 20022, and the ratio of inspiration to expiration.
    r"(?<![\w.])[a-z]{4}\.\d{3}(?:\.\d{3}\.\d{2})?(?![\w.]\w)",
    r"(?<!\w)I:E(?:[ ]ratio)?(?:[ ](?:of|was))?[ ]?[:=]?[ ]?\d(?:\.\d)?:\d(?:\.\d)?(?![\w:])",
    # Forms of the Internal Revenue Service (irs.gov/forms-instructions): the series and their letters.
    r"(?<![\w-])(?:W-(?:[2-9](?:G|C|AS)?|8[A-Z]{2,4}(?:-E)?)|(?:990|94[0-5]|10[0-9]{2}|1120|5498|8[0-9]{3})-[A-Z]{1,4})(?![\w-])",
    # Classes of visas (8 CFR 214.1) and registration statements (sec.gov/forms): "H-1B", "S-3ASR".
    r"(?<![\w-])(?:[HLOPQR]-[1-4][ABC]?|EB-[1-5]|[SFN]-\d{1,2}(?:[A-Z]|ASR|MEF|POS)?|424B[1-8]|(?:10-[DKQ]|[24]0-F|[68]-K))(?![\w-])",
    # A score alone.
    rf"\b(?i:{SCORED})(?:[ ](?:was|is|of)|[ ]?[:=])?[ ]\K\d{{1,3}}(?:\.\d)?(?![\w/-]|[.,]\d)",
)
# A compound with a small number within or before its words, as in chemistry: "4-hydroxyphenylpyruvate", "HTLV-1-associated".
COMPOUND = regex.compile(
    r"(?<![\w-])(?:\d{1,2}[A-Za-z]?(?:,\d{1,2})*-)?(?:(?P<word>\p{L}{2,})-)?(?:\d{1,2}[A-Z]?-)?(?:(?P<word>\p{L}{2,})-)?"
    r"(?P<word>\p{Lu}?\p{Ll}{5,})(?![\w-])",
    FLAGS,
)
# One by one, because one expression for all of them takes four times as long.
HARMLESS = tuple(regex.compile(form, FLAGS) for form in FORMS)
# An abbreviation before a number of 4 to 6 digits, as in a row of laboratory values: "WBC 14500".
VALUED = regex.compile(
    r"(?<![\w-])(?P<name>[A-Z][A-Z\d]{2,3})(?:[ ](?:was|is|of)|[ ]?[:=])?[ ](?P<number>\d{3,6})(?![\w-]|[.,]\d)", FLAGS
)
SECURITY = regex.compile(r"(?<!\w)[A-Z]{2}[A-Z\d]{9}\d(?!\w)", FLAGS)
# A small number after an abbreviation of the domain or of a vital sign: "RR 18", "PHQ-9 14", "HR was 112".
MEASURED = regex.compile(
    r"(?<![\w-])(?P<name>[A-Z][A-Za-z]{0,5}\d{0,2}\+?)(?:-[A-Z\d]{1,5})?(?:[ ](?:was|is|of))?[ ]?[:=]?[ ]"
    r"(?P<number>[<>]?\d{1,3}(?:\.\d{1,2})?(?:(?:[ ]?-[ ]?|[ ]to[ ])\d{1,3}(?:\.\d{1,2})?)?)(?![\w/-]|[.,:]\d)",
    FLAGS,
)
# A round count after a word of the domain: "platelets 245000".
COUNTED = regex.compile(
    r"(?<![\w-])(?P<name>\p{L}{3,})(?:[ ](?:count|was|were|is|of))?[ ]?[:=]?[ ](?P<number>\d{2,5}00)(?![\w/-]|[.,]\d)", FLAGS
)


def places(text: str, lexicon: Lexicon) -> list[tuple[int, int]]:
    """Return the start and end of each number in a text that points at nobody; they may overlap.

    Parameters
    ----------
    text
        The text.
    lexicon
        What is known of the words before numbers.
    """
    if not DIGIT_GROUP.search(text):
        return []
    found = [match.span() for form in HARMLESS for match in form.finditer(text)]
    found += [m.span() for m in SECURITY.finditer(text) if isin.is_valid(m[0])]
    found += [m.span("number") for m in VALUED.finditer(text) if not lexicon.is_place(m["name"].casefold())]
    for match in COMPOUND.finditer(text):
        if DIGIT_GROUP.search(match[0]) and not any(
            lexicon.is_ever_name(word.casefold()) for word in match.captures("word")
        ):
            found.append(match.span())
    found += [m.span("number") for m in MEASURED.finditer(text) if is_measure(m["name"], lexicon)]
    for match in COUNTED.finditer(text):
        if lexicon.is_of_domain(plain(match["name"])) and not match["name"].istitle():
            found.append(match.span("number"))
    return found
