"""The sections of a run's configuration: frozen, closed to unknown names, each field with its unit, range and default."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
SiteId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Names = str | Annotated[tuple[str, ...], Field(min_length=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the configuration: immutable, and closed to names that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic would take true for 1."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and kind is not bool:
            raise ValueError("must not be true or false")
        return value


class RunSection(Section):
    """Who the run is and where its results go."""

    name: Name = Field("run", description="name of the run and of its folder")
    seed: int = Field(0, ge=0, lt=2**31, description="seed of all that is reproducible; noise and DP sampling have none")
    output: Path = Field(Path("runs"), description="folder that gets one folder a run")


class ModelSection(Section):
    """Which base model, and how it computes."""

    name: str = Field(
        "minilm", min_length=1, description="catalogue name, local folder, or hub id 'org/name@revision' (40 digits)"
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 that the weights file must have (64 hex digits)"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto takes cuda, then mps, then cpu")
    dtype: Literal["auto", "float32", "bfloat16", "nf4"] = Field(
        "auto",
        description="frozen base weights; auto takes bfloat16 where the hardware computes in it; nf4 keeps linear layers in "
        "4 bits (bitsandbytes), for a fraction of the memory and slower steps; adapters stay float32",
    )
    max_length: int = Field(128, ge=8, le=8192, description="tokens a record is cut to (8 to 8192)")


class TaskSection(Section):
    """What is learnt."""

    name: Literal["classification", "instruction"] = Field("classification", description="classification or instruction")
    labels: tuple[str, ...] = Field((), description="the public label set of a classification, in order")
    system: str = Field("", description="system message of an instruction task")

    @model_validator(mode="after")
    def _labels_fit(self) -> Self:
        if self.name == "classification" and (len(self.labels) < 2 or len(set(self.labels)) != len(self.labels)):
            raise ValueError("labels: a classification needs at least 2 different labels")
        return self


class Columns(Section):
    """Which column of the site's file holds what.

    A text may come from several columns, and from columns that hold objects or lists: then it has a line for each value,
    with the value's name before it.
    """

    text: Names = Field("text", description="column of the text, or a list of columns (classification)")
    label: str = Field("label", description="column of the label (classification)")
    instruction: Names = Field("instruction", description="column of the instruction, or a list of columns (instruction)")
    response: Names = Field("response", description="column of the response, or a list of columns (instruction)")
    known: tuple[str, ...] = Field(
        (),
        description="columns that point at the record's person, such as a name or a number: no text is made of them, and "
        "their values are replaced wherever the record's texts repeat them; the person column always is one",
    )
    person: str | None = Field(
        None,
        description="column that says whose record it is; spending then follows the person over all datasets; case, width, "
        "spaces and the .0 of a whole number make no other person, zeros before a number do",
    )
    spans: str | None = Field(
        None, description="column of the true personal-data spans of the first text field, where known"
    )

    @model_validator(mode="after")
    def _spans_count_in_one_column(self) -> Self:
        if self.spans and not all(isinstance(names, str) for names in (self.text, self.instruction)):
            raise ValueError("spans: counts characters of one column, and the text has several; leave one of them out")
        return self


class LabelBin(Section):
    """The label of a range of a numeric column; a number in no range leaves its record out."""

    label: str = Field(description="a label of task.labels")
    low: float = Field(allow_inf_nan=False, description="smallest number of the range, included")
    high: float = Field(allow_inf_nan=False, description="largest number of the range, included")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.low <= self.high:
            raise ValueError(f"low = {self.low}: must be at most high = {self.high}")
        return self


class SiteSection(Section):
    """One data owner of a simulated federation."""

    id: SiteId = Field(description="name of the site: lower-case letters, digits and hyphens")
    file: str = Field("", description="its file below data.root: .jsonl, .csv or .parquet")
    declared_size: int = Field(
        ge=1,
        description="public count of records (persons, where privacy.unit = 'person') that the site declares; it fixes the "
        "divisor and the weight",
    )
    records: int = Field(0, ge=0, description="records to generate for it (synthetic source only)")


class DataSection(Section):
    """Where records come from, and which are held out for the server."""

    source: Literal["files", "synthetic", "sites"] = Field(
        "files", description="files, generated patient messages, or sites: real ones, whose files only they know"
    )
    root: Path = Field(Path(), description="folder that the sites' files lie in")
    sites: tuple[SiteSection, ...] = Field(description="the data owners", min_length=1)
    columns: Columns = Field(default_factory=Columns, description="column mapping")
    label_bins: tuple[LabelBin, ...] = Field((), description="for a numeric label column: the label of each range")
    held_out: float = Field(0.2, gt=0, lt=1, description="share of each site's records given to central evaluation (0 to 1)")
    cut_chars: int = Field(
        4000, ge=16, le=100_000, description="characters a field is cut to, at a space, before anything else"
    )
    planted_bias: float = Field(
        0.0,
        ge=0,
        le=1,
        description="synthetic source: share of messages whose sender's gender follows their department "
        "(simulations/bias.py says how); in the others it is drawn, and with 0 no sender is named",
    )
    cache: Path | None = Field(
        None, description="folder that keeps scrubbed records, so that a restart need not scrub again; empty keeps none"
    )
    cache_encrypted: bool = Field(True, description="encrypt the cache, under the key that lies with the site's ledger")

    @model_validator(mode="after")
    def _sites_fit(self) -> Self:
        ids = [site.id for site in self.sites]
        if len(set(ids)) != len(ids):
            raise ValueError("sites: two sites have the same id")
        needed = {"files": "file", "synthetic": "records"}
        missing = needed.get(self.source)
        if self.planted_bias and self.source != "synthetic":
            raise ValueError("planted_bias: is planted in generated messages alone; set data.source = 'synthetic', or 0")
        for site in self.sites:
            if missing and not getattr(site, missing):
                raise ValueError(f"sites: site '{site.id}' needs '{missing}' when data.source = '{self.source}'")
        return self


class CohortSection(Section):
    """Who must answer for a round to count."""

    quorum: int = Field(1, ge=1, description="accepted replies that a round needs")
    deadline: Positive = Field(3600.0, description="seconds a round waits for replies")
    attempts: int = Field(6, ge=1, le=1000, description="times that a round is tried before the run stops without a quorum")
    pause: Positive = Field(5.0, le=60, description="seconds before the second try of a round; doubles with each, up to 60")
    patience: float = Field(
        60.0, ge=0, allow_inf_nan=False, description="seconds that a server waits at its start for all sites to connect"
    )
    min_records: int = Field(20, ge=1, description="a site with fewer usable training records declines the run")


class TrainingSection(Section):
    """Local training: how often, how much, how fast."""

    rounds: int = Field(3, ge=1, le=10_000, description="rounds of the run")
    steps: int = Field(10, ge=1, le=100_000, description="optimiser steps of a site in a round")
    sampling_rate: Rate = Field(
        0.1, description="public sampling rate q: chance of each record to be in a step (above 0, at most 1)"
    )
    learning_rate: Positive = Field(1e-2, description="peak learning rate of the adapter")
    head_learning_rate: Positive = Field(5e-2, description="peak learning rate of a classification head")
    warmup: float = Field(
        0.1, ge=0, lt=1, description="share of all steps in which the rate rises to its peak, before schedule takes over"
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear",
        description="how the rate goes on from its peak over the whole run: down to 0 by a line or a cosine, or not",
    )
    weight_decay: float = Field(0.0, ge=0, lt=1, description="AdamW weight decay")
    distillation: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="weight of staying near the base model in each record's own loss, against forgetting: the KL divergence "
        "from the base's words (instruction), or the squared distance from its embedding (classification)",
    )
    proximal: float = Field(
        0.0, ge=0, le=100, description="pull towards where the round started, times the learning rate, after each step"
    )
    micro_batch_tokens: Annotated[int, Field(ge=64)] | Literal["auto"] = Field(
        4096,
        description="tokens computed at once (64 or more); changes memory, never the result but for rounding; auto "
        "takes what fits the free memory of each machine",
    )
    checkpointing: bool = Field(
        False, description="compute each layer again in the backward pass: less memory for more time"
    )


class AnonymiseSection(Section):
    """How personal data is found and replaced at a site."""

    language: Literal["en"] = Field("en", description="language of the records; others have no rules yet and are refused")
    spacy_model: str = Field(
        "en-core-web-sm",
        min_length=1,
        description="'en-core-web-sm' (pinned wheel), an installed spaCy model, or its folder",
    )
    second_model: str | None = Field(
        None,
        min_length=1,
        description="a second entity recogniser: an installed spaCy model, or the folder of a spaCy or a transformers token "
        "classification model; empty takes none",
    )
    second_use: Literal["unite", "check"] = Field(
        "unite",
        description="unite: what the second recogniser finds is replaced as well; check: it reads scrubbed text alone, for "
        "the gate and the report, which then take it in place of Presidio as it comes",
    )
    level: Literal["fast", "standard", "strict"] = Field(
        "standard",
        description="fast: language model and patterns; standard: and name lists, words that are no English words; "
        "strict: and every capitalised word and long number",
    )
    operator: Literal["tag", "redact", "surrogate"] = Field(
        "tag",
        description="tag: <PERSON_1>, the same in one record; redact: <PERSON>; surrogate: an invented value, the same in "
        "one record, which reads better in generated text; unset takes surrogate where the task is instruction",
    )
    dates: Literal["replace", "shift"] = Field(
        "replace", description="shift: move all dates of a record by the same secret number of days; surrogates always do"
    )
    max_chars: int = Field(20_000, ge=100, le=1_000_000, description="a record with more characters is quarantined")
    batch_size: int = Field(64, ge=1, le=4096, description="texts that the language model reads at once")
    workers: int = Field(0, ge=0, le=256, description="processes; 0 takes one a core")


class GateSection(Section):
    """What a site asks of its own anonymisation before it joins a round; the site sets it, never the server."""

    min_planted_recall: float = Field(
        0.9, ge=0, le=1, description="planted direct identifiers covered whole: lower end of the 95 % interval (0 to 1)"
    )
    min_labelled_recall: float = Field(
        0.9, ge=0, le=1, description="the same for records whose true spans are known, where there are any (0 to 1)"
    )
    min_checksummed_recall: float = Field(
        1.0, ge=0, le=1, description="planted card numbers, IBANs and e-mail addresses covered whole (0 to 1)"
    )
    max_residual: float = Field(
        0.1, ge=0, le=1, description="share of scrubbed texts in which a second detector still finds something (0 to 1)"
    )
    max_quarantined: float = Field(0.02, ge=0, le=1, description="share of records held back (0 to 1)")


class AggregationSection(Section):
    """How the accepted deltas become one."""

    method: Literal["mean"] = Field("mean", description="weighted mean of the deltas, exact where A is frozen, and for ia3")
    weights: Literal["uniform", "declared"] = Field("uniform", description="uniform, or by declared_size (public)")
    max_norm: Positive = Field(100.0, description="a reply whose delta has a larger L2 norm is rejected")
