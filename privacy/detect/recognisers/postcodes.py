"""Recognise postcodes of several countries."""

from privacy.detect.recognisers.base import DigitRecogniser
from privacy.detect.rules import any_of

# What must not follow five digits, and two letters that are no end of a Dutch postcode.
NO_COUNT = r"(?![\d%°]|[.,:/-]\d|[ ]?(?:IU|MG|ML|MCG|KG|KM|[a-zµ]))"
NO_POSTCODE = any_of("iu mg ml mm am pm ad bc ce kg km lb hz mb gb sa sd ss in or is er ed iv tv uk us eu")
# Words after a postcode that are no noun, which would be what the number counts.
FOLLOWS = any_of("in at for with and or is was on to from by because since where when while as but before after until")


class Postcode(DigitRecogniser):
    """Recognises the postcodes of several countries, and a number after a place that is no count, dose or year."""

    label = "POSTCODE"
    rules = (
        ("british", r"(?i)\b[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[ABD-HJLNP-UW-Z]{2}\b", 0.5),
        ("canadian", r"(?i)\b[ABCEGHJ-NPRSTVXY]\d[A-Z][ -]?\d[A-Z]\d\b", 0.5),
        ("irish", r"(?i)\b(?:[AC-FHKNPRTV-Y]\d{2}|D6W)[ ]?(?=[A-Z]{0,3}\d)[0-9AC-FHKNPRTV-Y]{4}\b", 0.4),
        ("irish, letters", r"\b(?:[AC-FHKNPRTV-Y]\d{2}|D6W)[ ][AC-FHKNPRTV-Y]{4}\b", 0.3),
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
        (
            "in a place",
            r"\b(?:in|to|from|near|at)[ ](?:\p{Lu}[\p{L}'-]+[ ]|(?<=[ ])d[eiao][ ]){1,4}"
            rf"\K(?!(?:19|20)\d\d\b|\d\d00\b)(?:\d{{3}}[ ]\d{{2}}|\d{{4,6}})\b"
            rf"(?=[ ]{FOLLOWS}\b|[.,;)]?(?:\s|$)(?![ ]?\p{{Ll}}))",
            0.6,
        ),
        ("after a place", r"\b\p{Lu}\p{L}{2,},?\s+\K(?!(?:19|20)\d\d\b|\d\d00\b)\d{4,6}(?=\s*(?:[.,;]?$|,))", 0.4),
    )
