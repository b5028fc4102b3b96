"""A federation whose sites have ranks of their own: what is sent, what is applied, and what is charged."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from federated import data_of
from fixture_types import ConfigOf, LearnerOf, RecordsOf, Shake

from privacy.dp.mechanism import Mechanism
from privacy.dp.plan import PrivacyPlan
from server.rounds import Fleet, Round, run_rounds
from server.screening import Answer
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.ranks import COLUMNS, cut, widened
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.wire.messages import Order, TrainOrder, TrainReply
from simulations.assembly import Federation, assemble, federate, held_out_records
from simulations.planning import Plans
from simulations.studies.baselines import baselines_of

RANKS = {"a": 1, "b": 2, "c": 4, "d": 0}  # d has the rank of the run
SITES = [{"id": name, "file": "x", "declared_size": 20, "rank": rank} for name, rank in RANKS.items()]
CHANGES: dict[str, Any] = {
    "data.sites": SITES,
    "model.dtype": "float32",
    "model.device": "cpu",
    "model.max_length": 24,
    "adapter": {"rank": 4, "alpha": 6.0},
    "aggregation.method": "partitioned_mean",
    "cohort.min_records": 4,
    "cohort.quorum": 4,
    "training": {"rounds": 2, "steps": 1, "sampling_rate": 0.5, "warmup": 0.0},
    "privacy.enabled": False,
    "evaluation.bootstrap": 100,
}


class Watched:
    """A fleet whose orders and replies are kept."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.orders: list[Mapping[str, Order]] = []
        self.replies: list[dict[str, TrainReply]] = []

    def connected(self) -> tuple[str, ...]:
        return self._fleet.connected()

    def ask(self, orders: Mapping[str, Order], deadline: float) -> Iterator[Answer]:
        self.orders.append(orders)
        self.replies.append({})
        for answer in self._fleet.ask(orders, deadline):
            assert answer.content is not None
            self.replies[-1][answer.site_id] = TrainReply.from_record(answer.content)
            yield answer


def prepared(config: RunConfig, records_of: RecordsOf, folder: Path) -> Federation:
    data = data_of(config, records_of)
    return assemble(config, Plans.of(config), data, held_out_records(config, data), folder)


def test_what_is_applied_is_the_mean_update_of_each_row_of_a_over_the_sites_that_train_it(
    config_of: ConfigOf, tiny_bert: Path, records_of: RecordsOf, tmp_path: Path
) -> None:
    config = config_of({**CHANGES, "model.name": str(tiny_bert)})
    federation = prepared(config, records_of, tmp_path)
    start = read_adapter(federation.learner.model)
    fixed = {
        name: p.detach().double().numpy() for name, p in federation.learner.model.named_parameters() if "lora_A" in name
    }
    watched = Watched(federation.fleet(lambda _: None))
    rounds = list(run_rounds(config, "run", start, watched, dict.fromkeys(RANKS, 1.0), lambda _: {}, lambda _: None))
    for number, done in enumerate(rounds):
        before = rounds[number - 1].adapter if number else start
        for site, order in watched.orders[number].items():
            assert isinstance(order, TrainOrder)
            assert order.adapter.digest() == cut(before, config.ranks[site]).digest()
        for name in filter(COLUMNS.search, before.arrays):
            a, wanted = fixed[name.replace("lora_B", "lora_A")], np.zeros(())
            for row in range(4):
                own = [r.delta.arrays[name] for site, r in watched.replies[number].items() if config.ranks[site] > row]
                wanted = wanted + np.outer(np.mean([each[:, row].astype(np.float64) for each in own], axis=0), a[row])
            applied = done.adapter.minus(before).arrays[name].astype(np.float64) @ a
            assert np.linalg.norm(applied - wanted) < 1e-5 * np.linalg.norm(wanted)
            assert np.linalg.matrix_rank(done.adapter.arrays[name]) == 4  # no column is left behind
    assert len(baselines_of(federation.measures.evaluator, federation.sites)) == 2


