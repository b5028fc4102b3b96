"""The errors a person may meet: each message says what is wrong, where, and what to do."""


class HushtuneError(Exception):
    """Base of every error that ends a command with one line and a non-zero status."""


class ConfigError(HushtuneError):
    """A run configuration that cannot be used; the message names the field and its range."""


class DataError(HushtuneError):
    """A data file or record that cannot be used; the message names the place, never the text."""


class ModelError(HushtuneError):
    """A base model or adapter that is missing, altered or of the wrong kind."""


class PrivacyError(HushtuneError):
    """A privacy guarantee that cannot be kept, so nothing is trained."""


class LedgerError(PrivacyError):
    """A budget book that cannot be trusted or written, or a budget that is used up, so nothing is trained."""


class PolicyRefused(PrivacyError):
    """An order that the site's own policy does not allow; nothing was read and nothing was spent.

    ``field`` is a field of the policy, or a field of another section of SITE.toml with the section's name before it: a
    code name that the server may see.
    """

    def __init__(self, field: str, asked: str, limit: str, remedy: str) -> None:
        where = field if "." in field else f"policy.{field}"
        super().__init__(f"{where}: the order {asked}, and this site {limit}; {remedy}")
        self.field = field
        self.limit = limit


class Declined(HushtuneError):
    """An order that was not carried out for a reason that may depend on records; the reason is its cause and stays here."""


class MessageError(HushtuneError):
    """An order or a reply that does not have the agreed form."""


class RunError(HushtuneError):
    """A run that could not reach its end."""


class QuorumError(RunError):
    """A run that stopped because too few sites answered; what is committed stays, and the command ends with status 3."""


class ConnectionRefused(HushtuneError):
    """A server that turned this site away, so that trying again would not help."""
