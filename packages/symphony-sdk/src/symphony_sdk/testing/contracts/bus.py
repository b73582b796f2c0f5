"""The contract of every bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import ContextVar
from typing import Any, ClassVar

import msgspec
import pytest

from symphony_sdk.errors import (
    BusError,
    DeadlineExceeded,
    MalformedMessage,
    SymphonyError,
    TransportError,
    WorkflowError,
)
from symphony_sdk.messages import Done, LogLine, Progress
from symphony_sdk.ports.bus import BusPort, Delivery, Subscription
from symphony_sdk.testing.contracts.contract import Contract

Buses = Callable[[], AbstractAsyncContextManager[tuple[BusPort, BusPort]]]

NOT_TOPICS = ["", ".", "a.", ".a", "a..b", "a b", "a.*", "*", ">", "a.>", "a\n", "a\x00", "a" * 300]
NOT_PATTERNS = ["", ".", "a.", ">.a", "a.>.b", "a*", "a.b>", "**", "a b", "a..>", "a" * 300]

MATCHES = [
    ("run.started", "run.started", True),
    ("run.started", "run.ended", False),
    ("run.*", "run.started", True),
    ("run.*", "run", False),
    ("run.*", "run.1.started", False),
    ("*.started", "run.started", True),
    ("*.*", "run.started", True),
    ("*", "run", True),
    ("run.>", "run.started", True),
    ("run.>", "run.1.node.started", True),
    ("run.>", "run", False),
    (">", "run.1.node.started", True),
    ("run.*.>", "run.1.started", True),
    ("run.*.>", "run.1", False),
    ("run.*.ended", "run.1.ended", True),
    ("run.*.ended", "run.1.started", False),
    ("Run.started", "run.started", False),
    ("läuft.ж", "läuft.ж", True),
]


async def soon(subscription: Subscription) -> Delivery:
    """The next message of a subscription, or a failure of the test."""
    async with asyncio.timeout(20):
        return await anext(aiter(subscription))


async def messages_until_end(subscription: Subscription) -> list[str]:
    """The texts that came before the one that says `end`."""
    texts: list[str] = []
    while True:
        message = (await soon(subscription)).message
        assert isinstance(message, LogLine)
        if message.text == "end":
            return texts
        texts.append(message.text)


def line(text: object) -> LogLine:
    """A message."""
    return LogLine("info", str(text))


class BusContract(Contract):
    """Inherit it and give a fixture `buses`.

    Attributes:
        keeps: Whether messages can be delivered at least once, and subscriptions be durable.
        traceparent: Where the trace context of the work at hand is; None where the bus knows none.
        tells_of_nobody: Whether it knows that nobody subscribed, on any machine.
    """

    keeps: ClassVar[bool] = False
    traceparent: ClassVar[ContextVar[str] | None] = None
    tells_of_nobody: ClassVar[bool] = True

    @pytest.fixture
    def buses(self) -> Buses:
        """Opens two new ends of one bus, which may be the same one twice, and closes them."""
        pytest.fail("give a fixture `buses` that opens two ends of one bus")

    # -- telling -------------------------------------------------------------------------------------

    def test_what_is_published_at_one_end_arrives_at_the_other(self, buses: Buses) -> None:
        """What is published at one end arrives at the other."""

        async def main() -> None:
            async with buses() as (here, there), await there.subscribe("run.*") as subscription:
                for number in range(200):
                    here.publish(f"run.{number % 7}", line(number))
                for number in range(200):
                    delivery = await soon(subscription)
                    assert (delivery.topic, delivery.message) == (f"run.{number % 7}", line(number))
                assert subscription.lost == 0

        asyncio.run(main())

    def test_a_subscriber_beside_the_publisher_gets_the_very_object(self, buses: Buses) -> None:
        """A subscriber beside the publisher gets the very object, once."""

        async def main() -> None:
            async with buses() as (here, _), await here.subscribe("a") as subscription:
                message = line("x")
                here.publish("a", message)
                here.publish("a", line("end"))
                assert (await soon(subscription)).message is message
                assert await messages_until_end(subscription) == []

        asyncio.run(main())

    def test_a_subscription_is_in_force_when_it_is_given_out(self, buses: Buses) -> None:
        """A subscription is in force when it is given out."""

        async def main() -> None:
            async with buses() as (here, there):
                for number in range(30):
                    async with await there.subscribe(f"topic.{number}.>") as subscription:
                        here.publish(f"topic.{number}.x", line(number))
                        assert (await soon(subscription)).message == line(number)

        asyncio.run(main())

    @pytest.mark.parametrize(("pattern", "topic", "matches"), MATCHES)
    def test_a_pattern_gets_the_topics_that_match(
        self, buses: Buses, pattern: str, topic: str, matches: bool
    ) -> None:
        """A pattern gets the topics that match."""

        async def main() -> None:
            came: list[str] = []
            arrived = asyncio.Event()

            def take(delivery: Delivery) -> None:
                if delivery.topic == topic:
                    came.append(delivery.topic)
                    arrived.set()

            async with (
                buses() as (here, there),
                await there.subscribe("fence.only") as fence,
                await there.listen(pattern, take),
            ):
                here.publish(topic, line("x"))
                here.publish("fence.only", line("end"))
                await soon(fence)
                async with asyncio.timeout(20 if matches else None):
                    await (arrived.wait() if matches else asyncio.sleep(0))
                assert came == ([topic] if matches else [])

        asyncio.run(main())

    def test_a_message_comes_once_to_a_subscription_and_to_each_of_several(self, buses: Buses) -> None:
        """A message comes once to a subscription and to each of several."""

        async def main() -> None:
            async with buses() as (here, there), AsyncExitStack() as stack:
                patterns = ["a.b", "a.*", "a.>", ">", "*.b", "a.b"]
                subscriptions = [
                    await stack.enter_async_context(await bus.subscribe(pattern))
                    for pattern in patterns
                    for bus in (here, there)
                ]
                here.publish("a.b", line("x"))
                here.publish("a.b", line("end"))
                for subscription in subscriptions:
                    assert await messages_until_end(subscription) == ["x"]

        asyncio.run(main())

    @pytest.mark.parametrize("topic", [*NOT_TOPICS, "_dead.a", "_bus.health", "_x"])
    def test_nothing_is_published_to_what_is_no_topic(self, buses: Buses, topic: str) -> None:
        """Nothing is published to what is no topic, or to one of the bus's own."""

        async def main() -> None:
            async with buses() as (here, _):
                with pytest.raises(BusError) as caught:
                    here.publish(topic, line("x"))
                assert caught.value.code == "SYM-T020"

        asyncio.run(main())

    @pytest.mark.parametrize("pattern", NOT_PATTERNS)
    def test_what_is_no_pattern_is_refused(self, buses: Buses, pattern: str) -> None:
        """What is no pattern is refused."""

        async def main() -> None:
            async with buses() as (here, _):
                for attempt in (
                    here.subscribe(pattern),
                    here.listen(pattern, print),
                    here.endpoints(pattern),
                ):
                    with pytest.raises(BusError) as caught:
                        await attempt
                    assert caught.value.code == "SYM-T020"

        asyncio.run(main())

    def test_what_is_no_message_is_refused(self, buses: Buses) -> None:
        """What is no registered message is refused."""

        class Stranger(msgspec.Struct):
            x: int = 0

        async def main() -> None:
            async with buses() as (here, there), await there.subscribe("a"):
                with pytest.raises(TypeError):
                    here.publish("a", Stranger())

        asyncio.run(main())

    def test_a_slow_subscriber_loses_its_oldest_messages_and_is_told_how_many(self, buses: Buses) -> None:
        """A slow subscriber loses its oldest messages and is told how many."""

        async def main() -> None:
            async with (
                buses() as (here, there),
                await there.subscribe("a", limit=3) as slow,
                await there.subscribe("a") as quick,
            ):
                for number in range(10):
                    here.publish("a", line(number))
                here.publish("a", line("end"))
                assert await messages_until_end(quick) == [str(number) for number in range(10)]
                assert await messages_until_end(slow) == ["8", "9"]
                assert (slow.lost, quick.lost) == (8, 0)

        asyncio.run(main())

    def test_closing_a_subscription_ends_its_iteration(self, buses: Buses) -> None:
        """Closing a subscription ends its iteration, also one that waits."""

        async def main() -> None:
            async with buses() as (here, there):
                subscription = await there.subscribe("a")
                waiting = asyncio.create_task(messages_until_end(subscription))
                await asyncio.sleep(0)
                await subscription.close()
                await subscription.close()
                for ended in (soon(subscription), waiting):
                    with pytest.raises(StopAsyncIteration):
                        await ended
                here.publish("a", line("nobody"))

        asyncio.run(main())

    def test_of_a_group_one_gets_each_message(self, buses: Buses) -> None:
        """Of a group one gets each message, and all who are in none get it too."""

        async def main() -> None:
            came: dict[str, list[str]] = {"g1": [], "g2": [], "h": [], "all": []}
            complete = asyncio.Event()

            def take(name: str) -> Callable[[Delivery], None]:
                def callback(delivery: Delivery) -> None:
                    assert isinstance(delivery.message, LogLine)
                    came[name].append(delivery.message.text)
                    if sum(map(len, came.values())) >= 300:
                        complete.set()

                return callback

            async with (
                buses() as (here, there),
                await here.listen("job.*", take("g1"), group="g"),
                await there.listen("job.>", take("g2"), group="g"),
                await there.listen("job.x", take("h"), group="h"),
                await there.listen("job.x", take("all")),
            ):
                for number in range(100):
                    here.publish("job.x", line(number))
                async with asyncio.timeout(20):
                    await complete.wait()
            everything = [str(number) for number in range(100)]
            assert sorted(came["g1"] + came["g2"], key=int) == everything
            assert came["h"] == came["all"] == everything
            assert came["g1"] and came["g2"]

        asyncio.run(main())

    def test_the_trace_context_of_the_publisher_comes_along(self, buses: Buses) -> None:
        """The trace context comes along: it is that of a listener's callback and of an endpoint's handler."""
        if self.traceparent is None:
            pytest.skip("this bus knows no trace context")
        context: ContextVar[str] = self.traceparent

        async def main() -> None:
            trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            seen: list[str] = []

            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                seen.append(context.get())
                return Done()

            async with (
                buses() as (here, there),
                await there.listen("a", lambda delivery: there.publish("b", delivery.message)),
                await here.subscribe("a") as first,
                await here.subscribe("b") as second,
                await there.register("endpoint", answer),
            ):
                token = context.set(trace)
                here.publish("a", line("x"))
                await here.request("endpoint", line("x"), Done, timeout=20)
                context.reset(token)
                assert (await soon(first)).traceparent == trace
                assert (await soon(second)).traceparent == trace
                assert seen == [trace]

        asyncio.run(main())

    def test_a_listener_that_raises_makes_a_dead_letter_and_harms_nobody(self, buses: Buses) -> None:
        """A listener that raises makes a dead letter, and harms neither the publisher nor other listeners."""

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

            def fail(delivery: Delivery) -> None:
                raise ZeroDivisionError("by zero")

            async with (
                buses() as (here, there),
                await here.subscribe("_dead.>") as dead,
                await there.listen("a.b", fail),
                await there.subscribe("a.b") as other,
            ):
                here.publish("a.b", line("x"))
                assert (await soon(other)).message == line("x")
                letter: Any = await soon(dead)
                assert letter.topic == "_dead.a.b"
                assert (letter.message.reason, letter.message.topic) == ("failed", "a.b")
                assert letter.message.type == "worker.log/1"
                assert msgspec.msgpack.decode(letter.message.payload, type=LogLine) == line("x")
                assert "by zero" in letter.message.error

        asyncio.run(main())

    def test_a_message_that_nobody_wants_is_a_dead_letter_for_those_who_want_to_know(
        self, buses: Buses
    ) -> None:
        """A message that nobody wants is a dead letter for those who want to know."""
        if not self.tells_of_nobody:
            pytest.skip("this bus cannot know that nobody subscribed")

        async def main() -> None:
            async with (
                buses() as (here, there),
                await there.subscribe("_dead.a.*") as dead,
                await there.subscribe("a.wanted"),
            ):
                here.publish("a.wanted", line("x"))
                here.publish("a.b", line("y"))
                letter: Any = (await soon(dead)).message
                assert (letter.reason, letter.topic) == ("nobody", "a.b")

        asyncio.run(main())

    # -- asking --------------------------------------------------------------------------------------

    def test_an_endpoint_answers(self, buses: Buses) -> None:
        """An endpoint answers, from either end and many at once."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                assert isinstance(message, LogLine)
                await asyncio.sleep(0)
                return Progress(float(message.text), "done")

            async with buses() as (here, there), await there.register("acme.count", answer):
                for bus in (here, there):
                    requests = [bus.request("acme.count", line(n), Progress, timeout=20) for n in range(150)]
                    answers = await asyncio.gather(*requests)
                    assert answers == [Progress(float(n), "done") for n in range(150)]

        asyncio.run(main())

    def test_a_request_to_nobody_is_refused(self, buses: Buses) -> None:
        """A request to nobody is refused, also once its endpoint has gone."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                return message

            async with buses() as (here, there):
                async with await there.register("a.b", answer):
                    assert await here.request("a.b", line("x"), LogLine, timeout=20) == line("x")
                for name in ("a.b", "never.there"):
                    with pytest.raises(BusError) as caught:
                        await here.request(name, line("x"), LogLine, timeout=20)
                    assert caught.value.code == "SYM-T022"
                    assert caught.value.details["name"] == name

        asyncio.run(main())

    def test_an_error_of_an_endpoint_reaches_the_one_who_asked_whole(self, buses: Buses) -> None:
        """An error of an endpoint reaches the one who asked whole."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                raise WorkflowError("no node", hint="add it", details={"node": 3}, file="f.json", line=7)

            async with buses() as (here, there), await there.register("a", answer):
                for bus in (here, there):
                    with pytest.raises(WorkflowError) as caught:
                        await bus.request("a", line("x"), LogLine, timeout=20)
                    error = caught.value
                    assert (error.message, error.hint, error.details) == ("no node", "add it", {"node": 3})
                    assert error.place == "f.json:7"

        asyncio.run(main())

    def test_an_answer_of_another_type_is_an_error(self, buses: Buses) -> None:
        """An answer of another type is an error."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                return Done()

            async with buses() as (here, there), await there.register("a", answer):
                for bus in (here, there):
                    with pytest.raises(MalformedMessage):
                        await bus.request("a", line("x"), LogLine, timeout=20)

        asyncio.run(main())

    @pytest.mark.parametrize("way", ["deadline", "cancel"])
    def test_a_request_that_is_given_up_ends_the_work(self, buses: Buses, way: str) -> None:
        """A request that is given up, by its deadline or by its task, ends the work."""

        async def main() -> None:
            begun, ended = asyncio.Event(), asyncio.Event()

            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()
                return Done()

            async with buses() as (here, there), await there.register("a", answer):
                for bus in (here, there):
                    begun.clear()
                    ended.clear()
                    if way == "cancel":
                        task = asyncio.create_task(bus.request("a", line("x"), Done, timeout=60))
                        await begun.wait()
                        task.cancel()
                        with pytest.raises(asyncio.CancelledError):
                            await task
                    timeout = 0.05
                    while not begun.is_set():  # on a busy machine the time is over before the work begins
                        with pytest.raises(DeadlineExceeded):
                            await bus.request("a", line("x"), Done, timeout=timeout)
                        timeout *= 2
                    async with asyncio.timeout(20):
                        await ended.wait()

        asyncio.run(main())

    def test_a_request_with_a_key_is_carried_out_once(self, buses: Buses) -> None:
        """A request with an idempotency key is carried out once, however often it is made."""

        async def main() -> None:
            counted = 0

            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                nonlocal counted
                counted += 1
                await asyncio.sleep(0)
                return line(counted)

            async with buses() as (here, there), await there.register("a", answer):
                for bus in (here, there):
                    requests = [
                        bus.request("a", line("x"), LogLine, timeout=20, idempotency_key="k1")
                        for _ in range(5)
                    ]
                    assert await asyncio.gather(*requests) == [line(1)] * 5
                assert await here.request("a", line("x"), LogLine, idempotency_key="k2") == line(2)

        asyncio.run(main())

    def test_a_name_belongs_to_one_endpoint(self, buses: Buses) -> None:
        """A name belongs to one endpoint, or to one group."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                return message

            async with buses() as (here, there):
                async with await there.register("a.b", answer), await there.register("g", answer, group="g"):
                    for name, group in (("a.b", ""), ("a.b", "g"), ("g", ""), ("g", "h")):
                        with pytest.raises(BusError) as caught:
                            await here.register(name, answer, group=group)
                        assert caught.value.code == "SYM-T023"
                async with await here.register("a.b", answer):
                    assert await there.request("a.b", line("x"), LogLine, timeout=20) == line("x")

        asyncio.run(main())

    @pytest.mark.parametrize("name", [*NOT_TOPICS, "_bus"])
    def test_what_is_no_name_is_refused(self, buses: Buses, name: str) -> None:
        """What is no name is refused."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                return message

            async with buses() as (here, _):
                with pytest.raises(BusError) as caught:
                    await here.register(name, answer)
                assert caught.value.code == "SYM-T020"

        asyncio.run(main())

    def test_endpoints_of_a_group_share_the_requests(self, buses: Buses) -> None:
        """Endpoints of a group share the requests; each is answered once."""

        async def main() -> None:
            asked: list[str] = []

            def answering(name: str) -> Callable[[msgspec.Struct], Any]:
                async def answer(message: msgspec.Struct) -> msgspec.Struct:
                    asked.append(name)
                    await asyncio.sleep(0)
                    return message

                return answer

            async with (
                buses() as (here, there),
                await there.register("work", answering("one"), group="g"),
                await there.register("work", answering("two"), group="g"),
            ):
                requests = [here.request("work", line(n), LogLine, timeout=20) for n in range(60)]
                assert await asyncio.gather(*requests) == [line(n) for n in range(60)]
                assert len(asked) == 60
                assert {"one", "two"} == set(asked)

        asyncio.run(main())

    def test_endpoints_are_found_from_either_end(self, buses: Buses) -> None:
        """Endpoints are found from either end, and no more once they have gone."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                return message

            async with buses() as (here, there):
                async with (
                    await there.register("acme.one", answer),
                    await here.register("acme.two", answer, group="g"),
                    await here.register("other", answer),
                ):
                    for bus in (here, there):
                        found = await bus.endpoints("acme.*")
                        assert [(info.name, info.group, info.health) for info in found] == [
                            ("acme.one", "", "alive"),
                            ("acme.two", "g", "alive"),
                        ]
                        assert {info.name for info in await bus.endpoints()} >= {"acme.one", "other"}
                assert await there.endpoints("acme.>") == ()

        asyncio.run(main())

    def test_a_stream_gives_its_items_in_order(self, buses: Buses) -> None:
        """A stream gives its items in order, however many, and then ends."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> AsyncIterator[msgspec.Struct]:
                async def items() -> AsyncIterator[msgspec.Struct]:
                    for number in range(300):
                        yield line(number)

                return items()

            async with buses() as (here, there), await there.register("a", answer):
                for bus in (here, there):
                    stream = bus.stream("a", Done(), LogLine, timeout=20)
                    assert [item async for item in stream] == [line(n) for n in range(300)]

        asyncio.run(main())

    def test_leaving_a_stream_ends_the_work(self, buses: Buses) -> None:
        """Leaving a stream ends the work: the endpoint's generator is closed."""

        async def main() -> None:
            ended = asyncio.Event()

            async def answer(message: msgspec.Struct) -> AsyncIterator[msgspec.Struct]:
                async def items() -> AsyncIterator[msgspec.Struct]:
                    try:
                        while True:
                            yield line("x")
                    finally:
                        ended.set()

                return items()

            async with buses() as (here, there), await there.register("a", answer):
                for bus in (here, there):
                    ended.clear()
                    stream: Any = bus.stream("a", Done(), LogLine)
                    assert await anext(stream) == line("x")
                    await stream.aclose()
                    async with asyncio.timeout(20):
                        await ended.wait()

        asyncio.run(main())

    def test_a_stream_that_fails_gives_what_came_before(self, buses: Buses) -> None:
        """A stream that fails gives what came before, and then the error."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> AsyncIterator[msgspec.Struct]:
                async def items() -> AsyncIterator[msgspec.Struct]:
                    yield line("x")
                    raise WorkflowError("no more")

                return items()

            async with buses() as (here, there), await there.register("a", answer):
                for bus in (here, there):
                    came = []
                    with pytest.raises(WorkflowError, match="no more"):
                        async for item in bus.stream("a", Done(), LogLine, timeout=20):
                            came.append(item)  # noqa: PERF401 - what came before the error counts
                    assert came == [line("x")]

        asyncio.run(main())

    def test_a_stream_that_takes_too_long_is_ended(self, buses: Buses) -> None:
        """A stream that takes too long is ended."""

        async def main() -> None:
            async def answer(message: msgspec.Struct) -> AsyncIterator[msgspec.Struct]:
                async def items() -> AsyncIterator[msgspec.Struct]:
                    yield line("x")
                    await asyncio.Event().wait()

                return items()

            async with buses() as (here, there), await there.register("a", answer):
                for bus in (here, there):
                    came: list[LogLine] = []
                    timeout = 0.1
                    while not came:  # on a busy machine the time is over before the first item
                        with pytest.raises(DeadlineExceeded):
                            async for item in bus.stream("a", Done(), LogLine, timeout=timeout):
                                came.append(item)  # noqa: PERF401 - the error must not lose it
                        timeout *= 2
                    assert came == [line("x")]

        asyncio.run(main())

    def test_a_stream_and_an_answer_are_not_taken_for_each_other(self, buses: Buses) -> None:
        """A stream and an answer are not taken for each other."""

        async def main() -> None:
            async def one(message: msgspec.Struct) -> msgspec.Struct:
                return Done()

            async def many(message: msgspec.Struct) -> AsyncIterator[msgspec.Struct]:
                async def items() -> AsyncIterator[msgspec.Struct]:
                    yield Done()

                return items()

            async with (
                buses() as (here, there),
                await there.register("one", one),
                await there.register("many", many),
            ):
                for bus in (here, there):
                    with pytest.raises(TransportError) as caught:
                        await bus.request("many", Done(), Done, timeout=20)
                    assert caught.value.code == "SYM-T015"
                    with pytest.raises(TransportError) as caught:
                        await anext(bus.stream("one", Done(), Done, timeout=20))
                    assert caught.value.code == "SYM-T016"

        asyncio.run(main())

    # -- keeping -------------------------------------------------------------------------------------

    def test_a_bus_that_keeps_nothing_says_so(self, buses: Buses) -> None:
        """A bus that keeps nothing says so."""
        if self.keeps:
            pytest.skip("this bus keeps messages")

        async def main() -> None:
            async with buses() as (here, _):
                for attempt in (here.deliver("a", line("x")), here.subscribe("a", durable="d")):
                    with pytest.raises(BusError) as caught:
                        await attempt
                    assert caught.value.code == "SYM-T024"

        asyncio.run(main())

    def test_what_is_delivered_is_kept_until_it_was_taken(self, buses: Buses) -> None:
        """What is delivered is kept until it was taken, and then comes no more."""
        if not self.keeps:
            pytest.skip("this bus keeps no messages")

        async def main() -> None:
            async with buses() as (here, there):
                async with await there.subscribe("kept.*", durable="reader"):
                    pass  # from now on it is remembered
                for number in range(20):
                    await here.deliver("kept.x", line(number), idempotency_key=f"key-{number}")
                    await here.deliver("kept.x", line(number), idempotency_key=f"key-{number}")
                taken: set[str] = set()
                async with await there.subscribe("kept.*", durable="reader") as first:
                    for _ in range(11):
                        message = (await soon(first)).message
                        assert isinstance(message, LogLine)
                        taken.add(message.text)
                async with await there.subscribe("kept.*", durable="reader") as second:
                    while len(taken) < 20:
                        message = (await soon(second)).message
                        assert isinstance(message, LogLine)
                        assert message.text not in taken or int(message.text) >= 10, "it had been taken"
                        taken.add(message.text)
                assert taken == {str(number) for number in range(20)}

        asyncio.run(main())

    def test_what_an_endpoint_raises_of_its_own_reaches_the_one_who_asked(self, buses: Buses) -> None:
        """What an endpoint raises that is no error of Symphony fails the request too."""

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

            async def answer(message: msgspec.Struct) -> msgspec.Struct:
                raise ZeroDivisionError("by zero")

            async with buses() as (here, there), await there.register("a", answer):
                for bus in (here, there):
                    with pytest.raises((SymphonyError, ZeroDivisionError)):
                        await bus.request("a", line("x"), LogLine, timeout=20)

        asyncio.run(main())
