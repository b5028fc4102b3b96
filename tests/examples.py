"""Run the examples of a docstring as they stand."""

import doctest
from typing import Any


def run_examples(documented: Any) -> int:
    """Run all examples of an object and its methods, and return their number."""
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for found in doctest.DocTestFinder().find(documented, documented.__name__, globs={}):
        runner.run(found, out=said.append)
    assert not runner.failures, "".join(said)
    return runner.tries
