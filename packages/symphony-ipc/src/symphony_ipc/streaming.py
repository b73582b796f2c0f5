"""The items of a stream, as the one who asked takes them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from symphony_ipc.envelope import Envelope
from symphony_ipc.payload import MessageT, item_of
from symphony_ipc.router import Answered, Forwarded

ForwardedT = TypeVar("ForwardedT", bound=Forwarded)


async def items(
    ask: Callable[[Envelope, Answered], ForwardedT],
    leave: Callable[[ForwardedT], None],
    envelope: Envelope,
    item_type: type[MessageT],
) -> AsyncIterator[MessageT]:
    """Ask, and iterate over the answer; leaving the iteration ends the work at the other side.

    Half of the window is given back at once when half of it was taken, so that the peer need not pause.

    Args:
        ask: Passes the request on.
        leave: Gives it up.
        envelope: The REQUEST; its `credit` is the window.
        item_type: Class of each message.

    Raises:
        SymphonyError: What the peer raised, after the items that came before.
        MalformedMessage: An item is not of that type.
        TransportError: The peer answers with a single message (`SYM-T016`).
    """
    loop = asyncio.get_running_loop()
    came: deque[Envelope] = deque()
    waiter: asyncio.Future[None] | None = None

    def answered(answer: Envelope) -> None:
        came.append(answer)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    window, taken = envelope.credit, 0
    forwarded = ask(envelope, answered)
    try:
        while True:
            while came:
                item = item_of(came.popleft(), item_type)
                if item is None:
                    return
                taken += 1
                if taken * 2 >= window:
                    forwarded.credit(taken)
                    taken = 0
                yield item
            waiter = loop.create_future()
            await waiter
    finally:
        leave(forwarded)
