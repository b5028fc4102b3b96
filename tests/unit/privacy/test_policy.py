import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from privacy.policy import SitePolicy
from shared.adapters.state import AdapterState
from shared.errors import PolicyRefused, PrivacyError
from shared.models.catalogue import CATALOGUE
from shared.wire.messages import TrainOrder, TrainReply
from shared.wire.version import installed

MINILM = str(CATALOGUE["minilm"].sha256)
SIZE = 1000
ADAPTER = AdapterState({"b": np.zeros((10, 10), dtype=np.float32)})
Forge = Callable[..., TrainOrder]


def policy(**changes: Any) -> SitePolicy:
    return SitePolicy(**{"dataset_epsilon": 8.0, "tasks": ("classification",), "models": (MINILM,), **changes})


@pytest.fixture
def forge(config_of: ConfigOf) -> Forge:
    """Return an order that the default policy permits, with changes to its config and header."""

    def order(changes: dict[str, Any] | None = None, **header: Any) -> TrainOrder:
        return replace(TrainOrder("run", 1, "nonce", config_of(changes or {}), ADAPTER, 3, installed()), **header)

    return order


@contextmanager
def opened() -> Iterator[list[str]]:
    """Every file that is opened inside, by any library: Python's own audit event."""
    seen: list[str] = []
    active = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if active and event == "open":
            seen.append(str(arguments[0]))

    sys.addaudithook(hook)
    try:
        yield seen
    finally:
        active = False


def test_an_order_within_every_limit_is_permitted(forge: Forge) -> None:
    policy().permit(forge(), SIZE)


INSTRUCTION = {"task": {"name": "instruction"}, "model.name": "smollm2-135m"}
FORGED: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "epsilon": ({"privacy.epsilon": 9.5}, {}, "dataset_epsilon", "asks for epsilon 9.5, and this site allows 8"),
    "delta": ({"privacy.target_delta": 9e-4}, {}, "dataset_delta", "asks for target_delta 9e-4"),
    "rounds": ({"training.rounds": 101}, {}, "max_rounds", "asks for 101 rounds, and this site allows 100"),
    "steps": ({"training.steps": 1001}, {}, "max_steps", "asks for 1,001 steps a round, and this site allows 1,000"),
    "task": (INSTRUCTION, {}, "tasks", "is for task 'instruction', and this site allows classification"),
    "model": ({"model.name": "smollm2-135m"}, {}, "models", "is for a base model with SHA-256 b179c9523d0e"),
    "model digest": ({"model.sha256": "0" * 64}, {}, "models", "is for a base model with SHA-256 0000"),
    "model without digest": ({"model.name": "/srv/x"}, {}, "models", "names no digest of its base model"),
    "cohort": ({}, {"cohort": 1}, "min_cohort", "asks 1 sites together, and this site wants at least 2"),
    "DP off": ({"privacy.enabled": False}, {}, "without_privacy", "is without differential privacy"),
    "version": ({}, {"version": "9.9.9"}, "versions", f"comes from hushtune 9.9.9, and this site accepts {installed()}"),
}


@pytest.mark.parametrize(("changes", "header", "field", "says"), FORGED.values(), ids=FORGED)
def test_a_forged_order_is_refused_with_field_and_limit_before_any_file_is_opened(
    forge: Forge, changes: dict[str, Any], header: dict[str, Any], field: str, says: str
) -> None:
    order, strict = forge(changes, **header), policy(versions=(installed(),))
    with opened() as files, pytest.raises(PolicyRefused) as caught:
        strict.permit(order, SIZE)
    assert files == []
    assert caught.value.field == field
    assert str(caught.value).startswith(f"policy.{field}: the order {says}")
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, PrivacyError)


def test_the_hook_of_these_tests_sees_an_opened_file(tmp_path: Any) -> None:
    (tmp_path / "records.jsonl").write_text("x")
    with opened() as files:
        (tmp_path / "records.jsonl").read_text()
    assert str(tmp_path / "records.jsonl") in files


def test_a_larger_adapter_than_allowed_is_refused_before_it_is_trained(forge: Forge) -> None:
    with pytest.raises(PolicyRefused, match=r"policy\.max_trainable: the order asks for 100 trained numbers"):
        policy(max_trainable=99).permit(forge(), SIZE)
    with pytest.raises(PolicyRefused, match=r"adapt fewer layers \(adapter\.last_layers\)"):
        policy(max_trainable=99).permit(forge({"adapter.family": "ia3"}), SIZE)
    with pytest.raises(PolicyRefused, match=r"policy\.max_bytes_out: the order asks for 400 bytes out a round"):
        policy(max_bytes_out=399).permit(forge(), SIZE)
    policy(max_trainable=100, max_bytes_out=400).permit(forge(), SIZE)


