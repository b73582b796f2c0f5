"""A program in the place of a worker breaks the protocol: it is blamed, and nobody else notices."""

import asyncio
import os
import tracemalloc

import msgspec
import pytest
from symphony_ipc.framing import RECEIVE_LIMIT
from symphony_isolation import WorkerLimits
from symphony_sdk.errors import DeadlineExceeded, ExtensionError, PeerGone, SymphonyError

# -- each way of it ------------------------------------------------------------------------------------


@pytest.fixture
def remembered():
    """The most memory that Python had beside what it had at first, in MiB; asked when the test is done."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] >> 20
    finally:
        tracemalloc.stop()


@pytest.fixture
def impatient(monkeypatch, request):
    """What is borne for a minute is borne for a moment, and the first crash is one too many."""
    exits = request.node.callspec.params["how"] == "closes"  # and that may take a while
    for name, value in (
        ("restarts.RESTARTS", 0),
        ("worker.BEAT", 0.05),
        ("worker.CANCEL_GRACE", 0.1),
        ("worker.FLOOD", 0.3),
        ("fate.EXIT_GRACE", 30.0 if exits else 0.2),
        ("worker_log.BYTES_PER_SECOND", 1 << 16),
    ):
        monkeypatch.setattr(f"symphony_isolation.{name}", value)
    monkeypatch.setattr("symphony_ipc.connection.UNASKED_PER_SECOND", 50)
    monkeypatch.setattr("symphony_ipc.throttle.WINDOW", 0.2)


def _connection(extensions):
    """The connection to the hostile worker."""
    (lane,) = [lane for id, lane in extensions._lanes.items() if id == "acme.hostile"]
    (worker,) = lane._generations.workers()
    return worker._connection


def _taken_of(connection):
    """How many bytes of a worker each turn of the event loop takes, from now on: it reads once in a turn."""
    taken, updated = [0], connection.buffer_updated

    def note(count):
        taken.append(count)
        updated(count)

    connection.buffer_updated = note
    return taken


PROTOCOL = "broke the protocol: "


@pytest.mark.parametrize(
    ("how", "cause", "text"),
    [
        # flooding
        ("flood", "flood", "was killed: for 0.3 s it sent more messages than are read"),
        ("long-lines", "flood", "was killed: for 0.3 s it sent more messages than are read"),
        ("pings", "flood", "was killed: for 0.3 s it sent more messages than are read"),
        ("asks-too-much", "protocol", "asks for more than the window of requests allows"),
        # giant and nested frames, and what is none
        ("huge", "protocol", f"{PROTOCOL}a frame of 4,294,967,295 bytes"),
        ("errs-at-length", "protocol", "bytes of errors; 1,048,576 are allowed"),
        ("errs-deeply", "protocol", "cannot be decoded"),
        ("results-deeply", "protocol", "cannot be decoded"),
        ("undecodable", "protocol", "cannot be decoded"),
        ("wrong-type", "protocol", f"{PROTOCOL}it answered calls with 'worker.done/1'"),
        ("garbage", "protocol", PROTOCOL),
        # slow-loris
        ("trickles", "stuck", "was killed: it did not end a call within 0.1 s of being told to"),
        # noise
        ("noise", "flood", "was killed: for 0.3 s it printed more than is read"),
        ("noise-on-stderr", "flood", "was killed: for 0.3 s it printed more than is read"),
        # lying about ids
        ("wrong-ids", "protocol", "answers to what was not asked"),
        ("items-of-nothing", "protocol", "answers to what was not asked"),
        ("answers-another-call", "protocol", f"{PROTOCOL}it answered call 2, which it does not have"),
        ("gives-a-call-back", "protocol", f"{PROTOCOL}it gave call 1 back, which follows none"),
        ("abuses", "permission", "was killed: it asked for what it may not"),
        # replying twice
        ("answers-a-call-twice", "protocol", f"{PROTOCOL}it answered call 1"),
        ("answers-a-call-in-two-ways", "protocol", f"{PROTOCOL}it answered call 1, "),
        ("answers-a-request-often", "protocol", "answers to what was not asked"),
        # never replying
        ("silent", "stuck", "was killed: it did not end a call within 0.1 s of being told to"),
        ("owes", "protocol", "owes the answers of 1"),
        ("closes", "exit", "ended by itself with exit code 0"),
        ("lingers", "protocol", "closed its connection and went on running"),
    ],
)
def test_who_misbehaves_is_blamed_and_quarantined_in_bounded_memory_and_nobody_else_notices(
    house, call, hostile, under_way, impatient, remembered, how, cause, text
):
    async def scenario():
        async with house.opened(hostile(how), house.zoo()) as extensions:
            bystander = await under_way(extensions, "acme.zoo.wait")
            await extensions.activate("acme.hostile")
            pid = (await extensions.health("acme.hostile")).pid
            taken = _taken_of(_connection(extensions))
            timeout = 0.5 if cause == "stuck" else None
            misbehaving = asyncio.create_task(call(extensions, "acme.hostile.go", timeout=timeout))
            for number in range(5):  # in turns of the event loop that it shares with the other
                assert await call(extensions, "acme.zoo.echo", text=f"bear {number}") == f"bear {number}"
            async with asyncio.timeout(30):
                await house.heard(text)

            (info,) = [info for info in await extensions.extensions() if info.id == "acme.hostile"]
            assert (info.state, info.cause) == ("quarantined", cause)
            assert text in info.reason
            with pytest.raises(ExtensionError) as refused:
                await call(extensions, "acme.hostile.go")
            assert refused.value.code == "SYM-E032"
            assert text in refused.value.message
            (result,) = await asyncio.gather(misbehaving, return_exceptions=True)
            if isinstance(result, PeerGone):
                assert result.details["extension"] == "acme.hostile"
                assert text in result.message
            else:  # it had answered before it went on, or its time was over
                assert result == "done" or isinstance(result, DeadlineExceeded)
            assert gone(pid)

            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert not bystander.done()
            health = await extensions.health("acme.zoo")
            assert (health.restarts, health.exits) == (0, ())
            bystander.cancel()
            assert max(taken) <= RECEIVE_LIMIT

    def gone(pid):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    asyncio.run(scenario())
    assert remembered() < 100
    assert len(house.log) < 5_000
    assert not any("\x1b" in line for line in house.texts())


@pytest.mark.parametrize("how", ["overtakes", "fails-before-its-turn"])
def test_a_link_that_ends_before_its_turn_is_a_breach_and_no_link_is_taken_for_done(
    house, hostile, recorder, node_call, how
):
    async def scenario():
        async with house.opened(hostile(how)) as extensions:
            await extensions.operations()
            events, go = recorder(), "acme.hostile.go"
            link = msgspec.structs.replace(node_call(go, "second"), takes={"text": "result"})
            extensions.submit([node_call(go, "first"), link], events)
            finals = await events.finals(2)
            assert [finals[node].kind for node in ("first", "second")] == ["lost", "returned"]
            assert "it answered call 2 before the one that it follows" in finals["first"].error.message

    asyncio.run(scenario())


def test_a_worker_that_breaks_the_protocol_again_and_again_is_quarantined(house, call, hostile):
    async def scenario():
        async with house.opened(hostile("garbage")) as extensions:
            for _ in range(4):
                with pytest.raises(PeerGone):
                    await call(extensions, "acme.hostile.go")
            with pytest.raises(ExtensionError, match="broke the protocol") as caught:
                await call(extensions, "acme.hostile.go")
            assert caught.value.code == "SYM-E032"

    asyncio.run(scenario())


def test_a_few_answers_to_nothing_are_passed_over(house, call, hostile):
    async def scenario():
        async with house.opened(hostile("answers-a-request-twice")) as extensions:
            assert await call(extensions, "acme.hostile.go") == "done"
            assert (await extensions.health("acme.hostile")).exits == ()

    asyncio.run(scenario())


def test_an_error_in_the_place_of_answers_fails_the_calls_of_that_message(house, call, hostile):
    async def scenario():
        async with house.opened(hostile("refuses")) as extensions:
            with pytest.raises(SymphonyError) as caught:
                await call(extensions, "acme.hostile.go")
            assert (caught.value.code, caught.value.details["extension"]) == ("ACME-001", "acme.hostile")
            assert (await extensions.health("acme.hostile")).calls == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("lies-about-its-node", "SYM-E035"),
        ("hoards", "SYM-E035"),
        ("greedy", "SYM-E035"),
        ("meddles", "SYM-E035"),
    ],
)
def test_a_worker_gets_no_more_than_is_meant_for_it(house, call, hostile, how, code):
    async def scenario():
        async with house.opened(hostile(how)) as extensions:
            assert await call(extensions, "acme.hostile.go") == code

    asyncio.run(scenario())
    assert house.store.find() == []


@pytest.mark.parametrize("how", ["mute", "stranger", "guesses"])
def test_a_program_that_does_not_shake_hands_is_no_worker(house, hostile, how, impatient):
    spec = msgspec.structs.replace(hostile(how), limits=WorkerLimits(load_timeout=2.0))

    async def scenario():
        async with house.opened(spec) as extensions:
            with pytest.raises(ExtensionError) as caught:
                await extensions.activate("acme.hostile")
            assert caught.value.code in ("SYM-E030", "SYM-E031")
            assert not (await extensions.health("acme.hostile")).alive
            assert (await extensions.extensions())[0].state == "quarantined"

    asyncio.run(scenario())


def test_a_worker_that_poses_as_another_extension_is_refused(house, call, hostile):
    async def scenario():
        async with house.opened(hostile("poses"), house.zoo()) as extensions:
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            infos = {info.id: info for info in await extensions.extensions()}
            assert (infos["acme.hostile"].state, infos["acme.hostile"].operations) == ("failed", ())
            assert "acme.zoo.echo" in infos["acme.hostile"].reason

    asyncio.run(scenario())


# -- bounded memory, bounded turns ---------------------------------------------------------------------


def test_contributions_without_measure_are_refused_and_not_kept(house, hostile, remembered):
    spec = msgspec.structs.replace(hostile("loads-a-lot"), limits=WorkerLimits(load_timeout=100.0))

    async def scenario():
        async with house.opened(spec) as extensions:
            with pytest.raises(ExtensionError) as caught:
                await extensions.activate("acme.hostile")
            assert caught.value.code == "SYM-E053"
            assert (await extensions.extensions())[0].operations == ()

    asyncio.run(scenario())
    assert remembered() < 150
    assert not (house.root / "cache" / "acme.hostile.json").exists()


def test_frames_about_nothing_are_passed_over(house, call, hostile):
    async def scenario():
        async with house.opened(hostile("babbles")) as extensions:
            assert await call(extensions, "acme.hostile.go") == "done"

    asyncio.run(scenario())
