"""The contract of a bus, kept by nodes that are joined to a real NATS server."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from symphony_ipc import TRACEPARENT, Endpoint, from_socket
from symphony_ipc.bus import Bus
from symphony_sdk.errors import TransportError
from symphony_sdk.messages import Done, LogLine
from symphony_sdk.testing.contracts.bus import BusContract
from symphony_transport_nats import connect


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


class TestTwoNodesOnAServer(BusContract):
    keeps = True
    traceparent = TRACEPARENT
    tells_of_nobody = False

    @pytest.fixture
    def buses(self, server):
        @asynccontextmanager
        async def open_buses():
            one, two = Bus("one"), Bus("two")
            async with opened(one, two):
                await one.join(await connect(server.settings, one.name))
                await two.join(await connect(server.settings, two.name))
                yield one, two

        return open_buses


class TestAWorkerBelowAHubAndAnotherMachine(BusContract):
    keeps = True
    traceparent = TRACEPARENT
    tells_of_nobody = False

    @pytest.fixture
    def buses(self, another_server):
        server = another_server

        @asynccontextmanager
        async def open_buses():
            hub, worker, other = Bus("hub"), Bus("worker"), Bus("other")
            async with opened(worker, hub, other):
                await hub.join(await connect(server.settings, hub.name))
                await other.join(await connect(server.settings, other.name))
                await link(hub, worker)
                yield worker, other

        return open_buses


def test_a_bus_goes_on_through_a_restart_of_the_server(nats, eventually):
    async def main():
        server = nats()

        async def answer(message):
            return message

        one, two = Bus("one"), Bus("two")
        async with opened(one, two):
            await one.join(await connect(server.settings, "one"))
            await two.join(uplink := await connect(server.settings, "two"))
            async with await two.subscribe("a") as subscription, await two.register("echo", answer):
                server.kill()
                server.start()
                await eventually(lambda: uplink.counters.reconnects)
                await two.subscribe("fence")
                reply = None
                async with asyncio.timeout(20):
                    while reply is None:
                        try:
                            reply = await one.request("echo", LogLine("info", "x"), LogLine, timeout=5)
                        except TransportError:
                            await asyncio.sleep(0.01)
                one.publish("a", LogLine("info", "x"))
                async with asyncio.timeout(20):
                    assert (await anext(aiter(subscription))).message == reply

    asyncio.run(main())


def test_a_durable_subscription_with_little_room_loses_nothing(server, eventually):
    async def main():
        one, two = Bus("one"), Bus("two")
        async with opened(one, two):
            await one.join(await connect(server.settings, "one"))
            await two.join(await connect(server.settings, "two"))
            async with await two.subscribe("little", durable="little", limit=1) as subscription:
                for number in range(200):
                    await one.deliver("little", LogLine("info", str(number)))
                async with asyncio.timeout(20):
                    came = [(await anext(aiter(subscription))).message.text for _ in range(200)]
                assert came == [str(number) for number in range(200)]
                assert subscription.lost == 0

    asyncio.run(main())


def test_a_bus_is_told_when_the_connection_has_ended_for_good(server, eventually):
    async def main():
        bus = Bus("one")
        async with opened(bus):
            uplink = await connect(server.settings, "one")
            await bus.join(uplink)
            async with await bus.subscribe("_bus.health") as health:
                await uplink._server.client.close()  # as it does itself when the server throws it out
                async with asyncio.timeout(20):
                    delivery = await anext(aiter(health))
                assert delivery.message.health == "dead"
            async with await bus.register("here", lambda message: asyncio.sleep(0, Done())):
                assert await bus.request("here", Done(), Done) == Done()

    asyncio.run(main())
