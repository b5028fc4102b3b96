"""Build the sites of a simulation from their records, in this process or in a worker process."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from client.data_stage.site_data import SiteData
from client.memory import Memory
from client.outbox import Outbox
from client.site import Site
from privacy.accounting import Accountant
from privacy.budget import Budget
from privacy.dp.plan import PrivacyPlan
from privacy.secagg.delta_grid import DeltaGrid
from privacy.secagg.protocol import Participant
from privacy.secagg.roster import Roster
from privacy.secagg.shared_plan import SharedNoise
from shared.config.data import SiteSection
from shared.config.run import RunConfig
from shared.identity.keys import new_key, private_from_bytes, private_to_bytes
from shared.tasks import load_learner
from shared.tasks.base import Learner
from simulations.site_store import SiteStore
from simulations.sites import budget_of, site_ledger


@dataclass(frozen=True)
class SiteBuilder:
    """Builds the sites of a simulation; holds what all of them have in common, and can be sent to a worker process.

    Attributes
    ----------
    config, plans
        The run, and the privacy plan of each site.
    folder
        Folder of the sites' ledgers.
    keys
        Private key of each site of a run with secure sums; empty in other runs.
    state
        Folder with the sites' scrubbed records, moments and finished replies, from which any process can build a site again
        in the middle of a run; None keeps all of it in memory, with the site.
    """

    config: RunConfig
    plans: Mapping[str, PrivacyPlan | None]
    folder: Path
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    state: Path | None = None

    def build(self, data: SiteData, learners: "Learners", budget: Budget, packs: bool | None = None) -> Site:
        """Return the site of scrubbed records, ready for orders.

        Parameters
        ----------
        data
            The site's records.
        learners
            The models of this process.
        budget
            What the site's records may still spend.
        packs
            Whether the site's batches are packed, if its gradients were checked before in this process; None checks them.

        Raises
        ------
        HushtuneError
            The site can't take part: it has too few records, or its gradients are inexact.
        """
        site, state = data.section.id, self.state
        memory = Memory(state / site / "memory") if state else None
        outbox = Outbox(state / site / "outbox") if state else None
        return Site(
            self.config,
            data,
            learners.of(site),
            self.plans[site],
            budget,
            memory,
            outbox,
            self._participant(site),
            packs=packs,
        )

    def build_again(self, site_id: str, learners: "Learners", accountant: Accountant, packs: bool | None = None) -> Site:
        """Return a site that is built from its folder in ``state``.

        Parameters
        ----------
        site_id
            The site's name.
        learners
            The models of this process.
        accountant
            Shared by all sites of a process, so that equal plans are computed once.
        packs
            As for `build`.

        Raises
        ------
        HushtuneError
            The site can't take part, or this process sees another folder or an older ledger than the one that put the
            site's records there.
        """
        assert self.state is not None  # noqa: S101  called only in processes that share the folder
        section = self._sections[site_id]
        shelved, ledger = SiteStore(self.state).get(section), site_ledger(self.config, section, self.folder)
        ledger.refuse_unless_holds(shelved.ledger)  # another machine may have a folder of the same name
        budget = budget_of(self.config, section, ledger, shelved.dataset, accountant)
        return self.build(shelved.data, learners, budget, packs)

    @cached_property
    def _sections(self) -> Mapping[str, SiteSection]:
        return {site.id: site for site in self.config.data.sites}

    def _participant(self, site: str) -> Participant | None:
        """Return the site's part in secure sums, with the keys of all sites pinned; None in other runs."""
        if not self.keys:
            return None
        own = private_from_bytes(self.keys[site])
        if self.config.aggregation.secure_sums:
            return Participant(site, own, self._roster, DeltaGrid.of(self.config).fewest, 1)
        shared = SharedNoise.of(self.config)
        return Participant(site, own, self._roster, shared.fewest, shared.colluders)

    @cached_property
    def _roster(self) -> Roster:
        return Roster({site: private_from_bytes(content).public_key() for site, content in self.keys.items()})


class Learners:
    """The models that the sites of one process share: one for each rank, each with a base model of its own.

    Parameters
    ----------
    config
        The run.
    whole
        The model of the sites with the run's own rank.
    """

    def __init__(self, config: RunConfig, whole: Learner) -> None:
        self._config, self._whole = config, whole
        self._by_rank: dict[int, Learner] = {config.adapter.rank: whole}

    def of(self, site_id: str) -> Learner:
        """Return the model of a site, which is loaded when the first site of its rank is built."""
        config = self._config.at_site(site_id)
        if config.adapter.rank not in self._by_rank:
            self._by_rank[config.adapter.rank] = replace(load_learner(config), memory_share=self._whole.memory_share)
        return self._by_rank[config.adapter.rank]


def new_keys(config: RunConfig) -> Mapping[str, bytes]:
    """Return a new private key for each site of a run with secure sums; nothing for other runs."""
    if not config.adds_up_under_masks:
        return {}
    return {site.id: private_to_bytes(new_key()) for site in config.data.sites}
