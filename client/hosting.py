"""From an order to the site that carries it out: policy first, then data, model and plan."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite

from client.admission import admit
from client.cache import Cache
from client.cleaning import clean
from client.memory import Memory
from client.outbox import Outbox
from client.pace import Pace
from client.paraphrases import paraphrase
from client.preflight import refuse_what_does_not_fit
from client.preparation import prepare, scrub
from client.site import Site
from client.sitefile import SiteFile
from client.writer import refuse_no_writer
from privacy.accounting import SEARCH_GRID, Accountant
from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.config import RunConfig
from shared.datastage import PARAPHRASES
from shared.errors import DataError
from shared.messages import TrainOrder, TrainReply
from shared.record import RawRecord
from shared.records import read_records
from shared.status import BudgetSeen
from shared.tasks import load_task
from shared.tasks.base import Learner

Told = Callable[..., None]  # a step's code name, and numbers by name


class Host:
    """Keeps the site of the last run's config, so that data and model stay in memory between rounds."""

    def __init__(self, file: SiteFile, told: Told) -> None:
        self._file, self._told = file, told
        self._at_a_glance = Accountant(SEARCH_GRID)  # an exact sum after each round would take longer than a small round
        self._digest = ""
        self._site: Site | None = None

    def train(self, order: TrainOrder) -> TrainReply:
        """Carry out an order.

        Raises:
            HushtuneError: the policy refuses it, or data, model or plan cannot be used.
        """
        self._file.policy.permit(order, self._file.data.declared_size)
        if self._site is None or self._digest != order.config.digest():
            self._site = None  # before the next one is loaded
            self._site, self._digest = self._set_up(order.config), order.config.digest()
        return self._site.train(order)

    def _set_up(self, run: RunConfig) -> Site:
        """Read and scrub the records, load the model, and make the plan of this site for a run."""
        site_id, declared = self._file.site.id, self._file.data.declared_size
        public = {site.id: site.declared_size for site in run.data.sites}
        if public.get(site_id) != declared:
            raise DataError(
                f"site {site_id}: the run does not name it with its declared size {declared}; make data.sites and "
                "data.declared_size of SITE.toml agree"
            )
        here = self._file.carried_out(run)
        refuse_what_does_not_fit(here)
        refuse_no_writer(here)
        self._told("anonymise")
        raw = read_records(self._file.data.file, here)
        budget = self._budget(raw, by_person=run.privacy.unit == "person")
        cleaned = clean(raw, here.cleaning).records
        caches = self._caches(budget.ledger.key)
        if self._file.policy.anonymise is not None:
            self._told("assess")
            admit(self._file.policy.anonymise, here.anonymise, cleaned, site_id, *caches)
        surrogates = hmac.digest(budget.ledger.key, b"surrogates", "sha256")
        (scrubbed,) = scrub(here.anonymise, [cleaned], caches, key=surrogates)
        chosen = prepare(scrubbed, cleaned, here, budget.ledger.key)
        (written,) = paraphrase(here, [chosen.scrubbed.records], caches, self._paced)
        if run.augmentation.paraphrases:
            self._told(
                "paraphrases",
                **{name.removeprefix(PARAPHRASES).strip(".") or "kept": n for name, n in written.counts.items()},
            )
        self._told("load_model")
        base, task = load_task(here)
        learner = Learner(base, task, task.build(base, here.run.seed))
        plan = PrivacyPlan.for_site(run, declared, budget.accountant)
        memory, outbox = Memory(self._file.site.state / "memory"), Outbox(self._file.outbox)
        records, persons = chosen.scrubbed.records, chosen.persons
        return Site(site_id, declared, run, records, learner, plan, budget, memory, outbox, persons, written.wordings)

    def _paced(self, step: str, total: int) -> Callable[[int], None]:
        """Begin a long step; gives what is called with the units done."""
        return Pace(self._told, step, total).advance

    def budgets(self) -> tuple[BudgetSeen, ...]:
        """What the records of the last order, and the site in all, have spent; nothing before the first order."""
        if self._site is None:
            return ()
        budget = replace(self._site.budget, accountant=self._at_a_glance)
        limits = {budget.dataset.fingerprint[:12]: (budget.limit, budget.spent())}
        if budget.in_all is not None:
            limits["site"] = budget.in_all, budget.spent_in_all()
        return tuple(
            BudgetSeen(
                of=of,
                spent=spent.epsilon if isfinite(spent.epsilon) else None,
                counted_by=spent.counted_by,
                limit=limit.epsilon,
                delta=limit.target_delta,
            )
            for of, (limit, spent) in limits.items()
        )

    def _caches(self, key: bytes) -> list[Cache]:
        """The site's own cache, unless it wants none."""
        kind = self._file.data.cache
        return [] if kind == "off" else [Cache(self._file.site.state / "cache", key if kind == "encrypted" else None)]

    def _budget(self, raw: Sequence[RawRecord], by_person: bool) -> Budget:
        """The claim of these records on the site's ledger, within the policy's limits."""
        policy, ledger = self._file.policy, Ledger(self._file.ledger, self._file.site.id, self._file.site.ledger_head)
        dataset_delta, site_delta = policy.delta_limits(self._file.data.declared_size)
        in_all = Limit(policy.site_epsilon or policy.dataset_epsilon, site_delta)
        return Budget(ledger, Dataset.of(raw, ledger.key, by_person), Limit(policy.dataset_epsilon, dataset_delta), in_all)
