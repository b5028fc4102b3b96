"""Recognise telephone numbers of any country."""

import re

from privacy.detect.recognisers.base import DigitRecogniser
from privacy.detect.rules import DIGIT_GROUP

SEPARATOR = r"(?:[ ]?[./-][ ]?|[ ]|(?<=\))|(?=\())"
# A slash after an area code, as in German and Austrian numbers (DIN 5008): "0361/22 33 44".
# So do Swiss ones ("+41 79/123 45 67") and American ones ("212/555-0147", the North American Numbering Plan).
AREA_CODE = re.compile(
    r"(?:\+\d{1,3}[ ]?)?(?:\(0\)[ ]?|0)\d{2,5}[ ]?/|\(0\d{1,5}\)[ ]?/"
    r"|\+\d{1,3}[ ]\d{2,4}[ ]?/|[2-9]\d\d/[2-9]\d\d[ .-]\d{4}\Z"
)


class Phone(DigitRecogniser):
    """Recognises groups of digits, 7 to 15 digits in all (ITU-T E.164)."""

    label = "PHONE_NUMBER"
    rules = (
        (
            "phone",
            rf"(?<!\w)(?<!\d[.,/-])(?:(?:\+|00)[ ]?)?\(?\+?\d{{1,12}}\)?(?:{SEPARATOR}\(?\d{{1,13}}\)?){{1,6}}"
            r"(?:[ ,]*(?i:x|ext\.?|extension)[ :.]*\d{1,6})?(?!\w)",
            0.4,
        ),
    )

    def invalidate_result(self, pattern_text: str) -> bool:
        """Return True for too few or too many digits, years, rows of small numbers, blood pressures and decimals."""
        groups = DIGIT_GROUP.findall(pattern_text)
        longest = max(map(len, groups))
        years = all(len(group) == 4 and group[:2] in ("19", "20") for group in groups)
        row = longest <= 2 and " " in pattern_text and pattern_text[0] not in "0+("
        fractions = longest <= 4 and "/" in pattern_text and not AREA_CODE.match(pattern_text)
        decimal = len(groups) == 2 and len(groups[0]) <= 2 and f"{groups[0]}.{groups[1]}" == pattern_text
        return not 7 <= sum(map(len, groups)) <= 15 or years or row or fractions or decimal
