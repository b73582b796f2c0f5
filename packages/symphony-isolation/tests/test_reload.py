"""An extension is replaced by its own new code while it works, and nobody who calls it notices."""

import asyncio
import os
from itertools import count

import pytest
from symphony_isolation.process_lane import CALLS_PER_CORE, usable_cores
from symphony_isolation.sandbox.processes import descendants_of
from symphony_sdk.errors import ExtensionError, PeerGone
from symphony_sdk.ports import ExtensionInfo

AT_ONCE = CALLS_PER_CORE * usable_cores()
"""Calls that one process has at once, where they are not known to be short."""

SOURCE = """
import os
from symphony_sdk import Context, operator, provides_operators

@operator("acme.hot.version")
def version(ctx: Context) -> int:
    return VERSION

@operator("acme.hot.pid")
def pid(ctx: Context) -> int:
    return os.getpid()

@operator("acme.hot.wait")
def wait(ctx: Context) -> int:
    ctx.progress(0.0)
    while not os.path.exists("go"):
        ctx._cancelled.wait(0.005)
    return VERSION

@operator("acme.hot.hang")
def hang(ctx: Context) -> None:
    ctx.progress(0.0, str(os.getpid()))
    ctx._cancelled.wait()

@provides_operators
def symphony_operators():
    yield from OPERATORS
"""
OPERATORS = "\nOPERATORS = [version, pid, wait, hang]\n"

STATE = """
import os
from symphony_sdk import *

seen = []

@operator("acme.hot.see")
def see(ctx: Context, what: str) -> list[str]:
    seen.append(what)
    return seen

@operator("acme.hot.wait")
def wait(ctx: Context) -> None:
    ctx.progress(0.0)
    while not os.path.exists("go"):
        ctx._cancelled.wait(0.005)
    seen.append("waited")

@on_save_state
def save(ctx):
    return SAVED(seen)

@on_restore_state
def restore(ctx, version, data):
    RESTORED
    seen.extend(data.decode().split())
    seen.append(f"after-{version}")

@provides_operators
def symphony_operators():
    yield from (see, wait)
"""


class Hot:
    """The extension `acme.hot`, whose source can be changed, as it is installed at each moment."""

    def __init__(self, house):
        self._house = house
        self._fingerprints = count(1)
        self.version(1)

    def version(self, number, more="", operators=OPERATORS, **changes):
        self.write(f"VERSION = {number}\n{SOURCE}{operators}{more}", version=f"{number}.0", **changes)

    def write(self, source, **changes):
        fingerprint = str(next(self._fingerprints))
        self.spec = self._house.write("acme.hot", source, fingerprint=fingerprint, **changes)
        for stale in self._house.root.glob("__pycache__/acme_hot.*"):
            stale.unlink()  # two sources of one second and one size are the same to Python

    def let_go(self):
        """End the calls that wait."""
        (self._house.root / "data" / "acme.hot" / "go").touch()

    def opened(self):
        return self._house.opened(self.spec, renewed=lambda extension: self.spec)


@pytest.fixture
def hot(house):
    return Hot(house)


def test_new_code_takes_the_place_of_the_old_in_a_new_process(hot, call, gone):
    async def scenario():
        async with hot.opened() as extensions:
            await extensions.activate("acme.hot")
            pid = (await extensions.health("acme.hot")).pid
            hot.version(2)
            info = await extensions.reload("acme.hot")
            assert (info.version, info.state) == ("2.0", "active")
            assert await call(extensions, "acme.hot.version") == 2
            health = await extensions.health("acme.hot")
            assert health.pid != pid
            assert (health.generation, health.restarts, health.alive) == (2, 0, True)
            assert await asyncio.to_thread(gone, pid)

    asyncio.run(scenario())


def test_no_call_fails_while_several_workers_are_replaced_again_and_again(hot, call):
    hot.version(1, workers=2)

    async def scenario():
        async with hot.opened() as extensions:
            done, answered = [], asyncio.Event()
            ending = False

            async def caller(number):
                while not ending:
                    done.append(await call(extensions, "acme.hot.version", node=f"node-{number}"))
                    answered.set()

            await extensions.activate("acme.hot")
            callers = [asyncio.create_task(caller(number)) for number in range(8)]
            for number in range(2, 5):
                while number - 1 not in done:
                    answered.clear()
                    await answered.wait()
                hot.version(number, workers=2)
                await extensions.reload("acme.hot")
            ending = True
            await asyncio.gather(*callers)
            assert set(done) >= {1, 2, 3}
            assert await call(extensions, "acme.hot.version") == 4

    asyncio.run(scenario())


