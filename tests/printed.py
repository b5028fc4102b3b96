"""Find code and templates that turn an epsilon or a delta into text without the formatter that rounds up."""

import ast
import re
from collections.abc import Iterable, Iterator

from jinja2 import Environment, nodes

# Names of expressions that hold an epsilon or a delta of privacy (an adapter's delta is never printed as a number).
FIGURE = re.compile(
    r"(^|_)epsilons?(_|$)|^spent_|^(target|dataset|site)_delta$|^(default_)?delta(_at|_limits)?$", re.IGNORECASE
)
MEMBER = re.compile(rf"{FIGURE.pattern}|^spent$", re.IGNORECASE)  # as a local name, `spent` may be seconds
LIMITS = {"budget.limit", "limit.epsilon"}  # other limits are not epsilons
NAMED = re.compile("epsilon|delta|spent|budget", re.IGNORECASE)  # each name above has one of these words
ROOMS = {
    "shared.ops.numbers": {"epsilon_up", "epsilon_left", "delta_up"},
    "server.report.figures": {"epsilon", "target_delta"},
}
FILTERS = {"epsilon", "target_delta"}
# Calls whose result is again such a number.
SAME = {"max", "min", "abs", "sum", "float", "Decimal", "median", "mean", "values", "items", "get"}
TEXT = {"str", "format", "round", "ceil", "floor"}  # calls that turn a number into text, or round it before
SIMPLE = ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.BinOp  # a list or a table is not a number itself
NO_FIGURE = {"length"}


class Module:
    """A module's syntax tree, and its names that hold an epsilon or a delta."""

    def __init__(self, source: str, parsed: ast.Module | None = None) -> None:
        self.tree = parsed or ast.parse(source)
        walked = list(ast.walk(self.tree)) if NAMED.search(source) else []  # most modules name no such number
        imported = [node for node in walked if isinstance(node, ast.ImportFrom)]
        self.formatters = {a.asname or a.name for n in imported for a in n.names if a.name in ROOMS.get(str(n.module), ())}
        # The report's other number formats, which do not round up and so must not be used for these numbers.
        writers = {a.asname or a.name for n in imported for a in n.names if n.module == "server.report.figures"}
        self.text = TEXT | (writers - self.formatters)
        scopes = [node for node in walked if isinstance(node, ast.Module | ast.FunctionDef)]
        self.names: dict[ast.AST, set[str]] = {scope: set() for scope in scopes}
        self.nodes = {scope: list(_within(scope)) for scope in scopes}
        self.returning: set[str] = set()
        self._learn()

    def wrong(self) -> Iterator[tuple[int, str]]:
        """Yield each expression that turns such a number into text without the formatter: its line and its source."""
        for scope, nodes_ in self.nodes.items():
            for node in nodes_:
                for written in self._written(node):
                    if self._holds(written, self.names[scope]):
                        yield written.lineno, ast.unparse(written)

    def _written(self, node: ast.AST) -> Iterator[ast.expr]:
        """Yield the expressions that a node turns into text."""
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
        """Return whether an expression's value is an epsilon or a delta, or contains one."""
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
        if isinstance(node, ast.Compare | ast.JoinedStr):  # a Boolean, or an f-string, which is checked separately
            return False
        if isinstance(node, ast.IfExp):
            return self._any((node.body, node.orelse), names)
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
            return self._holds(node.elt, names)
        return self._any(ast.iter_child_nodes(node), names)

    def _any(self, found: Iterable[ast.AST], names: set[str]) -> bool:
        return any(self._holds(node, names) for node in found)

    def _learn(self) -> None:
        """Follow these numbers through assignments, calls and returns until no new name is found."""
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
            if {_last(each) for each in chosen} <= self.formatters:  # an alias of a formatter
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
        """Follow the arguments of a call into the parameters of a function of this module."""
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
    """Yield each expression of a template that writes an epsilon or a delta without its filter: line and name."""
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
    """Return the parts that a node's value consists of: not the test of a condition, and not the object of a member."""
    if isinstance(node, nodes.CondExpr):
        return [child for child in (node.expr1, node.expr2) if child is not None]
    if isinstance(node, nodes.Getattr) or _is_key(node):
        return []
    return node.iter_child_nodes()


def _is_key(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const)


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes of a scope except those of functions inside it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _within(child)


def _values(call: ast.Call) -> Iterator[ast.AST]:
    """Yield the arguments of a call, and for ``x.method()`` also x."""
    yield from (*call.args, *(keyword.value for keyword in call.keywords))
    if isinstance(call.func, ast.Attribute):
        yield call.func.value


def _last(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
