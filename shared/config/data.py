"""The sections that say where records come from and which column holds what."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from shared.config.section import Names, Section, SiteId


class Columns(Section):
    """Which column of the site's file holds what.

    A text may come from several columns, and from columns that hold objects or lists: then it has a line for each value,
    with the value's name before it.
    """

    text: Names = Field("text", description="column of the text, or a list of columns (classification)")
    label: str = Field("label", description="column of the label (classification)")
    tags: str = Field(
        "tags",
        description="column of the labelled stretches of a text, a list of {label, start, end} in characters from 0, end "
        "excluded; they follow the text through anonymisation (a tagging task)",
    )
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
        "(simulations/data/bias.py says how); in the others it is drawn, and with 0 no sender is named",
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
