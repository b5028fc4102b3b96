"""Define all errors that a user may see; each message says what is wrong, where, and what to do."""

import unicodedata

# Characters that move a terminal's cursor, change its colours or break lines, by their Unicode category, and those that turn
# the direction of a text around. Joiners within words, which some scripts need, are not among them.
ACTED_ON = frozenset({"Cc", "Cs", "Zl", "Zp"})
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def escaped(text: str, keep: str = "") -> str:
    """Return a text in which every character that a terminal would act on, and not show, is written as its number.

    Texts of a message, a config or a record may come from somebody else, who could hide or forge lines with them.

    Parameters
    ----------
    text
        Any text.
    keep
        Characters to leave as they are, such as a newline.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(ascii(each)[1:-1] if _is_acted_on(each) and each not in keep else each for each in text)


def _is_acted_on(character: str) -> bool:
    return unicodedata.category(character) in ACTED_ON or character in DIRECTIONS


def one_line(error: BaseException | str) -> str:
    """Return an error's message on one line, without anything that a terminal would act on."""
    return escaped(" ".join(str(error).split()))


class HushtuneError(Exception):
    """Base of all errors that end a command with a one-line message and a non-zero exit status."""


class ConfigError(HushtuneError):
    """A configuration or key file that cannot be used; the message names the field or the file."""


class DataError(HushtuneError):
    """A data file or record that cannot be used; the message names the place, never the text."""


class ModelError(HushtuneError):
    """A base model or adapter that is missing, altered or of the wrong kind."""


class PrivacyError(HushtuneError):
    """A privacy guarantee that cannot be kept; nothing is trained."""


class LedgerError(PrivacyError):
    """A ledger that cannot be trusted or written, or a privacy budget that is used up; nothing is trained."""


class PolicyRefused(PrivacyError):
    """An order that the site's own policy does not allow; no record was read and no budget was spent.

    ``field`` is a field of the policy, or ``section.field`` of another section of SITE.toml. The server may see it.
    """

    def __init__(self, field: str, asked: str, limit: str, remedy: str) -> None:
        where = field if "." in field else f"policy.{field}"
        super().__init__(f"{where}: the order {asked}, and this site {limit}; {remedy}")
        self.field = field
        self.limit = limit


class Declined(HushtuneError):
    """An order that was not carried out, for a reason that may depend on records.

    The reason is the cause of this error and stays at the site.
    """


class MessageError(HushtuneError):
    """An order or a reply that does not have the agreed form."""


class RunError(HushtuneError):
    """A run that could not be completed, or a file or folder of a run that cannot be used."""


class QuorumError(RunError):
    """A run that stopped because too few sites replied; committed rounds stay, and the command exits with status 3."""


class ConnectionRefused(HushtuneError):
    """A connection that the server refused in a way that makes retrying useless."""
