"""Tests that a table names, looked up in the code of their files."""

import ast
from functools import cache

from syntax import REPOSITORY, tree

SPECIAL = ("skip", "faults", "exhaustive", "gpu")  # marks of tests that `make test` leaves out


@cache
def functions(path: str) -> dict[str, ast.FunctionDef]:
    """Return the tests of a file by name."""
    found = [node for node in tree(REPOSITORY / path).body if isinstance(node, ast.FunctionDef)]
    return {node.name: node for node in found if node.name.startswith("test_")}


def left_out(function: ast.FunctionDef) -> set[str]:
    """Return the marks of a test that keep it out of the suite."""
    marks = [ast.unparse(mark.func if isinstance(mark, ast.Call) else mark) for mark in function.decorator_list]
    return {name for mark in marks for name in SPECIAL if name in mark}


def code(path: str, name: str) -> str:
    """Return the code of a test: its decorators, its body, and the constants of its module that both use."""
    lines = (REPOSITORY / path).read_text(encoding="utf-8").splitlines()
    constants = _constants(path)
    waiting: list[ast.AST] = [functions(path)[name]]
    seen: set[str] = set()
    found = []
    while waiting:
        node = waiting.pop()
        first = min([each.lineno for each in getattr(node, "decorator_list", ())] + [node.lineno])  # type: ignore[attr-defined]
        found += lines[first - 1 : node.end_lineno]  # type: ignore[attr-defined]
        used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} & set(constants) - seen
        seen |= used
        waiting += [constants[each] for each in sorted(used)]
    return "\n".join(found)


@cache
def _constants(path: str) -> dict[str, ast.AST]:
    found: dict[str, ast.AST] = {}
    for node in tree(REPOSITORY / path).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found
