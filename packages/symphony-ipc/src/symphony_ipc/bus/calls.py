"""What a task awaits of a request: the answer of another process, or of a handler in this one; and the bus's own answers."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

import msgspec
from symphony_sdk.errors import Cancelled, DeadlineExceeded, SymphonyError
from symphony_sdk.messages import message_type

from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.payload import encode_payload, error_envelope
from symphony_ipc.router import Answered, Ask, Forwarded

T = TypeVar("T")


async def answer_to(ask: Ask, envelope: Envelope) -> Envelope:
    """The RESPONSE or ERROR to a request; cancelling the awaiting task cancels the request.

    Args:
        ask: Passes it on.
        envelope: The REQUEST; its `credit` is 0.
    """
    future: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()

    def answered(answer: Envelope) -> None:
        if not future.done():
            future.set_result(answer)

    forwarded = ask(envelope, answered)
    try:
        return await future
    except asyncio.CancelledError:
        forwarded.cancel()
        raise


def give_up(forwarded: Forwarded) -> None:
    """Have the work on a request ended."""
    forwarded.cancel()


async def in_time(work: Awaitable[T], timeout: float | None, message: msgspec.Struct) -> T:
    """What some work gives, if it does so in time; it is cancelled if it does not.

    Args:
        work: The work.
        timeout: Seconds; None for no bound.
        message: What it answers.

    Raises:
        DeadlineExceeded: `timeout` passed.
    """
    if timeout is None:
        return await work
    scope = asyncio.timeout(timeout)
    try:
        async with scope:
            return await work
    except TimeoutError as error:
        if scope.expired():
            raise DeadlineExceeded(
                f"no answer to {message_type(message)!r} came before its deadline"
            ) from error
        raise


class Answering:
    """A request that a coroutine of the bus itself works on.

    Args:
        work: Gives the answer.
        answered: Takes it.
    """

    def __init__(self, work: Coroutine[Any, Any, msgspec.Struct], answered: Answered) -> None:
        self._answered = answered
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Have the work ended."""
        self._task.cancel()

    def credit(self, items: int) -> None:
        """The answer is no stream."""

    def _done(self, task: asyncio.Task[msgspec.Struct]) -> None:
        try:
            answer = task.result()
        except asyncio.CancelledError:
            self._answered(error_envelope(Cancelled("the request was cancelled by the one who asked")))
        except SymphonyError as error:
            self._answered(error_envelope(error))
        else:
            payload = encode_payload(answer)
            self._answered(Envelope(Kind.RESPONSE, type=message_type(answer), payload=payload))
