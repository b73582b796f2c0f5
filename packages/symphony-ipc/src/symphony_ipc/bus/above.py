"""The bus above a node: it is told what is wanted and answered here and below, and what comes down is taken."""

import asyncio
from typing import Final

from symphony_sdk.errors import BusError, MalformedMessage, PeerGone, SymphonyError
from symphony_sdk.ports.bus import HealthChanged

from symphony_ipc.bus.endpoints import Directory, no_endpoint
from symphony_ipc.bus.exchange import Exchange
from symphony_ipc.bus.interest import Interest
from symphony_ipc.bus.messages import HEALTH, Register, Subscribe
from symphony_ipc.bus.metrics import Counts
from symphony_ipc.bus.neighbour import Neighbour
from symphony_ipc.bus.subscription import QueuedSubscription, Taken
from symphony_ipc.bus.uplink import Uplink
from symphony_ipc.envelope import Envelope
from symphony_ipc.router import Answered, Forwarded

Claim = Subscribe | Register
"""What a node asks of the one above; each is told once, however many here share it."""

WHOLE_BUS: Final = ""
"""The process that `_bus.health` names where the bus above has ended."""


class Above:
    """The uplink of a node, if it has one; adapter of `Receiver`.

    Args:
        process: What this process is called.
        interest: Who wants what.
        directory: Who answers what.
        exchange: Passes on what is published.
        counts: What is counted.

    Attributes:
        link: The uplink; None where there is none.
        durable: The subscriptions of this process that the bus above remembers, by name.
    """

    def __init__(
        self, process: str, interest: Interest, directory: Directory, exchange: Exchange, counts: Counts
    ) -> None:
        self.link: Uplink | None = None
        self.durable: dict[str, QueuedSubscription] = {}
        self._process = process
        self._interest = interest
        self._directory = directory
        self._exchange = exchange
        self._counts = counts
        self._told: set[Claim] = set()
        self._changing = asyncio.Lock()
        self._settling: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """What this process is called."""
        return self._process

    # -- what it is told -----------------------------------------------------------------------------

    async def join(self, link: Uplink) -> None:
        """Use an uplink from now on, and tell it everything.

        Raises:
            SymphonyError: It refuses something; it is closed then.
        """
        link.start(self)
        self.link = link
        self._exchange.up = link.publish
        claims: list[Claim] = [Subscribe(*key) for key in self._interest]
        claims += [Register(name, group) for name, group in self._directory.groups().items()]
        try:
            for claim in claims:
                await self.settle(claim)
            if self.link is not link:
                raise PeerGone("the bus above ended while it was joined")
        except BaseException:
            await self.leave()
            raise

    async def leave(self) -> None:
        """Close the uplink, if there is one."""
        link = self.link
        self._forget()
        if link is not None:
            await link.close()

    async def settle(self, claim: Claim) -> None:
        """Tell the node above whether a claim is made; what has been told is not told again.

        It is told to the end, even if the awaiting task is cancelled: so both know the same.

        Raises:
            SymphonyError: The node above refuses a claim; none where it was withdrawn.
        """
        if self.link is None or (claim in self._told) is self._stands(claim):
            return
        task = asyncio.get_running_loop().create_task(self._settle(claim))
        self._settling.add(task)
        task.add_done_callback(self._settled)
        await asyncio.shield(task)

    # -- what comes down -----------------------------------------------------------------------------

    def published(self, envelope: Envelope, durable: str = "", taken: Taken | None = None) -> None:
        """Take a PUBLISH.

        Raises:
            MalformedMessage: Its topic is not one.
        """
        if not durable:
            try:
                self._exchange.pass_on(envelope, None)
            except BusError as error:
                raise MalformedMessage(f"the bus above published to no topic: {error}") from error
            return
        subscription = self.durable.get(durable)
        if subscription is None:
            return  # it was closed meanwhile; the message comes again when it is back
        delivery = self._exchange.decoded(envelope)
        if delivery is not None:
            self._counts.delivered += 1
            subscription.take(delivery, taken)
        elif taken is not None:
            taken()  # it is a dead letter, and would be one again

    def asked(self, envelope: Envelope, answered: Answered) -> Forwarded:
        """Take a REQUEST.

        Raises:
            BusError: Nobody answers to its name here.
        """
        self._counts.requests += 1
        member = self._directory.choose(envelope.to)
        if member is None:
            self._counts.failed += 1
            raise no_endpoint(envelope.to)
        return member.ask(envelope, answered)

    def lost(self, pattern: str, group: str, count: int) -> None:
        """Take that messages to a subscription were thrown away on their way here."""
        members = self._interest.members((pattern, group))
        for member in members[:1] if group else members:  # of a group one would have got them
            if isinstance(member, Neighbour):
                member.queue.missed(((pattern, group),), count)
            else:
                member.lost += count

    def ended(self, reason: SymphonyError | None) -> None:
        """Go on alone."""
        self._forget()
        text = "it was left" if reason is None else reason.message
        self._exchange.announce(HEALTH, HealthChanged(WHOLE_BUS, "dead", text))

    # -- inside --------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self.link = self._exchange.up = None
        self._told.clear()

    def _stands(self, claim: Claim) -> bool:
        if isinstance(claim, Register):
            return claim.name in self._directory
        if claim.durable:
            return claim.durable in self.durable
        return (claim.pattern, claim.group) in self._interest

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
            except SymphonyError:
                if not told:
                    raise
                return  # it is withdrawn here; that the node above does not know costs a few messages in vain

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        if not task.cancelled():
            task.exception()  # is raised where it was waited for, or of no interest any more


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
