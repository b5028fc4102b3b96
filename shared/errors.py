"""Define all errors that a user may see; each message says what is wrong, where, and what to do."""


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
