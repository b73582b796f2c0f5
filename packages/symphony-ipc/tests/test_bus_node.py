"""What a node of the bus does at its edges: misuse, neighbours that misbehave, uplinks that end or refuse."""

import asyncio
import gc
import socket
from contextlib import asynccontextmanager

import msgspec
import pytest
from symphony_ipc import Endpoint, Envelope, Kind, from_socket
from symphony_ipc.bus import Bus, BusMetrics, below, send_queue
from symphony_ipc.bus.messages import LOST, NODE, FindEndpoints, Lost, Subscribe
from symphony_ipc.payload import decode_error, encode_payload
from symphony_sdk.errors import BusError, DeadlineExceeded, PeerGone, TransportError, WorkflowError
from symphony_sdk.messages import ArtifactData, Done, LogLine, Progress, message_type
from symphony_sdk.ports.bus import EndpointInfo


def line(text):
    return LogLine("info", str(text))


async def echo(message):
    return message


async def pair(hub, node, *, max_frame=None):
    """Both ends of a connection, the hub's attached."""
    ours, theirs = socket.socketpair()
    options = {} if max_frame is None else {"max_frame": max_frame}
    return await asyncio.gather(
        from_socket(ours, Endpoint(hub.name, timeout=30), accepts=True, on_open=hub.attach),
        from_socket(theirs, Endpoint(node, timeout=30, **options), accepts=False),
    )


@asynccontextmanager
async def tree(*names):
    hub, nodes = Bus("hub"), [Bus(name) for name in names]
    try:
        for node in nodes:
            await node.join((await pair(hub, node.name))[1])
        yield hub, *nodes
    finally:
        for node in (*nodes, hub):
            await node.close()


@asynccontextmanager
async def hub_and_raw(raw):
    """A hub, and a raw peer below it that may send what it likes."""
    async with raw() as (connection, peer):
        hub = Bus("hub")
        hub.attach(connection)
        yield hub, peer
        await hub.close()


def request(number, message, to=NODE):
    return Envelope(Kind.REQUEST, number, message_type(message), to=to, payload=encode_payload(message))


async def next_of(peer, *kinds):
    """The next envelope of a kind; the others, such as heartbeats, are passed over."""
    while (envelope := await peer.receive()) is not None:
        if envelope.kind in kinds:
            return envelope
    return None


async def soon(subscription):
    async with asyncio.timeout(20):
        return await anext(subscription)


async def end_of_a_neighbour(health):
    """What is told when a neighbour is dead; on a busy machine it may be suspect before."""
    while (changed := (await soon(health)).message).health == "suspect":
        pass
    return changed


# -- what is left over -------------------------------------------------------------------------------


def test_an_answered_request_leaves_nothing_to_the_garbage_collector():
    async def main():
        async with (
            tree("asks", "answers") as (_hub, asks, answers),
            await answers.register("a.echo", echo),
        ):
            await asks.request("a.echo", line("first"), LogLine, timeout=20)
            gc.collect()
            gc.disable()
            try:
                for number in range(100):
                    await asks.request("a.echo", line(number), LogLine, timeout=20)
                assert gc.collect() < 100
            finally:
                gc.enable()

    asyncio.run(main())


# -- misuse ------------------------------------------------------------------------------------------


def test_a_connection_has_one_bus():
    async def main():
        async with tree() as (hub,):
            ours, _theirs = await pair(hub, "x")
            with pytest.raises(BusError, match="belongs to a bus already") as caught:
                hub.attach(ours)
            assert caught.value.code == "SYM-T025"

    asyncio.run(main())


def test_a_node_has_one_bus_above():
    async def main():
        async with tree("one") as (hub, one):
            _, theirs = await pair(hub, "x")
            with pytest.raises(BusError, match="has joined a bus already") as caught:
                await one.join(theirs)
            assert caught.value.code == "SYM-T025"

    asyncio.run(main())


