import gc
import sys

import pytest

from shared.ops.imports import uncollected


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is done to the collector, which changes nothing in this process."""
    done: list[str] = []
    for name in ("disable", "freeze", "enable"):
        monkeypatch.setattr(gc, name, lambda name=name: done.append(name))
    return done


def test_the_first_imports_are_never_searched_for_garbage(kept: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with uncollected():
        assert kept == ["disable"]
    assert kept == ["disable", "freeze", "enable"]


def test_an_import_that_fails_leaves_collection_on(kept: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert kept == ["disable", "enable"]


def test_nothing_is_frozen_where_the_libraries_are_imported_already(
    kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    with uncollected():
        pass
    assert kept == []
