"""Reads syntax trees and templates for epsilons and deltas that are turned into text by anything but the one formatter."""

import ast
import re
from collections.abc import Iterable, Iterator

from jinja2 import Environment, nodes

# The last word of an expression that holds an epsilon or a delta; an adapter's delta is never written as a number.
FIGURE = re.compile(
    r"(^|_)epsilons?(_|$)|^spent_|^(target|dataset|site)_delta$|^(default_)?delta(_at|_limits)?$", re.IGNORECASE
)
MEMBER = re.compile(rf"{FIGURE.pattern}|^spent$", re.IGNORECASE)  # a local name may say which seconds were spent
LIMITS = {"budget.limit", "limit.epsilon"}  # of a budget; another limit is no epsilon
ROOMS = {
    "shared.ops.numbers": {"epsilon_up", "epsilon_left", "delta_up"},
    "server.report.figures": {"epsilon", "target_delta"},
}
FILTERS = {"epsilon", "target_delta"}
SAME = {"max", "min", "abs", "sum", "float", "Decimal", "median", "mean", "values", "items", "get"}  # of figures, a figure
TEXT = {"str", "format", "round", "ceil", "floor"}  # what makes a figure text, or rounds it on the way there
SIMPLE = ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.BinOp  # a list or a table of rows is no figure itself
NO_FIGURE = {"length"}


class Module:
    """One module's expressions, with what its names stand for."""

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        imported = [node for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom)]
        self.formatters = {a.asname or a.name for n in imported for a in n.names if a.name in ROOMS.get(str(n.module), ())}
        # The report's other ways of writing a number: fine in themselves, and wrong for these figures.
        writers = {a.asname or a.name for n in imported for a in n.names if n.module == "server.report.figures"}
        self.text = TEXT | (writers - self.formatters)
        scopes = [self.tree, *(node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef))]
        self.names: dict[ast.AST, set[str]] = {scope: set() for scope in scopes}
        self.nodes = {scope: list(_within(scope)) for scope in scopes}
        self.returning: set[str] = set()
        if re.search("epsilon|delta", source, re.IGNORECASE):  # most modules name neither
            self._learn()

    def wrong(self) -> Iterator[tuple[int, str]]:
        """Each expression that writes a figure in a way of its own: its line and its text."""
        for scope, nodes_ in self.nodes.items():
            for node in nodes_:
                for written in self._written(node):
                    if self._holds(written, self.names[scope]):
                        yield written.lineno, ast.unparse(written)

    def _written(self, node: ast.AST) -> Iterator[ast.expr]:
        """The expressions that a node makes text of."""
        if isinstance(node, ast.FormattedValue):
            if node.conversion != ord("r") or node.format_spec is not None:  # !r writes every digit
                yield node.value
        elif isinstance(node, ast.Call):
            called = _last(node.func)
            if called in self.text or (called == "format" and isinstance(node.func, ast.Attribute)):
                yield from (*node.args, *(keyword.value for keyword in node.keywords))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _is_text(node.left):
            yield node.right

    def _holds(self, node: ast.AST, names: set[str]) -> bool:
        """Whether the value of an expression is, or shows, an epsilon or a delta."""
        if isinstance(node, ast.Name):
            return node.id in names or bool(FIGURE.search(node.id))
        if isinstance(node, ast.Attribute):
            return bool(MEMBER.search(node.attr)) or f"{_last(node.value)}.{node.attr}" in LIMITS
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return bool(MEMBER.search(node.slice.value))
        if isinstance(node, ast.Call):
            called = _last(node.func)
            if called in self.formatters:
                return False
            if called in SAME | self.text:
                return self._any(_values(node), names)
            return called in self.returning or bool(MEMBER.search(called))
        if isinstance(node, ast.Compare | ast.JoinedStr):  # true or false; looked at by itself
            return False
        if isinstance(node, ast.IfExp):
            return self._any((node.body, node.orelse), names)
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
            return self._holds(node.elt, names)
        return self._any(ast.iter_child_nodes(node), names)

    def _any(self, found: Iterable[ast.AST], names: set[str]) -> bool:
        return any(self._holds(node, names) for node in found)

    def _learn(self) -> None:
        """Follow figures into other names, and out of functions, until nothing new is found."""
        before = -1
        while before != (before := sum(map(len, self.names.values())) + len(self.returning)):
            for scope, names in self.names.items():
                for node in self.nodes[scope]:
                    self._follow(node, names)
                    if isinstance(node, ast.Call):
                        self._hand_over(node, names)
                    if isinstance(node, ast.Return) and isinstance(scope, ast.FunctionDef) and node.value is not None:
                        text = scope.returns is not None and "str" in ast.unparse(scope.returns)
                        if not text and isinstance(node.value, ast.Name | ast.Call | ast.IfExp | ast.BinOp):
                            self.returning |= {scope.name} if self._holds(node.value, names) else set()

    def _follow(self, node: ast.AST, names: set[str]) -> None:
        if isinstance(node, ast.Assign):
            chosen = (node.value.body, node.value.orelse) if isinstance(node.value, ast.IfExp) else (node.value,)
            if {_last(each) for each in chosen} <= self.formatters:  # another name for a formatter, or for either
                self.formatters |= {_last(target) for target in node.targets}
            for target in node.targets:
                self._bind(target, node.value, names)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            self._bind(node.target, node.value, names)
        elif isinstance(node, ast.For | ast.comprehension):
            rows = node.iter.elts if isinstance(node.iter, ast.Tuple | ast.List) else [node.iter]
            for row in rows:
                self._bind(node.target, row, names)

    def _hand_over(self, call: ast.Call, names: set[str]) -> None:
        """Follow what a call gives into the names that a function of this module has for it."""
        for scope, inner in self.names.items():
            if isinstance(scope, ast.FunctionDef) and scope.name == _last(call.func):
                wanted = [each.arg for each in scope.args.args if each.arg not in ("self", "cls")]
                given = [*zip(wanted, call.args, strict=False), *((str(k.arg), k.value) for k in call.keywords)]
                inner |= {name for name, value in given if self._holds(value, names)}

    def _bind(self, target: ast.expr, value: ast.expr, names: set[str]) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, other in zip(target.elts, value.elts, strict=True):
                self._bind(one, other, names)
        elif isinstance(target, ast.Name) and isinstance(value, SIMPLE) and self._holds(value, names):
            names.add(target.id)


