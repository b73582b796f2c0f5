"""The section `[resources]`: the most that the extension's worker may use."""

from pydantic import BaseModel, Field

from symphony_sdk.manifest.fields import SECTION
from symphony_sdk.manifest.quantities import Bytes, Seconds


class ResourcesSection(BaseModel):
    """What the worker may use, with all that it starts: `gpu` says what it needs, the others are enforced."""

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
        default=8,
        ge=1,
        le=65536,
        description="Processes at a time, where its permissions let it start any.",
        examples=[8],
    )
    threads: int = Field(
        default=256, ge=8, le=65536, description="Threads at a time, of all its processes.", examples=[64]
    )
    disk: Bytes = Field(
        default=4 * 2**30,
        ge=2**20,
        le=2**50,
        description="By how much the files that it may write may grow: bytes, or a number and a unit as for memory.",
        examples=["1 GiB"],
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Worker processes that its operations may run in at the same time. Unless given, operations "
        "that are idempotent use as many as there are cores, where the extension has no hook of its life; "
        "instruments and all others use one, so that a model is loaded once and state stays in one place.",
        examples=[1],
    )
    load_timeout: Seconds = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="How long it may take to be ready: seconds, or a number and ms, s, min or h.",
        examples=["10 s"],
    )