def test_a_reload_gives_as_many_workers_as_there_were(hot, call):
    hot.version(1, workers=2)

    async def scenario():
        async with hot.opened() as extensions:
            waiting = [asyncio.create_task(call(extensions, "acme.hot.wait")) for _ in range(3 * AT_ONCE)]
            while len((await extensions.health("acme.hot")).pids) < 2:  # noqa: ASYNC110 - it asks processes
                await asyncio.sleep(0)
            hot.version(2, workers=2)
            await extensions.reload("acme.hot")
            pids = (await extensions.health("acme.hot")).pids
            assert list(pids) == ["acme.hot#1", "acme.hot#2"]
            hot.let_go()
            assert set(await asyncio.gather(*waiting)) <= {1, 2}

    asyncio.run(scenario())


def test_a_call_that_is_under_way_ends_in_the_old_process(hot, call, under_way):
    async def scenario():
        async with hot.opened() as extensions:
            task = await under_way(extensions, "acme.hot.wait")
            hot.version(2)
            await extensions.reload("acme.hot")
            assert await call(extensions, "acme.hot.version") == 2
            assert not task.done()
            assert (await extensions.health("acme.hot")).calls == 1
            hot.let_go()
            assert await task == 1

    asyncio.run(scenario())


def test_each_result_says_which_code_gave_it(hot, node_call, recorder):
    async def scenario():
        async with hot.opened() as extensions:
            events = recorder()
            extensions.submit([node_call("acme.hot.wait", node="old")], events)
            await events.until(lambda: events.of("progressed"))
            [before] = await extensions.extensions()
            hot.version(2)
            after = await extensions.reload("acme.hot")
            extensions.submit([node_call("acme.hot.version", node="new")], events)
            hot.let_go()
            finals = await events.finals(2)
            assert finals["old"].fingerprint == before.fingerprint
            assert finals["new"].fingerprint == after.fingerprint != before.fingerprint

    asyncio.run(scenario())


def test_a_call_that_is_under_way_can_be_cancelled_after_the_reload(hot, node_call, recorder):
    async def scenario():
        async with hot.opened() as extensions:
            events = recorder()
            extensions.submit([node_call("acme.hot.hang")], events)
            await events.until(lambda: events.of("progressed"))
            hot.version(2)
            await extensions.reload("acme.hot")
            extensions.cancel("run")
            final = (await events.finals(1))["node"]
            assert (final.kind, final.error.code) == ("failed", "SYM-R003")

    asyncio.run(scenario())


def test_an_old_process_that_does_not_end_its_calls_is_stopped_and_they_are_lost_not_failed(
    hot, node_call, recorder, gone, monkeypatch
):
    monkeypatch.setattr("symphony_isolation.generations.DRAIN", 0.1)

    async def scenario():
        async with hot.opened() as extensions:
            events = recorder()
            extensions.submit([node_call("acme.hot.hang")], events)
            await events.until(lambda: events.of("progressed"))
            pid = (await extensions.health("acme.hot")).pid
            hot.version(2)
            await extensions.reload("acme.hot")
            final = (await events.finals(1))["node"]
            assert (final.kind, final.retryable) == ("lost", True)
            assert "was reloaded" in final.error.message
            assert await asyncio.to_thread(gone, pid)

    asyncio.run(scenario())


def test_the_operations_may_change(hot, call):
    added = """
@operator("acme.hot.added")
def added(ctx: Context) -> str:
    return "added"

OPERATORS = [version, added]
"""

    async def scenario():
        async with hot.opened() as extensions:
            assert "acme.hot.added" not in await extensions.operations()
            await extensions.activate("acme.hot")
            hot.version(2, operators="", more=added)
            info = await extensions.reload("acme.hot")
            assert {operation.id for operation in info.operations} == {"acme.hot.version", "acme.hot.added"}
            assert set(await extensions.operations()) == {"acme.hot.version", "acme.hot.added"}
            assert await call(extensions, "acme.hot.added") == "added"
            with pytest.raises(ExtensionError) as caught:
                await call(extensions, "acme.hot.pid")
            assert caught.value.code == "SYM-E013"

    asyncio.run(scenario())


UNWELL = "\nfrom symphony_sdk import hookimpl\n@hookimpl\ndef symphony_health(ctx):\n    {}\n"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("\ndef broken(:\n", "SyntaxError"),
        ("\nraise ValueError('no luck')\n", "no luck"),
        ("\nimport os; os._exit(7)\n", "exit code 7"),
        (UNWELL.format("return 'the dictionary is gone'"), "not well: the dictionary is gone"),
        (UNWELL.format("raise LookupError('no dictionary')"), "no dictionary"),
        (UNWELL.format("import os; os._exit(7)"), "exit code 7"),
        ("\nfrom symphony_sdk import hookimpl\n@hookimpl\ndef symphony_lod(ctx): ...\n", "symphony_lod"),
    ],
)
def test_code_that_does_not_work_is_refused_and_the_old_stays(hot, call, house, more, text):
    async def scenario():
        async with hot.opened() as extensions:
            await extensions.activate("acme.hot")
            pid = (await extensions.health("acme.hot")).pid
            hot.version(2, more)
            with pytest.raises(ExtensionError, match=text) as caught:
                await extensions.reload("acme.hot")
            assert caught.value.code == "SYM-E047"
            assert "the old one goes on" in caught.value.message
            assert (await extensions.health("acme.hot")).pid == pid
            assert await call(extensions, "acme.hot.version") == 1
            info = (await extensions.extensions())[0]
            assert (info.state, info.version, info.reason) == ("active", "1.0", "")
            hot.version(3)
            await extensions.reload("acme.hot")
            assert await call(extensions, "acme.hot.version") == 3

    asyncio.run(scenario())


