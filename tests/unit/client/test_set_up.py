import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixture_types import Change, LearnerOf
from site_toml import tiny_site, with_policy, write_records
from stand_ins import scrub_nothing

from client.data_stage.augmentation.writer import write
from client.outward_codes import outward_code, reason_code
from client.question_log import Book
from client.set_up import Host
from client.site_file import SiteFile
from privacy.audit.meter import meter
from privacy.budget import Budget, Limit
from privacy.dp.clipping import FlatClipping
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.leakage.gate import GateFailed
from privacy.ledger import Ledger
from privacy.questions import set_up_of
from shared.adapters.peft import read_adapter
from shared.adapters.ranks import cut, is_part, shapes_at
from shared.adapters.state import AdapterState
from shared.config.anonymise import GateSection
from shared.config.model import ModelSection
from shared.config.run import RunConfig
from shared.errors import (
    DataError,
    Declined,
    HushtuneError,
    LedgerError,
    MessageError,
    ModelError,
    PolicyRefused,
    PrivacyError,
)
from shared.models.wheels import sha256_file
from shared.wire.chain_head import ChainHead
from shared.wire.messages import TrainOrder
from shared.wire.version import installed

SIZE = 100
Forge = Callable[..., TrainOrder]


@pytest.fixture
def digest(tiny_bert: Path) -> str:
    return sha256_file(tiny_bert / "model.safetensors")


@pytest.fixture
def file(tmp_path: Path, tiny_bert: Path) -> SiteFile:
    """Make a site that may load only the tiny model, and whose data file does not exist."""
    return tiny_site(tmp_path, tiny_bert, "min_cohort = 2\nmax_rounds = 3")


@pytest.fixture
def forge(classify: RunConfig, change: Change, digest: str, learner_of: LearnerOf) -> Forge:
    """Return an order that the site permits, with changes to its config and header."""
    adapter = read_adapter(learner_of(classify).model)

    def order(changes: dict[str, Any] | None = None, **header: Any) -> TrainOrder:
        config = change(classify, {"model.name": "tiny", "model.sha256": digest, **(changes or {})})
        return replace(TrainOrder("run", 1, "nonce", config, adapter, 2, installed()), **header)

    return order


def host_of(file: SiteFile) -> Host:
    return Host(file, lambda *_, **__: None)


def never_opened(path: Path) -> Callable[[], bool]:
    """Watch a path from now on, by Python's own audit event; gives whether nobody opened it."""
    seen: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike) and os.fspath(arguments[0]) == str(path):
            seen.append(event)

    sys.addaudithook(hook)
    return lambda: not seen


INSTRUCTION = {"task": {"name": "instruction"}}
FORGED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "epsilon beyond the limit": ({"privacy.epsilon": 8.1}, {}, "dataset_epsilon"),
    "DP off": ({"privacy.enabled": False}, {}, "without_privacy"),
    "unknown task": (INSTRUCTION, {}, "tasks"),
    "unknown model digest": ({"model.sha256": "0" * 64}, {}, "models"),
    "a model of the catalogue": ({"model.name": "minilm", "model.sha256": None}, {}, "models"),
    "cohort below the minimum": ({}, {"cohort": 1}, "min_cohort"),
    "too many rounds": ({"training.rounds": 4}, {}, "max_rounds"),
    "another version": ({}, {"version": "0.0.1"}, "versions"),
}


@pytest.mark.parametrize(("changes", "header", "field"), FORGED.values(), ids=FORGED)
def test_a_forged_order_is_refused_and_the_data_file_is_never_opened(
    file: SiteFile, forge: Forge, changes: dict[str, Any], header: dict[str, Any], field: str
) -> None:
    file.data.file.write_text("not even a record\n")
    steps: list[str] = []
    untouched = never_opened(file.data.file)
    with pytest.raises(PolicyRefused) as caught:
        Host(file, lambda step, **_: steps.append(step)).train(forge(changes, **header))
    assert caught.value.field == field
    assert steps == []
    assert untouched()
    assert not file.site.state.exists()


def test_an_order_has_the_rank_that_the_run_gives_this_site_and_is_counted_by_it(file: SiteFile, forge: Forge) -> None:
    ranks = {"aggregation.method": "partitioned_mean", "data.sites.0.rank": 1}
    order, host = forge(ranks), host_of(file)
    with pytest.raises(MessageError, match="does not have the names and shapes that the run's config gives"):
        host.train(order)  # the adapter of another site's rank
    with pytest.raises(Declined):  # past all checks without a record; there is no file of records
        host.train(replace(order, adapter=cut(order.adapter, 1)))
    book = Book.model_validate_json((file.site.state / "set_ups.json").read_text())
    assert [asked.set_up for asked in book.asked] == [set_up_of(order.config.at_site("north"))]
    assert set_up_of(order.config.at_site("north")) != set_up_of(order.config)


