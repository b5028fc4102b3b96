"""SITE.toml: everything that a site decides for itself, as an immutable tree; the server never sends or sees it."""

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
from shared.config.task import DECLARED, TaskName
from shared.config.toml import read_toml
from shared.errors import ConfigError, ModelError
from shared.models.catalogue import CATALOGUE, HUB_ID, pinned_digest


def _relative_to_file(path: Path, info: ValidationInfo) -> Path:
    """Resolve a path relative to the folder of the file."""
    return Path((info.context or {}).get("folder", "")) / path.expanduser()


RelativePath = Annotated[Path, AfterValidator(_relative_to_file)]
FEWEST_CHECKED = 4  # records; one alone shows neither whether records influence each other nor what rounding moves
Address = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$")]


class IdentitySection(Section):
    """Name of the site, and where it keeps its state."""

    id: SiteId = Field(description="name of the site: lower-case letters, digits and hyphens")
    state: RelativePath = Field(
        Path("state"), validate_default=True, description="folder of the ledger, the outbox and the status file"
    )
    ledger_head: RelativePath = Field(
        Path("ledger_head.json"),
        validate_default=True,
        description="file with a second copy of the ledger's length and last hash; keep it on another disk than state, or "
        "at least out of every backup that contains state, so that an old copy of the ledger is detected",
    )
    energy: bool = Field(
        False,
        description="estimate the electricity of each round, for state/events.jsonl; it leaves the site only with "
        "policy.unreleased_metrics, and never under privacy, because it depends on the number of sampled records",
    )
    country: Country = None


class ServerSection(Section):
    """How to reach the server, and how site and server authenticate each other."""

    address: Address = Field(description="host:port of the server")
    ca: RelativePath = Field(
        Path("ca.crt"), validate_default=True, description="certificate of the authority that the site trusts"
    )
    key: RelativePath = Field(
        Path("site.key"), validate_default=True, description="the site's private key, made at the site with file mode 0600"
    )
    roster: RelativePath = Field(
        Path("ROSTER.toml"),
        validate_default=True,
        description="public keys of the sites that this site adds up with in secure sums (trust model 'distributed', or "
        "aggregation.secure_sums of a run); 'hushtune provision roster' makes it",
    )


class OwnDataSection(Section):
    """The site's records and how to read them; no field is ever taken from an order, so all of them must be set here."""

    file: RelativePath = Field(description="file of the records: .jsonl, .csv, .parquet or .xlsx")
    declared_size: int = Field(ge=1, description="public number of records that the site declares; never the true number")
    min_records: int = Field(
        ge=1,
        description="fewest usable records (persons, if they are the privacy unit) with which the site takes part in a run",
    )
    columns: Columns = Field(description="which column holds which field; columns not named here are never read")
    labels: tuple[str, ...] = Field(description="labels of the classification that the site takes part in, in any order")
    label_bins: tuple[LabelBin, ...] = Field(
        description="for a numeric label column: the label of each range; empty if labels are words"
    )
    groups: Mapping[str, tuple[str, ...]] = Field(
        description="columns, each with its groups, that a run may hide from the embedding by adversarial debiasing; empty: "
        "none"
    )
    cache: Literal["encrypted", "plain", "off"] = Field(
        "encrypted", description="how anonymised records are kept in state/cache, so that a restart need not anonymise again"
    )

    @model_validator(mode="after")
    def _bins_have_labels(self) -> Self:
        unknown = sorted({bin_.label for bin_ in self.label_bins} - set(self.labels))
        if unknown:
            raise ValueError(f"label_bins: label '{unknown[0]}' is not in labels; correct one of them")
        return self


