"""Recognise long tokens of letters and digits, such as keys and Base64 texts."""

from privacy.detect.recognisers.base import RuleRecogniser


class Token(RuleRecogniser):
    """Recognises a token by its length and its mixture of characters."""

    label = "ID_NUMBER"
    rules = (
        ("token", r"(?<![\w+/=.-])(?=[A-Za-z+/_-]*+\d)[A-Za-z0-9+/_-]{16,}={0,2}(?![\w+/=-])", 0.2),
        ("padded", r"(?<![\w+/=.-])(?=\S*[A-Z])(?=\S*[a-z])[A-Za-z0-9+/]{12,}={1,2}(?![\w+/=])", 0.3),
    )