def test_a_closed_bus_takes_nothing_more():
    async def main():
        async with tree("one") as (hub, one):
            subscription = await one.subscribe("a")
            listener = await one.listen("a", print)
            registration = await one.register("a", echo)
            ours, _theirs = await pair(hub, "x")
            await one.close()
            await one.close()
            with pytest.raises(StopAsyncIteration):
                await anext(subscription)
            attempts = [one.subscribe("a"), one.listen("a", print), one.register("b", echo), one.join(ours)]
            for attempt in attempts:
                with pytest.raises(BusError, match="is closed") as caught:
                    await attempt
                assert caught.value.code == "SYM-T025"
            with pytest.raises(BusError, match="is closed"):
                one.attach(ours)
            with pytest.raises(BusError, match="nobody answers"):
                await one.request("a", Done(), Done)
            async with listener, registration, subscription:
                pass  # what is left afterwards has been ended

    asyncio.run(main())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_subscription_has_room_for_a_message(limit):
    async def main():
        with pytest.raises(BusError, match="expected 1 or more") as caught:
            await Bus("one").subscribe("a", limit=limit)
        assert caught.value.code == "SYM-T025"

    asyncio.run(main())


def test_two_tasks_do_not_share_an_iteration():
    async def main():
        subscription = await Bus("one").subscribe("a")
        first = asyncio.create_task(anext(subscription))
        await asyncio.sleep(0)
        with pytest.raises(BusError, match="two tasks") as caught:
            await anext(subscription)
        assert caught.value.code == "SYM-T025"
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(main())


def test_a_cancelled_wait_loses_no_message():
    async def main():
        bus = Bus("one")
        subscription = await bus.subscribe("a")
        waiting = asyncio.create_task(anext(subscription))
        await asyncio.sleep(0)
        bus.publish("a", line("x"))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await soon(subscription)).message == line("x")

    asyncio.run(main())


def test_what_is_too_large_to_leave_is_told_to_the_publisher():
    async def main():
        async with tree("one") as (hub, one), await hub.subscribe("a") as subscription:
            with pytest.raises(TransportError) as caught:
                one.publish("a", line("x" * (17 << 20)))
            assert caught.value.code == "SYM-T005"
            one.publish("a", line("y"))
            assert (await soon(subscription)).message == line("y")

    asyncio.run(main())


# -- in one process ----------------------------------------------------------------------------------


def test_an_error_of_an_endpoint_beside_the_asker_keeps_its_type_and_traceback():
    async def main():
        async def fail(message):
            raise ZeroDivisionError("by zero")

        bus = Bus("one")
        async with await bus.register("a", fail):
            with pytest.raises(ZeroDivisionError) as caught:
                await bus.request("a", Done(), Done)
        assert "fail" in [entry.name for entry in caught.traceback]
        assert bus.metrics() == BusMetrics(requests=1, failed=1)

    asyncio.run(main())


def test_an_endpoint_beside_the_asker_gets_the_very_object_in_the_same_task():
    async def main():
        seen = []

        async def answer(message):
            seen.append((message, asyncio.current_task()))
            return message

        bus, message = Bus("one"), line("x")
        async with await bus.register("a", answer):
            assert await bus.request("a", message, LogLine, timeout=20) is message
        assert seen[0][0] is message
        assert seen[0][1] is asyncio.current_task()

    asyncio.run(main())


def test_a_handlers_own_timeout_is_not_taken_for_the_deadline():
    async def main():
        async def fail(message):
            raise TimeoutError("of its own")

        bus = Bus("one")
        async with await bus.register("a", fail):
            with pytest.raises(TimeoutError, match="of its own"):
                await bus.request("a", Done(), Done, timeout=20)

    asyncio.run(main())


def test_a_listener_may_subscribe_and_publish_and_leave_while_it_is_called():
    async def main():
        bus, came = Bus("one"), []
        tasks = []

        async def more():
            tasks.append(await bus.listen("a", lambda delivery: came.append("late")))

        async def leave():
            async with listener:
                pass

        def take(delivery):
            came.append(delivery.message.text)
            if delivery.message.text == "x":
                bus.publish("a", line("y"))
                tasks.extend([asyncio.create_task(more()), asyncio.create_task(leave())])

        listener = await bus.listen("a", take)
        bus.publish("a", line("x"))
        await asyncio.gather(*tasks[:2])
        bus.publish("a", line("z"))
        assert came == ["x", "y", "late"]

    asyncio.run(main())


