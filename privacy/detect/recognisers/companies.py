"""Recognise companies by the last word of their name."""

from privacy.detect.recognisers.base import RuleRecogniser
from privacy.detect.rules import any_titled

COMPANY = (
    "inc incorporated llc llp ltd limited corp corporation plc gmbh ag kg ohg srl spa bv nv oy ab asa oü kft zrt sro sarl "
    "sas holdings? technologies partners associates group industries enterprises solutions laboratories "
    "consulting bank insurance"
)
# Legal forms as their countries print them, with points or strokes: Italy, Spain, France, Portugal, Poland, Czechia,
# Denmark, Norway, the Netherlands, Finland and Germany.
LEGAL_FORMS = (
    r"[Ss]\.[ ]?(?:r\.[ ]?l|p\.[ ]?A|n\.[ ]?c|a\.[ ]?s|r\.[ ]?o|R\.[ ]?L|P\.[ ]?A|A\.[ ]?S)\.?"
    r"|S\.[ ]?(?:A|L|N\.[ ]?C)\.(?:U\.)?|S/A|Ltda\.?|Lda\.?|[Ss]p\.[ ](?:z[ ]o\.[ ]?o|k|j)\.|[avok]\.[ ]?(?:o\.[ ]?)?s\."
    r"|A/S|I/S|K/S|ApS|ASA|B\.V\.|N\.V\.|V\.o\.F\.|Oyj?"
    r"|e\.[ ]?(?:V|K|G)\.|KGaA|EURL|SNC|SCI|mbH"
)


class Company(RuleRecogniser):
    """Recognises names that end with a legal form or a usual word for a company, such as "GmbH", "Ltd" or "Holdings"."""

    label = "ORGANIZATION"
    rules = (
        (
            "company",
            r"(?<![\w&])(?:\p{Lu}[\p{L}\d.'-]*,?[ ](?:(?:and|&|of)[ ])?){1,4}"
            rf"(?:{any_titled(COMPANY)}|GmbH|s\.r\.o|S\.A|AS|A/S)(?!\w)\.?",
            0.4,
        ),
        (
            "legal form",
            r"(?<![\w&])(?:\p{Lu}[\p{L}\d.'-]*,?[ ](?:(?:and|&|of|e|y|et|i|a|und)[ ])?){1,5}"
            rf"(?:{LEGAL_FORMS})(?!\w)",
            0.4,
        ),
    )