class OwnModelSection(Section):
    """Where and how this site loads base models."""

    cache: RelativePath | None = Field(
        None, description="folder for model files; empty: $HUSHTUNE_CACHE or ~/.cache/hushtune"
    )
    folders: Mapping[str, RelativePath] = Field(
        default_factory=dict, description="local folder of each base model that is not in the catalogue, by its name"
    )
    hub: tuple[Annotated[str, StringConstraints(pattern=HUB_ID.pattern)], ...] = Field(
        (),
        description="base models that may be downloaded from the Hugging Face hub, each as org/name@revision (40 hex "
        "digits); empty: the site asks the hub for nothing, whatever a run names",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto uses cuda if present, else mps, else cpu"
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="processes over which the site splits each batch, each on a GPU of its own; these GPUs must be equal",
    )
    dtype: Literal["run", "auto", "float32", "bfloat16"] = Field(
        "run", description="dtype of the frozen base weights; run: as the run's config says"
    )
    micro_batch_tokens: Annotated[int, Field(ge=64)] | Literal["run", "auto"] = Field(
        "run",
        description="tokens computed at once at this site (64 or more); auto uses as many as fit the free memory; run: as "
        "the run's config says",
    )
    paraphraser: str | None = Field(
        None,
        min_length=1,
        description="model that paraphrases anonymised texts if a run asks for that: a catalogue name, or a folder with a "
        "causal language model and a chat template; it must not be trained on these records; empty: no paraphrases",
    )

    @field_validator("paraphraser")
    @classmethod
    def _resolve_model(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Resolve a folder relative to the file."""
        return value if value is None or value in CATALOGUE else str(_relative_to_file(Path(value), info))


class OwnAnonymiseSection(AnonymiseSection):
    """The site's own anonymisation; the section of an order has no effect here."""

    reversible: bool = Field(
        False,
        description="whether 'hushtune anonymise --output' also writes a map back to the originals into the state folder, "
        "encrypted with a key in the same folder",
    )

    @model_validator(mode="after")
    def _reversible_keeps_values_apart(self) -> Self:
        if self.reversible and self.operator == "redact":
            raise ValueError("reversible = true: redacted values cannot be told apart; set operator = 'tag' or 'surrogate'")
        return self

    def of_a_run(self) -> dict[str, Any]:
        """Return the section as a run's config expects it: only fields that the site has set, without the site-only ones."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"reversible"})

    @field_validator("spacy_model", "second_model")
    @classmethod
    def _resolve_folder(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Resolve a folder relative to the file; any other name is that of an installed model."""
        if value is None:
            return None
        folder = _relative_to_file(Path(value), info)
        return str(folder) if folder.is_dir() or "/" in value else value


class SiteFile(Section):
    """All settings of one site: identity, server, data, policy, anonymisation, models."""

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

        Parameters
        ----------
        path : Path
            The file.

        Raises
        ------
        ConfigError
            The file or a value cannot be used; the message is one line and names the field.
        """
        tree = read_toml(path)
        try:
            return cls.model_validate(tree, context={"folder": path.absolute().parent})
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_line(cls, error)}") from error

    @model_validator(mode="after")
    def _second_head_is_apart(self) -> Self:
        if self.site.ledger_head.absolute().is_relative_to(self.ledger.absolute()):
            raise ValueError(
                "site.ledger_head: lies in the ledger's own folder and would be lost or restored with it; set another path"
            )
        return self

    @property
    def outbox(self) -> Path:
        """Return the folder of finished replies."""
        return self.site.state / "outbox"

    @property
    def ledger(self) -> Path:
        """Return the folder of the privacy ledger."""
        return self.site.state / "ledger"

    @property
    def status(self) -> Path:
        """Return the file that ``hushtune status`` reads."""
        return self.site.state / "status.json"

    @property
    def set_ups(self) -> SetUps:
        """Return the log of what the server asked about the records."""
        return SetUps(self.site.state / "set_ups.json", self.policy)

    def carried_out(self, run: RunConfig) -> RunConfig:
        """Return the run as this site carries it out: with the site's own settings, and without the sections of the server.

        The check of gradients before training takes at least `FEWEST_CHECKED` records, whatever the run asks for.

        Nothing else changes, and no path that the server wrote is ever opened.

        Parameters
        ----------
        run : RunConfig
            Configuration of an order.

        Raises
        ------
        ConfigError
            The privacy unit is the person, but the site has no column that identifies persons.
        ModelError
            The run's base model is a folder at the server for which this site has no folder.
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
        tree["privacy"]["self_check"] = max(run.privacy.self_check, FEWEST_CHECKED)
        tree["augmentation"]["paraphraser"] = self.model.paraphraser
        tree["model"] |= {
            "name": self._model_here(run.model.name),
            "sha256": pinned_digest(run.model),  # the digest that the policy permitted, wherever the folder is
            "device": self.model.device,
        }
        if self.model.dtype != "run":
            tree["model"]["dtype"] = self.model.dtype
        if self.model.micro_batch_tokens != "run":
            tree["training"]["micro_batch_tokens"] = self.model.micro_batch_tokens
        parsed = RunConfig.parse(tree, f"site {self.site.id}, this run")
        here = parsed.with_rank(self.site.id, self.rank_in(run)) if run.takes_lower_ranks else parsed
        if here.privacy.unit == "person" and here.data.columns.person is None:
            raise ConfigError(
                f"site {self.site.id}: the run protects persons, but no column identifies them; the steward may set it as "
                "person of data.columns in SITE.toml"
            )
        return here

    def rank_in(self, run: RunConfig) -> int:
        """Return the rank that this site trains in a run: at most ``policy.max_rank``, if the run takes lower ranks.

        The server sees it in the shape of the reply. It follows from this file and the run alone, and from no record.

        Parameters
        ----------
        run : RunConfig
            Configuration of an order.
        """
        asked = run.at_site(self.site.id).adapter.rank
        return min(asked, self.policy.max_rank) if run.takes_lower_ranks and self.policy.max_rank else asked

    def reading(self, task: TaskName, source: str, labelled: bool = True) -> RunConfig:
        """Return a run that reads the site's file as a run with this task would, with defaults for all else.

        Parameters
        ----------
        task : TaskName
            The task.
        source : str
            Name of the site's file in an error message.
        labelled : bool
            Whether labels are read, so that the site's own are needed.

        Raises
        ------
        ConfigError
            The columns do not fit the task.
        """
        site = {"id": self.site.id, "file": self.data.file.name, "declared_size": self.data.declared_size}
        own = self.data.model_dump(mode="json")
        data: dict[str, Any] = {"root": str(self.data.file.parent), "sites": [site], "columns": own["columns"]}
        labels = ["-", "--"][: DECLARED[task].fewest_labels]  # some are required, even if none is read
        if labelled and DECLARED[task].fewest_labels:
            labels, data["label_bins"] = own["labels"], own["label_bins"] if DECLARED[task].target == "label" else []
        tree = {"task": {"name": task, "labels": labels}, "data": data, "anonymise": self.anonymise.of_a_run()}
        return RunConfig.parse(tree, source)

    def _model_here(self, name: str) -> str:
        """Return the name or folder of the base model at this site."""
        if name in self.model.folders:
            return str(self.model.folders[name])
        if name in CATALOGUE or name in self.model.hub:
            return name
        raise ModelError(
            f"site {self.site.id}: the run's base model is not in the catalogue and this site has no folder for it; the "
            "steward may add one to [model.folders] of SITE.toml, or a hub id to hub of [model]"
        )
