"""The configuration of one run: an immutable tree read from TOML; server and sites use the same class."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from shared.config.adapter import AdapterSection
from shared.config.adversary import AdversarySection
from shared.config.aggregation import FEWEST_IN_SUM, GRADIENT_OPTIMISERS, METHODS, AggregationSection
from shared.config.anonymise import AnonymiseSection, GateSection
from shared.config.cohort import CohortSection
from shared.config.data import DataSection
from shared.config.data_stage import AugmentationSection, BalanceSection, CleaningSection
from shared.config.evaluation import EvaluationSection, ReportSection
from shared.config.explain import first_line
from shared.config.model import ModelSection
from shared.config.privacy import PrivacySection
from shared.config.section import Name, Section
from shared.config.studies import CompareSection, SweepSection
from shared.config.task import DECLARED, TaskSection
from shared.config.toml import apply_override, read_toml
from shared.config.training import TrainingSection
from shared.errors import ConfigError
from shared.records.labels import FROM_FILE, read_labels


class RunSection(Section):
    """Name, seed and output folder of the run."""

    name: Name = Field("run", description="name of the run and of its folder")
    seed: int = Field(
        0, ge=0, lt=2**31, description="seed of everything reproducible; DP noise and DP sampling never use it"
    )
    output: Path = Field(Path("runs"), description="folder in which each run makes a folder of its own")


class RunConfig(Section):
    """Everything that defines a run; each order to a site carries this config as canonical JSON, with its SHA-256."""

    run: RunSection = Field(default_factory=RunSection)
    model: ModelSection = Field(default_factory=ModelSection)
    adapter: AdapterSection = Field(default_factory=AdapterSection)
    task: TaskSection
    data: DataSection
    cohort: CohortSection = Field(default_factory=CohortSection)
    training: TrainingSection = Field(default_factory=TrainingSection)
    privacy: PrivacySection = Field(default_factory=PrivacySection)
    adversary: AdversarySection | None = Field(
        None,
        description="adversarial debiasing: a group that training hides from the embedding; without this table there "
        "is none",
    )
    cleaning: CleaningSection = Field(default_factory=CleaningSection)
    anonymise: AnonymiseSection = Field(default_factory=AnonymiseSection)
    gate: GateSection | None = Field(
        None,
        description="quality that anonymisation must reach at each site of a simulation; a real site sets its own in "
        "its policy",
    )
    balance: BalanceSection = Field(default_factory=BalanceSection)
    augmentation: AugmentationSection = Field(default_factory=AugmentationSection)
    aggregation: AggregationSection = Field(default_factory=AggregationSection)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    report: ReportSection = Field(default_factory=ReportSection)
    sweep: SweepSection | None = Field(None, description="what 'hushtune sweep' searches; other commands ignore it")
    compare: CompareSection | None = Field(None, description="what 'hushtune compare' compares; other commands ignore it")

    @model_validator(mode="before")
    @classmethod
    def _the_task_chooses_the_operator(cls, tree: Any) -> Any:
        """Set ``anonymise.operator`` to the task's own default if the config does not set it."""
        task = tree.get("task") if isinstance(tree, dict) else None
        own = tree.get("anonymise", {}) if isinstance(tree, dict) else None
        declared = DECLARED.get(str(task.get("name"))) if isinstance(task, dict) else None
        if isinstance(own, dict) and declared and declared.operator:
            return tree | {"anonymise": {"operator": declared.operator} | own}
        return tree

    @model_validator(mode="before")
    @classmethod
    def _a_shared_noise_has_defaults_of_its_own(cls, tree: Any) -> Any:
        """Set what a config leaves out to what ``privacy.trust = "distributed"`` needs."""
        sections = [tree.get(name, {}) for name in ("privacy", "aggregation", "training")] if isinstance(tree, dict) else []
        if not sections or not all(isinstance(section, dict) for section in sections):
            return tree
        privacy, aggregation, training = sections
        if privacy.get("trust") != "distributed":
            return tree
        if privacy.get("enabled") is False:  # nothing is shared, and sites take as many steps of their own
            return tree | {"training": {"steps": 1} | training}
        aggregation = {"optimiser": next(iter(GRADIENT_OPTIMISERS)), "weights": "declared"} | aggregation
        found = [rates for name, rates in GRADIENT_OPTIMISERS.items() if name == aggregation["optimiser"]]
        rates = {"learning_rate": found[0][0], "head_learning_rate": found[0][1]} if found else {}
        return tree | {"aggregation": aggregation, "training": {"steps": 1} | rates | training}

    @model_validator(mode="after")
    def _sums_of_deltas_hide_single_ones(self) -> Self:
        if not self.aggregation.secure_sums:
            return self
        if len(self.data.sites) < FEWEST_IN_SUM:
            raise ValueError(
                f"aggregation.secure_sums = true: data.sites has fewer than {FEWEST_IN_SUM} sites, and a sum of two shows "
                "each of them the other's delta; add sites, or set secure_sums = false"
            )
        if self.privacy.release != "none":
            raise ValueError(
                "aggregation.secure_sums = true: with privacy.release = 'metrics' each site would send sums of its own "
                "beside the masked vector; set release = 'none', or secure_sums = false"
            )
        self.aggregation.refuse_unfit_sums(self.privacy.trust if self.privacy.enabled else None, self.cohort.quorum)
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.cohort.quorum > len(self.data.sites):
            raise ValueError(
                f"cohort.quorum = {self.cohort.quorum}: data.sites has only {len(self.data.sites)} sites; lower the quorum"
            )
        self._refuse_unfit_sample()
        if self.data.dealing[0] == "dirichlet" and self.task.declared.target != "label":
            raise ValueError(
                f"data.split = '{self.data.split}': records of task.name = '{self.task.name}' have no label; use iid or by()"
            )
        self.aggregation.refuse_unfit(self.privacy.trust if self.privacy.enabled else None, self.cohort.quorum)
        if self.privacy.enabled and self.privacy.trust == "central" and self.training.byte_budget is not None:
            raise ValueError(
                "training.byte_budget: under privacy.trust = 'central' the bytes of a round tell how many sites were "
                "sampled, which must stay secret; remove it and set training.rounds"
            )
        if self.privacy.enabled and self.adapter.train != "B":
            raise ValueError(
                "adapter.train = 'AB': with differential privacy A must stay frozen; set adapter.train = 'B' or "
                "privacy.enabled = false"
            )
        if self.adapter.rank == 0 and not self.task.declared.head:
            raise ValueError(
                f"adapter.rank = 0: task.name = '{self.task.name}' has no head to train; set a rank of 1 or more"
            )
        if self.adapter.rank and self.adapter.traits.no_decay and self.training.weight_decay:
            raise ValueError(
                f"training.weight_decay = {self.training.weight_decay}: {self.adapter.traits.no_decay}; "
                "set 0, or use training.proximal, which pulls towards the adapter at the start of the round"
            )
        if self.adapter.rank == 0 and self.training.distillation:
            raise ValueError(
                "training.distillation: with adapter.rank = 0 the base model does not change; set training.distillation = 0"
            )
        unknown = sorted({bin_.label for bin_ in self.data.label_bins} - set(self.task.labels))
        if unknown:
            raise ValueError(f"data.label_bins: label '{unknown[0]}' is not in task.labels; correct one of them")
        return self

    def _refuse_unfit_sample(self) -> None:
        sample, trust = self.cohort.sample, self.privacy.trust
        if sample is None:
            return
        if self.privacy.enabled and trust != "local":
            why = {
                "central": "samples sites in secret, by privacy.site_rate",
                "distributed": "plans its noise for all sites",
            }
            raise ValueError(f"cohort.sample = {sample}: privacy.trust = '{trust}' {why[trust]}; remove cohort.sample")
        if sample < self.cohort.quorum:
            raise ValueError(f"cohort.sample = {sample}: is below cohort.quorum = {self.cohort.quorum}; raise it")

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.task.head_start == "labels" and self.model.warm_start is not None:
            raise ValueError(
                "task.head_start = 'labels': the adapter of model.warm_start has a head of its own; remove one of them"
            )
        return self

    @model_validator(mode="after")
    def _mixed_ranks_can_be_aggregated(self) -> Self:
        ranks, contract = self.ranks, METHODS[self.aggregation.method]
        lower = next((site for site, rank in ranks.items() if rank != self.adapter.rank), None)
        if not contract.ranks and lower is not None:
            raise ValueError(
                f"data.sites: site '{lower}' has rank {ranks[lower]}, and aggregation.method = '{self.aggregation.method}' "
                f"needs adapter.rank = {self.adapter.rank} everywhere; set method = 'partitioned_mean', or remove the rank"
            )
        if not contract.ranks:
            return self
        if (self.adapter.family, self.adapter.train) != ("lora", "B") or not self.adapter.rank:
            raise ValueError(
                f"aggregation.method = '{self.aggregation.method}': averages columns of LoRA's B with A frozen; set "
                "adapter.family = 'lora', adapter.train = 'B' and a rank of 1 or more, or method = 'mean'"
            )
        if max(ranks.values()) != self.adapter.rank:
            raise ValueError(
                f"adapter.rank = {self.adapter.rank}: must be the largest rank of data.sites, which is {max(ranks.values())}"
            )
        return self

    @model_validator(mode="after")
    def _factors_can_be_stacked(self) -> Self:
        fits = self.adapter.family == "lora" and self.adapter.train == "AB" and self.adapter.rank
        if METHODS[self.aggregation.method].factors and not fits:
            raise ValueError(
                f"aggregation.method = '{self.aggregation.method}': combines the products of LoRA's A and B; set "
                "adapter.family = 'lora', adapter.train = 'AB' and a rank of 1 or more, or method = 'mean', which is exact "
                "with A frozen"
            )
        return self

    @model_validator(mode="after")
    def _a_shared_noise_has_one_step_a_round(self) -> Self:
        privacy, training, sites = self.privacy, self.training, len(self.data.sites)
        if not privacy.enabled or privacy.trust != "distributed":
            return self
        if training.steps != 1:
            raise ValueError(
                f"training.steps = {training.steps}: under privacy.trust = 'distributed' a round is one step, because a "
                "second local step would react to a sum that only the site's own share of the noise hides; set 1, and raise "
                "training.rounds"
            )
        if training.proximal:
            raise ValueError(
                "training.proximal: under privacy.trust = 'distributed' a site takes no step that it could pull back; set 0"
            )
        if self.balance.weights == "counts":
            raise ValueError(
                "balance.weights = 'counts': under privacy.trust = 'distributed' a site releases only its part of the sum; "
                "set 'public' or 'none'"
            )
        if sites < privacy.colluders + 2:
            raise ValueError(
                f"privacy.colluders = {privacy.colluders}: needs {privacy.colluders + 2} sites, so that 2 others add noise, "
                f"and data.sites has {sites}; lower it, or add sites"
            )
        return self

    @model_validator(mode="after")
    def _an_adversary_has_an_embedding_to_read(self) -> Self:
        if self.adversary is None:
            return self
        if not self.task.declared.hides_groups:
            raise ValueError(f"adversary: task.name = '{self.task.name}' cannot hide a group; leave the table out")
        if self.adapter.rank == 0:
            raise ValueError("adversary: with adapter.rank = 0 the embedding cannot change; set a rank of 1 or more")
        probes = self.evaluation.probes
        if probes and probes.group not in (None, self.adversary.column):
            raise ValueError(
                f"evaluation.probes.group = '{probes.group}': a record has only one group column; set it to "
                f"adversary.column = '{self.adversary.column}', or remove it"
            )
        return self

    @model_validator(mode="after")
    def _the_data_stage_fits(self) -> Self:
        balance, cleaning = self.balance, self.cleaning
        if self.task.declared.target != "label" and (balance.weights, balance.resample) != ("none", "none"):
            raise ValueError(
                f"balance.weights, balance.resample: a record of task.name = '{self.task.name}' has no label; set 'none'"
            )
        if balance.weights == "public" and len(balance.label_shares) != len(self.task.labels):
            raise ValueError(f"balance.label_shares: needs {len(self.task.labels)} numbers, one for each of task.labels")
        if self.task.declared.target == "tags" and self.augmentation.on:
            raise ValueError(
                f"augmentation: it changes texts, and the tags of task.name = '{self.task.name}' would no longer fit; set "
                "augmentation.views = 1 and augmentation.swaps = []"
            )
        if self.task.declared.target == "tags" and not isinstance(self.data.columns.text, str):
            raise ValueError("data.columns.text: tags count characters of one column, and the text has several; name one")
        if cleaning.label_conflicts == "drop" and cleaning.exact_duplicates == "keep":
            raise ValueError("cleaning.label_conflicts = 'drop': needs cleaning.exact_duplicates = 'drop'")
        return self

    @model_validator(mode="after")
    def _a_person_is_named_and_capped(self) -> Self:
        # Real sites set their own columns, and each refuses a run whose columns it does not have.
        if self.privacy.unit == "person" and self.data.columns.person is None and self.data.source != "sites":
            raise ValueError(
                "data.columns.person: privacy.unit = 'person' needs the column that identifies the person of each record"
            )
        if self.privacy.unit == "person" and self.privacy.person_cap is None:
            raise ValueError(
                "privacy.person_cap: privacy.unit = 'person' needs the most records used per person, a public number"
            )
        if self.data.cache and self.data.cache_encrypted and self.privacy.ledger is None:
            raise ValueError(
                "data.cache_encrypted: the key is stored with the ledger; set privacy.ledger, or data.cache_encrypted "
                "= false"
            )
        return self

    @property
    def adds_up_under_masks(self) -> bool:
        """Return whether sites answer by secure sums: of shares of one noise, or of deltas with all their own noise."""
        shared = self.privacy.enabled and self.privacy.trust == "distributed"
        return shared or self.aggregation.secure_sums

    @property
    def weights(self) -> dict[str, float]:
        """Return the public weight of each site: 1, or with ``aggregation.weights = "declared"`` its declared size."""
        declared = self.aggregation.weights == "declared"
        return {site.id: float(site.declared_size) if declared else 1.0 for site in self.data.sites}

    @property
    def ranks(self) -> Mapping[str, int]:
        """Return the public rank of each site."""
        return {site.id: site.rank or self.adapter.rank for site in self.data.sites}

    @property
    def takes_lower_ranks(self) -> bool:
        """Return whether a site may train fewer columns of B than it was sent; its reply then says so by its shape.

        Under ``privacy.trust = "central"`` the divisor of each column follows from the ranks in the config.
        """
        central = self.privacy.enabled and self.privacy.trust == "central"
        return METHODS[self.aggregation.method].ranks and not central

    def with_rank(self, site_id: str, rank: int) -> Self:
        """Return the run with another rank of one site, as this site carries the run out.

        Parameters
        ----------
        site_id
            A site of the run.
        rank
            At most the rank that the run gives the site.
        """
        sites = tuple(site.model_copy(update={"rank": rank}) if site.id == site_id else site for site in self.data.sites)
        return self.model_copy(update={"data": self.data.model_copy(update={"sites": sites})})

    def at_site(self, site_id: str) -> Self:
        """Return the run with the rank of one site, and with the alpha that leaves the scale of the update as it is.

        Build the site's model by this copy. The config that the site trains by, and the digest, remain those of the run.

        Parameters
        ----------
        site_id
            A site of the run; any other name gives the run itself.
        """
        whole, rank = self.adapter.rank, self.ranks.get(site_id, self.adapter.rank)
        if rank == whole:
            return self
        share = rank / whole
        alpha = self.adapter.alpha * (share if self.adapter.scaling == "standard" else math.sqrt(share))
        return self.model_copy(update={"adapter": self.adapter.model_copy(update={"rank": rank, "alpha": alpha})})

    @property
    def group_column(self) -> str | None:
        """Name the column with each record's group; None if no probe and no adversary uses groups."""
        if self.adversary is not None:
            return self.adversary.column
        return self.evaluation.probes.group if self.evaluation.probes else None

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] = ()) -> Self:
        """Read a TOML file and apply ``section.key=value`` overrides in order.

        Parameters
        ----------
        path
            TOML file.
        overrides
            Texts such as ``training.rounds=5``; later ones win.

        Raises
        ------
        ConfigError
            The file, an override or a value cannot be used; the message is one line and names the field.

        Examples
        --------
        >>> from hushtune import RunConfig
        >>> config = RunConfig.load("configs/demo.toml", ["training.rounds=2", "privacy.epsilon=3.0"])
        >>> config.training.rounds, config.privacy.epsilon
        (2, 3.0)
        """
        path = Path(path)
        tree = read_toml(path)
        for override in overrides:
            apply_override(tree, override, path)
        if _at(tree, "task", "labels") == FROM_FILE:
            tree["task"]["labels"] = _labels_of(tree, path)
        return cls.parse(tree, str(path))

    @classmethod
    def parse(cls, tree: Mapping[str, Any], source: str) -> Self:
        """Validate a tree of plain values.

        Parameters
        ----------
        tree
            Sections by name, as ``tomllib`` returns them.
        source
            Name of the tree in an error message, usually the path of the file.

        Raises
        ------
        ConfigError
            A value cannot be used; the message is one line and names the field.
        """
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise ConfigError(f"{source}: {first_line(cls, error)}") from error

    def canonical(self) -> str:
        """Return the run as canonical JSON: ASCII, sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


def _at(tree: Any, *names: str) -> Any:
    """Return a value in a tree of plain values; None if the tree does not have it."""
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _labels_of(tree: Mapping[str, Any], path: Path) -> list[str]:
    """Return the labels in the tree's public test file."""
    file = _at(tree, "evaluation", "file")
    if not isinstance(file, str):
        raise ConfigError(
            f"{path}: task.labels = '{FROM_FILE}': needs evaluation.file; name the public test file, or the labels"
        )
    kind = "tags" if _at(tree, "task", "name") == "token_classification" else "label"
    return read_labels(Path(file), str(_at(tree, "data", "columns", kind) or kind))
