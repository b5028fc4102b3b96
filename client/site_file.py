"""SITE.toml: all that a site decides for itself, as a frozen tree; the server never sends or sees it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from client.question_log import SetUps
from privacy.policy import SitePolicy
from privacy.questions import kind_of
from shared.config.anonymise import AnonymiseSection
from shared.config.data import Columns, LabelBin
from shared.config.data_stage import CleaningSection
from shared.config.evaluation import Country
from shared.config.explain import first_line
from shared.config.run import RunConfig
from shared.config.section import Section, SiteId
from shared.config.task import DECLARED
from shared.config.toml import read_toml
from shared.errors import ConfigError, ModelError
from shared.models.catalogue import CATALOGUE, HUB_ID, pinned_digest


def _beside(path: Path, info: ValidationInfo) -> Path:
    """A path of the file, relative to the folder that the file lies in."""
    return Path((info.context or {}).get("folder", "")) / path.expanduser()


Beside = Annotated[Path, AfterValidator(_beside)]
Address = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$")]


class IdentitySection(Section):
    """Who the site is, and where its own state lies."""

    id: SiteId = Field(description="name of the site: lower-case letters, digits and hyphens")
    state: Beside = Field(
        Path("state"), validate_default=True, description="folder of the ledger, the outbox and the status file"
    )
    ledger_head: Beside = Field(
        Path("ledger_head.json"),
        validate_default=True,
        description="file with a second copy of where the ledger ends; keep it on another disk than state, or at least out "
        "of every backup that holds state, so that an old copy of the ledger is known as one",
    )
    energy: bool = Field(
        False,
        description="estimate the electricity of each round here, for state/events.jsonl; it leaves the site only with "
        "policy.unreleased_metrics, and never under privacy: it follows how many records were sampled",
    )
    country: Country = None


class ServerSection(Section):
    """How the server is reached, and how each knows the other."""

    address: Address = Field(description="host:port of the server")
    ca: Beside = Field(
        Path("ca.crt"), validate_default=True, description="certificate of the authority that the site trusts"
    )
    key: Beside = Field(
        Path("site.key"), validate_default=True, description="the site's private key; made at the site, mode 0600"
    )


class OwnDataSection(Section):
    """The site's records and how they are read; nothing of it is ever taken from an order, so all of it is named."""

    file: Beside = Field(description="the records: .jsonl, .csv or .parquet")
    declared_size: int = Field(ge=1, description="public record count that the site declares, never the true one")
    min_records: int = Field(
        ge=1, description="with fewer usable records (persons, where they are the unit) the site declines a run"
    )
    columns: Columns = Field(description="column mapping; a column that is not named here is read for no run")
    labels: tuple[str, ...] = Field(description="the labels of a classification that the site takes part in, in any order")
    label_bins: tuple[LabelBin, ...] = Field(
        description="for a numeric label column: the label of each range; empty where labels are words"
    )
    groups: Mapping[str, tuple[str, ...]] = Field(
        description="columns whose groups a run may train an adversary on, which hides them, each with its groups; empty "
        "allows none"
    )
    cache: Literal["encrypted", "plain", "off"] = Field(
        "encrypted", description="how scrubbed records are kept in state/cache, so that a restart need not scrub again"
    )

    @model_validator(mode="after")
    def _bins_have_labels(self) -> Self:
        unknown = sorted({bin_.label for bin_ in self.label_bins} - set(self.labels))
        if unknown:
            raise ValueError(f"label_bins: '{unknown[0]}' is not in labels")
        return self


