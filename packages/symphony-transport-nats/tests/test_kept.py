"""Messages that are kept until they are taken, on a real server with JetStream."""

import asyncio

import pytest
from symphony_sdk.errors import BusError


def texts(node):
    return [bytes(envelope.payload).decode() for _, envelope, _ in node.kept]


def test_a_delivered_message_waits_for_a_subscriber_that_is_away(server, joined, message, eventually):
    async def main():
        async with joined(server, "one") as (one, _):
            async with joined(server, "two") as (two, _):
                await two.subscribe("away.>", "", "away")
            await one.deliver(message("away.a", "1"))
            await one.deliver(message("away.b", "2"))
            async with joined(server, "three") as (three, node):
                await three.subscribe("away.>", "", "away")
                await eventually(lambda: len(node.kept) == 2)
                assert [(durable, each.to) for durable, each, _ in node.kept] == [
                    ("away", "away.a"),
                    ("away", "away.b"),
                ]
                assert all(each.meta is None for _, each, _ in node.kept)

    asyncio.run(main())


def test_a_delivered_message_reaches_ordinary_subscribers_too(server, joined, message, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.subscribe("both", "")
            await two.subscribe("both", "", "both")
            await one.deliver(message("both", "x"))
            await eventually(lambda: node.messages and node.kept)
            assert node.texts == ["x"]
            assert texts(node) == ["x"]

    asyncio.run(main())


def test_what_was_taken_does_not_come_again_and_the_rest_goes_to_the_successor(
    server, joined, message, eventually
):
    async def main():
        async with joined(server, "one") as (one, _):
            async with joined(server, "two") as (two, node):
                await two.subscribe("rest", "", "rest")
                for number in range(3):
                    await one.deliver(message("rest", str(number)))
                await eventually(lambda: len(node.kept) == 3)
                node.kept[0][2]()
                node.kept[0][2]()  # more than once is once
                await two.unsubscribe("rest", "", "rest")
                await two.subscribe("rest", "", "rest")
                await eventually(lambda: len(node.kept) == 5)
                assert sorted(texts(node)[3:]) == ["1", "2"]  # in any order
                next(taken for _, each, taken in node.kept[3:] if bytes(each.payload) == b"1")()
            async with joined(server, "three") as (three, node):
                await three.subscribe("rest", "", "rest")
                await eventually(lambda: node.kept)
                assert texts(node) == ["2"]

    asyncio.run(main())


def test_messages_of_one_key_are_kept_once_in_a_topic(server, joined, message, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.subscribe("keys.>", "", "keys")
            for topic, text, key in (
                ("keys.a", "first", "a\r\nkey: of any text \u2028"),
                ("keys.a", "again", "a\r\nkey: of any text \u2028"),
                ("keys.b", "other topic", "a\r\nkey: of any text \u2028"),
                ("keys.a", "no key", ""),
                ("keys.a", "no key", ""),
            ):
                await one.deliver(message(topic, text, key))
            await eventually(lambda: len(node.kept) == 4)
            assert texts(node) == ["first", "other topic", "no key", "no key"]

    asyncio.run(main())


def test_more_messages_than_may_be_untaken_all_come_as_they_are_taken(server, joined, message, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.subscribe("many", "", "many")
            for start in range(0, 500, 50):
                await asyncio.gather(*(one.deliver(message("many", str(start + n))) for n in range(50)))
            await eventually(lambda: len(node.kept) == 64)
            await two.subscribe("flushed", "")
            assert len(node.kept) == 64
            for taken in range(500):
                await eventually(lambda taken=taken: len(node.kept) > taken)
                node.kept[taken][2]()
            assert sorted(map(int, texts(node))) == list(range(500))

    asyncio.run(main())


def test_what_a_killed_subscriber_had_not_taken_comes_to_its_successor(
    server, joined, process, message, eventually, monkeypatch
):
    monkeypatch.setattr("symphony_transport_nats.kept.TAKEN_WITHIN", 1.0)

    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await one.subscribe("killed.*", "", "killed")  # which decides how long the server waits
            await one.unsubscribe("killed.*", "", "killed")
            async with process(server, "hold", "killed", "killed.*") as holder:
                await one.deliver(message("killed.a", "precious"))
                assert await holder.line() == "precious"
                await holder.kill()
            await two.subscribe("killed.*", "", "killed")
            await eventually(lambda: node.kept)
            assert texts(node) == ["precious"]

    asyncio.run(main())


def test_what_is_worked_on_for_long_is_not_given_to_others(
    nats, joined, message, eventually, monkeypatch, quick
):
    monkeypatch.setattr("symphony_transport_nats.kept.TAKEN_WITHIN", 2.0)

    async def main():
        server = nats()
        async with joined(server, "one") as (one, first), joined(server, "two") as (two, second):
            await one.subscribe("long", "", "long")
            await one.deliver(message("long", "slow work"))
            await eventually(lambda: first.kept)
            await two.subscribe("long", "", "long")
            await asyncio.sleep(3)  # longer than the server waits for a subscriber that says nothing
            assert len(first.kept) == 1
            assert not second.kept
            first.kept[0][2]()

    asyncio.run(main())


def test_a_durable_name_belongs_to_one_pattern(server, joined):
    async def main():
        async with joined(server) as (uplink, _):
            await uplink.subscribe("one.>", "", "named")
            await uplink.unsubscribe("one.>", "", "named")
            with pytest.raises(BusError, match="is for") as caught:
                await uplink.subscribe("two.>", "", "named")
            assert caught.value.code == "SYM-T059"
            for name in ("a.b", "a b", "x" * 129, "a/b"):
                with pytest.raises(BusError, match="durable subscription on NATS") as caught:
                    await uplink.subscribe("two.>", "", name)
                assert caught.value.code == "SYM-T059"

    asyncio.run(main())


def test_a_server_that_keeps_nothing_says_so(nats, joined, message):
    async def main():
        server = nats("jetstream: disabled")
        async with joined(server) as (uplink, _):
            for asked in (uplink.deliver(message("a")), uplink.subscribe("a", "", "a")):
                with pytest.raises(BusError, match="does not keep messages") as caught:
                    await asked
                assert caught.value.code == "SYM-T058"
                assert "nats-server -js" in caught.value.hint

    asyncio.run(main())


def test_a_full_stream_refuses_and_loses_nothing(nats, joined, message, eventually):
    async def main():
        server = nats()
        async with joined(server, kept_mebibytes=1) as (uplink, node):
            await uplink.subscribe("full", "", "full")
            accepted = 0
            with pytest.raises(BusError, match="does not keep messages") as caught:
                while True:
                    await uplink.deliver(message("full", f"{accepted:06}" + "x" * 200_000))
                    accepted += 1
            assert caught.value.code == "SYM-T058"
            assert accepted > 2
            await eventually(lambda: len(node.kept) == accepted)
            for _, _, taken in node.kept:
                taken()
            async with asyncio.timeout(20):
                while True:
                    try:
                        await uplink.deliver(message("full", "room again"))
                        break
                    except BusError:
                        await asyncio.sleep(0.01)
            await eventually(lambda: len(node.kept) == accepted + 1)

    asyncio.run(main())


def test_a_stream_that_was_removed_is_made_anew(nats, joined, message, eventually, monkeypatch, quick):
    monkeypatch.setattr("symphony_transport_nats.kept.PULL_EXPIRES", 0.5)

    async def main():
        server = nats()
        async with joined(server) as (uplink, node):
            await uplink.subscribe("again", "", "again")
            await uplink._kept._jetstream.delete_stream("symphony")
            async with asyncio.timeout(20):
                while not node.kept:
                    await uplink.deliver(message("again", "x"))
                    await asyncio.sleep(0.1)

    asyncio.run(main())
