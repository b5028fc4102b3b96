"""Find files of installed packages without importing the packages, which takes seconds for some."""

from importlib.util import find_spec
from pathlib import Path


def package_file(package: str, name: str) -> Path:
    """Return the path of a file of a package; no file is there if the package is not installed."""
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders or ()), package), name)
