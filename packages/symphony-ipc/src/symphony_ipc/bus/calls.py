"""What a task awaits of a request: the answer of another process, or of a handler in this one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from symphony_sdk.errors import DeadlineExceeded
from symphony_sdk.messages import message_type

from symphony_ipc.envelope import Envelope
from symphony_ipc.router import Answered, Forwarded

T = TypeVar("T")


async def answer_to(ask: Callable[[Envelope, Answered], Forwarded], envelope: Envelope) -> Envelope:
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