class OwnModelSection(Section):
    """Where and how base models are loaded at this site."""

    cache: Beside | None = Field(None, description="folder for model files; empty takes HUSHTUNE_CACHE or ~/.cache/hushtune")
    folders: Mapping[str, Beside] = Field(
        default_factory=dict, description="the local folder of each base model that is not of the catalogue, by its name"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto takes cuda, then mps, then cpu")
    dtype: Literal["run", "auto", "float32", "bfloat16"] = Field(
        "run", description="frozen base weights; run takes the run's choice"
    )
    paraphraser: str | None = Field(
        None,
        min_length=1,
        description="a model that paraphrases scrubbed texts where a run wants that: of the catalogue, or a folder with "
        "a causal language model and a chat template, not trained on these records; empty writes none",
    )

    @field_validator("paraphraser")
    @classmethod
    def _model_beside(cls, value: str | None, info: ValidationInfo) -> str | None:
        """A folder is relative to the file."""
        return value if value is None or value in CATALOGUE else str(_beside(Path(value), info))


class OwnAnonymiseSection(AnonymiseSection):
    """The site's own anonymisation; the order's section has no effect here."""

    reversible: bool = Field(
        False,
        description="whether records that 'hushtune anonymise --output' writes leave a map back to the originals in the "
        "state folder, encrypted under a key that lies beside it",
    )

    @model_validator(mode="after")
    def _each_value_can_be_told(self) -> Self:
        if self.reversible and self.operator == "redact":
            raise ValueError("reversible = true: redacted values look alike; set operator = 'tag' or 'surrogate'")
        return self

    def of_a_run(self) -> dict[str, Any]:
        """The section as a run's config takes it: what the site has set, without what concerns the site alone."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"reversible"})

    @field_validator("spacy_model", "second_model")
    @classmethod
    def _folder_beside(cls, value: str | None, info: ValidationInfo) -> str | None:
        """A folder is relative to the file; any other name is an installed model."""
        if value is None:
            return None
        folder = _beside(Path(value), info)
        return str(folder) if folder.is_dir() or "/" in value else value


class SiteFile(Section):
    """One site: its identity, its server, its data, its policy."""

    site: IdentitySection
    server: ServerSection
    data: OwnDataSection
    cleaning: CleaningSection
    policy: SitePolicy
    anonymise: OwnAnonymiseSection = Field(default_factory=OwnAnonymiseSection)
    model: OwnModelSection = Field(default_factory=OwnModelSection)

    @model_validator(mode="after")
    def _a_task_has_its_labels(self) -> Self:
        for task in self.policy.tasks:
            if len(set(self.data.labels)) < (fewest := DECLARED[task].fewest_labels):
                raise ValueError(
                    f"data.labels: policy.tasks has '{task}', so name the labels that the run's operator gave you, at least "
                    f"{fewest}, or take '{task}' out"
                )
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a SITE.toml; relative paths are relative to its folder.

        Raises:
            ConfigError: the file or a value cannot be used; one line that names the field.
        """
        tree = read_toml(path)
        try:
            return cls.model_validate(tree, context={"folder": path.absolute().parent})
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_line(cls, error)}") from error

    @model_validator(mode="after")
    def _second_head_is_apart(self) -> Self:
        if self.site.ledger_head.absolute().is_relative_to(self.ledger.absolute()):
            raise ValueError("site.ledger_head: lies in the ledger's own folder, and would go and come with it; set another")
        return self

    @property
    def outbox(self) -> Path:
        """The folder of finished replies."""
        return self.site.state / "outbox"

    @property
    def ledger(self) -> Path:
        """The folder of the privacy ledger."""
        return self.site.state / "ledger"

    @property
    def status(self) -> Path:
        """The file that ``hushtune status`` reads."""
        return self.site.state / "status.json"

    @property
    def set_ups(self) -> SetUps:
        """The count of what the server asked about the records."""
        return SetUps(self.site.state / "set_ups.json", self.policy)

    def carried_out(self, run: RunConfig) -> RunConfig:
        """The run as this site carries it out: what is the site's own is in it, and what is the server's alone is not.

        Nothing else changes, and no path that the server wrote is ever opened.

        Raises:
            ConfigError: the unit is the person, and the site has no column that says whose a record is.
            ModelError: the run's base model is a folder at the server that this site has not mapped.
        """
        tree: dict[str, Any] = {k: v for k, v in run.model_dump(mode="json").items() if kind_of(k) != "server"}
        own = self.model_dump(mode="json")
        tree["anonymise"] = self.anonymise.of_a_run()
        tree["data"] |= {
            "root": str(self.data.file.parent),
            **{name: own["data"][name] for name in ("columns", "label_bins")},
        }
        tree["cleaning"] = own["cleaning"]
        tree["cohort"]["min_records"] = self.data.min_records
        tree["augmentation"]["paraphraser"] = self.model.paraphraser
        tree["model"] |= {
            "name": self._model_here(run.model.name),
            "sha256": pinned_digest(run.model),  # what the policy permitted, wherever the folder is
            "device": self.model.device,
        }
        if self.model.dtype != "run":
            tree["model"]["dtype"] = self.model.dtype
        here = RunConfig.parse(tree, f"site {self.site.id}, this run")
        if here.privacy.unit == "person" and here.data.columns.person is None:
            raise ConfigError(
                f"site {self.site.id}: the run protects persons, and no column says whose a record is; the steward may name "
                "it as person of data.columns in SITE.toml"
            )
        return here

    def _model_here(self, name: str) -> str:
        """Where the base model of this name is found at this site."""
        if name in self.model.folders:
            return str(self.model.folders[name])
        if name in CATALOGUE or HUB_ID.match(name):
            return name
        raise ModelError(
            f"site {self.site.id}: the run's base model is not of the catalogue and this site has no folder for it; the "
            "steward may name one in [model.folders] of SITE.toml"
        )