def test_a_syntax_error_is_told_with_its_place(hot):
    async def scenario():
        async with hot.opened() as extensions:
            await extensions.activate("acme.hot")
            hot.version(2, "\n\ndef broken(:\n")
            with pytest.raises(ExtensionError) as caught:
                await extensions.reload("acme.hot")
            assert caught.value.traceback
            assert "acme_hot.py" in caught.value.traceback

    asyncio.run(scenario())


def test_an_extension_at_rest_rests_again_after_its_reload(hot, call):
    async def scenario():
        async with hot.opened() as extensions:
            await extensions.operations()
            hot.version(2)
            info = await extensions.reload("acme.hot")
            assert info.state == "resolved"
            assert not (await extensions.health("acme.hot")).alive
            assert await call(extensions, "acme.hot.version") == 2

    asyncio.run(scenario())


def test_an_extension_that_was_broken_at_the_start_is_begun_by_its_reload(hot, call):
    async def scenario():
        hot.version(1, "\nraise ValueError('no luck')\n")
        async with hot.opened() as extensions:
            assert await extensions.operations() == {}
            with pytest.raises(ExtensionError, match=r"and it stays failed: .*no luck"):
                await extensions.reload("acme.hot")
            hot.version(2)
            await extensions.reload("acme.hot")
            assert await call(extensions, "acme.hot.version") == 2

    asyncio.run(scenario())


def test_an_extension_that_could_not_be_used_at_the_start_is_begun_by_its_reload(hot, house, call):
    broken = ExtensionInfo("acme.hot", "1.0", "operator", "failed", reason="no manifest")

    async def scenario():
        async with house.opened(unusable=(broken,), renewed=lambda extension: hot.spec) as extensions:
            assert (await extensions.extensions())[0].state == "failed"
            await extensions.reload("acme.hot")
            assert (await extensions.extensions())[0].state == "resolved"
            assert await call(extensions, "acme.hot.version") == 1

    asyncio.run(scenario())


def test_what_is_not_installed_cannot_be_reloaded(house, hot):
    async def scenario():
        async with house.opened(hot.spec) as extensions:
            with pytest.raises(ExtensionError) as caught:
                await extensions.reload("acme.hut")
            assert caught.value.code == "SYM-E033"
            await extensions.reload("acme.hot")

    asyncio.run(scenario())


def test_two_reloads_at_once_come_one_after_the_other(hot, call):
    async def scenario():
        async with hot.opened() as extensions:
            await extensions.activate("acme.hot")
            hot.version(2)
            await asyncio.gather(extensions.reload("acme.hot"), extensions.reload("acme.hot"))
            assert (await extensions.health("acme.hot")).generation == 3
            assert await call(extensions, "acme.hot.version") == 2

    asyncio.run(scenario())


def test_a_stop_during_a_reload_leaves_no_process_behind(hot, house, gone):
    hanging = "\nprint('hangs', flush=True)\nimport threading; threading.Event().wait()\n"

    async def scenario():
        others = set(descendants_of(os.getpid()))
        async with hot.opened() as extensions:
            await extensions.activate("acme.hot")
            hot.version(2, hanging)
            reloading = asyncio.create_task(extensions.reload("acme.hot"))
            await house.heard("hangs")
            processes = set(descendants_of(os.getpid())) - others
            await extensions.stop()
            with pytest.raises((ExtensionError, PeerGone, asyncio.CancelledError)):
                await reloading
            return processes

    processes = asyncio.run(scenario())
    assert len(processes) >= 2
    assert all(gone(pid) for pid in processes)


def test_whoever_gives_a_reload_up_leaves_no_process_behind(hot, call, house, gone):
    hanging = "\nprint('hangs', flush=True)\nimport threading; threading.Event().wait()\n"

    async def scenario():
        async with hot.opened() as extensions:
            await extensions.activate("acme.hot")
            before = set(descendants_of(os.getpid()))
            hot.version(2, hanging)
            reloading = asyncio.create_task(extensions.reload("acme.hot"))
            await house.heard("hangs")
            begun = set(descendants_of(os.getpid())) - before
            reloading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reloading
            assert begun
            for pid in begun:
                assert await asyncio.to_thread(gone, pid)
            assert await call(extensions, "acme.hot.version") == 1

    asyncio.run(scenario())


