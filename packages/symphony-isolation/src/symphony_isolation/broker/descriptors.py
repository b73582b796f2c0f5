"""The socket beside the channel on which a worker gets descriptors, each with the number that an answer calls it by."""

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from symphony_sdk.errors import MalformedMessage, PeerGone
from symphony_sdk.worker.descriptors import receive_descriptor

UNTAKEN_BYTES: Final = 32 << 10
"""Bytes that the kernel keeps of descriptors which the worker has not taken: about ten of them."""

TAKE_TIMEOUT: Final = 5.0
"""Seconds that a worker may leave its descriptors untaken once that is full."""

_KIND: Final = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
_NUMBER: Final = struct.Struct("<Q")


class Descriptor:
    """An open file of this process, closed when nobody refers to it any more.

    So it is closed whoever was in a hurry: a task that was cancelled never takes what its thread has opened.

    Args:
        number: The open descriptor.

    Attributes:
        number: The open descriptor.
    """

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


class DescriptorSocket:
    """The host's end; nothing is read from it but the listener of the worker's proxy, once.

    Args:
        extension: Id of the extension, for messages.

    Attributes:
        worker_end: The worker's end, until the worker has been started with it.
    """

    def __init__(self, extension: str) -> None:
        self._host_end, self.worker_end = socket.socketpair(socket.AF_UNIX, _KIND)
        self._host_end.setblocking(False)
        self._host_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNTAKEN_BYTES)
        self._extension = extension
        self._sent = 0
        self._turn = asyncio.Lock()

    async def send(self, descriptor: int, on_breach: Callable[[MalformedMessage], None]) -> int:
        """Send a descriptor, and give its number; it stays open here.

        Args:
            descriptor: What to send.
            on_breach: Told where the worker does not take its descriptors; ends it.

        Raises:
            PeerGone: The worker has ended, or is about to.
        """
        async with self._turn:
            self._sent += 1
            try:
                async with asyncio.timeout(TAKE_TIMEOUT):
                    while not self._put(descriptor):
                        await self._room()
            except TimeoutError:
                breach = MalformedMessage(
                    f"it left its descriptors untaken for {TAKE_TIMEOUT:g} s",
                    code="SYM-P031",
                    details={"extension": self._extension},
                )
                on_breach(breach)
                raise PeerGone(f"{self._extension!r} {breach.message}") from None
            except OSError as error:
                raise PeerGone(f"the worker of {self._extension!r} takes no descriptors: {error}") from error
            return self._sent

    def take_listener(self) -> socket.socket | None:
        """The listener that the sandbox has made in the worker's network; None where it has none.

        Nothing more can come from the worker afterwards.

        Raises:
            MalformedMessage: SYM-P037, something else is there.
        """
        data, descriptors = b"", list[int]()
        with suppress(OSError):
            data, descriptors = receive_descriptor(self._host_end)
        self._host_end.shutdown(socket.SHUT_RD)
        taken_over = [Descriptor(number) for number in descriptors]
        if not taken_over:
            if data:
                raise _no_listener("nothing")
            return None
        with suppress(OSError):
            taken = socket.socket(fileno=os.dup(taken_over[0].number))
            if taken.family == socket.AF_INET and taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return taken
            taken.close()
        raise _no_listener("something else")

    def close(self) -> None:
        """Close both ends."""
        self._host_end.close()
        self.worker_end.close()

    def _put(self, descriptor: int) -> bool:
        try:
            socket.send_fds(self._host_end, [_NUMBER.pack(self._sent)], [descriptor])
        except BlockingIOError:
            return False
        return True

    async def _room(self) -> None:
        """Wait until the worker has taken descriptors."""
        loop = asyncio.get_running_loop()
        room: asyncio.Future[None] = loop.create_future()
        number = self._host_end.fileno()
        loop.add_writer(number, _notice, room)
        try:
            await room
        finally:
            loop.remove_writer(number)


def _no_listener(found: str) -> MalformedMessage:
    return MalformedMessage(f"it gave {found} in the place of its proxy's listener", code="SYM-P037")


def _notice(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)
