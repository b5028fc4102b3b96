"""The syntax trees of our files, each of which is read once however many tests look at it."""

import ast
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a file's tree."""
    return tuple(ast.walk(tree(path)))