# -- state ---------------------------------------------------------------------------------------------

GOOD = "lambda seen: ' '.join(seen).encode()"


def stateful(saved=GOOD, restored="pass"):
    return STATE.replace("SAVED", f"({saved})").replace("RESTORED", restored)


def test_the_state_of_the_old_process_is_handed_to_the_new_one_with_its_version(hot, call):
    async def scenario():
        hot.write(stateful(), version="1.0")
        async with hot.opened() as extensions:
            await call(extensions, "acme.hot.see", what="bear")
            hot.write(stateful(), version="2.0")
            await extensions.reload("acme.hot")
            assert await call(extensions, "acme.hot.see", what="lynx") == ["bear", "after-1.0", "lynx"]

    asyncio.run(scenario())


def test_the_state_is_handed_over_when_the_last_call_of_the_old_process_has_ended(hot, call, under_way):
    async def scenario():
        hot.write(stateful(), version="1.0")
        async with hot.opened() as extensions:
            task = await under_way(extensions, "acme.hot.wait")
            reloading = asyncio.create_task(extensions.reload("acme.hot"))
            later = asyncio.create_task(call(extensions, "acme.hot.see", what="later"))
            hot.let_go()
            await asyncio.gather(task, reloading)
            assert (await later)[-1] == "later"
            seen = await call(extensions, "acme.hot.see", what="end")
            assert seen[: seen.index("after-1.0")].count("waited") == 1
            assert seen.count("later") == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("restored", "text"),
    [("raise LookupError('unknown layout')", "unknown layout"), ("os._exit(9)", "exit code 9")],
)
def test_where_the_state_cannot_be_restored_the_old_process_goes_on_with_it(hot, call, restored, text):
    async def scenario():
        hot.write(stateful())
        async with hot.opened() as extensions:
            await call(extensions, "acme.hot.see", what="bear")
            hot.write(stateful(restored=restored))
            with pytest.raises(ExtensionError, match=text) as caught:
                await extensions.reload("acme.hot")
            assert caught.value.code == "SYM-E047"
            assert await call(extensions, "acme.hot.see", what="lynx") == ["bear", "lynx"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("saved", "text"),
    [
        ("lambda seen: bytes((8 << 20) + 1)", "8,388,609 bytes; 8,388,608 are allowed"),
        ("lambda seen: 'text'", "returned str"),
        ("lambda seen: 1 // 0", "division"),
        ("lambda seen: os._exit(9)", "exit code 9"),
    ],
)
def test_a_state_that_cannot_be_saved_is_told_to_be_lost_and_the_new_code_runs(hot, call, house, saved, text):
    async def scenario():
        hot.write(stateful(saved))
        async with hot.opened() as extensions:
            await call(extensions, "acme.hot.see", what="bear")
            hot.write(stateful())
            await extensions.reload("acme.hot")
            assert await call(extensions, "acme.hot.see", what="lynx") == ["lynx"]
            assert any("its state is lost" in line and text in line for line in house.texts("error"))

    asyncio.run(scenario())


def test_the_largest_state_there_may_be_is_handed_over(hot, call):
    async def scenario():
        hot.write(stateful("lambda seen: b'x' * (8 << 20)"))
        async with hot.opened() as extensions:
            await extensions.activate("acme.hot")
            hot.write(stateful(restored="assert len(data) == 8 << 20; data = b'all'"))
            await extensions.reload("acme.hot")
            assert await call(extensions, "acme.hot.see", what="lynx") == ["all", "after-1.0", "lynx"]

    asyncio.run(scenario())


def test_a_process_that_stays_busy_keeps_its_state_and_is_not_reloaded(hot, call, under_way, monkeypatch):
    monkeypatch.setattr("symphony_isolation.generations.HOLD", 0.05)

    async def scenario():
        hot.write(stateful())
        async with hot.opened() as extensions:
            task = await under_way(extensions, "acme.hot.wait")
            with pytest.raises(ExtensionError, match="still works on 1 calls"):
                await extensions.reload("acme.hot")
            hot.let_go()
            await task
            assert await call(extensions, "acme.hot.see", what="lynx") == ["waited", "lynx"]

    asyncio.run(scenario())


def test_an_extension_has_one_state(hot):
    async def scenario():
        again = "\n@on_save_state\ndef save_again(ctx):\n    return b''\n"
        hot.write(stateful() + again)
        async with hot.opened() as extensions:
            with pytest.raises(ExtensionError, match="symphony_save_state twice") as caught:
                await extensions.activate("acme.hot")
            assert caught.value.code == "SYM-E019"

    asyncio.run(scenario())
