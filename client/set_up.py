"""Make a site ready for an order: first run the checks that need no record, then read the records and load the model."""

import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from client.data_stage.cache import Cache
from client.data_stage.site_data import Source, prepare_sites
from client.memory import Memory
from client.outbox import Outbox
from client.permission import permit
from client.planned_run import PlannedRun, free_for_training, planned_run
from client.preflight import refuse_other_adapter, shapes_of
from client.secure_sum import NOT_OPEN, sent_before
from client.site import Site
from client.site_budget import budget_of, budgets_seen, ledger_of, unread_budget
from client.site_file import SiteFile
from client.worker import on_this_share
from client.workers import Workers
from privacy.accounting import Accountant
from privacy.anonymise.pipeline import Anonymiser
from privacy.fingerprint import Dataset
from privacy.privacy_loss import SEARCH_GRID
from shared.adapters.ranks import cut, shapes_at
from shared.adapters.state import AdapterState
from shared.config.data import SiteSection
from shared.config.data_stage import PARAPHRASES
from shared.config.run import RunConfig
from shared.errors import Declined, MessageError
from shared.ops.progress import logged
from shared.ops.status import BudgetSeen
from shared.records.read import read_records
from shared.tasks import load_learner
from shared.wire.messages import READY, TRAIN, TrainOrder, TrainReply
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply
from shared.wire.version import installed


