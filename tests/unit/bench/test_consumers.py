"""Every form of export is tried with its own consumer, on a base model that is there."""

from typing import get_args

import pytest

from bench import consumer
from bench.architectures import ARCHITECTURES
from bench.consumers import FORMS
from server.export.formats import Format
from shared.models.catalogue import CATALOGUE


def test_every_form_is_tried() -> None:
    assert {form.to for form in FORMS} == set(get_args(Format))
    known = {(each.name, each.task) for each in ARCHITECTURES}
    assert all(form.base in CATALOGUE or (form.base, form.task) in known for form in FORMS)


def test_an_environment_with_hushtune_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["consumer.py", "merged", "folder", "a text"])
    with pytest.raises(SystemExit, match="hushtune is installed here"):
        consumer.main()
