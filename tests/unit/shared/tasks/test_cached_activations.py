import pytest
import torch
from fixture_types import Change, LearnerOf, OpenBudget, RecordsOf, Shake
from one_site import site_of

from privacy.dp.per_record import per_record_gradients
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix
from shared.wire.messages import TrainOrder

OFTEN = {"training.rounds": 5, "training.steps": 4, "training.sampling_rate": 0.5}


@pytest.fixture
def upper(either: RunConfig, change: Change) -> RunConfig:
    """Return a config that adapts the last of two layers."""
    return change(either, {**OFTEN, "adapter.last_layers": 1})


def gradients(learner: Learner, records: list[Record], prefix: FrozenPrefix | None) -> list[torch.Tensor]:
    learner.model.train()
    examples = learner.task.encode(records)
    rows: list[list[torch.Tensor]] = []
    with per_record_gradients(learner.model) as model:
        trained = [p for p in model.parameters() if p.requires_grad]
        for chosen, batch in learner.batches(examples, range(1, len(examples)), 60):
            if prefix is None:
                learner.task.losses(model, batch).sum().backward()
            else:
                with prefix.replayed(chosen):
                    learner.task.losses(model, batch).sum().backward()
            rows.append([p.grad_sample.clone() for p in trained])  # type: ignore[attr-defined]
            for parameter in trained:
                del parameter.grad_sample
    assert len(rows) > 2
    return [torch.cat([row[k] for row in rows]) for k in range(len(rows[0]))]


def same_gradients(learner: Learner, records: list[Record], shake: Shake) -> FrozenPrefix:
    """Assert that the gradients from the kept states are those of the whole model; return the kept states."""
    shake(learner)
    prefix = FrozenPrefix.build(learner, learner.task.encode(records), 10, 4096)
    assert prefix is not None
    for one, other in zip(gradients(learner, records, prefix), gradients(learner, records, None), strict=True):
        assert float((one - other).norm() / other.norm()) < 1e-5
    return prefix


def test_gradients_from_the_kept_states_are_those_of_the_whole_model(
    upper: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    assert same_gradients(learner_of(upper), records_of(upper, 14), shake).stack.first == 1


def test_a_head_alone_starts_at_the_last_states(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    same_gradients(learner_of(change(classify, {**OFTEN, "adapter.rank": 0})), records_of(classify, 14), shake)


@pytest.mark.parametrize(
    ("last_layers", "visits"), [(0, 10), (1, 0.9)], ids=["every layer is adapted", "most records are never seen"]
)
def test_it_is_not_made_where_it_would_not_pay(
    upper: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, last_layers: int, visits: float
) -> None:
    config = change(upper, {"adapter.last_layers": last_layers})
    learner = learner_of(config)
    assert FrozenPrefix.build(learner, learner.task.encode(records_of(config, 6)), visits, 4096) is None


def test_the_model_is_whole_again_even_after_a_failure(
    upper: RunConfig, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    learner = learner_of(upper)
    examples = learner.task.encode(records_of(upper, 6))
    names = [name for name, _ in learner.model.named_modules()]
    prefix = FrozenPrefix.build(learner, examples, 10, 4096)
    assert prefix is not None
    _, batch = next(learner.batches(examples, range(6), 10**4))
    before = learner.task.losses(learner.model, batch)
    with pytest.raises(KeyError), prefix.replayed(range(6)):
        raise KeyError
    assert [name for name, _ in learner.model.named_modules()] == names
    assert torch.equal(learner.task.losses(learner.model, batch), before)


@pytest.mark.parametrize("family", ["lora", "ia3"])
def test_a_site_trains_the_same_from_the_kept_states(
    upper: RunConfig,
    learner_of: LearnerOf,
    records_of: RecordsOf,
    open_budget: OpenBudget,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
) -> None:
    tree = {**upper.model_dump(mode="json"), "adapter": {"family": family, "last_layers": 1}, "privacy": {"enabled": False}}
    config = RunConfig.parse(tree, "test")
    deltas = []
    for turn, kept in enumerate((True, True, False) if family == "lora" else (True, False)):
        learner = learner_of(config)
        site = site_of("north", 100, config, records_of(config, 20), learner, None, open_budget(f"turn{turn}"))
        assert isinstance(site._prefix, FrozenPrefix)
        assert site._prefix.stack.first == 1
        if not kept:
            monkeypatch.setattr(site, "_prefix", None)
        order = TrainOrder("r", 1, "n" * 32, config, read_adapter(learner.model), 2, "0.1.0")
        deltas.append(site.train(order).delta)
    assert len({delta.digest() for delta in deltas[:-1]}) == 1
    assert deltas[0].minus(deltas[-1]).norm < 1e-2 * deltas[-1].norm
