"""A pytest plugin for mutation testing: hypothesis draws the same examples in every run and does not shrink failures."""

from hypothesis import Phase, settings


def pytest_configure() -> None:
    """Set hypothesis' profile before any test is collected."""
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", max_examples=100, derandomize=True, database=None, phases=phases)
    settings.load_profile("mutants")
