"""Requests between two nodes on a real server."""

import asyncio

import pytest
from symphony_ipc.envelope import Kind
from symphony_sdk.errors import BusError


def test_a_request_is_answered(server, joined, ask, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.register("calc.add", "")
            answers, _ = ask(one, "calc.add", "2+2", deadline=20.0)
            await eventually(lambda: node.calls)
            (call,) = node.calls
            assert (call.envelope.to, bytes(call.envelope.payload)) == ("calc.add", b"2+2")
            assert 0 < call.envelope.deadline <= 20
            call.respond(b"4")
            await eventually(lambda: answers.ended)
            assert answers.texts == ["4"]

    asyncio.run(main())


def test_there_is_no_such_endpoint_is_said_at_once(server, joined, ask, eventually):
    async def main():
        async with joined(server) as (uplink, _):
            answers, _ = ask(uplink, "nobody.here")
            await eventually(lambda: answers.ended)
            assert answers.error.code == "SYM-T022"
            assert answers.error.details == {"name": "nobody.here"}

    asyncio.run(main())


def test_a_name_is_taken_once_or_by_one_group(server, joined):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, _):
            await one.register("alone", "")
            await one.register("shared", "g")
            await two.register("shared", "g")
            for name, group in (("alone", ""), ("alone", "g"), ("shared", ""), ("shared", "h")):
                with pytest.raises(BusError, match="registered at another machine") as caught:
                    await two.register(name, group)
                assert caught.value.code == "SYM-T023"
            await one.unregister("alone", "")
            await two.register("alone", "")

    asyncio.run(main())


def test_a_group_shares_the_requests_to_its_name(server, joined, ask, eventually):
    async def main():
        async with (
            joined(server, "one") as (one, _),
            joined(server, "two") as (two, first),
            joined(server, "three") as (three, second),
        ):
            await two.register("work", "g")
            await three.register("work", "g")
            for _ in range(100):
                ask(one, "work")
            await eventually(lambda: len(first.calls) + len(second.calls) == 100)
            assert first.calls
            assert second.calls

    asyncio.run(main())


def test_a_stream_brings_items_as_far_as_its_credit_goes(server, joined, ask, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.register("count", "")
            answers, asked = ask(one, "count", credit=2)
            await eventually(lambda: node.calls)
            (call,) = node.calls
            assert call.envelope.credit == 2
            call.respond(b"1", Kind.ITEM)
            call.respond(b"2", Kind.ITEM)
            await eventually(lambda: len(answers.all) == 2)
            asked.credit(5)
            await eventually(lambda: call.credits == [5])
            call.respond(b"3", Kind.ITEM)
            call.respond()
            await eventually(lambda: answers.ended)
            assert answers.texts == ["1", "2", "3", ""]
            asked.credit(1)  # it has ended: nothing happens
            asked.cancel()

    asyncio.run(main())


def test_more_items_than_were_asked_for_end_the_stream(server, joined, ask, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.register("flood", "")
            answers, _ = ask(one, "flood", credit=1)
            await eventually(lambda: node.calls)
            (call,) = node.calls
            call.respond(b"1", Kind.ITEM)
            call.respond(b"2", Kind.ITEM)
            await eventually(lambda: answers.ended)
            assert answers.error.code == "SYM-T002"
            await asyncio.wait_for(call.cancelled.wait(), 20)

    asyncio.run(main())


def test_a_cancelled_request_is_cancelled_there_and_answered_all_the_same(server, joined, ask, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.register("slow", "")
            answers, asked = ask(one, "slow")
            await eventually(lambda: node.calls)
            asked.cancel()
            asked.cancel()
            (call,) = node.calls
            await asyncio.wait_for(call.cancelled.wait(), 20)
            assert not answers.all
            call.respond(b"gave up")
            await eventually(lambda: answers.ended)

    asyncio.run(main())


def test_a_deadline_that_passes_ends_the_request_and_the_work(server, joined, ask, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.register("slow", "")
            answers, _ = ask(one, "slow", deadline=0.05)
            await eventually(lambda: answers.ended)
            assert answers.error.code == "SYM-T004"
            await eventually(lambda: node.calls)
            (call,) = node.calls
            await asyncio.wait_for(call.cancelled.wait(), 20)
            call.respond(b"too late")
            await eventually(lambda: one.counters.ignored)
            assert len(answers.all) == 1

    asyncio.run(main())


def test_a_request_fails_when_the_node_that_works_on_it_leaves(server, joined, ask, eventually, quick):
    async def main():
        async with joined(server, "one") as (one, _):
            async with joined(server, "two") as (two, node):
                await two.register("slow", "")
                answers, _ = ask(one, "slow")
                await eventually(lambda: node.calls)
            await eventually(lambda: answers.ended)
            assert answers.error.code == "SYM-T003"
            assert node.calls[0].cancelled.is_set()

    asyncio.run(main())


def test_work_ends_when_the_node_that_asked_for_it_is_gone(server, joined, ask, eventually, quick):
    async def main():
        async with joined(server, "two") as (two, node):
            await two.register("slow", "")
            async with joined(server, "one") as (one, _):
                ask(one, "slow")
                await eventually(lambda: node.calls)
            await asyncio.wait_for(node.calls[0].cancelled.wait(), 20)

    asyncio.run(main())


def test_what_is_larger_than_the_server_takes_is_said_and_nothing_else_happens(
    server, joined, ask, message, eventually, caplog
):
    async def main():
        large = "x" * (1 << 20)
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.register("echo", "")
            await two.subscribe("big", "")
            answers, _ = ask(one, "echo", large)
            assert answers.error.code == "SYM-T005"
            assert "max_payload" in answers.error.hint
            answers, _ = ask(one, "echo", "small")
            await eventually(lambda: node.calls)
            node.calls[0].respond(large.encode())
            await eventually(lambda: answers.ended)
            assert answers.error.code == "SYM-T005"
            one.publish(message("big", large))
            assert "not published to big" in caplog.text
            with pytest.raises(Exception, match="the NATS server takes") as caught:
                await one.deliver(message("big", large))
            assert caught.value.code == "SYM-T005"
            await eventually(lambda: node.losses == [("big", "", 1)])
            answers, _ = ask(one, "echo", "again", credit=4)
            await eventually(lambda: len(node.calls) == 2)
            node.calls[1].respond(large.encode(), Kind.ITEM)
            await eventually(lambda: answers.ended)
            assert answers.error.code == "SYM-T005"
            assert node.calls[1].cancelled.is_set()

    asyncio.run(main())


def test_the_endpoints_of_other_nodes_are_found(server, joined):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, _):
            await two.register("found.a", "")
            await two.register("found.b", "g")
            await two.register("other", "")
            found = await one.endpoints("found.*")
            assert sorted((each.name, each.process, each.group) for each in found) == [
                ("found.a", "two", ""),
                ("found.b", "two", "g"),
            ]

    asyncio.run(main())


def test_an_error_too_large_for_the_server_arrives_in_a_short_form(server, joined, ask, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.register("fails", "")
            answers, _ = ask(one, "fails")
            await eventually(lambda: node.calls)
            error = BusError("no", code="SYM-T020", details={"all": "x" * (1 << 20)})
            from symphony_transport_nats.frames import failure

            node.calls[0].answered(failure(error))
            await eventually(lambda: answers.ended)
            assert (answers.error.code, answers.error.message) == ("SYM-T020", "no")
            assert answers.error.details == {"shortened": True}

    asyncio.run(main())
