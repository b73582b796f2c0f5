"""Keeps the node above told of what is wanted and answered here and below."""

import asyncio
from collections.abc import Callable, Iterable

from symphony_sdk.errors import PeerGone

from symphony_ipc.bus.messages import Register, Subscribe
from symphony_ipc.bus.uplink import Uplink

Claim = Subscribe | Register
"""What a node asks of the one above; each is told once, however many here share it."""


class Upward:
    """The uplink of a node, and what it has been told.

    Args:
        stands: Whether a claim is still made.

    Attributes:
        link: The uplink; None where there is none.
    """

    def __init__(self, stands: Callable[[Claim], bool]) -> None:
        self.link: Uplink | None = None
        self._stands = stands
        self._told: set[Claim] = set()
        self._changing = asyncio.Lock()
        self._settling: set[asyncio.Task[None]] = set()

    async def begin(self, link: Uplink, claims: Iterable[Claim]) -> None:
        """Use an uplink from now on, and tell it everything.

        Raises:
            SymphonyError: It refuses something; it is not used then.
        """
        self.link = link
        try:
            for claim in claims:
                await self.settle(claim)
            if self.link is not link:
                raise PeerGone("the bus above ended while it was joined")
        except BaseException:
            if self.link is link:
                self.end()
            raise

    def end(self) -> None:
        """Use it no more."""
        self.link = None
        self._told.clear()

    async def settle(self, claim: Claim) -> None:
        """Tell the node above whether a claim is made; what has been told is not told again.

        It is told to the end, even if the awaiting task is cancelled: so both know the same.

        Raises:
            SymphonyError: The node above refuses it.
        """
        if self.link is None or (claim in self._told) is self._stands(claim):
            return
        task = asyncio.get_running_loop().create_task(self._settle(claim))
        self._settling.add(task)
        task.add_done_callback(self._settled)
        await asyncio.shield(task)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        if not task.cancelled():
            task.exception()  # is raised where it was waited for, or of no interest any more

    async def _settle(self, claim: Claim) -> None:
        async with self._changing:
            link, told = self.link, claim in self._told
            if link is None or told is self._stands(claim):
                return
            try:
                if told:
                    self._told.discard(claim)
                    await _withdraw(link, claim)
                else:
                    await _tell(link, claim)
                    if self.link is link:
                        self._told.add(claim)
            except PeerGone:
                return  # it is about to be told that the uplink has ended; what is here is still in force


async def _tell(link: Uplink, claim: Claim) -> None:
    if isinstance(claim, Subscribe):
        await link.subscribe(claim.pattern, claim.group, claim.durable)
    else:
        await link.register(claim.name, claim.group)


async def _withdraw(link: Uplink, claim: Claim) -> None:
    if isinstance(claim, Subscribe):
        await link.unsubscribe(claim.pattern, claim.group, claim.durable)
    else:
        await link.unregister(claim.name, claim.group)
