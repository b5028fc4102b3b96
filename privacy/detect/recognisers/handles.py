"""Recognise user names by their form."""

from privacy.detect.recognisers.base import RuleRecogniser


class Handle(RuleRecogniser):
    """Recognises ``@name``, and names with digits: xX_jsmith87_Xx, jane.doe1987.

    A name with digits has at least three letters and two digits, and has an underscore or only small letters.
    """

    label = "USERNAME"
    rules = (
        ("handle", r"(?<![\w.])@[A-Za-z_][\w.-]{2,}", 0.5),
        ("underscored", r"(?<![\w@/<-])(?=\w*\d{2})(?=\w*[A-Za-z]{3})\w+_\w+(?![\w>])", 0.3),
        # Without the check for a digit, the time grows fast with the letters of a word.
        (
            "numbered",
            r"(?<![\w@/.-])(?=[a-z._]{3,}+\d)(?!covid|vitamin)[a-z]{2,}(?:[._]?[a-z]{2,})*[._]?(?:\d{4}|\d{2})(?![\w-])",
            0.2,
        ),
    )