def test_a_group_passes_over_a_member_that_is_full():
    async def main():
        bus = Bus("one")
        slow = await bus.subscribe("a", group="g", limit=1)
        quick = await bus.subscribe("a", group="g")
        for number in range(10):
            bus.publish("a", line(number))
        assert (await soon(slow)).message.text in {"0", "1"}
        assert slow.lost == quick.lost == 0
        assert bus.metrics().delivered == 10

    asyncio.run(main())


def test_a_listener_to_dead_letters_that_raises_makes_no_further_ones():
    async def main():
        failures = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        bus = Bus("one")

        def fail(delivery):
            raise ZeroDivisionError

        async with await bus.listen("_dead.>", fail):
            bus.publish("a", line("x"))
        assert len(failures) == 1
        assert bus.metrics().dead_letters == 1

    asyncio.run(main())


def test_a_dead_letter_of_a_long_message_leaves_it_out():
    async def main():
        bus = Bus("one")
        async with await bus.subscribe("_dead.>") as dead:
            for length in (300 << 10, 2 << 20):  # the second is too long for a message of its type
                bus.publish("a", line("x" * length))
                letter = (await soon(dead)).message
                assert (letter.reason, letter.type, letter.payload) == ("nobody", "worker.log/1", b"")
            bus.publish("b" * 240, line("x"))
            assert (await soon(dead)).topic == "_dead." + "b" * 240

    asyncio.run(main())


def test_routes_are_forgotten_when_there_are_too_many(monkeypatch):
    async def main():
        monkeypatch.setattr("symphony_ipc.bus.interest.ROUTES_LIMIT", 10)
        bus, came = Bus("one"), []
        async with await bus.listen("a.>", came.append):
            for number in range(100):
                bus.publish(f"a.{number}", line(number))
                assert len(bus._interest.routes) <= 10
        assert len(came) == 100

    asyncio.run(main())


def test_what_is_counted():
    async def main():
        async with tree("one", "two") as (hub, one, two):
            async with await two.listen("a", lambda delivery: None), await two.register("x", echo):
                one.publish("a", line("1"))
                one.publish("b", line("2"))
                assert await one.request("x", line("3"), LogLine) == line("3")
            counted = hub.metrics()
            assert (counted.forwarded, counted.dead_letters) == (1, 1)
            assert [n.process for n in counted.neighbours] == ["one", "two"]
            assert all(
                n.frames_in and n.bytes_in and n.frames_out and n.bytes_out for n in counted.neighbours
            )
            assert all(n.in_flight == n.waiting == n.lost == 0 for n in counted.neighbours)
            assert one.metrics() == BusMetrics(published=2, forwarded=2, requests=1)
            assert (two.metrics().delivered, two.metrics().requests) == (1, 1)

    asyncio.run(main())


# -- neighbours below --------------------------------------------------------------------------------


def test_a_neighbour_that_publishes_to_no_topic_is_cut_off(raw):
    async def main():
        async with hub_and_raw(raw) as (hub, peer), await hub.subscribe("_bus.health") as health:
            await peer.send(Envelope(Kind.PUBLISH, to="a..b", payload=encode_payload(Done())))
            error = decode_error((await next_of(peer, Kind.ERROR)).payload)
            assert error.code == "SYM-T002"
            changed = await end_of_a_neighbour(health)
            assert (changed.process, changed.health) == ("raw", "dead")
            assert "no topic" in changed.reason

    asyncio.run(main())


@pytest.mark.parametrize(("type_", "payload"), [("never.heard/1", b"\xc0"), ("worker.log/1", b"\xc1")])
def test_a_message_that_cannot_be_decoded_is_a_dead_letter(raw, type_, payload):
    async def main():
        async with (
            hub_and_raw(raw) as (hub, peer),
            await hub.subscribe("a") as subscription,
            await hub.subscribe("_dead.a") as dead,
        ):
            await peer.send(Envelope(Kind.PUBLISH, type=type_, to="a", payload=memoryview(payload)))
            letter = (await soon(dead)).message
            assert (letter.reason, letter.type, letter.payload) == ("malformed", type_, payload)
            await peer.send(
                Envelope(Kind.PUBLISH, type="worker.done/1", to="a", payload=encode_payload(Done()))
            )
            assert (await soon(subscription)).message == Done()

    asyncio.run(main())


