"""No epsilon and no delta becomes text but by the one formatter, which rounds up."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from printed import Module, wrong_in_template
from syntax import REPOSITORY, tree

PACKAGES = ("server", "client", "privacy", "shared", "simulations", "bench")
ALONE = REPOSITORY / "docs" / "check_epsilon.py"  # uses nothing of ours, so that it can contradict us: it writes every digit


def sources(pattern: str) -> list[Path]:
    return sorted(path for name in PACKAGES for path in (REPOSITORY / name).rglob(pattern))


def offences(paths: list[Path], find: Callable[[Path], Iterable[tuple[int, str]]]) -> list[str]:
    """Return file, line and source of everything that is found in these files, of which there are some."""
    assert paths
    found = ((path, find(path)) for path in paths)
    return [f"{path.relative_to(REPOSITORY)}:{line}: {source}" for path, wrong in found for line, source in wrong]


def test_code_writes_epsilon_and_delta_with_the_formatter_alone() -> None:
    paths = [*sources("*.py"), REPOSITORY / "hushtune.py", ALONE]
    assert offences(paths, lambda path: Module(path.read_text(encoding="utf-8"), tree(path)).wrong()) == []


def test_templates_write_epsilon_and_delta_with_their_filters_alone() -> None:
    assert offences(sources("*.j2"), lambda path: wrong_in_template(path.read_text(encoding="utf-8"))) == []


REPORT = "from server.report.figures import epsilon, target_delta, number\n"


@pytest.mark.parametrize(
    "line",
    [
        'text = f"{epsilon_spent:.4f}"',
        'text = f"{plan.epsilon}"',
        'text = f"{plan.epsilon!r:>9}"',
        "text = f\"{row['epsilon']:g}\"",
        "text = f\"{1 - row['target_delta']}\"",
        "text = f\"{max(row['epsilon'] for row in rows)}\"",
        "text = str(privacy.target_delta)",
        'text = format(budget.limit, ".3g")',
        'text = "{:.2f}".format(budget.spent)',
        'text = "%.2f" % site.epsilon',
        "text = number(site.epsilon)",
        "amount = round(site.epsilon, 2)",
        'claimed, number = site.epsilon, 3\ntext = f"{claimed:.2f}"',
        'for who, most in (("a", policy.dataset_epsilon),):\n    text = f"{who}: {most:g}"',
        'def worst(rows):\n    return max(row.epsilon for row in rows)\ntext = f"{worst(rows):.2f}"',
        'def shown(amount):\n    return f"{amount:.2f}"\ntext = shown(site.epsilon)',
    ],
)
def test_a_figure_that_is_written_in_another_way_is_found(line: str) -> None:
    assert list(Module(REPORT + line).wrong()) != []


@pytest.mark.parametrize(
    "line",
    [
        'text = f"{epsilon(plan.epsilon)} at {target_delta(plan.target_delta)}"',
        'text = f"{plan.epsilon!r}"',
        'shown = epsilon if name == "epsilon" else target_delta\ntext = f"{shown(privacy.epsilon)}"',
        'text = f"{len(epsilons)} {site.epsilon is None} {adapter.delta.norm:.3f} {seconds:.1f}"',
        'text = f"{number(rate)}"',
    ],
)
def test_the_formatter_and_other_numbers_are_let_through(line: str) -> None:
    assert list(Module(REPORT + line).wrong()) == []


@pytest.mark.parametrize(
    "template",
    [
        "{{ site.epsilon }}",
        "{{ site['epsilon'] | round(2) }}",
        "{{ (site.epsilon if private else none) | number }}",
        "{{ '%.2f' | format(site.target_delta) }}",
        "{% for spent in site.epsilon_by_round %}{{ spent }}{% endfor %}",
        "{{ facts([('Delta', p.target_delta)]) }}",
        "{{ 'at ' ~ site.epsilon }}",
    ],
)
def test_a_template_that_writes_a_figure_in_another_way_is_found(template: str) -> None:
    assert list(wrong_in_template(template)) != []


@pytest.mark.parametrize(
    "template",
    [
        "{{ site.epsilon | epsilon }} {{ (worst.target_delta if worst else none) | target_delta }}",
        "{{ site.epsilon_by_round | length }} {{ 'none' if site.epsilon is none else site.epsilon | epsilon }}",
        "{{ site.declared_size | count }}",
    ],
)
def test_a_template_with_the_filters_is_let_through(template: str) -> None:
    assert list(wrong_in_template(template)) == []
