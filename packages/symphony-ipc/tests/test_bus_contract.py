"""The contract of a bus: one node alone, processes below a hub, and trees of them, over real sockets."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from symphony_ipc import TRACEPARENT, Endpoint, from_socket
from symphony_ipc.bus import Bus
from symphony_sdk.testing.contracts.bus import BusContract


@asynccontextmanager
async def opened(*buses):
    try:
        yield
    finally:
        for bus in buses:
            await bus.close()


async def link(hub, node):
    ours, theirs = socket.socketpair()
    above, below = await asyncio.gather(
        from_socket(ours, Endpoint(hub.name, timeout=30), accepts=True),
        from_socket(theirs, Endpoint(node.name, timeout=30), accepts=False),
    )
    hub.attach(above)
    await node.join(below)


class TestOneNode(BusContract):
    traceparent = TRACEPARENT

    @pytest.fixture
    def buses(self):
        @asynccontextmanager
        async def open_buses():
            bus = Bus("one")
            async with opened(bus):
                yield bus, bus

        return open_buses


class TestTwoNodesBelowAHub(BusContract):
    traceparent = TRACEPARENT

    @pytest.fixture
    def buses(self):
        @asynccontextmanager
        async def open_buses():
            hub, one, two = Bus("hub"), Bus("one"), Bus("two")
            async with opened(one, two, hub):
                await link(hub, one)
                await link(hub, two)
                yield one, two

        return open_buses


class TestAHubAndANodeTwoLevelsBelow(BusContract):
    traceparent = TRACEPARENT

    @pytest.fixture
    def buses(self):
        @asynccontextmanager
        async def open_buses():
            hub, middle, leaf = Bus("hub"), Bus("middle"), Bus("leaf")
            async with opened(leaf, middle, hub):
                await link(middle, leaf)
                await link(hub, middle)
                yield hub, leaf

        return open_buses


class TestTwoLeavesOfATree(BusContract):
    traceparent = TRACEPARENT

    @pytest.fixture
    def buses(self):
        @asynccontextmanager
        async def open_buses():
            hub, left, right = Bus("hub"), Bus("left"), Bus("right")
            one, two = Bus("one"), Bus("two")
            async with opened(one, two, left, right, hub):
                await link(hub, left)
                await link(left, one)
                await link(hub, right)
                await link(right, two)
                yield one, two

        return open_buses
