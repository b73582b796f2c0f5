"""The requests of the peer on an event loop: so many are worked on at once, and each gets one answer."""

import asyncio
from collections.abc import Callable
from typing import Final

from symphony_sdk.errors import Cancelled, DeadlineExceeded, MalformedMessage, SymphonyError
from symphony_sdk.messages import message_type
from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.envelope import TRACEPARENT, Envelope, Kind
from symphony_ipc.framing import DATA_LIMIT, Buffer, encode
from symphony_ipc.payload import decode_message, encode_error, encode_payload, unknown_message
from symphony_ipc.window import Window

SERVED_AT_ONCE: Final = 64
"""Requests of one peer that are worked on at the same time; more of them wait."""


class _Served:
    """A request of the peer, from when it comes in until it has its answer."""

    __slots__ = ("begun", "deadline", "envelope", "task")

    def __init__(self, envelope: Envelope, now: float) -> None:
        self.envelope = envelope
        self.deadline = None if envelope.deadline is None else now + envelope.deadline
        self.begun = False
        self.task: asyncio.Task[None] | None = None


class Serving:
    """Works on the requests of one peer.

    Args:
        handler: Answers them; without one each gets an error.
        write: Sends a frame to the peer.

    Attributes:
        max_frame: Bytes that the peer accepts in a frame.
    """

    def __init__(self, handler: RequestHandler | None, write: Callable[[tuple[Buffer, ...]], None]) -> None:
        self.max_frame = DATA_LIMIT
        self._handler = handler
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._stopped = False
        self._waiting: dict[int, _Served] = {}
        self._served: dict[int, _Served] = {}
        self._window = Window()

    def take(self, envelope: Envelope) -> None:
        """Take a REQUEST.

        Raises:
            MalformedMessage: Its number is in use, or the peer does not keep to the window.
        """
        size = len(envelope.payload)
        if envelope.id in self._served or envelope.id in self._waiting:
            raise MalformedMessage(f"the peer used the number {envelope.id} for two open requests")
        if not self._window.admits(size):
            raise MalformedMessage("the peer asks for more than the window of requests allows")
        self._window.take(size)
        self._waiting[envelope.id] = _Served(envelope, self._loop.time())
        self._start()

    def cancel(self, call_id: int) -> None:
        """Take a CANCEL; nothing happens where the request has been answered."""
        if call_id in self._waiting:
            self._served[call_id] = self._waiting.pop(call_id)
        served = self._served.get(call_id)
        if served is None:
            return
        if served.task is not None:
            served.task.cancel()
        if not served.begun:  # its task will never run, so it answers here
            self._answer(served, encode_error(call_id, _cancelled(served)))

    def pause(self) -> None:
        """Begin no work: the peer does not read the answers."""
        self._paused = True

    def resume(self) -> None:
        """Go on: the peer reads again."""
        self._paused = False
        self._start()

    def stop(self) -> None:
        """Cancel all work: the connection has ended."""
        self._stopped = True
        self._waiting.clear()
        for served in self._served.values():
            if served.task is not None:
                served.task.cancel()

    async def stopped(self) -> None:
        """Wait until all work has ended; a handler that waits for this does not wait for itself."""
        current = asyncio.current_task()
        tasks = [
            served.task for served in self._served.values() if served.task and served.task is not current
        ]
        if tasks:
            await asyncio.wait(tasks)

    def _start(self) -> None:
        while self._waiting and not self._paused and not self._stopped and len(self._served) < SERVED_AT_ONCE:
            call_id = next(iter(self._waiting))
            served = self._served[call_id] = self._waiting.pop(call_id)
            served.task = self._loop.create_task(self._serve(served))

    async def _serve(self, served: _Served) -> None:
        served.begun = True
        envelope = served.envelope
        try:
            frame = await self._respond(served)
        except asyncio.CancelledError:
            frame = encode_error(envelope.id, _cancelled(served))
        except SymphonyError as error:
            frame = encode_error(envelope.id, error)
        except Exception as error:  # noqa: BLE001 - the handler is foreign here; its caller must get an answer
            self._loop.call_exception_handler(
                {"message": f"the handler of {envelope.type!r} raised", "exception": error}
            )
            failure = f"{envelope.type!r} failed with a {type(error).__name__}"
            frame = encode_error(envelope.id, SymphonyError(failure))
        if not self._stopped:
            self._answer(served, frame)
            self._start()

    async def _respond(self, served: _Served) -> tuple[Buffer, ...]:
        envelope = served.envelope
        if served.deadline is not None and served.deadline <= self._loop.time():
            raise DeadlineExceeded(f"{envelope.type!r} was not begun before its deadline")
        if self._handler is None:
            raise unknown_message(envelope.type, ())
        TRACEPARENT.set(envelope.traceparent)
        answer = await self._handler(decode_message(envelope.type, envelope.payload))
        payload = encode_payload(answer)
        return encode(
            Envelope(Kind.RESPONSE, envelope.id, message_type(answer), payload=payload), self.max_frame
        )

    def _answer(self, served: _Served, frame: tuple[Buffer, ...]) -> None:
        del self._served[served.envelope.id]
        self._window.release(len(served.envelope.payload))
        self._write(frame)


def _cancelled(served: _Served) -> Cancelled:
    return Cancelled(f"{served.envelope.type!r} was cancelled by the one who asked for it")
