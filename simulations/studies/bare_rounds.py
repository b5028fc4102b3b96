"""Train a federation with the product's own sums, noise and steps, but without messages, masks and ledgers.

A study trains many small federations; here they share one loaded model and the states of its frozen layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from client.data_stage.balance import label_weights
from client.data_stage.site_data import SiteData
from client.trainer import clipped_sum, train
from client.training_set import training_set
from client.units import TrainingSet
from privacy.dp.plan import PrivacyPlan
from privacy.secagg.protocol import total
from server.aggregation import Memory, Setting, begin
from server.aggregation.gradient_step import gradient_step
from server.evaluation import Evaluator
from server.warm_start import start_of
from shared.adapters.peft import write_adapter
from shared.adapters.ranks import cut
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix
from shared.tasks.outcome import Outcome
from shared.wire.encodings import as_ordered, as_replied
from simulations.assembly import evaluator_of, held_out_records
from simulations.site_builder import Learners


@dataclass(frozen=True)
class BareSite:
    """A site's encoded records, and the cached states of the frozen layers for them; None if there are none."""

    data: TrainingSet = field(repr=False)
    prefix: FrozenPrefix | None = field(repr=False)


@dataclass(frozen=True)
class BareFederation:
    """Sites that share one model in this process, with held-out records; they may be trained many times.

    Attributes
    ----------
    learner
        The task with its model.
    sites
        The sites by name.
    start
        The adapter before training.
    evaluator
        Measures the model on the held-out records.
    learners
        The models of the sites, one for each rank.
    """

    learner: Learner
    sites: Mapping[str, BareSite]
    start: AdapterState = field(repr=False)
    evaluator: Evaluator = field(repr=False)
    learners: Learners = field(repr=False)

    @classmethod
    def of(cls, config: RunConfig, data: Sequence[SiteData]) -> "BareFederation":
        """Load the model of a config and encode the sites' scrubbed records.

        Parameters
        ----------
        config
            The run; later runs may differ from it in training, privacy and aggregation, but not in ranks.
        data
            Each site's records.
        """
        learner = load_learner(config)
        learners, sites = Learners(config, learner), {}
        for each in data:
            name = each.section.id
            mine = learners.of(name)
            own = training_set(name, config, each.training.records, mine, each.persons, each.wordings)
            prefix = FrozenPrefix.build(mine, own.examples, 2, mine.tokens(config.training))  # of 2 visits or more
            sites[name] = BareSite(own, prefix)
        evaluator = evaluator_of(config, learner, held_out_records(config, data))
        return cls(learner, sites, start_of(config, learner), evaluator, learners)

    def outcome(self, config: RunConfig, plans: Mapping[str, PrivacyPlan | None]) -> Outcome:
        """Train by a config, and return what the model does on the held-out records.

        Parameters
        ----------
        config
            The run, under trust ``local`` or ``distributed`` or without privacy.
        plans
            The plan of each site.
        """
        shared = next((plan for plan in plans.values() if plan and plan.shared), None)
        adapter = self._together(config, shared) if shared else self._apart(config, plans)
        write_adapter(self.learner.model, adapter)
        return self.evaluator.outcome()

    def _together(self, config: RunConfig, plan: PrivacyPlan) -> AdapterState:
        """Take one step of all sites in each round, as under trust ``distributed``."""
        adapter = self.start
        memory: Memory = {}
        shares = plan.shares(adapter.parameters, len(self.sites))
        divisor = config.training.sampling_rate * sum(site.declared_size for site in config.data.sites)
        for number in range(1, config.training.rounds + 1):
            vectors = []
            for site in self.sites.values():
                weights = label_weights(site.data, config, private=True)
                sums = clipped_sum(self.learner, site.data, adapter, config, plan, number, weights, site.prefix)
                vectors.append(shares.noised(shares.on_grid(sums)))
            mean = adapter.unflattened(shares.mean_gradient(total(vectors), divisor))
            noise = shares.grid * shares.total_std / divisor
            step = gradient_step(config, number, adapter, mean, noise, memory)
            adapter, memory = adapter.add(step.change), step.memory
        return adapter

    def _apart(self, config: RunConfig, plans: Mapping[str, PrivacyPlan | None]) -> AdapterState:
        """Take the local steps of each site in each round and average the deltas, as under trust ``local``."""
        adapter, weights = self.start, config.weights
        moments, memory = dict[str, AdapterState](), dict[str, AdapterState]()
        encoding = config.aggregation.encoding
        for number in range(1, config.training.rounds + 1):
            method = begin(Setting(adapter, weights, config.aggregation, None, memory, config.ranks))
            for section in config.data.sites:
                name, site = section.id, self.sites[section.id]
                trained = train(
                    self.learners.of(name),
                    site.data,
                    as_ordered(cut(adapter, config.ranks[name]), encoding),
                    config,
                    plans[name],
                    round_number=number,
                    divisor=config.training.sampling_rate * section.declared_size,
                    site_id=name,
                    moments=moments.get(name),
                    label_weights=label_weights(site.data, config, plans[name] is not None),
                    prefix=site.prefix,
                )
                moments[name] = trained.moments
                method.fold(as_replied(trained.delta, encoding), weights[name])
            aggregate = method.result()
            adapter, memory = adapter.add(aggregate.change), dict(aggregate.memory)
        return adapter
