"""Configuration section `data`: where records come from, and which column holds which field."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.config.section import Names, Section, SiteId

SPLIT = r"^(iid|dirichlet\( *([0-9]+[.]?[0-9]*|[.][0-9]+)(e[+-]?[0-9]+)? *\)|by\(.*[^ ].*\))$"
MOST_SITES = 10_000


class Columns(Section):
    """Which column of a site's file holds which field.

    A text may come from several columns, and from columns that hold objects or lists. It then has one line for each value,
    which starts with the name of the value.
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
        description="columns that identify the record's person, such as a name or a number: they never become part of a "
        "text, and their values are replaced wherever the record's texts repeat them; the person column is always included",
    )
    person: str | None = Field(
        None,
        description="column that identifies the person of each record; the privacy budget is then counted per person over "
        "all datasets; upper or lower case, character width, spaces and the .0 of a whole number are ignored, leading "
        "zeros are not",
    )
    spans: str | None = Field(None, description="column with the true personal-data spans of the first text field, if known")

    @model_validator(mode="after")
    def _spans_count_in_one_column(self) -> Self:
        if self.spans and not all(isinstance(names, str) for names in (self.text, self.instruction)):
            raise ValueError(
                "spans: counts characters of one column, but the text has several columns; use one column, or remove spans"
            )
        return self


class LabelBin(Section):
    """The label given to a range of a numeric column; a record whose number is in no range is left out."""

    label: str = Field(description="a label of task.labels")
    low: float = Field(allow_inf_nan=False, description="smallest number of the range, included")
    high: float = Field(allow_inf_nan=False, description="largest number of the range, included")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.low <= self.high:
            raise ValueError(f"low = {self.low}: must be at most high = {self.high}")
        return self


class SiteSection(Section):
    """One data owner of the federation."""

    id: SiteId = Field(description="name of the site: lower-case letters, digits and hyphens")
    file: str = Field("", description="the site's file, relative to data.root: .jsonl, .csv, .parquet or .xlsx")
    declared_size: int = Field(
        ge=1,
        description="number of records (persons, where privacy.unit = 'person') that the site declares publicly; the "
        "divisor of its gradients and its weight in the average follow from it",
    )
    records: int = Field(
        0,
        ge=0,
        description="number of records to generate for the site (source = 'synthetic'), or to take from data.pool (persons, "
        "if a column names them); 0 takes a share of the pool in proportion to declared_size",
    )
    rank: int = Field(
        0,
        ge=0,
        le=256,
        description="LoRA rank of the site, public and at most adapter.rank (aggregation.method = 'partitioned_mean'); 0: "
        "adapter.rank",
    )


def _alike(given: Any) -> Any:
    """Return a list of sites for a table with ``count``, which describes that many sites alike."""
    if not isinstance(given, Mapping) or "count" not in given:
        return given
    count, each = given["count"], {name: value for name, value in given.items() if name not in ("count", "id")}
    if type(count) is not int or not 1 <= count <= MOST_SITES:  # true would count as 1
        raise ValueError(f"count = {count!r}: must be a whole number from 1 to {MOST_SITES}")
    return [{"id": f"site-{number:0{len(str(count))}}", **each} for number in range(1, count + 1)]


class DataSection(Section):
    """Where records come from, and which share is held out for the server."""

    source: Literal["files", "synthetic", "sites"] = Field(
        "files",
        description="files: the files in data.sites; synthetic: generated patient messages; sites: real sites, which keep "
        "their file paths to themselves",
    )
    root: Path = Field(Path(), description="folder that contains the sites' files")
    pool: Path | None = Field(
        None,
        description="source = 'files': one file, relative to data.root, whose records a simulation deals out to the sites, "
        "instead of a file for each site",
    )
    split: str = Field(
        "iid",
        pattern=SPLIT,
        description="how the pool is dealt out: iid; dirichlet(alpha), by label, with sites less alike the smaller alpha is "
        "(Hsu et al. 2019, arXiv 1909.06335); or by(column), in which values that spell the sites' ids name the sites, and "
        "other values are dealt out whole",
    )
    split_seed: int | None = Field(
        None, ge=0, lt=2**31, description="seed of the dealing; empty: run.seed, so that each seed deals anew"
    )
    sites: Annotated[tuple[SiteSection, ...], BeforeValidator(_alike)] = Field(
        description="the data owners; a table with count, such as { count = 10, declared_size = 800 }, makes them alike",
        min_length=1,
    )
    columns: Columns = Field(default_factory=Columns, description="which column holds which field")
    label_bins: tuple[LabelBin, ...] = Field(
        (), description="for a numeric label column: the label of each range of numbers"
    )
    held_out: float = Field(
        0.2, gt=0, lt=1, description="share of each site's records held out for central evaluation (above 0, below 1)"
    )
    cut_chars: int = Field(
        4000,
        ge=16,
        le=100_000,
        description="longest text of a field in characters; longer texts are cut at a space before any other step",
    )
    planted_bias: float = Field(
        0.0,
        ge=0,
        le=1,
        description="source = 'synthetic': share of messages in which the sender's gender follows from the department "
        "(simulations/data/bias.py says how); in the other messages it is random; with 0 no sender is named",
    )
    cache: Path | None = Field(
        None, description="folder that keeps anonymised records, so that a restart need not anonymise again; empty: no cache"
    )
    cache_encrypted: bool = Field(True, description="encrypt the cache with the key that is stored with the site's ledger")

    @model_validator(mode="after")
    def _sites_fit(self) -> Self:
        ids = [site.id for site in self.sites]
        if len(set(ids)) != len(ids):
            raise ValueError("sites: two sites have the same id")
        if self.planted_bias and self.source != "synthetic":
            raise ValueError(
                "planted_bias: works only in generated messages; set data.source = 'synthetic', or planted_bias = 0"
            )
        self._refuse_unfit_pool()
        needed = {"files": "file", "synthetic": "records"}.get(self.source) if self.pool is None else None
        for site in self.sites:
            if needed and not getattr(site, needed):
                raise ValueError(f"sites: site '{site.id}' needs '{needed}' when data.source = '{self.source}'")
        return self

    def _refuse_unfit_pool(self) -> None:
        """Refuse a pool beside other sources of records, or a split that cannot be drawn."""
        if self.pool is None:
            return
        if self.source != "files" or any(site.file for site in self.sites):
            raise ValueError("pool: replaces the sites' own files; set source = 'files' and no file of a site, or no pool")
        if len({site.records > 0 for site in self.sites}) > 1:
            raise ValueError("sites: some set records and some do not; set them for all sites, or for none")
        if self.dealing[0] == "dirichlet" and not 0 < float(self.dealing[1]) < math.inf:
            raise ValueError(f"split = '{self.split}': alpha must be above 0; write dirichlet(0.3)")

    @property
    def dealing(self) -> tuple[str, str]:
        """Return how the pool is dealt out, iid, dirichlet or by, and alpha or the column."""
        kind, _, detail = self.split.removesuffix(")").partition("(")
        return kind, detail.strip()
