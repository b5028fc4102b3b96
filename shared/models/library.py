"""Turn whatever a model's library raises into one sentence, and silence its notices."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

from transformers.utils import logging as transformers_logging

from shared.errors import HushtuneError, ModelError

LONGEST = 160  # characters of a library's own message


@contextmanager
def one_sentence(subject: str, remedy: str) -> Iterator[None]:
    """Raise a ModelError of one sentence in place of any exception of a library inside the block.

    Only for code that reads no record, because the sentence quotes the library's own message.

    Parameters
    ----------
    subject
        The field or the model, and what could not be done; begins the sentence.
    remedy
        What the user can do; ends the sentence.

    Raises
    ------
    ModelError
        The block raised anything; our own errors pass unchanged.
    """
    try:
        yield
    except HushtuneError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        brief = said if len(said) <= LONGEST else said[:LONGEST].rsplit(" ", 1)[0] + " ..."
        reason = f"{type(error).__name__}: {brief}" if brief else type(error).__name__
        raise ModelError(f"{subject} ({reason}); {remedy}") from error


@contextmanager
def class_only(subject: str, rest: str, kind: type[HushtuneError]) -> Iterator[None]:
    """Raise an error of one sentence in place of any exception of a library inside a block that reads records.

    The sentence names only the class of the exception, because the message of a library may quote a record.

    Parameters
    ----------
    subject
        What could not be done; begins the sentence.
    rest
        What follows from it, and what the user can do; ends the sentence.
    kind
        Class of the error.

    Raises
    ------
    HushtuneError
        An error of ``kind``; our own errors pass unchanged.
    """
    try:
        yield
    except HushtuneError:
        raise
    except Exception as error:
        raise kind(f"{subject} ({type(error).__name__}), {rest}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and notices of transformers off the terminal."""
    bars = transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
