"""The other side of a connection in the contract of transports: does what it is asked to, also in its own process.

`python -m symphony_sdk.testing.contracts.transport_peer FACTORY ADDRESS TOKEN READY` listens at an address with
the transport that FACTORY makes, closes the descriptor READY when it does, and ends with its first connection.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import Final

import msgspec

from symphony_sdk.errors import ErrorPayload, error_from_payload
from symphony_sdk.messages import DATA_LIMIT, message
from symphony_sdk.ports import ConnectionPort, TransportPort

MODULE: Final = "symphony_sdk.testing.contracts.transport_peer"


@message("contract.echo", limit=DATA_LIMIT)
class Echo(msgspec.Struct, frozen=True):
    """Asks for the same message.

    Args:
        data: Any bytes.
    """

    data: bytes = b""


@message("contract.blob")
class Blob(msgspec.Struct, frozen=True):
    """Asks for an `Echo` of so many bytes.

    Args:
        size: How many.
    """

    size: int


@message("contract.fail")
class Fail(msgspec.Struct, frozen=True):
    """Asks for an error.

    Args:
        error: The error; without one, the handler breaks.
    """

    error: ErrorPayload | None = None


@message("contract.ask-back")
class AskBack(msgspec.Struct, frozen=True):
    """Asks the other side to ask this one: it answers with the `Echo` that it got.

    Args:
        data: What it asks with.
    """

    data: bytes


@message("contract.hold")
class Hold(msgspec.Struct, frozen=True):
    """Asks for nothing: there is no answer until it is cancelled."""


@message("contract.once")
class Once(msgspec.Struct, frozen=True):
    """Asks for something that is counted, and answered when a `Go` came."""


@message("contract.go")
class Go(msgspec.Struct, frozen=True):
    """Lets every `Once` be answered, also those to come."""


@message("contract.count")
class Count(msgspec.Struct, frozen=True):
    """Asks for a stream of `Number`.

    Args:
        upto: How many; -1 for no end.
        error: What comes after them, where it is to fail.
    """

    upto: int
    error: ErrorPayload | None = None


@message("contract.number")
class Number(msgspec.Struct, frozen=True):
    """One of a stream.

    Args:
        value: Counted from 0.
    """

    value: int


@message("contract.look")
class Look(msgspec.Struct, frozen=True):
    """Asks for the `State` of the other side."""


@message("contract.state")
class State(msgspec.Struct, frozen=True):
    """What the other side knows.

    Args:
        connections: How many there were.
        early: Whether it was asked before it was given a connection.
        held: Requests that it holds.
        cancelled: Requests that were cancelled.
        made: Numbers that it made for streams.
        streams: Streams that have not ended.
        carried_out: How often a `Once` was begun.
    """

    connections: int
    early: bool
    held: int
    cancelled: int
    made: int
    streams: int
    carried_out: int


@message("contract.vanish")
class Vanish(msgspec.Struct, frozen=True):
    """Asks the process of the other side to be killed."""


class Peer:
    """What listens: its `answer` and `connected` are for `TransportPort.listen`.

    Attributes:
        connections: Those that it was given.
        over: Set when a connection has ended.
    """

    def __init__(self) -> None:
        self.connections: list[ConnectionPort] = []
        self.over = asyncio.Event()
        self._go = asyncio.Event()
        self._early = False
        self._held = 0
        self._cancelled = 0
        self._made = 0
        self._streams = 0
        self._carried_out = 0
        self._watching: list[asyncio.Task[None]] = []

    def connected(self, connection: ConnectionPort) -> None:
        """Take a connection."""
        self.connections.append(connection)
        self._watching.append(asyncio.get_running_loop().create_task(self._watch(connection)))

    async def answer(self, message: msgspec.Struct) -> msgspec.Struct | AsyncIterator[msgspec.Struct]:
        """Do what a message asks for."""
        self._early = self._early or not self.connections
        match message:
            case Echo():
                return message
            case Blob(size):
                return Echo(bytes(size))
            case Fail(error):
                raise ZeroDivisionError if error is None else error_from_payload(error)
            case AskBack(data):
                return await self.connections[-1].request(Echo(data), Echo, timeout=20)
            case Hold():
                await self._hold()
            case Once():
                self._carried_out += 1
                await self._go.wait()
                return Number(self._carried_out)
            case Go():
                self._go.set()
            case Count(upto, error):
                return self._count(upto, error)
            case Vanish():
                os.kill(os.getpid(), signal.SIGKILL)
        return State(
            len(self.connections),
            self._early,
            self._held,
            self._cancelled,
            self._made,
            self._streams,
            self._carried_out,
        )

    async def close(self) -> None:
        """Close every connection."""
        for connection in self.connections:
            await connection.close()
        await asyncio.gather(*self._watching)

    async def _hold(self) -> None:
        self._held += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._cancelled += 1
            raise
        finally:
            self._held -= 1

    async def _count(self, upto: int, error: ErrorPayload | None) -> AsyncIterator[msgspec.Struct]:
        self._streams += 1
        try:
            value = 0
            while value != upto:
                self._made += 1
                yield Number(value)
                value += 1
            if error is not None:
                raise error_from_payload(error)
        finally:
            self._streams -= 1

    async def _watch(self, connection: ConnectionPort) -> None:
        await connection.wait_closed()
        self.over.set()


def made_by(factory: str) -> TransportPort:
    """The transport that a factory makes.

    Args:
        factory: Such as `symphony_transports:UnixTransport`; called with the name of this end.
    """
    module, _, attribute = factory.partition(":")
    make: Callable[[str], TransportPort] = getattr(import_module(module), attribute)
    return make("contract")


async def serve(factory: str, address: str, token: str, ready: int) -> None:
    """Listen until the first connection has ended.

    Args:
        factory: Makes the transport.
        address: Where to listen.
        token: The secret to expect.
        ready: Descriptor to close when it listens; none where it is negative.
    """
    peer = Peer()
    listener = await made_by(factory).listen(
        address, peer.connected, token=token.encode(), handler=peer.answer
    )
    if ready >= 0:
        os.close(ready)
    await peer.over.wait()
    await listener.close()
    await peer.close()


if __name__ == "__main__":
    _, factory, address, token, ready = sys.argv
    asyncio.run(serve(factory, address, token, int(ready)))