def test_the_model_of_a_lower_rank_is_the_whole_model_without_the_other_columns(
    config_of: ConfigOf, tiny_bert: Path, records_of: RecordsOf, learner_of: LearnerOf, shake: Shake
) -> None:
    for scaling in ("standard", "rank-stabilised"):
        config = config_of({**CHANGES, "model.name": str(tiny_bert), "adapter.scaling": scaling})
        whole, lower = learner_of(config), learner_of(config.at_site("b"))
        shake(whole)
        part = cut(read_adapter(whole.model), 2)
        write_adapter(lower.model, part)
        write_adapter(whole.model, widened(part, read_adapter(whole.model).spec))
        batch = whole.padded(whole.task.encode(records_of(config, 6)))
        with torch.no_grad():
            losses = [each.task.losses(each.model.eval(), batch) for each in (whole, lower)]
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-6)


def test_each_site_clips_to_the_same_norm_adds_the_same_noise_and_is_charged_the_same(
    config_of: ConfigOf, tiny_bert: Path, records_of: RecordsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = {**CHANGES, "model.name": str(tiny_bert), "privacy.enabled": True, "privacy.epsilon": 1.0}
    config = config_of(private)
    one_rank = config_of({**private, "data.sites": [{**site, "rank": 0} for site in SITES]})
    federation, made = prepared(config, records_of, tmp_path), list[Mechanism]()
    original = PrivacyPlan.mechanism

    def watched(plan: PrivacyPlan, dimension: int, slack: float = 0.0) -> Mechanism:
        made.append(original(plan, dimension, slack))
        return made[-1]

    monkeypatch.setattr(PrivacyPlan, "mechanism", watched)
    rounds: list[Round] = list(federate(federation, config, "run", lambda _: None, lambda _: {}, lambda _: None))
    assert all(done.committed for done in rounds)
    start = read_adapter(federation.learner.model)
    assert [each.dimension for each in made] == 2 * [cut(start, rank or 4).parameters for rank in RANKS.values()]
    assert len({(each.bound, each.noise_multiplier) for each in made}) == 1
    assert {site.plan for site in federation.sites} == set(Plans.of(one_rank).sites.values())
    assert len({site.budget.spent().epsilon for site in federation.sites}) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"aggregation.method": "mean"}, "site 'a' has rank 1, and aggregation.method = 'mean' needs adapter.rank = 4"),
        ({"aggregation.method": "median"}, "set method = 'partitioned_mean', or remove the rank"),
        ({"adapter.rank": 2}, "adapter.rank = 2: must be the largest rank of data.sites, which is 4"),
        ({"adapter.rank": 8, "data.sites": SITES[:3], "cohort.quorum": 3}, "must be the largest rank of data.sites"),
        ({"adapter": {"family": "core", "rank": 4}}, "averages columns of LoRA's B with A frozen"),
        ({"adapter": {"rank": 4, "train": "AB"}}, "averages columns of LoRA's B with A frozen"),
        (
            {"privacy.enabled": True, "privacy.trust": "distributed"},
            "divides each column by the sites that have it, and privacy.trust = 'distributed' plans its noise for one",
        ),
    ],
)
def test_ranks_that_cannot_be_aggregated_are_refused_in_one_sentence(
    config_of: ConfigOf, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        config_of({**CHANGES, **changes})
    assert "\n" not in str(caught.value)


def test_a_run_of_one_rank_is_the_same_at_every_site(config_of: ConfigOf) -> None:
    config = config_of({})
    assert config.at_site("north") is config
    assert config.at_site("nobody") is config
    assert set(config.ranks.values()) == {config.adapter.rank}


def test_a_site_without_a_b_is_never_cut() -> None:
    head = AdapterState({"head.weight": np.ones((2, 3), np.float32)})
    assert cut(head, 1).digest() == head.digest()
