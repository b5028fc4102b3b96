"""One site with its records, privacy plan, model and budget; it answers orders."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from client.agreement import refuse_other_plan, refuse_unless_personal, refuse_wrong_size
from client.data_stage.balance import label_weights
from client.data_stage.site_data import SiteData
from client.exactness import self_check
from client.losses import losses_and_hits
from client.memory import Memory
from client.outbox import Finished, Outbox
from client.preflight import refuse_other_adapter
from client.secure_sum import DeltaSum, SecureSum
from client.trainer import Split, Trained, clipped_sum, train, unsplit
from client.training_set import training_set
from client.workers import Workers
from privacy.budget import Budget
from privacy.dp.plan import PrivacyPlan
from privacy.dp.release import release_sums
from privacy.secagg.delta_grid import DeltaGrid
from privacy.secagg.protocol import Participant
from shared.adapters.peft import trained_shapes, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import MessageError
from shared.ops import crash_points as faults
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix
from shared.tasks.examples import Example
from shared.wire.chain_head import ChainHead
from shared.wire.encodings import as_replied
from shared.wire.messages import Order, TrainOrder, TrainReply
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply


class Site:
    """All state of one site; only replies leave it.

    Setting up checks on a few records that the model's per-record gradients are exact, and raises PrivacyError if they are
    not. The site trains under its own plan, made from its own declared size, and refuses orders for another config than the
    one it was set up for.
    """

    def __init__(
        self,
        config: RunConfig,
        data: SiteData,
        learner: Learner,
        plan: PrivacyPlan | None,
        budget: Budget,
        memory: Memory | None = None,
        outbox: Outbox | None = None,
        participant: Participant | None = None,
        workers: Workers | None = None,
        packs: bool | None = None,
    ) -> None:
        """Set up the site of prepared records, at a data owner or in a simulation.

        Parameters
        ----------
        config
            The run, as it is carried out here.
        data
            The site's records.
        learner
            The model and its task; sites of a simulation share one.
        plan
            The site's own plan; None without privacy, or where the server adds the noise.
        budget
            What the records may still spend.
        memory, outbox
            Where the optimiser's state and finished replies are kept; in this process only without them.
        participant
            The site's keys and roster, for secure sums.
        workers
            Other processes of the site, over which each batch is split; None computes all of it in this process.
        packs
            Whether batches are packed, where this process has checked the gradients of the same records before; None checks
            them. Only a simulation builds a site twice.

        Raises
        ------
        HushtuneError
            There are too few records, gradients are not exact, or the plan is not the one of the run.
        """
        self.site_id, self.declared_size = data.section.id, data.section.declared_size
        self._data = training_set(self.site_id, config, data.training.records, learner, data.persons, data.wordings)
        refuse_wrong_size(len(self._data.units), config, self.declared_size, self.site_id)
        refuse_other_plan(plan, config, self.declared_size, self.site_id)
        self.plan = plan
        self.budget = budget
        self._config = config
        self._memory = memory or Memory()
        self._outbox = outbox or Outbox()
        self._sums: SecureSum | DeltaSum | None = None
        if plan is not None and participant is not None:
            own = budget, participant, self._outbox
            if plan.shared is not None:
                self._sums = SecureSum(self.site_id, plan, *own)
            else:
                self._sums = DeltaSum(self.site_id, DeltaGrid.of(config), *own)
        if packs is not None:
            learner = replace(learner, may_pack=packs)
        elif plan is not None:
            learner = self_check(learner, self._data.examples, config.privacy.self_check, config.training.distillation)
        self._learner = learner
        self._workers = workers
        self._split_rows()  # starts the workers
        training, visits = config.training, 0.0
        if self._data.viewer is None and workers is None:  # each worker would keep the states of all records
            visits = training.rounds * training.steps * training.sampling_rate
        self._prefix = FrozenPrefix.build(learner, self._data.examples, visits, learner.tokens(training))

    @property
    def encoded(self) -> tuple[Sequence[Example], FrozenPrefix | None]:
        """Return the encoded records and the cached states for them; a simulation measures its baselines on these."""
        return self._data.examples, self._prefix

    @property
    def learner(self) -> Learner:
        """Return the task and the model that the site trains; sites of a simulation share one."""
        return self._learner

    @property
    def config(self) -> RunConfig:
        """Return the run as the site carries it out."""
        return self._config

    @property
    def pads(self) -> bool:
        """Return whether this site pads its batches because computing them without padding was not exact."""
        return not self._learner.may_pack

    @property
    def shares_noise(self) -> bool:
        """Return whether the noise is added to a sum of several sites (trust ``distributed``)."""
        return self.plan is not None and self.plan.shared is not None

    @property
    def sums(self) -> SecureSum | DeltaSum:
        """Return the site's part in the secure sums of its run.

        Raises
        ------
        MessageError
            The run has no secure sums.
        """
        if self._sums is None:
            raise MessageError(f"site {self.site_id}: takes part in no secure sum; its run has another trust model")
        return self._sums

    def is_ready_for(self, order: Order) -> bool:
        """Return whether the first phase of the order's attempt is open here."""
        return self._sums is not None and self._sums.is_open(order)

    def train(self, order: TrainOrder) -> TrainReply:
        """Train one round and return the reply with the delta.

        If the round was trained before, the stored reply is sent again at no further privacy cost.

        Raises
        ------
        MessageError
            The order is for another config or a round outside of the run, or its adapter does not fit the model.
        LedgerError
            The round was spent before, the budget is used up, or the ledger cannot be written or lacks entries that the
            server has seen; nothing was trained.
        RunError
            The stored reply is damaged, or training failed; the round stays charged.
        """
        self._refuse_unfit(order)
        if self._config.adds_up_under_masks:
            raise MessageError(f"site {self.site_id}: in this run it answers only orders for a secure sum")
        return self._reply(order, self._finished(order, order.adapter.digest()))

    def ready(self, order: TrainOrder, agreed: str | None = None) -> ReadyReply:
        """Compute what this site adds to a secure sum, which stays here, and announce a key for the attempt.

        Where sites share one noise, the site adds the clipped sum of a batch, which the second phase charges. Else the site
        adds the noised delta of the round, trained and charged once as in `train`.

        Parameters
        ----------
        order
            Order of the first phase.
        agreed
            Digest of the config that all sites were sent, if this site carries it out with settings of its own.

        Raises
        ------
        MessageError
            The order is for another config or a round outside of the run, or this site takes part in no secure sum.
        LedgerError
            The budget cannot pay what is left, or the ledger lacks entries that the server has seen.
        PrivacyError
            The noised delta is too long for the sum.
        """
        self._refuse_unfit(order)
        sums, plan = self.sums, self.plan
        assert plan is not None  # noqa: S101  a site without a plan takes part in no secure sum
        agreed = agreed or self._config.digest()
        known = sums.again(order, agreed)
        if known is not None:
            return known
        if isinstance(sums, DeltaSum):
            return sums.announce(order, agreed, self._finished(order, sums.place(order.adapter.digest(), agreed)))
        self.budget.refuse_rest(order.run_id, order.round, plan)
        weights = label_weights(self._data, order.config, private=True)
        held = clipped_sum(
            self._learner,
            self._data,
            order.adapter,
            order.config,
            plan,
            order.round,
            label_weights=weights,
            prefix=self._prefix,
            split=self._split_rows(),
        )
        return sums.announce(order, agreed, held)

    def masked(self, order: MaskedOrder) -> MaskedReply:
        """Answer an attempt that this site is ready for with its masked vector (`client.secure_sum`)."""
        return self.sums.masked(order)

    def personalise(self, run_id: str, start: AdapterState, keep: Callable[[AdapterState], None]) -> AdapterState:
        """Train a run's published adapter for one more round, charged like each round of the run; nothing of it is sent.

        The round has the number after the last one. It is reserved before the first gradient and trained only once: if
        ``keep`` returned, a second call is refused. Whether to personalise may be decided after the run's results, and the
        ledger counts it so (`privacy.spending`).

        Parameters
        ----------
        run_id
            Id of the run.
        start
            The published adapter.
        keep
            Stores the personal adapter, so that it survives a crash, but where nobody uses it before this method returns.

        Returns
        -------
        AdapterState
            The personal adapter.

        Raises
        ------
        ConfigError
            After this run, the site can train no personal adapter.
        LedgerError
            The budget cannot pay the round, or it was trained before; nothing was trained.
        """
        refuse_unless_personal(self._config, {self.site_id: self._config.at_site(self.site_id).adapter.rank})
        refuse_other_adapter(start, trained_shapes(self._learner.model))
        number = self._config.training.rounds + 1
        training = self._config.training.model_copy(update={"rounds": number})  # as if planned from the start
        longer = self._config.model_copy(update={"training": training})
        split = self._split_rows()
        self.budget.reserve(run_id, number, self.plan, ChainHead())
        faults.point("reserved", number)
        personal = start.add(self._trained(start, longer, number, None, split).delta)
        keep(personal)
        faults.point("finished", number)
        self.budget.commit(run_id, number, reply=personal.digest())
        return personal

    def close(self) -> None:
        """End the site's other processes, if it has any."""
        if self._workers is not None:
            self._workers.close()

    def _finished(self, order: TrainOrder, place: str) -> Finished:
        """Return the result stored under a name; if there is none, reserve the round, train it and store the result."""
        finished = self._outbox.stored(order.run_id, order.round, place)
        if finished is not None:  # asked again: the work is already done and charged
            return finished
        split = self._split_rows()
        start = self._published(order)
        self.budget.reserve(order.run_id, order.round, self.plan, order.record, start=start)  # before the first gradient
        faults.point("reserved", order.round)
        moments = self._memory.before(order.run_id, order.round)
        trained = self._trained(order.adapter, order.config, order.round, moments, split)
        self._memory.keep(order.run_id, order.round, trained.moments)
        delta = as_replied(trained.delta, order.config.aggregation.encoding)  # what is stored is what leaves, bit for bit
        finished = Finished(delta, self._released(order))
        self._outbox.store(order.run_id, order.round, place, finished)  # before it leaves for the first time
        faults.point("finished", order.round)
        return finished

    def _trained(
        self, start: AdapterState, config: RunConfig, round_number: int, moments: AdapterState | None, split: Split
    ) -> Trained:
        """Train one round, which was reserved."""
        return train(
            self._learner,
            self._data,
            start,
            config,
            self.plan,
            round_number=round_number,
            divisor=config.training.sampling_rate * self.declared_size,
            site_id=self.site_id,
            moments=moments,
            label_weights=label_weights(self._data, config, self.plan is not None),
            prefix=self._prefix,
            split=split,
        )

    def _split_rows(self) -> Split:
        """Return the function that splits a step's rows over the site's processes, which are first started if need be."""
        if self._workers is None:
            return unsplit
        self._workers.ensure_running(self._learner, self.plan, self._data.examples)
        return self._workers.sharing

    def _refuse_unfit(self, order: TrainOrder) -> None:
        """Refuse an order for another run, round or adapter, or from a server that has seen a later ledger."""
        if order.config.digest() != self._config.digest():
            raise MessageError(f"site {self.site_id}: the order is for another run config; set up the site for that config")
        if not 1 <= order.round <= self._config.training.rounds:
            raise MessageError(f"site {self.site_id}: round {order.round} is outside of the plan; start a new run")
        refuse_other_adapter(order.adapter, trained_shapes(self._learner.model))
        self.budget.ledger.refuse_unless_holds(order.ledger)

    def _published(self, order: TrainOrder) -> str | None:
        """Return the digest of the order's adapter, if the server publishes this digest: not if it was rounded or cut."""
        whole = order.config.ranks.get(self.site_id) == order.config.adapter.rank
        return order.adapter.digest() if whole and order.config.aggregation.encoding == "float32" else None

    def _released(self, order: TrainOrder) -> dict[str, float]:
        """Return noised sums of how well the order's adapter does on the site's units, if the plan has them."""
        if self.plan is None or order.config.privacy.release == "none":
            return {}
        write_adapter(self._learner.model, order.adapter)
        tokens = self._learner.tokens(order.config.training)
        losses, hits = losses_and_hits(self._learner, self._data.examples, self._prefix, tokens)
        by_unit = self._data.means(losses), None if hits is None else self._data.means(hits)
        sums = asdict(release_sums(*by_unit, order.config.privacy))
        return {name: value for name, value in sums.items() if value is not None}

    def _reply(self, order: TrainOrder, finished: Finished) -> TrainReply:
        """Close the round's reservation and make the reply; if asked again, the same numbers leave again at no cost."""
        head = self.budget.commit(order.run_id, order.round, reply=finished.delta.digest())
        return TrainReply(
            order.run_id,
            order.round,
            order.nonce,
            self.site_id,
            finished.delta,
            head,
            dict(finished.released),
            encoding=order.config.aggregation.encoding,
        )
