"""The sections of SITE.toml, as immutable trees."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from shared.config.anonymise import AnonymiseSection
from shared.config.data import Columns, LabelBin
from shared.config.evaluation import Country
from shared.config.section import Section, SiteId
from shared.models.catalogue import CATALOGUE, HUB_ID


def _relative_to_file(path: Path, info: ValidationInfo) -> Path:
    """Resolve a path relative to the folder of the file."""
    return Path((info.context or {}).get("folder", "")) / path.expanduser()


RelativePath = Annotated[Path, AfterValidator(_relative_to_file)]
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
