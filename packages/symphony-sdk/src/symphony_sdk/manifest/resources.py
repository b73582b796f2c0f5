"""The section `[resources]`: the most that the extension's worker may use."""

from pydantic import BaseModel, Field

from symphony_sdk.manifest.fields import SECTION
from symphony_sdk.manifest.quantities import Bytes, Seconds


class ResourcesSection(BaseModel):
    """What the worker may use: memory and the time to load are enforced, the others say what it needs."""

    model_config = SECTION

    memory: Bytes = Field(
        default=512 * 2**20,
        ge=2**20,
        le=2**50,
        description="Memory: bytes, or a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB.",
        examples=["512 MiB"],
    )
    cpu: float = Field(default=1.0, gt=0, le=4096, description="Processor cores.", examples=[1.0, 0.5])
    gpu: float = Field(default=0.0, ge=0, le=4096, description="Graphics processors.", examples=[0, 1])
    processes: int = Field(
        default=8, ge=1, le=65536, description="Processes and threads at a time.", examples=[8]
    )
    load_timeout: Seconds = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="How long it may take to be ready: seconds, or a number and ms, s, min or h.",
        examples=["10 s"],
    )
