"""A pytest plugin: a run of the whole suite fails unless every test named in SECURITY.md has run and passed."""

import re
from pathlib import Path

import pytest

SECURITY = Path(__file__).parents[1] / "SECURITY.md"
NAMED = re.compile(r"\| `(tests/[^`|]+)` \|$", re.M)


class Claims:
    """Record which tests passed, and fail a run of the whole suite in which the test of a claim did not pass."""

    def __init__(self) -> None:
        self.names = set(NAMED.findall(SECURITY.read_text(encoding="utf-8")))
        self.passed: set[str] = set()

    @property
    def missing(self) -> list[str]:
        """The names in SECURITY.md for which no test passed; a name without ``::`` stands for a whole file."""
        return sorted(name for name in self.names if not self._is_covered(name))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test that passed, by its name without parameters; a failed test fails the run anyway."""
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid.partition("[")[0])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session if the whole suite ran and a claim has no passed test."""
        if self._is_whole(session.config) and self.missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Print how many tests of claims passed, and the names of those that did not."""
        if self._is_whole(config):
            done = len(self.names) - len(self.missing)
            terminalreporter.write_line(f"SECURITY.md: {done} of {len(self.names)} tests of claims passed")
            for name in self.missing:
                terminalreporter.write_line(f"SECURITY.md: no passed test {name}", red=True)

    def _is_covered(self, name: str) -> bool:
        return name in self.passed or ("::" not in name and any(passed.startswith(name) for passed in self.passed))

    @staticmethod
    def _is_whole(config: pytest.Config) -> bool:
        option = config.option
        whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not option.keyword
        return whole and option.markexpr.startswith("not ")  # `make faults` and `make gpu` select some tests
