"""The two journeys of the design, a raw record's and an adapter delta's, followed through the syntax trees of the code.

Each step says which function makes a call and what it calls. A step whose call is no longer in the code is refused, so the
architecture picture cannot show a path that the code does not take.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ConfigError

PACKAGES = ("shared", "privacy", "client", "server", "simulations")
FUNCTIONS = (ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Step:
    """One call of a journey: ``caller`` and ``callee`` are the last parts of dotted names; ``says`` is for the picture."""

    caller: str
    callee: str
    says: str


@dataclass(frozen=True)
class Stop:
    """A step that was found in the code: what it does, and the file that does it."""

    says: str
    path: str

    @property
    def package(self) -> str:
        """The top-level package of the file."""
        return self.path.split("/")[0]


RECORD = (
    Step("set_up.Host._set_up", "read.read_records", "Read the site's own file"),
    Step("preparation.scrub", "pipeline.Anonymiser.scrub_groups", "Find and replace personal data"),
    Step("training_set.training_set", "base.Task.encode", "Turn the text into tokens"),
    Step("trainer._batches", "sampling.poisson_batches", "Draw a secret random batch"),
    Step("engine.make_private", "per_record.per_record_gradients", "Take each record's gradient"),
    Step("engine.make_private", "clipping.clipping_optimizer", "Clip each gradient to norm C"),
    Step("clipping.FlatClipping.add_noise", "mechanism.Mechanism.noised", "Add noise to the clipped sum"),
)
ASKING = (
    Step("rounds.run_rounds", "cohort.choose", "Choose the sites to ask"),
    Step("rounds.run_rounds", "messages.TrainOrder", "Order: adapter and config"),
)
TRAINING = (
    Step("permission.permit", "policy.SitePolicy.permit", "Check the site's own policy"),
    Step("site.Site._finished", "budget.Budget.reserve", "Write the cost into the ledger"),
    Step("site.Site._trained", "trainer.train", "Train the adapter"),
    Step("site.Site._finished", "outbox.Outbox.store", "Keep the finished delta on disk"),
    Step("site.Site._reply", "budget.Budget.commit", "Close the ledger entry"),
    Step("site.Site._reply", "messages.TrainReply", "Reply: one adapter delta"),
)
AGGREGATING = (
    Step("round_replies.Tally.take", "screening.judge", "Screen each reply"),
    Step("round_replies.Tally._fold", "mean.Mean.fold", "Aggregate the accepted deltas"),
    Step("rounds.run_rounds", "state.AdapterState.add", "Add the result to the adapter"),
    Step("products.Measures.evaluate", "evaluation.Evaluator.outcome", "Measure on held-out records"),
    Step("run.ServerRun.commit", "checkpoint.Checkpoint.save", "Commit the round to disk"),
)


@dataclass(frozen=True)
class Code:
    """Every function and class of the product, by dotted name, with the file in which each is defined."""

    defined: dict[str, tuple[str, ast.AST]]

    @classmethod
    def of(cls, root: Path) -> "Code":
        """Read the syntax tree of every module of the product below ``root``."""
        defined: dict[str, tuple[str, ast.AST]] = {}
        for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            tree = ast.parse(path.read_text(encoding="utf-8"))
            module = name.removesuffix(".py").replace("/", ".")
            defined |= {f"{module}.{inside}": (name, node) for inside, node in _definitions(tree)}
        return cls(defined)

    def stop(self, step: Step) -> Stop:
        """Find a step in the code.

        Raises
        ------
        ConfigError
            The caller no longer makes this call, or a name is gone or no longer unique.
        """
        _, caller = self._only(step.caller)
        path, _ = self._only(step.callee)
        if step.callee.split(".")[-1] not in set(_called(caller)):
            raise ConfigError(f"bench/journeys.py: {step.caller} no longer calls {step.callee}; correct the step")
        return Stop(step.says, path)

    def _only(self, name: str) -> tuple[str, ast.AST]:
        found = [place for full, place in self.defined.items() if f".{full}".endswith(f".{name}")]
        if len(found) != 1:
            raise ConfigError(f"bench/journeys.py: the code defines {name} {len(found)} times, not once; correct the step")
        return found[0]


def follow(code: Code, steps: Sequence[Step]) -> tuple[Stop, ...]:
    """Return the stops of a journey, in order."""
    return tuple(code.stop(step) for step in steps)


def imported(root: Path, package: str) -> set[str]:
    """Return our other packages that the modules of ``package`` import."""
    found = set()
    for path in (root / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found |= {name.split(".")[0] for name in names}
    return found & set(PACKAGES) - {package}


def purpose(root: Path, package: str) -> str:
    """Return the first sentence of a package's docstring."""
    text = ast.get_docstring(ast.parse((root / package / "__init__.py").read_text(encoding="utf-8"))) or ""
    return " ".join(text.split(". ")[0].rstrip(".").split())


def rooms(root: Path, package: str) -> list[str]:
    """Return the names of the folders of a package that hold modules, in alphabetical order."""
    return sorted(path.parent.name for path in (root / package).glob("*/__init__.py"))


def _definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield functions, classes and methods with their names inside the module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node, f"{prefix}{node.name}.")


def _called(caller: ast.AST) -> Iterator[str]:
    """Yield the last part of every name that a function calls."""
    for node in ast.walk(caller):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).split("(")[-1].split(".")[-1]
