"""The configuration of one run: an immutable tree read from TOML; server and sites use the same class."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from shared.config.adapter import AdapterSection
from shared.config.adversary import AdversarySection
from shared.config.aggregation import METHODS, AggregationSection
from shared.config.anonymise import AnonymiseSection, GateSection
from shared.config.cohort import CohortSection
from shared.config.cross_checks import refuse_unfit_sections
from shared.config.data import DataSection
from shared.config.data_stage import AugmentationSection, BalanceSection, CleaningSection
from shared.config.defaults import with_defaults, with_labels_of_file
from shared.config.evaluation import EvaluationSection, ReportSection
from shared.config.explain import first_line
from shared.config.model import ModelSection
from shared.config.privacy import PrivacySection
from shared.config.section import Name, Section
from shared.config.studies import CompareSection, SweepSection
from shared.config.task import TaskSection
from shared.config.toml import apply_override, read_toml
from shared.config.training import TrainingSection
from shared.errors import ConfigError
from shared.ops.canonical_json import canonical_json, json_digest


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
    def _with_defaults(cls, tree: Any) -> Any:
        return with_defaults(tree)

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        refuse_unfit_sections(self)
        return self

    @property
    def adds_up_under_masks(self) -> bool:
        """Return whether sites answer by secure sums: of shares of one noise, or of deltas with all their own noise."""
        return self.privacy.trust_in_force == "distributed" or self.aggregation.secure_sums

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
        return METHODS[self.aggregation.method].ranks and self.privacy.trust_in_force != "central"

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
        DataError
            The file of held-out records, which ``task.labels`` asks for, has no labels.

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
        return cls.parse(with_labels_of_file(tree, path), str(path))

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
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
        return json_digest(self.model_dump(mode="json"))
