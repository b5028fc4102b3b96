"""Hold a whole run of the suite to SECURITY.md: every test that its table names must have run and passed."""

import re
from pathlib import Path

import pytest

SECURITY = Path(__file__).parents[1] / "SECURITY.md"
NAMED = re.compile(r"\| `(tests/[^`|]+)` \|$", re.M)


class Claims:
    """A plugin that notes which tests passed, and fails a whole run in which a claim's test did not."""

    def __init__(self) -> None:
        self.names = set(NAMED.findall(SECURITY.read_text(encoding="utf-8")))
        self.passed: set[str] = set()

    @property
    def missing(self) -> list[str]:
        """The names of which no test passed; a name without ``::`` stands for a whole file."""
        return sorted(name for name in self.names if not self._is_covered(name))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that passed, without its parameters; a failure fails the run by itself."""
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid.partition("[")[0])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session where the whole suite ran and a claim has no passed test."""
        if self._is_whole(session.config) and self.missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Say how many claims were tested, and which were not."""
        if self._is_whole(config):
            done = len(self.names) - len(self.missing)
            terminalreporter.write_line(f"SECURITY.md: {done} of {len(self.names)} tests of claims passed")
            for name in self.missing:
                terminalreporter.write_line(f"SECURITY.md: no passed test {name}", red=True)

    def _is_covered(self, name: str) -> bool:
        return name in self.passed or ("::" not in name and any(passed.startswith(name) for passed in self.passed))

    @staticmethod
    def _is_whole(config: pytest.Config) -> bool:
        return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
