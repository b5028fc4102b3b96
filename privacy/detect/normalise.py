"""Normalise a text to the form that detection and training read: no markup, entities or invisible characters.

A character that a reader does not see must not split a name, so ``<b>Jo</b>hn``, ``J&#111;hn`` and ``Jo<zero-width
space>hn`` all become ``John``, and so does ``John`` with a Cyrillic o. An angle bracket counts as markup only
around a known HTML element with or without ``name=value`` attributes; so ``a < b``, ``BP <140``, ``<jo@x.org>``,
``List<String>`` and our own tags such as ``<PERSON_1>`` stay. The price: ``a<b>c`` becomes ``ac``.
"""

import html
import re
import unicodedata
from collections.abc import Sequence

from privacy.detect.confusables import fold
from privacy.detect.unfit import Reason, UnfitText
from shared.records.spans import carried
from shared.records.types import Span

# Most rounds; each undoes one layer of escapes, such as "&amp;amp;lt;b&amp;amp;gt;". Honest text needs two.
ROUNDS = 10

INLINE = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr o:p q s samp small span "
    "strike strong sub sup time tt u var wbr"
)
BLOCK = (
    "address article aside audio blockquote body br button canvas caption center col colgroup dd details dialog div dl "
    "dt fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html iframe img input "
    "legend li link main map menu meta nav object ol optgroup option p param picture pre section select source summary "
    "svg table tbody td template textarea tfoot th thead title tr ul video"
)

# Possessive quantifiers keep the time of every alternative linear in the text. An unclosed comment or script runs to the end
# of the text, as in a browser.
MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<!doctype[^<>]*+>|<\?xml[^<>]*+>|<(script|style)\b[^<>]*+>.*?(?:</\1\s*+>|\Z)"
    rf"|</?(?:(?P<inline>{'|'.join(INLINE.split())})|{'|'.join(BLOCK.split())})(?:\s[^<>=]*+=[^<>]*+|\s*+/?)>",
    re.IGNORECASE | re.DOTALL,
)
SURROGATE = re.compile(r"[\ud800-\udfff]")
# ASCII text without these needs no change; most text is like that, so the check saves time.
SUSPECT = re.compile(r"[&<\x00-\x08\x0b-\x1f\x7f]")
LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# Typographic apostrophes and hyphens mean the same as plain ones, so the rules know only one of each.
LOOKALIKES = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201b\u02bc\u2032", "'") | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-")
)
# Default-ignorable characters that are letters or marks by category: fillers, joiners and variation selectors.
IGNORABLE = re.compile(r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def normalise(text: str) -> str:
    """Resolve entities, remove markup and invisible characters and apply NFKC; a second call changes nothing.

    Newlines and tabs stay. Other line breaks become newlines, other kinds of space become spaces, and typographic
    apostrophes and hyphens become plain ones.

    Raises
    ------
    UnfitText
        The text holds a lone surrogate, or still changes after ``ROUNDS`` rounds.
    """
    if text.isascii() and not SUSPECT.search(text):
        return text
    if SURROGATE.search(text):
        raise UnfitText(Reason.LONE_SURROGATE)
    for _ in range(ROUNDS):
        before, text = text, _round(text)
        if text == before:
            return text
    raise UnfitText(Reason.UNSTABLE_MARKUP)


def normalise_spans(text: str, spans: Sequence[Span]) -> tuple[str, tuple[Span, ...] | None]:
    """Normalise a text and return it with the new places of its true spans.

    The pieces between span borders are normalised one by one. If they join to the normalised whole, the borders are
    known exactly. If they do not (an entity, a tag or a letter with its accent lies across a border), or if a span lies
    outside the text, the spans are ``None``: their places are unknown.

    Raises
    ------
    UnfitText
        As ``normalise`` for the whole text.
    """
    whole = normalise(text)
    try:
        return whole, carried(text, spans, normalise, whole)
    except UnfitText:
        return whole, None


def _round(text: str) -> str:
    """Undo one layer of escapes, markup and lookalikes."""
    text = html.unescape(text.replace("\r\n", "\n"))
    text = MARKUP.sub(lambda tag: "" if tag["inline"] else " ", text)
    text = unicodedata.normalize("NFKC", text).translate(LOOKALIKES)
    return fold("".join(map(_visible, IGNORABLE.sub("", text))))


def _visible(character: str) -> str:
    """Return the character as a reader sees it: itself, a newline, a space or nothing."""
    if character.isalnum() or character == "\t":
        return character
    if character in LINE_BREAKS:
        return "\n"
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    return "" if category in ("Cc", "Cf") else character
