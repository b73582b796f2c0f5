"""Runs a handler for the requests of a peer: so many at once, each as a task, and each gets its answer."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from symphony_sdk.errors import Cancelled, DeadlineExceeded, SymphonyError, TransportError
from symphony_sdk.messages import message_type
from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.envelope import IDEMPOTENCY_KEY, TRACEPARENT, Envelope, Kind
from symphony_ipc.payload import decode_message, encode_payload, error_envelope, unknown_message
from symphony_ipc.router import Answered

SERVED_AT_ONCE: Final = 64
"""Requests of one peer that are worked on at the same time; more of them wait."""

_ITEMS_A_TURN: Final = 64  # a stream that never waits lets others go on after so many


# Looking an enum's member up takes longer than what is done with it here.
_RESPONSE: Final = Kind.RESPONSE
_ITEM: Final = Kind.ITEM


class _Job(msgspec.Struct, eq=False):
    """One request, from when it comes in until it has its final answer."""

    _work: "Work"
    envelope: Envelope
    answered: Answered
    deadline: float | None
    credits: int
    begun: bool = False
    task: asyncio.Task[None] | None = None
    moved: asyncio.Future[None] | None = None

    def cancel(self) -> None:
        self._work.cancel(self)

    def credit(self, items: int) -> None:
        self.credits += items
        self.wake()

    def wake(self) -> None:
        if self.moved is not None and not self.moved.done():
            self.moved.set_result(None)


class Work:
    """The requests that a handler works on.

    Args:
        handler: Answers them; without one each gets an error.
    """

    def __init__(self, handler: RequestHandler | None) -> None:
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._starting = False
        self._waiting: dict[_Job, None] = {}
        self._running: set[_Job] = set()

    @property
    def in_flight(self) -> int:
        """Requests that have no final answer yet."""
        return len(self._waiting) + len(self._running)

    def ask(self, envelope: Envelope, answered: Answered) -> _Job:
        """Take a request; the handler begins with it once there is room.

        Args:
            envelope: The REQUEST.
            answered: Takes ITEM envelopes of a stream, then one RESPONSE or ERROR.
        """
        deadline = None if envelope.deadline is None else self._loop.time() + envelope.deadline
        job = _Job(self, envelope, answered, deadline, envelope.credit)
        if self._waiting or self._paused or len(self._running) >= SERVED_AT_ONCE:
            self._waiting[job] = None
        else:
            self._begin(job)
        return job

    def cancel(self, job: _Job) -> None:
        """Have the handler end it; nothing happens where it has its answer."""
        if job in self._waiting:
            del self._waiting[job]
            job.answered(error_envelope(_cancelled(job)))
        elif job in self._running:
            if job.task is not None:
                job.task.cancel()
            if not job.begun:  # its task will never run, so it is answered here
                self._finish(job, error_envelope(_cancelled(job)))

    def pause(self) -> None:
        """Begin no work, and make no item of a stream: the peer does not read the answers."""
        self._paused = True

    def resume(self) -> None:
        """Go on: the peer reads again."""
        self._paused = False
        for job in self._running:
            job.wake()
        self._start()

    def stop(self) -> None:
        """Begin no work any more; what is under way is cancelled, or goes on, by those who asked for it."""
        self._paused = True
        for job in list(self._waiting):
            self.cancel(job)

    async def stopped(self) -> None:
        """Wait until all cancelled work has ended; a handler that waits for this does not wait for itself."""
        current = asyncio.current_task()
        tasks = [
            job.task
            for job in self._running
            if job.task is not None and job.task is not current and job.task.cancelling()
        ]
        if tasks:
            await asyncio.wait(tasks)

    def _start(self) -> None:
        if self._starting:
            return  # a handler that did not have to wait has ended: the loop below goes on
        self._starting = True
        try:
            while self._waiting and not self._paused and len(self._running) < SERVED_AT_ONCE:
                job = next(iter(self._waiting))
                del self._waiting[job]
                self._begin(job)
        finally:
            self._starting = False

    def _begin(self, job: _Job) -> None:
        self._running.add(job)
        if sys.version_info >= (3, 12):  # runs until it has to wait for the first time, before this returns
            job.task = asyncio.Task(self._run(job), loop=self._loop, eager_start=True)
        else:
            job.task = asyncio.Task(self._run(job), loop=self._loop)

    async def _run(self, job: _Job) -> None:
        job.begun = True
        envelope = job.envelope
        try:
            answer = await self._respond(job)
        except asyncio.CancelledError:
            answer = error_envelope(_cancelled(job))
        except SymphonyError as error:
            answer = error_envelope(error)
        except Exception as error:  # noqa: BLE001 - the handler is foreign here; its caller must get an answer
            self._loop.call_exception_handler(
                {"message": f"the handler of {envelope.type!r} raised", "exception": error}
            )
            answer = error_envelope(SymphonyError(f"{envelope.type!r} failed with a {type(error).__name__}"))
        self._finish(job, answer)
        if self._waiting:
            self._start()

    def _finish(self, job: _Job, answer: Envelope) -> None:
        self._running.discard(job)
        job.answered(answer)

    async def _respond(self, job: _Job) -> Envelope:
        envelope = job.envelope
        if job.deadline is not None and job.deadline <= self._loop.time():
            raise DeadlineExceeded(f"{envelope.type!r} was not begun before its deadline")
        if self._handler is None:
            raise unknown_message(envelope.type, ())
        TRACEPARENT.set(envelope.traceparent)
        IDEMPOTENCY_KEY.set(envelope.idempotency_key)
        answer = await self._handler(decode_message(envelope.type, envelope.payload))
        if isinstance(answer, msgspec.Struct):
            return Envelope(_RESPONSE, type=message_type(answer), payload=encode_payload(answer))
        return await self._send_items(job, aiter(answer))

    async def _send_items(self, job: _Job, items: AsyncIterator[msgspec.Struct]) -> Envelope:
        sent = 0
        try:
            if not job.envelope.credit:
                raise TransportError(
                    f"{job.envelope.type!r} is answered with a stream",
                    code="SYM-T015",
                    hint="Ask with `stream`, and iterate over what it returns.",
                )
            while True:
                while self._paused or not job.credits:
                    job.moved = self._loop.create_future()
                    await job.moved
                item = await anext(items)
                job.credits -= 1
                job.answered(Envelope(_ITEM, type=message_type(item), payload=encode_payload(item)))
                sent += 1
                if not sent % _ITEMS_A_TURN:
                    await asyncio.sleep(0)
        except StopAsyncIteration:
            return Envelope(_RESPONSE)
        finally:
            close = getattr(items, "aclose", None)  # a generator has it, another iterator may
            if close is not None:
                await close()


def _cancelled(job: _Job) -> Cancelled:
    return Cancelled(f"{job.envelope.type!r} was cancelled by the one who asked for it")
