"""Configuration section `model`: which base model is adapted, and on which device and in which dtype it computes."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.config.section import Section


class ModelSection(Section):
    """The base model, its device, its dtype and the length to which records are cut."""

    name: str = Field(
        "minilm",
        min_length=1,
        description="base model: a catalogue name, a local folder, or a hub id 'org/name@revision' (40 hex digits)",
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 that the weights file must have (64 hex digits)"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto uses cuda if present, else mps, else cpu"
    )
    dtype: Literal["auto", "float32", "bfloat16", "nf4"] = Field(
        "auto",
        description="dtype of the frozen base weights; auto uses bfloat16 where the hardware supports it, else float32; nf4 "
        "stores linear layers in 4 bits (bitsandbytes): far less memory, slower steps; adapters are always float32",
    )
    warm_start: Path | None = Field(
        None,
        description="adapter folder of a run on public text, from which this run starts; a server or a simulation reads the "
        "folder, a site never does",
    )
    warm_start_digest: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="digest of that adapter, as its report names it (adapter.digest); needed with model.warm_start",
    )
    max_length: int = Field(128, ge=8, le=8192, description="longest record in tokens; the rest is cut off (8 to 8192)")
