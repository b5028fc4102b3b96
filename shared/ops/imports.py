"""Import large libraries without garbage collection in between."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Import libraries inside the block without garbage collection, if torch is not imported yet.

    Imports make a million objects that stay. Python would search them for garbage several times while they are made, and
    again with each later collection, so they are left out of all later ones.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