def wrong_in_template(source: str) -> Iterator[tuple[int, str]]:
    """Each expression of a template that writes a figure without the filter for it: its line and its last word."""
    tree = Environment(autoescape=True).parse(source)
    names: set[str] = set()
    for bound in tree.find_all((nodes.For, nodes.Assign)):
        given = bound.iter if isinstance(bound, nodes.For) else bound.node
        if isinstance(bound.target, nodes.Name) and list(_unfiltered(given, names)):
            names.add(bound.target.name)
    for output in tree.find_all(nodes.Output):
        yield from _unfiltered(output, names)
    for call in tree.find_all(nodes.Filter):
        if call.name not in FILTERS | NO_FIGURE and call.node is not None:
            yield from _unfiltered(call.node, names)


def _unfiltered(node: nodes.Node, names: set[str]) -> Iterator[tuple[int, str]]:
    if isinstance(node, nodes.Filter) and node.name in FILTERS | NO_FIGURE:
        return
    if isinstance(node, nodes.Compare | nodes.Test | nodes.TemplateData):
        return
    word = {nodes.Name: "name", nodes.Getattr: "attr"}.get(type(node))
    last = getattr(node, word) if word else node.arg.value if _is_key(node) else ""
    if last in names or MEMBER.search(str(last)):
        yield node.lineno, str(last)
        return
    for child in _children(node):
        yield from _unfiltered(child, names)


def _children(node: nodes.Node) -> Iterable[nodes.Node]:
    """What a node's value is made of: not the test of a condition, and of a member no more than its own name."""
    if isinstance(node, nodes.CondExpr):
        return [child for child in (node.expr1, node.expr2) if child is not None]
    if isinstance(node, nodes.Getattr) or _is_key(node):
        return []
    return node.iter_child_nodes()


def _is_key(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const)


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a scope but those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _within(child)


def _values(call: ast.Call) -> Iterator[ast.AST]:
    """What a call is given, and for ``x.method()`` the x."""
    yield from (*call.args, *(keyword.value for keyword in call.keywords))
    if isinstance(call.func, ast.Attribute):
        yield call.func.value


def _last(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
