"""A plugin of pytest: property tests draw the same examples in each run, and do not look for the smallest that fails."""

from hypothesis import Phase, settings


def pytest_configure() -> None:
    """Set hypothesis' profile before any test is read."""
    settings.register_profile("mutants", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("mutants")