def test_a_neighbour_cannot_have_more_subscriptions_than_it_may(raw, monkeypatch):
    async def main():
        monkeypatch.setattr(below, "CLAIMS_LIMIT", 3)
        async with hub_and_raw(raw) as (_, peer):
            for number in range(4):
                await peer.send(request(number + 1, Subscribe(f"a.{number}")))
            answers = [await next_of(peer, Kind.RESPONSE, Kind.ERROR) for _ in range(4)]
            assert [answer.kind for answer in answers] == [Kind.RESPONSE] * 3 + [Kind.ERROR]
            assert decode_error(answers[3].payload).code == "SYM-T026"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Subscribe("a..b"), "SYM-T020"),
        (Subscribe("a", "x y"), "SYM-T020"),
        (Subscribe("a", durable="d"), "SYM-T024"),
        (FindEndpoints("*."), "SYM-T020"),
        (Progress(0.1), "SYM-T006"),
    ],
)
def test_what_a_neighbour_may_not_ask_of_a_node_is_refused(raw, message, code):
    async def main():
        async with hub_and_raw(raw) as (_, peer):
            await peer.send(request(1, message))
            assert decode_error((await next_of(peer, Kind.ERROR)).payload).code == code

    asyncio.run(main())


@pytest.mark.parametrize("meta", [None, {"topic": "a b"}, {"topic": "a"}])
def test_a_neighbour_cannot_have_messages_kept_where_nothing_is(raw, meta):
    async def main():
        async with hub_and_raw(raw) as (_, peer):
            await peer.send(
                Envelope(
                    Kind.REQUEST, 1, "worker.done/1", to="_deliver", meta=meta, payload=encode_payload(Done())
                )
            )
            code = decode_error((await next_of(peer, Kind.ERROR)).payload).code
            assert code == ("SYM-T024" if meta == {"topic": "a"} else "SYM-T020")

    asyncio.run(main())


def test_a_node_asks_nobody_for_its_own_stale_name(raw):
    async def main():
        async with hub_and_raw(raw) as (hub, peer):
            await peer.send(
                Envelope(Kind.REQUEST, 1, "worker.done/1", to="_x", payload=encode_payload(Done()))
            )
            assert decode_error((await next_of(peer, Kind.ERROR)).payload).code == "SYM-T022"
            assert hub.metrics().failed == 1

    asyncio.run(main())


def test_a_neighbour_that_was_told_of_losses_adds_them_up():
    async def main():
        async with (
            tree("one") as (hub, one),
            await one.subscribe("a.*") as first,
            await one.subscribe("a.b") as other,
        ):
            queue = next(iter(hub._below)).queue
            queue.missed((("a.*", ""), ("never", "")), 3)
            queue.missed((("a.*", ""),), 4)
            hub.publish("a.b", line("x"))
            assert (await soon(first)).message == line("x")
            assert (first.lost, other.lost) == (7, 0)

    asyncio.run(main())


def test_losses_on_the_way_up_reach_whoever_missed_the_messages(raw):
    async def main():
        async with hub_and_raw(raw) as (hub, peer), await hub.subscribe("a.*") as here:
            node = Bus("two")
            await node.join((await pair(hub, "two"))[1])
            async with await node.subscribe("a.b") as there, await node.subscribe("c") as other:
                loss = Lost("a.b", "", 5)
                await peer.send(
                    Envelope(Kind.PUBLISH, type=message_type(loss), to=LOST, payload=encode_payload(loss)),
                    Envelope(Kind.PUBLISH, type="worker.done/1", to="a.b", payload=encode_payload(Done())),
                )
                await soon(there)
                await soon(here)
                assert (here.lost, there.lost, other.lost) == (5, 5, 0)
            await node.close()

    asyncio.run(main())


def test_a_message_longer_than_a_neighbour_takes_is_lost_and_told():
    async def main():
        async with tree() as (hub,):
            node = Bus("small")
            await node.join((await pair(hub, "small", max_frame=1 << 20))[1])
            async with await node.subscribe("a") as subscription:
                hub.publish("a", ArtifactData(bytes(2 << 20), 1))
                hub.publish("a", line("y"))
                assert (await soon(subscription)).message == line("y")
                assert subscription.lost == hub.metrics().lost == 1
            await node.close()

    asyncio.run(main())


