"""Follows a run to its end on a display; Ctrl-C once pauses it, twice stops at once, unless one only looks on."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from symphony_core import Outcome, SymphonyCore
from symphony_sdk.errors import RunError

from symphony_host.cli.displays import Display
from symphony_host.cli.pipes import silence_stdout

REFRESH = 0.1
"""Seconds between two pictures of a live display."""

ESTIMATE = 1.0
"""Seconds between two estimates of how long a run may still take; of a large run it takes longer, and is rarer."""

_SHARE = 100
"""Estimating takes at most one part in so many of the time."""

Unread = Callable[[BrokenPipeError], None]
"""Called when nobody reads the output any more."""


async def follow(
    core: SymphonyCore, run: str, display: Display, *, after: int = 0, actor: str = "", steer: bool = True
) -> tuple[Outcome, bool]:
    """Show a run until it ends.

    Args:
        core: Where the run is.
        run: Id of the run.
        display: What shows it.
        after: Sequence number of the last event already seen.
        actor: Who looks on.
        steer: Whether Ctrl-C pauses the run; else it only stops looking.

    Returns:
        Where the run is then, and whether Ctrl-C was pressed.
    """

    def unread(error: BrokenPipeError) -> None:
        """Let the run go on, though whatever read the output has ended; who only looks on ends, too."""
        if not steer:
            raise error
        silence_stdout()
        display.notice(f"nobody reads the output any more; {run} goes on, and Ctrl-C pauses it")

    following = asyncio.create_task(_show(core, run, display, after, unread))
    beside = [asyncio.create_task(_redraw(display, unread))]
    if display.estimated:
        beside.append(asyncio.create_task(_estimate(core, run, display)))
    pausing: list[asyncio.Task[None]] = []
    left = False

    def pause() -> None:
        display.notice("pausing: what runs may end first; press Ctrl-C again to stop at once")
        pausing.append(asyncio.create_task(_pause(core, run, actor)))

    def stop() -> None:
        nonlocal left
        left = True
        following.cancel()

    try:
        with display, _on_interrupt(*([pause, stop] if steer else [stop])):
            with contextlib.suppress(asyncio.CancelledError):
                await following
            for task in beside:
                task.cancel()
            display.refresh()
    finally:
        for task in (following, *beside, *pausing):
            task.cancel()
        await asyncio.gather(following, *beside, *pausing, return_exceptions=True)
    return await core.outcome(run), bool(pausing) or left


async def _show(core: SymphonyCore, run: str, display: Display, after: int, unread: Unread) -> None:
    async for event in core.events(run, after):
        try:
            display.see(event)
        except BrokenPipeError as error:
            unread(error)


async def _estimate(core: SymphonyCore, run: str, display: Display) -> None:
    while True:
        begun = time.monotonic()
        progress = (await core.outcome(run)).status.progress
        if progress is not None:
            display.estimate(progress)
        await asyncio.sleep(max(ESTIMATE, _SHARE * (time.monotonic() - begun)))


async def _redraw(display: Display, unread: Unread) -> None:
    while True:
        try:
            display.refresh()
        except BrokenPipeError as error:
            unread(error)
        await asyncio.sleep(REFRESH)


async def _pause(core: SymphonyCore, run: str, actor: str) -> None:
    with contextlib.suppress(RunError):  # it has just ended by itself
        await core.pause(run, actor=actor)


@contextlib.contextmanager
def _on_interrupt(*actions: Callable[[], Any]) -> Iterator[None]:
    """Do the first action at the first Ctrl-C, the next at the next; after the last, Ctrl-C is as ever."""
    loop = asyncio.get_running_loop()
    left = list(actions)

    def act() -> None:
        left.pop(0)()
        if not left:
            loop.remove_signal_handler(signal.SIGINT)

    try:
        loop.add_signal_handler(signal.SIGINT, act)
    except (NotImplementedError, RuntimeError, ValueError):  # Windows; a thread: Ctrl-C stops at once there
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
