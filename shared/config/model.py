"""The section that names the base model and says how it computes."""

from typing import Literal

from pydantic import Field

from shared.config.section import Section


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
