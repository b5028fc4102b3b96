import errno
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from fixture_types import Change, LearnerOf, OpenBudget, RecordsOf
from one_site import site_of
from silence import silence

from client import site as site_module
from client import trainer
from client.outbox import Outbox
from client.site import Site
from privacy import ledger as ledger_module
from privacy.dp import engine
from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_site, releases_of
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import DataError, HushtuneError, LedgerError, MessageError, PrivacyError
from shared.tasks.classification import Classification
from shared.wire.chain_head import ChainHead
from shared.wire.messages import TrainOrder, TrainReply

MakeSite = Callable[..., Site]


@pytest.fixture
def make(learner_of: LearnerOf, records_of: RecordsOf, open_budget: OpenBudget) -> MakeSite:
    """Return a function that makes a site with a matching plan; all sites of one ledger name share that ledger."""

    def build(config: RunConfig, ledger: str = "north", count: int = 30, **more: Any) -> Site:
        given = {"plan": plan_of(config) if config.privacy.enabled else None, "budget": open_budget(ledger), **more}
        return site_of("north", 100, config, records_of(config, count), learner_of(config), **given)

    return build


def plan_of(config: RunConfig, **other: Any) -> PrivacyPlan:
    """Return the plan that matches a config at noise multiplier 1, with some fields set to other values."""
    training, privacy = config.training, config.privacy
    plan = PrivacyPlan(training.sampling_rate, 1.0, privacy.clipping_norm, training.steps, training.rounds, 1e-4, 100)
    return replace(plan, **{"releases": releases_of(config), "unit": privacy.unit, **other})


@pytest.fixture
def plain(classify: RunConfig, change: Change) -> RunConfig:
    return change(classify, {"privacy.enabled": False})


def order(site: Site, config: RunConfig, number: int = 1) -> TrainOrder:
    return TrainOrder("run", number, "nonce", config, read_adapter(site._learner.model), 3, "0.1.0")


def test_a_reply_answers_its_order_with_a_delta_of_its_spec(either: RunConfig, make: MakeSite) -> None:
    site = make(either)
    asked = order(site, either)
    reply = site.train(asked)
    assert (reply.run_id, reply.round, reply.nonce, reply.site_id) == ("run", 1, "nonce", "north")
    assert reply.delta.spec == asked.adapter.spec
    assert reply.delta.is_finite
    assert reply.delta.norm > 0
    assert len(site.budget.rounds("run")) == 1


def test_an_order_for_another_config_is_refused_and_spends_nothing(
    classify: RunConfig, change: Change, make: MakeSite
) -> None:
    site = make(classify)
    for other in ({"privacy.epsilon": 9.0}, {"training.steps": 3}, {"run.seed": 1}, {"privacy.enabled": False}):
        with pytest.raises(MessageError, match="site north: the order is for another run config"):
            site.train(order(site, change(classify, other)))
    assert len(site.budget.rounds("run")) == 0


def test_a_round_outside_the_plan_is_refused(classify: RunConfig, make: MakeSite) -> None:
    site = make(classify)
    for number in (0, -1, 3, 10**9):
        with pytest.raises(MessageError, match="outside of the plan"):
            site.train(order(site, classify, number))
    assert len(site.budget.rounds("run")) == 0


def test_a_round_is_never_spent_twice(classify: RunConfig, make: MakeSite) -> None:
    site = make(classify)
    site.train(order(site, classify, 2))
    with pytest.raises(LedgerError, match="round 2 of run run was trained and answered before"):
        site.train(order(site, classify, 2))
    with pytest.raises(LedgerError, match="trained and answered before"):
        make(classify).train(order(site, classify, 2))  # nor after a restart
    assert len(site.budget.rounds("run")) == 1