def test_a_queue_is_bounded_by_its_bytes_too(monkeypatch):
    async def main():
        monkeypatch.setattr(send_queue, "BYTES_LIMIT", 100_000)
        async with tree("one") as (hub, one), await one.subscribe("a", limit=10_000) as subscription:
            for _ in range(200):
                hub.publish("a", line("x" * 5000))
                assert hub.metrics().neighbours[0].waiting <= 20
            hub.publish("a", line("end"))
            received = 0
            while (await soon(subscription)).message != line("end"):
                received += 1
            assert received + subscription.lost == 200
            assert subscription.lost > 0

    asyncio.run(main())


def test_a_publisher_that_outruns_the_hub_loses_its_oldest_and_those_who_miss_them_are_told():
    async def main():
        async with (
            tree("one", "two") as (hub, one, two),
            await two.subscribe("a", limit=10_000) as subscription,
        ):
            for number in range(5000):
                one.publish("a", line(f"{number} {'x' * 500}"))
            one.publish("a", line("end"))
            received = 0
            while (await soon(subscription)).message != line("end"):
                received += 1
            assert received + subscription.lost == 5000
            assert subscription.lost == one.metrics().lost + hub.metrics().lost > 0

    asyncio.run(main())


def test_a_neighbour_that_asks_and_does_not_read_is_cut_off_before_it_takes_the_memory(raw, monkeypatch):
    async def main():
        monkeypatch.setattr("symphony_ipc.bus.health.UNSENT_LIMIT", 4 << 20)

        async def answer(message):
            return ArtifactData(bytes(1 << 20), 1)

        async with (
            hub_and_raw(raw) as (hub, peer),
            await hub.register("a", answer),
            await hub.subscribe("_bus.health") as health,
        ):
            for number in range(1, 20):
                await peer.send(request(number, Done(), "a"))
            changed = await end_of_a_neighbour(health)
            assert (changed.health, "unread" in changed.reason) == ("dead", True)

    asyncio.run(main())


def test_a_neighbour_of_a_known_process_is_dead_when_the_process_is():
    async def main():
        async with tree() as (hub,), await hub.subscribe("_bus.health") as health:
            process = await asyncio.create_subprocess_exec("true")
            await process.wait()
            ours, theirs = socket.socketpair()
            await asyncio.gather(
                from_socket(
                    ours,
                    Endpoint("hub", timeout=30),
                    accepts=True,
                    on_open=lambda connection: hub.attach(connection, pid=process.pid),
                ),
                from_socket(theirs, Endpoint("ghost", timeout=30), accepts=False),
            )
            changed = await end_of_a_neighbour(health)
            assert (changed.process, changed.health) == ("ghost", "dead")
            assert "ended" in changed.reason

    asyncio.run(main())


# -- the bus above -----------------------------------------------------------------------------------


def test_a_name_that_is_taken_above_is_refused_below_and_keeps_nothing():
    async def main():
        async with tree("one", "two") as (hub, one, two):
            async with await hub.register("a", echo):
                with pytest.raises(BusError) as caught:
                    await one.register("a", echo)
                assert caught.value.code == "SYM-T023"
            async with await two.register("a", echo):
                assert await one.request("a", line("x"), LogLine) == line("x")
                assert [info.process for info in await one.endpoints("a")] == ["two"]

    asyncio.run(main())


def test_a_node_whose_name_is_taken_above_cannot_join_and_goes_on_alone():
    async def main():
        async with tree("one") as (hub, one), await one.register("a", echo):
            node = Bus("late")
            async with await node.register("a", echo), await node.subscribe("b") as subscription:
                ours, theirs = await pair(hub, "late")
                with pytest.raises(BusError) as caught:
                    await node.join(theirs)
                assert caught.value.code == "SYM-T023"
                await ours.wait_closed()
                node.publish("b", line("x"))
                assert (await soon(subscription)).message == line("x")
                assert await node.request("a", line("x"), LogLine) == line("x")

    asyncio.run(main())


