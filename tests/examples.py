"""Run the examples of a docstring as they stand."""

import doctest
from collections.abc import Mapping
from typing import Any


def run_examples(documented: Any, names: Mapping[str, Any] | None = None) -> int:
    """Run all examples of an object and its methods, with ``names`` in reach; gives how many there are."""
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for found in doctest.DocTestFinder().find(documented, documented.__name__, globs=dict(names or {})):
        runner.run(found, out=said.append)
    assert not runner.failures, "".join(said)
    return runner.tries