def test_a_round_that_fails_in_training_is_spent_once_and_may_be_tried_again(
    classify: RunConfig, make: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make(classify)
    monkeypatch.setattr(site_module, "train", Mock(side_effect=MemoryError()))
    with pytest.raises(MemoryError):
        site.train(order(site, classify))
    monkeypatch.undo()
    assert len(site.budget.rounds("run")) == 1
    cost = site.budget.spent().epsilon
    make(classify).train(order(site, classify))  # nothing had left the site
    assert len(site.budget.rounds("run")) == 1
    assert site.budget.spent().epsilon == cost


def test_a_failed_round_whose_moments_a_later_round_used_is_not_trained_again_for_the_same_charge(
    classify: RunConfig, make: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make(classify)
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "store", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            site.train(order(site, classify))
    assert site._memory.before("run", 2) is not None  # so the reply of round 2 shows noised sums of this training
    site.train(order(site, classify, 2))
    with pytest.raises(LedgerError, match="a later round may have used what it computed"):
        site.train(order(site, classify))
    assert site.budget.rounds("run") == (1, 2)


def test_nothing_is_trained_when_the_ledger_cannot_be_written(
    classify: RunConfig, make: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make(classify)
    monkeypatch.setattr(ledger_module.os, "write", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    monkeypatch.setattr(site_module, "train", lambda *_, **__: pytest.fail("trained without a reservation"))
    with pytest.raises(LedgerError, match="No space left on device"):
        site.train(order(site, classify))


def test_a_ledger_that_lacks_what_the_server_saw_trains_nothing(classify: RunConfig, make: MakeSite) -> None:
    site = make(classify)
    with pytest.raises(LedgerError, match="was seen before: the ledger was cut off, or is an old copy"):
        site.train(replace(order(site, classify), ledger=ChainHead(9, "e" * 64)))
    assert len(site.budget.rounds("run")) == 0


def test_a_reply_says_where_the_ledger_ends_and_the_ledger_where_the_servers_chain_ended(
    classify: RunConfig, make: MakeSite
) -> None:
    site = make(classify)
    reply = site.train(replace(order(site, classify), record=ChainHead(3, "c" * 64)))
    assert reply.ledger == site.budget.ledger.head() == ChainHead(3, site.budget.ledger.entries()[-1].hash)
    reservation = site.budget.ledger.entries()[1]
    assert (reservation.body["server_entries"], reservation.body["server_hash"]) == (3, "c" * 64)


def test_the_ledger_names_the_adapter_of_an_order_if_the_server_publishes_the_same_one(
    classify: RunConfig, change: Change, make: MakeSite
) -> None:
    for encoding in ("float32", "int8"):
        config = change(classify, {"aggregation.encoding": encoding})
        site = make(config)
        asked = replace(order(site, config), run_id=encoding)
        site.train(asked)
        [body] = [e.body for e in site.budget.ledger.entries() if e.kind == "reserve" and e.body["run_id"] == encoding]
        assert body.get("start") == (asked.adapter.digest() if encoding == "float32" else None)


def test_a_run_beyond_the_budget_is_refused_at_its_first_round(
    classify: RunConfig, make: MakeSite, open_budget: OpenBudget
) -> None:
    poor = open_budget("north", 0.1)
    site = make(classify, budget=poor)
    with pytest.raises(LedgerError, match="budget exhausted"):
        site.train(order(site, classify))
    assert poor.spent().epsilon == 0


def test_noised_sums_leave_when_the_plan_pays_for_them(classify: RunConfig, change: Change, make: MakeSite) -> None:
    asked = change(classify, {"privacy.release": "metrics", "privacy.release_noise": 50.0})
    site = make(asked)
    reply = site.train(order(site, asked))
    assert set(reply.released) == {"loss", "hits", "records"}
    assert reply.released["records"] != 30  # never the exact count
    purposes = [event["purpose"] for event in site.budget.ledger.entries()[1].body["events"]]
    assert purposes == ["training", "metrics"]
    assert make(classify).train(replace(order(site, classify), run_id="other")).released == {}


def test_an_adapter_of_another_spec_is_refused(classify: RunConfig, make: MakeSite) -> None:
    site = make(classify)
    wrong = AdapterState({"x": np.zeros(3, dtype=np.float32)})
    with pytest.raises(HushtuneError):
        site.train(replace(order(site, classify), adapter=wrong))


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_records_are_refused_in_one_line_without_the_count(classify: RunConfig, make: MakeSite, count: int) -> None:
    with pytest.raises(DataError, match=r"site north: .*cohort\.min_records = 4") as caught:
        make(classify, count=count)
    assert "\n" not in str(caught.value)
    assert f" {count} " not in str(caught.value)


def test_under_privacy_two_sites_of_the_same_records_never_agree(classify: RunConfig, make: MakeSite) -> None:
    one, two = (site.train(order(site, classify)).delta for site in (make(classify), make(classify, "south")))
    assert not any((one.arrays[name] == two.arrays[name]).all() for name in one.arrays)


def test_a_site_whose_model_mixes_records_is_not_set_up_under_privacy(
    classify: RunConfig, plain: RunConfig, make: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Classification.training_losses

    def coupled(*given: Any) -> torch.Tensor:
        losses = original(*given)
        return losses / len(losses)  # a mean over the batch: a record's share follows from how many are with it

    monkeypatch.setattr(Classification, "training_losses", coupled)
    with pytest.raises(PrivacyError, match="record's influence is not bounded and nothing is trained"):
        make(classify)
    make(plain)  # without privacy there is no bound to break


@pytest.mark.parametrize("enabled", [True, False])
def test_the_stored_delta_is_the_encoded_one_and_is_the_plain_one_to_half_a_step(
    classify: RunConfig, change: Change, make: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    config = change(classify, {"privacy.enabled": enabled, "aggregation.encoding": "int8"})
    kept = []
    monkeypatch.setattr(site_module, "train", lambda *args, **named: kept.append(trainer.train(*args, **named)) or kept[-1])
    outbox = Outbox(tmp_path)
    site = make(config, outbox=outbox)
    asked = TrainOrder.from_record(order(site, config).to_record())
    reply = site.train(asked)
    arrived = TrainReply.from_record(reply.to_record())
    stored = outbox.stored("run", 1, asked.adapter.digest())
    assert stored is not None
    assert stored.delta.digest() == arrived.delta.digest() == reply.delta.digest() != kept[0].delta.digest()
    assert 0 < reply.delta.minus(kept[0].delta).norm < 0.02 * reply.delta.norm
    again = site.train(asked)  # from the outbox
    assert again.to_record()["adapter"].object_id == reply.to_record()["adapter"].object_id


def test_a_second_round_goes_on_with_the_optimisers_state(plain: RunConfig, make: MakeSite) -> None:
    kept, fresh = make(plain), make(plain, "south")
    first = order(kept, plain)
    after = first.adapter.add(kept.train(first).delta)
    second = replace(first, round=2, adapter=after)
    assert kept.train(second).delta.digest() != fresh.train(second).delta.digest()


def test_the_divisor_and_the_rate_do_not_depend_on_the_private_record_count(
    classify: RunConfig, make: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float]] = []
    original_optimizer, original_batches = engine.clipping_optimizer, trainer.poisson_batches

    def optimizer(inner: torch.optim.Optimizer, plan: PrivacyPlan, slack: float) -> object:
        made = original_optimizer(inner, plan, slack)
        seen.append((made.expected_batch_size, rates[-1]))
        return made

    def batches(records: int, rate: float, *others: object) -> object:
        rates.append(rate)
        return original_batches(records, rate, *others)  # type: ignore[arg-type]

    rates: list[float] = []
    monkeypatch.setattr(engine, "clipping_optimizer", optimizer)
    monkeypatch.setattr(trainer, "poisson_batches", batches)
    for count in (4, 65):
        site = make(classify, f"north-{count}", count)
        site.train(order(site, classify))
    assert seen == [(20.0, 0.2)] * 2


PERSON = {"data.columns.person": "who", "privacy.unit": "person", "privacy.person_cap": 5}
OTHER_PLANS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "samples less": ({}, {"sampling_rate": 0.1}),
    "more steps": ({}, {"steps_per_round": 3}),
    "pays for no label counts": ({"balance.weights": "counts"}, {"releases": ()}),
    "pays for no metrics": ({"privacy.release": "metrics"}, {"releases": ()}),
    "protects records, not persons": (PERSON, {"unit": "record"}),
    "none": ({}, None),
}


@pytest.mark.parametrize(("changes", "other"), OTHER_PLANS.values(), ids=OTHER_PLANS)
def test_a_plan_that_is_not_the_configs_is_refused(
    classify: RunConfig, change: Change, make: MakeSite, changes: dict[str, Any], other: dict[str, Any] | None
) -> None:
    config = change(classify, changes)
    plan = None if other is None else plan_of(config, **other)
    with pytest.raises(PrivacyError, match="not that of this run"):
        make(config, count=8, plan=plan, persons="abcdefgh")


def test_after_a_restart_a_round_is_sent_again_and_neither_trained_nor_spent_again(
    classify: RunConfig, make: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(classify, outbox=Outbox(tmp_path))
    asked = order(first, classify)
    reply = first.train(asked)
    after = make(classify, outbox=Outbox(tmp_path))
    monkeypatch.setattr(site_module, "train", lambda *_, **__: pytest.fail("trained again"))
    again = after.train(replace(asked, nonce="another"))
    assert again.delta.digest() == reply.delta.digest()
    assert again.delta.spec == reply.delta.spec
    assert (again.run_id, again.round, again.nonce, again.site_id) == ("run", 1, "another", "north")
    assert after.budget.rounds("run") == (1,)
    moved = replace(asked, adapter=asked.adapter.add(reply.delta))
    with pytest.raises(MessageError, match="answered for another adapter"):
        after.train(moved)


def of_persons(make: MakeSite, config: RunConfig, persons: Sequence[str]) -> Site:
    """Make a site whose records belong to persons."""
    return make(config, count=len(persons), persons=persons)


def test_persons_are_sampled_and_each_comes_whole_with_all_records_and_views(
    either: RunConfig, change: Change, make: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(either, {**PERSON, "augmentation.views": 3, "training.sampling_rate": 0.5, "training.steps": 4})
    persons = ["ann"] * 6 + ["bob"] * 3 + ["eve", "kim", "lea"]
    site = of_persons(make, config, persons)
    seen: list[Counter[int]] = []
    original = engine.PrivateStep.accumulate

    def watched(step: engine.PrivateStep, owners: Sequence[int] = ()) -> None:
        seen.append(Counter(owners))
        original(step, owners)

    monkeypatch.setattr(engine.PrivateStep, "accumulate", watched)
    monkeypatch.setattr(trainer, "poisson_batches", lambda units, *__: iter([np.arange(units)] * 4))
    assert site.train(order(site, config)).delta.norm > 0
    for start in range(0, len(seen), len(seen) // 4):
        step = sum(seen[start : start + len(seen) // 4], Counter())
        assert sorted(step.values()) == [3, 3, 3, 9, 18]


def test_a_site_counts_persons_where_they_are_the_unit(classify: RunConfig, change: Change, make: MakeSite) -> None:
    config = change(classify, PERSON)
    with pytest.raises(DataError, match=r"fewer usable training persons than cohort.min_records = 4"):
        of_persons(make, config, ["ann"] * 20 + ["bob"] * 5 + ["eve"])
    with pytest.raises(DataError, match=r"the person of some records is unknown; check data\.columns\.person"):
        make(config, count=8)


def test_a_site_with_more_than_twice_the_units_that_it_declares_is_refused_under_privacy(
    classify: RunConfig,
    plain: RunConfig,
    change: Change,
    make: MakeSite,
    learner_of: LearnerOf,
    records_of: RecordsOf,
    open_budget: OpenBudget,
) -> None:
    """The noise covers the rounding of as many gradients as the site declares, with a margin that twice as many keep."""

    def made(config: RunConfig, records: int, persons: Sequence[str] = ()) -> Site:
        plan, budget, given = plan_for_site(config, 20), open_budget("north"), records_of(config, records)
        return site_of("north", 20, config, given, learner_of(config), plan, budget, persons=persons)

    made(classify, 40)
    with pytest.raises(DataError, match=r"site north: has more than 2 times as many usable training records as its"):
        made(classify, 41)
    made(plain, 41)
    by_person = change(classify, PERSON)
    with pytest.raises(DataError, match=r"more than 2 times as many usable training persons as its declared size of 20"):
        made(by_person, 41, [f"person {number}" for number in range(41)])
    made(by_person, 44, ["ann", "bob", "eve", "kim"] * 11)


def test_what_a_person_releases_is_one_share_however_many_records(
    classify: RunConfig, change: Change, make: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(classify, {**PERSON, "privacy.release": "metrics", "balance.weights": "counts"})
    silence(monkeypatch)
    site = of_persons(make, config, ["ann"] * 20 + ["bob"] * 5 + ["eve", "kim", "lea"])
    released = site.train(order(site, config)).released
    assert released["records"] == pytest.approx(5)
    assert 0 <= released["hits"] <= 5


def test_label_weights_change_what_is_learnt(classify: RunConfig, change: Change, make: MakeSite) -> None:
    plain = {"privacy.enabled": False}
    weighted = {**plain, "balance": {"weights": "public", "label_shares": [0.9, 0.1]}}
    digests = set()
    for changes in (plain, weighted):
        config = change(classify, changes)
        site = make(config, f"ledger-{len(digests)}")
        digests.add(site.train(order(site, config)).delta.digest())
    assert len(digests) == 2