def test_a_bus_whose_bus_above_ends_goes_on_alone_and_may_join_again():
    async def main():
        async with tree() as (hub,):
            node = Bus("one")
            async with await node.subscribe("a") as subscription, await node.register("x", echo):
                ours, theirs = await pair(hub, "one")
                await node.join(theirs)
                hub.publish("a", line("1"))
                assert (await soon(subscription)).message == line("1")
                async with await node.subscribe("_bus.health") as health:
                    await ours.close()
                    changed = await end_of_a_neighbour(health)
                    assert (changed.process, changed.health) == ("", "dead")
                node.publish("a", line("2"))
                assert (await soon(subscription)).message == line("2")
                with pytest.raises(BusError):
                    await node.request("never", Done(), Done)
                await node.join((await pair(hub, "one"))[1])
                hub.publish("a", line("3"))
                assert (await soon(subscription)).message == line("3")
                assert await hub.request("x", line("4"), LogLine) == line("4")
            await node.close()

    asyncio.run(main())


def test_a_request_through_a_hub_that_ends_fails_at_once():
    async def main():
        begun = asyncio.Event()

        async def hang(message):
            begun.set()
            await asyncio.Event().wait()

        async with tree("one", "two") as (hub, one, two), await two.register("a", hang):
            request = asyncio.create_task(one.request("a", Done(), Done))
            await begun.wait()
            await hub.close()
            with pytest.raises((PeerGone, TransportError)):
                async with asyncio.timeout(20):
                    await request

    asyncio.run(main())


def test_a_hub_that_does_not_answer_fails_the_subscription(raw, monkeypatch):
    async def main():
        monkeypatch.setattr("symphony_ipc.bus.hub.NODE_TIMEOUT", 0.05)
        async with raw() as (connection, _):
            bus = Bus("one")
            await bus.join(connection)
            with pytest.raises(DeadlineExceeded):
                await bus.subscribe("a")
            assert ("a", "") not in bus._interest
            await bus.close()

    asyncio.run(main())


class FakeUplink:
    """An uplink that keeps messages."""

    def __init__(self):
        self.calls = []
        self.kept = []
        self.node = None

    def start(self, node):
        self.node = node

    async def subscribe(self, pattern, group, durable=""):
        self.calls.append(("subscribe", pattern, group, durable))
        if pattern == "refused":
            raise BusError("no")

    async def unsubscribe(self, pattern, group, durable=""):
        self.calls.append(("unsubscribe", pattern, group, durable))

    def publish(self, envelope):
        self.calls.append(("publish", envelope.to))
        if envelope.type == "worker.progress/1":
            raise TransportError("too large", code="SYM-T005")

    async def deliver(self, envelope):
        self.kept.append((envelope.to, envelope.type, bytes(envelope.payload), envelope.idempotency_key))

    def request(self, envelope, answered):
        answered(Envelope(Kind.RESPONSE, type=envelope.type, payload=envelope.payload))
        return

    async def register(self, name, group):
        self.calls.append(("register", name, group))

    async def unregister(self, name, group):
        self.calls.append(("unregister", name, group))

    async def endpoints(self, pattern):
        return (EndpointInfo("far.away", "server"), EndpointInfo("mine", "one"))

    async def close(self):
        self.calls.append(("close",))


def test_an_uplink_is_told_everything_once_and_again_when_it_is_joined():
    async def main():
        bus, uplink = Bus("one"), FakeUplink()
        async with await bus.subscribe("early", group="g"), await bus.register("mine", echo):
            await bus.join(uplink)
            async with await bus.subscribe("a"), await bus.subscribe("a"), await bus.listen("a", print):
                pass
            with pytest.raises(BusError, match="no"):
                await bus.subscribe("refused")
            found = [(info.name, info.process) for info in await bus.endpoints()]
            assert found == [("far.away", "server"), ("mine", "one")]
            bus.publish("x", line("1"))
            assert await bus.request("far.away", line("2"), LogLine) == line("2")
        await bus.close()
        assert uplink.node.name == "one"
        assert uplink.calls == [
            ("subscribe", "early", "g", ""),
            ("register", "mine", ""),
            ("subscribe", "a", "", ""),
            ("unsubscribe", "a", "", ""),
            ("subscribe", "refused", "", ""),
            ("publish", "x"),
            ("unregister", "mine", ""),
            ("unsubscribe", "early", "g", ""),
            ("close",),
        ]

    asyncio.run(main())


