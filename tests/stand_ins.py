"""Stand-ins for what takes a site seconds: its scrubber, and a model of its own for each set-up."""

from collections.abc import Sequence

import pytest

from privacy.anonymise.scrubbed import Scrubbed
from shared.adapters.peft import trained_shapes
from shared.records.types import RawRecord, Record
from shared.tasks.base import Learner


def scrub_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a site take its records as they are."""

    def scrubbed(_: object, groups: Sequence[Sequence[RawRecord]], *__: object, **___: object) -> list[Scrubbed]:
        usable = [[raw for raw in group if raw.fields.get("text") and not raw.lacks] for group in groups]
        return [
            Scrubbed(tuple(Record(raw.fields, raw.label, raw.position) for raw in group), (), {}, {}) for group in usable
        ]

    monkeypatch.setattr("client.data_stage.site_data.scrub", scrubbed)


def stand_in(monkeypatch: pytest.MonkeyPatch, learner: Learner) -> None:
    """Let a site take its records as they are, and train this learner."""
    scrub_nothing(monkeypatch)
    monkeypatch.setattr("client.planned_run.shapes_of", lambda _: trained_shapes(learner.model))
    monkeypatch.setattr("client.planned_run.refuse_what_does_not_fit", lambda *_: None)
    monkeypatch.setattr("client.set_up.load_learner", lambda _: learner)
