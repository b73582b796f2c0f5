"""A program in the place of a worker breaks the protocol: it is blamed, and nobody else notices."""

import asyncio

import pytest
from symphony_isolation import WorkerLimits
from symphony_sdk.errors import DeadlineExceeded, ExtensionError, MalformedMessage, PeerGone


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("garbage", "broke the protocol"),
        ("huge", "broke the protocol: a frame of 4,294,967,295 bytes"),
        ("asks-too-much", "broke the protocol: .*window"),
        ("closes", "ended by itself with exit code 0"),
    ],
)
def test_a_breach_of_the_protocol_ends_the_worker_and_says_why(house, call, hostile, under_way, how, text):
    async def scenario():
        async with house.opened(hostile(how), house.zoo()) as extensions:
            bystander = await under_way(extensions, "acme.zoo.wait")
            with pytest.raises(PeerGone, match=text) as caught:
                await call(extensions, "acme.hostile.go")
            assert caught.value.details["extension"] == "acme.hostile"
            info = next(info for info in await extensions.extensions() if info.id == "acme.hostile")
            assert info.state == "failed"
            assert info.reason.startswith("the worker of 'acme.hostile' ")
            assert not bystander.done()
            bystander.cancel()

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


@pytest.mark.parametrize("how", ["wrong-ids", "twice"])
def test_answers_to_nothing_are_ignored(house, call, hostile, how):
    async def scenario():
        async with house.opened(hostile(how)) as extensions:
            assert await call(extensions, "acme.hostile.go") == "done"
            assert await call(extensions, "acme.hostile.go") == "done"

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["wrong-type", "undecodable"])
def test_an_answer_that_is_none_fails_its_call(house, call, hostile, how):
    async def scenario():
        async with house.opened(hostile(how)) as extensions:
            with pytest.raises(MalformedMessage) as caught:
                await call(extensions, "acme.hostile.go")
            assert caught.value.details["extension"] == "acme.hostile"

    asyncio.run(scenario())


def test_a_worker_that_never_answers_misses_the_deadline_and_is_killed(
    house, call, hostile, gone, monkeypatch
):
    monkeypatch.setattr("symphony_isolation.worker.CANCEL_GRACE", 0.1)

    async def scenario():
        async with house.opened(hostile("silent")) as extensions:
            await extensions.activate("acme.hostile")
            pid = (await extensions.health("acme.hostile")).pid
            with pytest.raises(DeadlineExceeded):
                await call(extensions, "acme.hostile.go", timeout=0.05)
            assert await asyncio.to_thread(gone, pid)

    asyncio.run(scenario())


def test_a_flood_of_messages_slows_the_one_who_sends_it(house, call, hostile):
    """A hundred thousand lines in the log are not read at once, and another extension is served meanwhile."""

    async def scenario():
        async with house.opened(hostile("flood"), house.zoo()) as extensions:
            await call(extensions, "acme.zoo.echo")
            flood = asyncio.create_task(call(extensions, "acme.hostile.go"))
            for _ in range(20):
                assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert not flood.done()
            flood.cancel()

    asyncio.run(scenario())
    assert len(house.log) < 5_000


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


def test_a_worker_that_closes_its_connection_and_stays_is_killed(house, call, hostile, gone, monkeypatch):
    monkeypatch.setattr("symphony_isolation.worker.EXIT_GRACE", 0.2)

    async def scenario():
        async with house.opened(hostile("lingers")) as extensions:
            await extensions.activate("acme.hostile")
            pid = (await extensions.health("acme.hostile")).pid
            with pytest.raises(PeerGone, match="went on running"):
                await call(extensions, "acme.hostile.go")
            assert gone(pid)

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["mute", "stranger", "guesses"])
def test_a_program_that_does_not_shake_hands_is_no_worker(house, hostile, how, monkeypatch):
    import msgspec

    monkeypatch.setattr("symphony_isolation.worker.EXIT_GRACE", 0.2)
    spec = msgspec.structs.replace(hostile(how), limits=WorkerLimits(load_timeout=2.0))

    async def scenario():
        async with house.opened(spec) as extensions:
            with pytest.raises(ExtensionError) as caught:
                await extensions.activate("acme.hostile")
            assert caught.value.code in ("SYM-E030", "SYM-E031")
            assert not (await extensions.health("acme.hostile")).alive

    asyncio.run(scenario())


def test_a_worker_that_poses_as_another_extension_is_refused(house, call, hostile):
    async def scenario():
        async with house.opened(hostile("poses"), house.zoo()) as extensions:
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            infos = {info.id: info for info in await extensions.extensions()}
            assert (infos["acme.hostile"].state, infos["acme.hostile"].operations) == ("failed", ())
            assert "acme.zoo.echo" in infos["acme.hostile"].reason

    asyncio.run(scenario())