def test_a_durable_message_is_taken_when_the_next_one_is_asked_for():
    async def main():
        bus, uplink, taken = Bus("one"), FakeUplink(), []
        await bus.join(uplink)

        def come(text, type_="worker.log/1"):
            payload = memoryview(msgspec.msgpack.encode(line(text)))
            envelope = Envelope(Kind.PUBLISH, type=type_, to="kept.x", payload=payload)
            uplink.node.published(envelope, "reader", lambda: taken.append(text))

        async with await bus.subscribe("kept.*", durable="reader", limit=3) as subscription:
            with pytest.raises(BusError, match="already"):
                await bus.subscribe("kept.*", durable="reader")
            for text in ("1", "2"):
                come(text)
            assert (await soon(subscription)).message == line("1")
            assert taken == []
            assert (await soon(subscription)).message == line("2")
            assert taken == ["1"]
            for text in ("3", "4", "5", "6"):
                come(text)
            assert (await soon(subscription)).message == line("3")
            assert taken == ["1", "2"]
            assert [(await soon(subscription)).message for _ in range(3)] == [line("4"), line("5"), line("6")]
            assert (subscription.lost, bus.metrics().lost) == (0, 0), "what is kept is not lost for a limit"
            come("bad", "never.heard/1")
            assert taken == ["1", "2", "3", "4", "5", "bad"], "what cannot be decoded never will be"
        come("after")
        assert "after" not in taken
        await bus.close()

    asyncio.run(main())


def test_what_is_delivered_goes_to_the_bus_that_keeps_it_from_two_levels_below():
    async def main():
        async with tree("one") as (hub, one):
            uplink = FakeUplink()
            await hub.join(uplink)
            await one.deliver("kept.x", line("1"), idempotency_key="k")
            await hub.deliver("kept.y", line("2"))
            payload = msgspec.msgpack.encode
            assert uplink.kept == [
                ("kept.x", "worker.log/1", payload(line("1")), "k"),
                ("kept.y", "worker.log/1", payload(line("2")), ""),
            ]
            with pytest.raises(BusError):
                await one.deliver("no topic", line("1"))

    asyncio.run(main())


def test_a_message_that_the_bus_above_refuses_costs_its_publisher_below_nothing():
    async def main():
        async with tree("one") as (hub, one), await hub.subscribe("_dead.>") as dead:
            await hub.join(FakeUplink())
            one.publish("a", Progress(0.5))
            letter = (await soon(dead)).message
            assert (letter.reason, letter.topic) == ("malformed", "a")
            assert "too large" in letter.error
            one.publish("a", line("x"))
            async with await one.register("b", echo):
                assert await hub.request("b", line("y"), LogLine) == line("y")

    asyncio.run(main())


def test_what_comes_down_for_a_group_without_members_is_a_dead_letter():
    async def main():
        bus, uplink = Bus("one"), FakeUplink()
        await bus.join(uplink)
        async with await bus.subscribe("_dead.>") as dead:
            uplink.node.published(Envelope(Kind.PUBLISH, type="worker.done/1", to="a", group="g"))
            letter = (await soon(dead)).message
            assert (letter.reason, letter.topic) == ("nobody", "a")
        await bus.close()

    asyncio.run(main())


def test_losses_that_the_bus_above_tells_reach_the_subscription():
    async def main():
        bus, uplink = Bus("one"), FakeUplink()
        await bus.join(uplink)
        async with (
            await bus.subscribe("a.*") as plain,
            await bus.subscribe("a.*", group="g") as first,
            await bus.subscribe("a.*", group="g") as second,
        ):
            uplink.node.lost("a.*", "", 3)
            uplink.node.lost("a.*", "g", 2)
            uplink.node.lost("never", "", 1)
            assert (plain.lost, first.lost + second.lost) == (3, 2)
        await bus.close()

    asyncio.run(main())


def test_an_endpoint_that_fails_two_levels_away_says_so_here():
    async def main():
        async def fail(message):
            raise WorkflowError("far away", details={"n": 1})

        async with tree("left", "right") as (_, left, right):
            leaf = Bus("leaf")
            await leaf.join((await pair(left, "leaf"))[1])
            async with await leaf.register("a", fail):
                with pytest.raises(WorkflowError, match="far away") as caught:
                    await right.request("a", Done(), Done)
                assert caught.value.details == {"n": 1}
            await leaf.close()

    asyncio.run(main())
