"""The models of other extensions through the host, as a call in a worker reaches them."""

import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from symphony_sdk.contributions import ModelInfo
from symphony_sdk.errors import AccessFailed, Cancelled
from symphony_sdk.extension.models import ModelOutputs
from symphony_sdk.model_messages import (
    LEVELS,
    RUNS_AT_ONCE,
    DescribeModel,
    ListModels,
    ModelDescription,
    ModelNames,
    ModelRan,
    RunModel,
)
from symphony_sdk.values import encode
from symphony_sdk.worker.calls import RunningCall
from symphony_sdk.worker.channel import Channel

_GLANCE: Final = 0.1  # seconds between two looks whether a call that waits for its turn was cancelled


class Turns:
    """Lets so many calls of a process wait for models as the host allows.

    Each level has its own: a call that others wait for never waits for a turn that one of these has.
    """

    def __init__(self) -> None:
        self._levels = tuple(threading.Semaphore(RUNS_AT_ONCE) for _ in range(LEVELS))

    def of(self, level: int) -> threading.Semaphore:
        """The turns of a level.

        Args:
            level: How many calls wait for the one that runs a model.
        """
        return self._levels[min(level, LEVELS - 1)]


class HostModels:
    """The models behind the channel, as one call sees them; adapter of `Models`.

    Args:
        channel: The connection to the host.
        turns: Those of the process.
        call: The call; that of a hook has no number.
    """

    __slots__ = ("_call", "_channel", "_turns")

    def __init__(self, channel: Channel, turns: Turns, call: RunningCall) -> None:
        self._channel = channel
        self._turns = turns
        self._call = call

    def describe(self, name: str) -> ModelInfo:
        """What a model takes and gives; see [Models.describe][symphony_sdk.extension.models.Models.describe]."""
        return self._channel.request(DescribeModel(name), ModelDescription).model

    def list(self, pattern: str = "**") -> Sequence[str]:
        """The names of models; see [Models.list][symphony_sdk.extension.models.Models.list]."""
        return self._channel.request(ListModels(pattern), ModelNames).names

    def run(self, name: str, /, **inputs: Any) -> ModelOutputs:
        """Run a model; see [Models.run][symphony_sdk.extension.models.Models.run]."""
        call = self._call
        if not call.number:
            raise AccessFailed(
                f"the model {name!r} cannot be run in a hook: it is run for a call, and ends with it",
                code="SYM-P044",
                hint="Run it in an operator or an instrument.",
            )
        if _on_event_loop():
            raise AccessFailed(
                f"the model {name!r} cannot be run on an event loop: all coroutines of the extension would wait for it",
                code="SYM-P045",
                hint="Make the operation a plain function, `def` instead of `async def`.",
            )
        wanted = RunModel(
            name, {port: msgspec.Raw(encode(value)) for port, value in inputs.items()}, call.number
        )
        turns = self._turns.of(call.message.depth)
        while not turns.acquire(timeout=_GLANCE):
            if call.cancelled.is_set():
                raise Cancelled(f"the call was cancelled before the model {name!r} was run")
        try:
            given = self._channel.request(wanted, ModelRan).outputs
        finally:
            turns.release()
        return ModelOutputs(name, {port: bytes(value) for port, value in given.items()})


def _on_event_loop() -> bool:
    """Whether this thread runs coroutines; without asyncio, which costs a worker 40 ms, none does."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
