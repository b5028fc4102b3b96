"""Recognise companies by the last word of their name."""

from privacy.detect.recognisers.base import RuleRecogniser
from privacy.detect.rules import any_titled

COMPANY = (
    "inc incorporated llc llp ltd limited corp corporation plc gmbh ag kg ohg srl spa bv nv oy ab asa oü kft zrt sro sarl "
    "sas holdings? technologies partners associates group industries enterprises solutions laboratories "
    "consulting bank insurance"
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
    )
