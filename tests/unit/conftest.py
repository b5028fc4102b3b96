"""What all unit tests share."""

from collections.abc import Iterator
from functools import lru_cache

import pytest


@pytest.fixture(scope="session", autouse=True)
def losses_are_computed_once() -> Iterator[None]:
    """One step's privacy loss follows from its arguments, takes a third of a second, and hundreds of tests ask for a few.

    Each is still computed by the library, at its first use; what is composed of it is never kept.
    """
    from privacy import accounting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounting, "_loss", lru_cache(maxsize=64)(accounting._loss))
        yield
