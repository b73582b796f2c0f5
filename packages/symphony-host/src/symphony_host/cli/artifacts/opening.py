"""Opens the Artifact Store for one command."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from symphony_host.cli.session import open_host, settings_of
from symphony_host.cli.shell import Shell

if TYPE_CHECKING:
    from symphony_sdk.ports import ArtifactStore

    from symphony_host.composition import Host

T = TypeVar("T")


def with_store(shell: Shell, use: "Callable[[ArtifactStore], T]", *, tier: str = "") -> T:
    """What `use` gives for the Artifact Store, which is closed afterwards.

    Args:
        shell: What was asked of this call.
        use: Works with the store.
        tier: URL of its tier, in place of the one of the settings; none where empty.

    Raises:
        PortError: There is no Artifact Store.
        SymphonyError: Whatever `use` raises.
    """

    async def opened() -> T:
        async with open_host(settings) as host:
            if tier:
                host.set_of_component("artifact_store", "tier", tier)
            store = host.artifacts
            with _interruptible():
                return use(store)

    settings = settings_of(shell)
    return asyncio.run(opened())


def with_host(shell: Shell, use: "Callable[[Host], Awaitable[T]]") -> T:
    """What `use` gives for the whole host, which is closed afterwards.

    Args:
        shell: What was asked of this call.
        use: Works with the host.

    Raises:
        SymphonyError: Whatever `use` raises.
    """

    async def opened() -> T:
        async with open_host(settings) as host:
            return await use(host)

    settings = settings_of(shell)
    return asyncio.run(opened())


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end what blocks: asyncio's own handler would wait until the event loop turns again."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