@pytest.mark.slow
def test_a_site_with_a_lower_rank_in_its_file_carries_a_run_out_as_if_the_run_gave_it_that_rank(
    file: SiteFile, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    scrub_nothing(monkeypatch)
    write_records(file.data.file, 12)
    file, method = without_privacy(file), {"privacy.enabled": False, "aggregation.method": "partitioned_mean"}
    limited = with_policy(file, max_rank=1)
    given = forge({**method, "data.sites.0.rank": 1})
    wanted = host_of(file).train(replace(given, adapter=cut(given.adapter, 1)))
    shutil.rmtree(file.site.state)
    file.site.ledger_head.unlink()
    found = host_of(limited).train(forge(method))
    assert found.delta.spec == cut(given.adapter, 1).spec != given.adapter.spec
    assert found.delta.digest() == wanted.delta.digest()
    assert found.delta.norm > 0
    assert is_part(found.delta.spec, given.adapter.spec)


def test_the_plan_of_a_site_with_a_lower_rank_in_its_file_counts_the_numbers_that_it_trains(
    file: SiteFile, forge: Forge
) -> None:
    config = forge({"aggregation.method": "partitioned_mean"}).config
    limited = with_policy(file, max_rank=1)
    whole, part = (host_of(each)._prepare(config) for each in (file, limited))
    assert part.plan == whole.plan  # the same norm, noise and steps; the site clips and noises what it trains
    assert part.shapes == shapes_at(whole.shapes, 1) != whole.shapes


def test_a_site_below_its_own_gate_refuses_before_anything_is_spent_or_loaded(
    file: SiteFile, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(gate: GateSection, *_: object) -> None:
        raise GateFailed(f"planted_recall (needs {gate.min_planted_recall})")

    monkeypatch.setattr("client.data_stage.site_data.admit", fail)
    gated = with_policy(file, anonymise=GateSection())
    file.data.file.write_text('{"text": "aia bib", "label": "yes"}\n' * 40)
    steps: list[str] = []
    host = Host(gated, lambda step, **_: steps.append(step))
    for _ in range(2):
        with pytest.raises(Declined) as caught:
            host.train(forge())
        assert outward_code(caught.value) == "Declined"
        assert reason_code(caught.value.__cause__ or caught.value) == "GateFailed"
    assert steps == ["assess"] * 2
    assert [entry.kind for entry in Ledger(file.ledger, "north").entries()] == ["open"]
    assert not file.outbox.exists()


@pytest.mark.faults
def test_the_gate_measures_the_sites_own_records(file: SiteFile, forge: Forge) -> None:
    rows = [{"text": f"please look at the invoice of case {i}", "label": "yes" if i % 2 else "no"} for i in range(40)]
    file.data.file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(Declined) as caught:
        host_of(with_policy(file, anonymise=GateSection(min_planted_recall=1.0))).train(forge())
    assert isinstance(caught.value.__cause__, GateFailed)
    assert re.search(r"planted_recall = 0\.\d+ \(needs 1\)", str(caught.value.__cause__))
    assert len(list((file.site.state / "cache").iterdir())) == 1


@pytest.mark.slow
def test_a_permitted_order_opens_the_file_trains_and_is_sent_again_after_a_restart(
    file: SiteFile, forge: Forge, learner_of: LearnerOf, tiny_bert: Path
) -> None:
    write_records(file.data.file, 12)
    order = forge()
    here = file.carried_out(order.config)
    order = replace(order, adapter=read_adapter(learner_of(here).model))
    untouched = never_opened(file.data.file)
    reply = host_of(file).train(order)
    assert not untouched()
    assert reply.delta.norm > 0
    again = host_of(file).train(replace(order, nonce="another"))
    assert (again.delta.digest(), again.nonce) == (reply.delta.digest(), "another")
    assert [path.name for path in (file.outbox / "run").iterdir()] == ["round-000001.safetensors"]


@pytest.mark.slow
def test_a_site_with_two_processes_answers_an_order_by_its_own_file_alone(
    file: SiteFile, forge: Forge, learner_of: LearnerOf
) -> None:
    write_records(file.data.file, 12)
    file = file.model_copy(update={"model": file.model.model_copy(update={"processes": 2})})
    order = forge()
    order = replace(order, adapter=read_adapter(learner_of(file.carried_out(order.config)).model))
    host = host_of(file)
    assert host.train(order).delta.norm > 0
    assert host._site is not None
    host._site.close()
    assert not [field for field in order.config.model_dump()["model"] if "process" in field]  # the server has no say


PLAIN = {"privacy.enabled": False}  # a plan takes its time to make
UNRELATED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a round after the last": ({}, {"round": 3}, "MessageError"),
    "an adapter of other tensors": (PLAIN, {"adapter": AdapterState({})}, "MessageError"),
    "a head that the ledger never had": (PLAIN, {"ledger": ChainHead(9, "e" * 64)}, "LedgerError"),
    "more than the budget": ({}, {}, "LedgerError"),
    "a plan that cannot be": ({"balance.resample": "over"}, {}, "PrivacyError"),
    "another size": ({"data.sites.0.declared_size": 101}, {}, "PolicyRefused:data.declared_size"),
    "a model that does not fit": ({"training.micro_batch_tokens": 10**12}, {}, "ModelError"),
}


@pytest.mark.parametrize(("changes", "header", "code"), UNRELATED.values(), ids=UNRELATED)
def test_what_no_record_has_a_part_in_is_refused_with_its_reason_before_a_record_is_read_or_counted(
    file: SiteFile, forge: Forge, changes: dict[str, Any], header: dict[str, Any], code: str
) -> None:
    if changes == PLAIN:
        file = without_privacy(file)
    elif code == "LedgerError":  # what the order asks for was spent on other records
        spent = Budget(Ledger(file.ledger, "north"), Dataset([(b"x" * 16,)]), Limit(8.0, 1e-3))
        spent.reserve("earlier", 1, PrivacyPlan(1.0, 3.0, 0.5, 2, 1, 1e-3, 100), ChainHead())
        file = with_policy(file, dataset_epsilon=1.0)
    file.data.file.write_text('{"text": "aia bib", "label": "yes"}\n' * 40)
    untouched = never_opened(file.data.file)
    with pytest.raises(HushtuneError) as caught:
        host_of(file).train(forge(changes, **header))
    assert outward_code(caught.value) == code
    assert untouched()
    assert file.set_ups.book() == Book()


def test_an_adapter_of_numbers_that_no_training_gives_is_refused_before_a_record_is_read(
    file: SiteFile, forge: Forge
) -> None:
    order, host = forge(PLAIN), host_of(without_privacy(file))
    name, first = next(iter(order.adapter.arrays.items()))
    for number in (np.nan, np.inf, -np.inf, 1.1e6, -1e30):
        spoilt = AdapterState({**order.adapter.arrays, name: np.full_like(first, number)})
        with pytest.raises(MessageError, match="NaN, infinite numbers or numbers beyond 1e\\+06"):
            host.train(replace(order, adapter=spoilt))
    assert file.set_ups.book() == Book()


def test_a_set_up_is_on_the_disk_before_a_record_is_read_and_one_too_many_reads_none(
    file: SiteFile, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def reading(*_: object) -> None:
        read.append(file.set_ups.count().set_ups)
        raise DataError("a label that no run has")

    monkeypatch.setattr("client.set_up.read_records", reading)
    open_file = without_privacy(file)
    for seed in (1, 2, 3, 3):
        with pytest.raises(Declined):
            host_of(open_file).train(forge({"run.seed": seed, **PLAIN}))
    assert read == [1, 2, 3, 3]
    with pytest.raises(PolicyRefused, match="max_set_ups"):
        host_of(open_file).train(forge({"run.seed": 4, **PLAIN}))
    assert len(read) == 4
    file.set_ups.admit(1)
    with pytest.raises(Declined):
        host_of(open_file).train(forge({"run.seed": 4, **PLAIN}))
    assert len(read) == 5


def test_a_round_that_fails_at_the_site_is_counted_and_sooner_or_later_no_more_begins(
    file: SiteFile, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fails:
        def train(self, order: TrainOrder) -> None:
            raise MemoryError

    monkeypatch.setattr(Host, "_site_of", lambda *_: Fails())
    host = host_of(without_privacy(file))
    for _ in range(10):
        with pytest.raises(Declined):
            host.train(forge(PLAIN))
    with pytest.raises(PolicyRefused, match="max_failures"):
        host.train(forge(PLAIN))


def test_how_much_memory_is_free_is_measured_before_records_lie_in_it(
    file: SiteFile, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, given = iter([10**10, 7, 7]), list[object]()
    monkeypatch.setattr("client.planned_run.free_bytes", lambda _: next(left))
    monkeypatch.setattr("client.planned_run.refuse_what_does_not_fit", lambda _, *free: given.extend(free))
    host = host_of(without_privacy(file))
    for seed in (1, 2):
        with pytest.raises(Declined):  # there is no file
            host.train(forge({"run.seed": seed, **PLAIN}))
    assert given == [10**10, 10**10]


def without_privacy(file: SiteFile) -> SiteFile:
    """Return the site with a policy that needs no plan, since a plan takes long to make."""
    return with_policy(file, without_privacy=True)


PARAPHRASED = {"augmentation.views": 2, "augmentation.paraphrases": 1}
NAMED = "Zebediah Quince"


def with_writer(file: SiteFile, name: str | None) -> SiteFile:
    return file.model_copy(update={"model": file.model.model_copy(update={"paraphraser": name})})


@pytest.mark.slow
def test_the_sites_own_model_is_shown_scrubbed_text_alone_and_counts_stay_in_its_log(
    file: SiteFile, forge: Forge, tiny_llama: Path, learner_of: LearnerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": f"please call {NAMED} about case {i}", "label": "yes" if i % 2 else "no"} for i in range(8)]
    file.data.file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown: list[str] = []

    def watched(section: ModelSection, texts: Sequence[str], *rest: int) -> Iterator[tuple[str, list[str | None]]]:
        shown.extend(texts)
        return write(section, texts, *rest)  # type: ignore[call-arg]

    monkeypatch.setattr("client.data_stage.augmentation.writer.write", watched)
    told: list[tuple[str, dict[str, float]]] = []
    file = with_writer(file, str(tiny_llama))
    order = forge({**PARAPHRASED, "augmentation.paraphraser": "/of/the/server"})
    order = replace(order, adapter=read_adapter(learner_of(file.carried_out(order.config)).model))
    host = Host(file, lambda step, **numbers: told.append((step, numbers)))
    reply = host.train(order)
    assert shown
    assert all("<PERSON" in text and "Quince" not in text for text in shown)
    steps = [step for step, _ in told if step != "paraphrase"]
    assert list(dict.fromkeys(steps)) == ["anonymise", "paraphrases", "load_model", "ready"]
    assert sum(dict(told)["paraphrases"].values()) == len(rows)
    assert dict(told)["paraphrase"]["seconds_left"] == 0
    assert reply.released == {}
    again = len(shown)
    host_of(file).train(replace(order, nonce="another"))
    assert len(shown) == again  # what the cache has is not written again


@pytest.mark.slow
def test_a_site_without_a_model_trains_on_noised_views_and_says_so(
    file: SiteFile, forge: Forge, learner_of: LearnerOf
) -> None:
    write_records(file.data.file, 8)
    told: list[tuple[str, dict[str, float]]] = []
    order = forge({**PARAPHRASED, "augmentation.paraphraser": "/of/the/server"})
    order = replace(order, adapter=read_adapter(learner_of(file.carried_out(order.config)).model))
    assert Host(file, lambda step, **numbers: told.append((step, numbers))).train(order).delta.norm > 0
    assert ("paraphrases", {"kept": 0, "without_model": 8}) in told


def test_a_model_that_the_site_does_not_have_is_said_before_a_record_is_read(file: SiteFile, forge: Forge) -> None:
    untouched = never_opened(file.data.file)
    with pytest.raises(ModelError, match=r"^augmentation\.paraphrases: '/nowhere/at/all' cannot write them; name a model"):
        host_of(with_writer(file, "/nowhere/at/all")).train(forge(PARAPHRASED))
    assert untouched()
    assert not file.site.state.exists()


def test_a_site_whose_state_came_back_from_an_older_backup_trains_no_more(
    file: SiteFile, forge: Forge, tmp_path: Path
) -> None:
    file.data.file.write_text('{"text": "aia bib", "label": "yes"}\n' * 40)
    ledger = Ledger(file.ledger, "north", file.site.ledger_head)
    shutil.copytree(file.site.state, tmp_path / "backup")
    Budget(ledger, Dataset([(b"x" * 16,)]), Limit(8.0, 1e-4)).reserve("run", 1, None, ChainHead())
    shutil.rmtree(file.site.state)
    shutil.copytree(tmp_path / "backup", file.site.state)
    with pytest.raises(LedgerError, match=r"ledger\.jsonl: is an old copy that ends at entry 0, but .* has seen entry 1"):
        host_of(file).train(forge(run_id="another"))
    assert not file.outbox.exists()


def test_a_site_whose_engine_is_faulty_refuses_before_it_opens_a_record(
    file: SiteFile, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.data.file.write_text("not even a record\n")
    untouched, original = never_opened(file.data.file), FlatClipping.factors
    monkeypatch.setattr("client.planned_run.meter", meter)
    monkeypatch.setattr(FlatClipping, "factors", lambda self, norms, whole: 1.2 * original(self, norms, whole))
    with pytest.raises(PrivacyError, match=r"the meter saw 1\.2 for 'a unit's share of a sum"):
        host_of(file).train(forge())
    assert untouched()