def test_a_unit_or_trust_model_weaker_than_required_is_refused(forge: Forge) -> None:
    with pytest.raises(PolicyRefused, match=r"policy\.unit: the order protects one record, and .* one person"):
        policy(unit="person").permit(forge(), SIZE)
    with pytest.raises(PolicyRefused, match=r"policy\.trust: the order is for trust model 'local', and .* distributed"):
        policy(trust=("distributed",)).permit(forge(), SIZE)
    with pytest.raises(ValidationError, match="'local', 'distributed' or 'central'"):  # a misspelt one is refused at once
        policy(trust=("locl",))


def test_the_site_alone_may_allow_an_order_without_privacy(forge: Forge) -> None:
    policy(without_privacy=True).permit(forge({"privacy.enabled": False, "privacy.epsilon": 99.0}), SIZE)


def test_other_limits_hold_for_an_order_without_privacy_too(forge: Forge) -> None:
    with pytest.raises(PolicyRefused, match="max_rounds"):
        policy(without_privacy=True, max_rounds=2).permit(forge({"privacy.enabled": False}), SIZE)


def test_a_version_that_the_site_approved_replaces_the_installed_one(forge: Forge) -> None:
    policy(versions=("9.9.9",)).permit(forge(version="9.9.9"), SIZE)
    with pytest.raises(PolicyRefused, match="versions"):
        policy(versions=("9.9.9",)).permit(forge(), SIZE)


def test_delta_limits_default_to_what_an_order_without_delta_asks(forge: Forge) -> None:
    assert policy().delta_limits(SIZE) == (SIZE**-1.1, SIZE**-1.1)
    assert policy(dataset_delta=1e-6).delta_limits(SIZE) == (1e-6, 1e-6)
    assert policy(dataset_delta=1e-6, site_delta=1e-5).delta_limits(SIZE) == (1e-6, 1e-5)
    with pytest.raises(PolicyRefused, match="dataset_delta"):
        policy(dataset_delta=1e-6).permit(forge(), SIZE)
    policy(dataset_delta=1e-6).permit(forge({"privacy.target_delta": 1e-6}), SIZE)


@settings(deadline=None)
@given(asked=st.floats(0.01, 100), limit=st.floats(0.01, 100))
def test_epsilon_is_permitted_exactly_up_to_the_limit(config_of: ConfigOf, asked: float, limit: float) -> None:
    order = TrainOrder("run", 1, "n", config_of({"privacy.epsilon": asked}), ADAPTER, 3, installed())
    try:
        policy(dataset_epsilon=limit).permit(order, SIZE)
        permitted = True
    except PolicyRefused:
        permitted = False
    assert permitted == (asked <= limit)


def test_a_reply_as_it_is_sent_may_leave() -> None:
    record = TrainReply("run", 1, "nonce", "north", ADAPTER).to_record()
    policy().permit_reply(record["header"], 400)


@pytest.mark.parametrize("name", ["loss", "records", "accuracy", "note"])
def test_a_figure_that_is_no_release_leaves_only_where_the_site_says_so(name: str) -> None:
    fields = ("run_id", "round", "nonce", "site_id", name)
    with pytest.raises(PolicyRefused, match=rf"policy\.unreleased_metrics: the order would be answered with {name}"):
        policy().permit_reply(fields, 400)
    policy(unreleased_metrics=True).permit_reply(fields, 400)


def test_a_reply_beyond_the_bytes_may_not_leave() -> None:
    with pytest.raises(PolicyRefused, match="max_bytes_out"):
        policy(max_bytes_out=400).permit_reply(("run_id",), 401)


def test_a_policy_cannot_be_changed_after_it_was_read() -> None:
    with pytest.raises(ValidationError):
        policy().max_rounds = 10**9  # type: ignore[misc]


@pytest.mark.parametrize("missing", ["dataset_epsilon", "tasks", "models"])
def test_what_only_a_site_can_say_has_no_default(missing: str) -> None:
    fields = policy().model_dump() | {missing: None}
    with pytest.raises(ValidationError):
        SitePolicy(**{name: value for name, value in fields.items() if value is not None})
