"""What is published to topics, between two nodes on a real server."""

import asyncio


def test_a_message_reaches_the_subscribers_of_other_nodes_as_it_was_sent(server, joined, message, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.subscribe("run.*", "")
            envelope = message("run.started", "hello")
            envelope.traceparent = "00-trace"
            envelope.meta = {"a": "b"}
            one.publish(envelope)
            await eventually(lambda: node.messages)
            (got,) = node.messages
            assert (got.to, got.type, got.traceparent, got.meta) == (
                "run.started",
                "t/1",
                "00-trace",
                {"a": "b"},
            )
            assert bytes(got.payload) == b"hello"
            assert got.group == ""

    asyncio.run(main())


def test_a_message_that_several_patterns_match_comes_once_and_in_order(server, joined, message, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            for pattern in ("run.*", "run.>", "*.started", ">"):
                await two.subscribe(pattern, "")
            for number in range(500):
                one.publish(message("run.started", str(number)))
            one.publish(message("end"))
            await eventually(lambda: node.messages and node.messages[-1].to == "end")
            assert node.texts[:-1] == [str(number) for number in range(500)]

    asyncio.run(main())


def test_a_node_does_not_hear_itself_but_its_group_does(server, joined, message, eventually):
    async def main():
        async with joined(server) as (uplink, node):
            await uplink.subscribe("a.>", "")
            await uplink.subscribe("a.b", "workers")
            uplink.publish(message("a.b", "x"))
            await eventually(lambda: node.messages)
            await uplink.subscribe("end", "g")  # what was sent before has arrived
            assert [(each.to, each.group) for each in node.messages] == [("a.b", "workers")]

    asyncio.run(main())


def test_of_a_group_one_node_gets_each_message(server, joined, message, eventually):
    async def main():
        async with (
            joined(server, "one") as (one, _),
            joined(server, "two") as (two, first),
            joined(server, "three") as (three, second),
        ):
            await two.subscribe("jobs.>", "workers")
            await three.subscribe("jobs.*", "workers")
            for number in range(200):
                one.publish(message(f"jobs.{number}"))
            await eventually(lambda: len(first.messages) + len(second.messages) == 200)
            assert first.messages
            assert second.messages
            assert len({each.to for each in first.messages + second.messages}) == 200

    asyncio.run(main())


def test_nothing_comes_after_a_subscription_has_ended(server, joined, message, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.subscribe("a", "")
            await two.subscribe("b", "")
            await two.unsubscribe("a", "")
            one.publish(message("a"))
            one.publish(message("b"))
            await eventually(lambda: node.messages)
            assert [each.to for each in node.messages] == ["b"]

    asyncio.run(main())
