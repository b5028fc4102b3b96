"""Build rules whose shape is the same in several languages, from the words of one language."""

from privacy.detect.rules import NAME, NAMES, Rules, any_of

# The value of a record number: it has a digit, and perhaps further groups of digits, or the register of a court before it.
RECORD = r"(?:\d{1,4}[ ](?-i:[A-Z][A-Za-z]{0,3})[ ])?(?=[\w./-]*\d)\w[\w./-]{2,24}(?<![.])(?:[ ]\d{2,6}){0,4}"
# What must not stand around a number of a date.
ALONE, NO_DIGIT = r"(?<![\d.,/-])", r"(?![.,/-]?\d)"
NUMERIC_DATE = rf"{ALONE}\d{{1,2}}(?P<mark>[./-])[ ]?\d{{1,2}}(?P=mark)[ ]?(?:\d{{4}}|\d{{2}}){NO_DIGIT}"


def people(title: str, said: str, no_name: str, my_name: str) -> Rules:
    """Return the rules for names after titles and other words, and for names with a middle initial.

    Parameters
    ----------
    title
        Expression for the titles of persons.
    said
        Expression for words that announce a name with capitals, such as "signed".
    no_name
        Expression for words that are no name even after those.
    my_name
        Expression for words that announce a name in any case, such as "my name is".
    """
    some = rf"(?!(?:\p{{Ll}}+[ ]){{0,2}}(?:{no_name}|{title})\b){NAMES}"
    return (
        ("title", rf"\b{title}(?:\.[ ]{{0,3}}|[ ]{{1,3}})\K{some}", 0.6),
        ("cue", rf"\b{said}[ ]?[:,]?\s{{1,6}}\K{some}", 0.5),
        ("initial", rf"\b\p{{Lu}}\p{{Ll}}[\p{{L}}'-]+[ ]\p{{Lu}}\.[ ]{NAME}", 0.5),
        ("said", rf"(?i)\b{my_name}[ ]\K\p{{L}}[\p{{L}}'-]+(?:[ ](?!{no_name}\b)\p{{L}}[\p{{L}}'-]+)?", 0.5),
    )


def dates(month: str, ordinal: str, of: str) -> Rules:
    """Return the rules for dates of digits only, and for dates with the name of a month.

    Parameters
    ----------
    month
        Expression for the names of the months.
    ordinal
        Expression for what may follow the number of a day.
    of
        Expression for the word between day, month and year; empty if there is none.
    """
    link = rf"(?:{of}[ ])?" if of else ""
    return (
        ("numeric", NUMERIC_DATE, 0.4),
        (
            "day first",
            rf"{ALONE}\d{{1,2}}(?:{ordinal})?[ ]{link}{month}\.?(?:,?[ ]{link}(?:\d{{4}}|'?\d{{2}}(?![\d:.,])))?(?!\w)",
            0.4,
        ),
        ("month and year", rf"\b{month}\.?,?[ ]{link}(?:19|20)\d\d\b", 0.4),
    )


def records(register: str, marker: str, verb: str) -> Rules:
    """Return the rule for the number of a record, after words for what it belongs to.

    Parameters
    ----------
    register
        Expression for the words before the number, with all that must stand there.
    marker
        Expression for an optional sign or word right before the number, such as "no.".
    verb
        Expression for an optional "is".
    """
    return (("register", rf"(?i)(?<!\w){register}[ ]?(?:{marker})?(?:[ ]{verb})?[ ]?[:=\#]?[ ]?\K{RECORD}", 0.8),)


def ending(words: str) -> Rules:
    """Return the rule for the last digits of a card or an account, after expressions such as "ending in"."""
    return (("ending", rf"(?i)\b(?:{words})[ ]?:?[ ]?\K(?!(?:19|20)\d\d\b)\d{{3,5}}\b(?![.,/:-]\d)", 0.5),)


def said_numbers(digits: str) -> Rules:
    """Return the rule for a number that is spelt out digit by digit, from the words for digits."""
    digit = any_of(digits)
    return (("said", rf"\b{digit}(?:[ ,-]{{1,2}}{digit}){{5,}}\b", 0.4),)


def spelt_emails(dot: str, at: str) -> Rules:
    """Return the rule for addresses that are spelt out to hide from programs: "jo (at) example punkt org".

    Parameters
    ----------
    dot, at
        Expressions for the words that stand for the two signs.
    """
    dots = rf"[ ]?(?:[\[({{][ ]?(?:{dot}|\.)[ ]?[\])}}]|(?<=[ ])(?:{dot})(?=[ ]))[ ]?"
    ats = rf"[ ]?(?:[\[({{][ ]?(?:{at}|@)[ ]?[\])}}]|(?<=[ ])(?:{at})(?=[ ]))[ ]?"
    return (
        (
            "spelt",
            rf"(?i)(?<!\w)\w++(?:(?:{dots}|[._-])\w+){{0,4}}{ats}\w+(?:(?:{dots}|[.-])\w+){{0,3}}{dots}[a-z]{{2,10}}\b",
            0.6,
        ),
    )


def handles(words: str, verb: str) -> Rules:
    """Return the rule for a user name after words such as "login".

    Parameters
    ----------
    words
        Expressions for these words.
    verb
        Expression for "is". Without this verb or a sign such as ":" between, a name counts only with a digit or underscore.
    """
    return (
        (
            "named",
            rf"(?i)\b(?:{words})(?:[ ]{verb}[ ]|[ ]?[:=][ ]?|[ ](?=\S*[\d_]))\K(?=\S*[\d_.@-]\w|\w{{5,}}\b)[\w.@-]{{3,40}}"
            r"(?<!\.)",
            0.5,
        ),
    )


def towns(postcode: str, link: str, no_town: str = "(?!)") -> Rules:
    """Return the rule for a postcode before a town.

    Parameters
    ----------
    postcode
        Expression for a postcode of the countries, with all that must stand before it.
    link
        Expression for small words inside the name of a town.
    no_town
        Expression for words with a capital that show that the number before them counts something.
    """
    town = rf"\p{{Lu}}[\p{{L}}'.-]*\p{{L}}(?:[ ](?:{link}|\p{{Lu}}[\p{{L}}'.-]*\p{{L}})(?!\w)){{0,3}}"
    return (("postcode, town", rf"(?<![\w.,/€$-]){postcode}[ ](?!(?:{no_town})\b){town}", 0.6),)