class Host:
    """Keeps the site of the last run's config, so that data and model stay in memory between rounds.

    An order is checked in two steps. The first needs no record, and its refusals say why. Every failure after that may
    depend on records, so it leaves this class as ``Declined`` and says nothing else.
    """

    def __init__(self, file: SiteFile, log: Callable[..., None]) -> None:
        self._file, self._log, self._progress = file, log, logged(log)
        self._coarse = Accountant(SEARCH_GRID)  # an exact sum after each round would take longer than a small round
        self._free: int | None = None
        self._prepared: PlannedRun | None = None
        self._digest = ""
        self._site: Site | None = None

    def train(self, order: TrainOrder) -> TrainReply:
        """Carry out an order.

        Raises
        ------
        HushtuneError
            The order is malformed, the policy refuses it, or no site can carry it out here, whatever its records are.
        Declined
            Anything else; the reason is its cause.
        """
        run = self._checked(order, TRAIN)
        with self._declining():
            site = self._site_of(run)
            with self._file.set_ups.attempt(order.run_id, order.round):
                own = cut(order.adapter, self._file.rank_in(order.config))
                return site.train(replace(order, config=run.here, adapter=own))

    def ready(self, order: TrainOrder) -> ReadyReply:
        """Carry out the first phase of an attempt at a secure sum; raises as `train`."""
        run = self._checked(order, READY)
        with self._declining():
            site = self._site_of(run)
            mine = replace(order, config=run.here)
            again = site.sums.again(mine, run.digest)
            if again is not None:  # the same order came again, so no second batch is drawn
                return again
            # A delta is charged in the first phase, like a round without masks; a batch for a shared noise is not.
            with self._file.set_ups.attempt(order.run_id, order.round, answered=not site.shares_noise):
                return site.ready(mine, run.digest)

    def masked(self, order: MaskedOrder) -> MaskedReply:
        """Carry out the second phase of an attempt at a secure sum, or send the same vector again.

        Raises
        ------
        HushtuneError
            No first phase is open here, or the list of sites is not sound, whatever the site's records are.
        Declined
            Anything else; the reason is its cause.
        """
        site = self._site
        if site is None or not site.is_ready_for(order):
            again = sent_before(
                order, self._file.site.id, Outbox(self._file.outbox), unread_budget(self._file, Accountant())
            )
            if again is not None:
                return again
        if site is None:
            raise MessageError(f"site {self._file.site.id}: {NOT_OPEN}")
        site.sums.refuse_unless_sound(order)
        with self._declining():
            reply = site.masked(order)
            if site.shares_noise:
                self._file.set_ups.answered(order.run_id, order.round)
            return reply

    def for_itself(self, config: RunConfig, run_id: str) -> Site:
        """Return the site of a run that is over, for one more round of which nothing is sent (`Site.personalise`).

        The steward asks, not a server, so every reason is shown, and nothing is counted as a question about the records.

        Raises
        ------
        HushtuneError
            The policy refuses the run, no site can carry it out here, or the budget cannot pay another round.
        """
        last, shapes = config.training.rounds, shapes_of(self._file.carried_out(config).at_site(self._file.site.id))
        outline = AdapterState({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
        permit(self._file, TrainOrder(run_id, last, "", config, outline, len(config.data.sites), installed()))
        run = self._prepare(config)
        if run.plan is not None:
            unread_budget(self._file, run.accountant).refuse_rest(run_id, last + 1, run.plan)
        return self._site_of(run)

    @contextmanager
    def _declining(self) -> Iterator[None]:
        """Turn every failure of the block into ``Declined``, because it may depend on records."""
        try:
            yield
        except Exception as error:
            raise Declined(f"site {self._file.site.id}: declined; the reason stays here") from error

    def _checked(self, order: TrainOrder, kind: str) -> PlannedRun:
        """Refuse what can be refused without a record; cheap checks come before costly ones."""
        if order.kind != kind:
            raise MessageError(f"order: its message is of type '{kind}', and its config asks for '{order.kind}'")
        if not 1 <= order.round <= order.config.training.rounds:
            raise MessageError(f"order: round {order.round} is outside its run")
        permit(self._file, order)
        if self._prepared is None or self._prepared.digest != order.config.digest():
            self._prepared = self._prepare(order.config)
        run = self._prepared
        asked = order.config.at_site(self._file.site.id).adapter.rank
        refuse_other_adapter(order.adapter, shapes_at(run.shapes, asked))
        budget = unread_budget(self._file, run.accountant)
        budget.ledger.refuse_unless_holds(order.ledger)
        if run.plan is not None:
            budget.refuse_rest(order.run_id, order.round, run.plan)
        self._file.set_ups.allow(order.config.at_site(self._file.site.id))
        return run

    def _prepare(self, run: RunConfig) -> PlannedRun:
        here = self._file.carried_out(run)
        if self._free is None:  # measured once, before records lie in the memory: how much is free must not say how many
            self._free = free_for_training(self._file, here)
        return planned_run(self._file, run, here, self._free)

    def _site_of(self, run: PlannedRun) -> Site:
        if self._site is None or self._digest != run.digest:
            if self._site is not None:
                self._site.close()
            self._site = None  # before the next one is loaded
            self._site, self._digest = self._set_up(run), run.digest
            if self._site.pads:
                self._progress("padded", 0)
            self._progress("ready", 0)
        return self._site

    def _set_up(self, run: PlannedRun) -> Site:
        """Read and scrub the records, and load the model."""
        file, here, ledger = self._file, run.here, ledger_of(self._file)
        raw = read_records(file.data.file, here)
        dataset = Dataset.of(raw, ledger.key, by_person=here.privacy.unit == "person")
        section = SiteSection(id=file.site.id, declared_size=file.data.declared_size)
        source = Source(section, raw, ledger.key, self._cache(ledger.key))
        surrogates = hmac.digest(ledger.key, b"surrogates", "sha256")
        anonymiser = Anonymiser(here.anonymise, surrogates)
        (data,) = prepare_sites(here, [source], file.policy.anonymise, anonymiser, self._progress)
        if here.augmentation.paraphrases:
            self._log("paraphrases", **_paraphrase_counts(data.touched))
        self._progress("load_model", 0)
        budget = budget_of(file, ledger, dataset, run.accountant)
        memory, outbox = Memory(file.site.state / "memory"), Outbox(file.outbox)
        processes = file.model.processes
        own = here.at_site(file.site.id)  # its model has the rank of this site
        workers = Workers(own, processes) if processes > 1 else None
        learner = on_this_share(load_learner(own), processes)
        return Site(here, data, learner, run.plan, budget, memory, outbox, run.participant, workers)

    def budgets(self) -> tuple[BudgetSeen, ...]:
        """Return what the records of the last order and the whole site have spent; nothing before the first order."""
        return () if self._site is None else budgets_seen(replace(self._site.budget, accountant=self._coarse))

    def _cache(self, key: bytes) -> Cache | None:
        """Return the site's own cache, unless it wants none."""
        kind = self._file.data.cache
        return None if kind == "off" else Cache(self._file.site.state / "cache", key if kind == "encrypted" else None)


def _paraphrase_counts(touched: Mapping[str, int]) -> dict[str, int]:
    """Return how many paraphrases were kept, and how many were dropped for which reason."""
    counts = {name: count for name, count in touched.items() if name.startswith(PARAPHRASES)}
    return {name.removeprefix(PARAPHRASES).strip(".") or "kept": count for name, count in counts.items()}
