"""Followers that are slow, or never read: the run goes on, memory is bounded, and nothing is missed."""

import asyncio
import weakref

from pit_dag_tracker.feed import KEPT, Feed
from pit_dag_tracker.log import EventLog
from symphony_sdk.events import NodeStarted, RunWaiting

EVENTS = 100_000
BURST = 4_000


class Counted(RunWaiting, frozen=True, tag="run-waiting", weakref=True):
    """An event that is known to be in memory as long as it is."""


def test_a_follower_that_never_reads_costs_no_memory_however_much_happens(tmp_path):
    log = EventLog(tmp_path / "runs.sqlite")

    async def read(after, until):
        entries = await asyncio.to_thread(log.read, "r", after)
        return [event for event, _ in entries if event.sequence <= until]

    async def story():
        feed = Feed(0, read)
        idle, busy = feed.follow(0), feed.follow(0)
        seen, alive = 0, weakref.WeakSet()
        for first in range(1, EVENTS + 1, BURST):
            events = [
                Counted(run="r", sequence=sequence, at=float(sequence), nodes=())
                for sequence in range(first, first + BURST)
            ]
            alive.update(events)
            for event in events:
                feed.publish(event)
            feed.wake()
            if first == 1:
                assert (await anext(idle)).sequence == 1  # and then it reads no more
            for _ in range(BURST):
                seen += 1
                assert (await anext(busy)).sequence == seen
            log.append("r", [(event, {}) for event in events], lambda error: None)
            await asyncio.wrap_future(log.flush())
            feed.durable = events[-1].sequence
            feed.wake()
            del event, events
            assert len(alive) <= 2 * KEPT + BURST
        feed.end()
        rest = [event.sequence async for event in idle]
        assert rest == list(range(2, EVENTS + 1))

    try:
        asyncio.run(asyncio.wait_for(story(), 100))
    finally:
        log.close()


def test_what_has_happened_is_told_without_waiting_for_more(tmp_path):
    async def read(after, until):
        raise AssertionError("all of it is in memory")

    async def story():
        feed = Feed(5, read)
        for sequence in range(6, 606):
            feed.publish(NodeStarted(run="r", sequence=sequence, at=1.0, node="n"))
        bursts = [burst async for burst in feed.past(5)]
        assert [event.sequence for burst in bursts for event in burst] == list(range(6, 606))
        assert len(bursts) > 1
        assert [burst async for burst in feed.past(605)] == []

    asyncio.run(asyncio.wait_for(story(), 60))
