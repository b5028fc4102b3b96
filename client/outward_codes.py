"""Name an error without its text, which could hold a part of a record."""

from shared.errors import DataError, Declined, HushtuneError


def reason_code(error: BaseException) -> str:
    """Return an error without its text: its class, and the field of SITE.toml if it has one."""
    field = getattr(error, "field", None)
    return f"{type(error).__name__}:{field}" if isinstance(field, str) else type(error).__name__


def outward_code(error: Exception) -> str:
    """Return what a server may learn of an error.

    Returns
    -------
    str
        The error's code if no record can have influenced it, else the same word for all errors.
    """
    depends_on_records = isinstance(error, DataError) or not isinstance(error, HushtuneError)
    return Declined.__name__ if depends_on_records else reason_code(error)
