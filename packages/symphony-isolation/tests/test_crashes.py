"""A worker dies, and nobody else does."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from symphony_isolation.process_lane import CALLS_PER_CORE
from symphony_sdk.errors import ExtensionError, PeerGone, SymphonyError


@pytest.mark.parametrize(
    ("how", "text", "code", "name"),
    [
        ("os._exit", "ended by itself with exit code 3", 3, ""),
        ("segfault", "was killed by SIGSEGV", None, "SIGSEGV"),
        ("abort", "was killed by SIGABRT", None, "SIGABRT"),
    ],
)
def test_a_crash_fails_the_call_with_how_it_ended_and_its_last_words(house, call, how, text, code, name):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(PeerGone) as caught:
                await call(extensions, "acme.zoo.crash", how=how)
            assert text in caught.value.message
            assert "these are my last words" in caught.value.message
            cause = "signal" if name else "exit"
            assert caught.value.details == {
                "extension": "acme.zoo",
                "cause": cause,
                "exit_code": code,
                "signal": name,
            }
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert (await extensions.health("acme.zoo")).restarts == 1

    asyncio.run(scenario())


def test_sys_exit_ends_the_call_and_not_the_worker(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(ExtensionError, match="SystemExit"):
                await call(extensions, "acme.zoo.crash", how="sys.exit")
            assert (await extensions.health("acme.zoo")).alive

    asyncio.run(scenario())


def test_a_killed_worker_fails_every_call_and_serves_the_next(house, call, under_way):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            tasks = [await under_way(extensions, "acme.zoo.wait") for _ in range(CALLS_PER_CORE)]
            os.kill((await extensions.health("acme.zoo")).pid, signal.SIGKILL)
            for task in tasks:
                with pytest.raises(PeerGone, match="was killed by SIGKILL"):
                    await task
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            info = (await extensions.extensions())[0]
            assert (info.state, info.reason) == ("active", "")

    asyncio.run(scenario())


def test_another_extension_does_not_notice_a_crash(house, call, under_way):
    other = """
from symphony_sdk import Context, operator, provides_operators

@operator("acme.other.wait")
def wait(ctx: Context) -> str:
    ctx.progress(0.0)
    ctx._cancelled.wait(0.2)
    return "fine"

@provides_operators
def symphony_operators():
    yield wait
"""

    async def scenario():
        async with house.opened(house.zoo(), house.write("acme.other", other)) as extensions:
            task = await under_way(extensions, "acme.other.wait")
            with pytest.raises(PeerGone):
                await call(extensions, "acme.zoo.crash", how="os._exit")
            assert await task == "fine"

    asyncio.run(scenario())


def test_the_fourth_crash_within_a_minute_quarantines_the_extension(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            for _ in range(4):
                with pytest.raises(PeerGone):
                    await call(extensions, "acme.zoo.crash", how="os._exit")
            info = (await extensions.extensions())[0]
            assert info.state == "quarantined"
            assert "exit code 3" in info.reason
            for attempt in (call(extensions, "acme.zoo.echo"), extensions.activate("acme.zoo")):
                with pytest.raises(ExtensionError, match="exit code 3") as caught:
                    await attempt
                assert caught.value.code == "SYM-E032"
            health = await extensions.health("acme.zoo")
            assert (health.alive, health.pid, health.restarts) == (False, 0, 3)

    asyncio.run(scenario())


def test_crashes_that_are_long_past_are_forgotten(house, call, monkeypatch):
    monkeypatch.setattr("symphony_isolation.restarts.RESTART_WINDOW", 0.0)

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            for _ in range(5):
                with pytest.raises(PeerGone):
                    await call(extensions, "acme.zoo.crash", how="os._exit")
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("source", "code", "text"),
    [
        ("raise ValueError('broken zoo')", "SYM-E016", "broken zoo"),
        ("import sys; print('noise', flush=True); sys.exit(5)", "SYM-E016", "called sys.exit"),
        ("import os; os._exit(5)", "SYM-E030", "exit code 5"),
        ("import ctypes; ctypes.string_at(0)", "SYM-E030", "SIGSEGV"),
        ("import no_such_module_anywhere", "SYM-E016", "no_such_module_anywhere"),
        ("def symphony_operators(: pass", "SYM-E016", "SyntaxError"),
    ],
)
def test_an_import_that_fails_is_a_reason_and_harms_nobody(house, call, source, code, text):
    broken = house.write("acme.broken", source)

    async def scenario():
        async with house.opened(house.zoo(), broken) as extensions:
            assert "acme.zoo.echo" in await extensions.operations()
            infos = {info.id: info for info in await extensions.extensions()}
            assert infos["acme.broken"].state == "failed"
            assert text in infos["acme.broken"].reason
            assert infos["acme.zoo"].state == "resolved"
            with pytest.raises(ExtensionError, match=text) as caught:
                await extensions.activate("acme.broken")
            assert caught.value.code == code
            with pytest.raises(ExtensionError, match=text) as caught:
                await call(extensions, "acme.broken.go")
            assert caught.value.code == "SYM-E013"
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"

    asyncio.run(scenario())


def test_a_module_that_is_missing_is_named(house):
    async def scenario():
        async with house.opened(house.spec("acme.empty", "acme_nowhere")) as extensions:
            with pytest.raises(ExtensionError, match="acme_nowhere") as caught:
                await extensions.activate("acme.empty")
            assert caught.value.code == "SYM-E015"

    asyncio.run(scenario())


def test_an_import_that_hangs_is_given_up_and_its_process_is_gone(house, gone):
    from symphony_isolation import WorkerLimits

    source = """
import os, threading
open("pid", "w").write(str(os.getpid()))
threading.Event().wait()
"""
    pid = house.root / "data" / "acme.slow" / "pid"

    async def scenario(seconds):
        limits = WorkerLimits(load_timeout=seconds)
        async with house.opened(
            house.write("acme.slow", source, limits=limits, tier="fallback")
        ) as extensions:
            assert await extensions.operations() == {}
            info = (await extensions.extensions())[0]
            assert info.state == "failed"
            assert f"within {seconds:g} s" in info.reason

    seconds = 1.5
    asyncio.run(scenario(seconds))
    while not pid.exists() or not pid.read_text():  # on a busy machine its import had not begun
        seconds *= 2
        asyncio.run(scenario(seconds))
    assert gone(int(pid.read_text()))


def test_a_load_that_claims_to_be_a_crash_leaves_no_process_behind(house, gone):
    source = """
import os
from symphony_sdk import Context, hookimpl
from symphony_sdk.errors import PeerGone

@hookimpl
def symphony_load(ctx: Context) -> None:
    ctx.log.info(str(os.getpid()))
    raise PeerGone("so it says")
"""

    async def scenario():
        async with house.opened(house.write("acme.liar", source, tier="fallback")) as extensions:
            with pytest.raises(ExtensionError, match="so it says"):
                await extensions.activate("acme.liar")
            assert gone(int(house.texts("info")[0]))

    asyncio.run(scenario())


def test_an_extension_that_failed_is_tried_again_when_it_is_activated(house, call):
    source = """
import pathlib
if not pathlib.Path("mended").exists():
    raise ValueError("not mended")
"""
    spec = house.write("acme.broken", source)

    async def scenario():
        async with house.opened(spec) as extensions:
            with pytest.raises(ExtensionError, match="not mended"):
                await extensions.activate("acme.broken")
            (house.root / "data" / "acme.broken" / "mended").touch()
            await extensions.activate("acme.broken")
            assert (await extensions.extensions())[0].state == "active"

    asyncio.run(scenario())


def test_an_interpreter_that_is_not_there_is_named(house):
    async def scenario():
        async with house.opened(house.zoo(python="/nowhere/python")) as extensions:
            with pytest.raises(ExtensionError, match="/nowhere/python") as caught:
                await extensions.activate("acme.zoo")
            assert caught.value.code == "SYM-E030"

    asyncio.run(scenario())


def test_stopping_leaves_no_process_behind(house, call, under_way, gone):
    async def scenario():
        async with house.opened(house.starting()) as extensions:
            child = await call(extensions, "acme.zoo.spawn")
            pid = (await extensions.health("acme.zoo")).pid
            await extensions.deactivate("acme.zoo")
            assert not (await extensions.health("acme.zoo")).alive
            assert (await extensions.extensions())[0].state == "unloaded"
            assert gone(pid)
            assert gone(child)
            await extensions.deactivate("acme.zoo")
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"

    asyncio.run(scenario())


def test_a_crash_takes_the_children_of_the_worker_along(house, call, gone):
    async def scenario():
        async with house.opened(house.starting()) as extensions:
            child = await call(extensions, "acme.zoo.spawn")
            with pytest.raises(PeerGone):
                await call(extensions, "acme.zoo.crash", how="os._exit")
            assert gone(child)

    asyncio.run(scenario())


def test_a_worker_that_is_stuck_is_stopped_all_the_same(house, call, under_way, gone, monkeypatch):
    monkeypatch.setattr("symphony_isolation.supervisor.STEP_TIMEOUT", 0.1)
    monkeypatch.setattr("symphony_isolation.fate.EXIT_GRACE", 0.1)

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            task = await under_way(extensions, "acme.zoo.stick")
            pid = (await extensions.health("acme.zoo")).pid
            await extensions.stop()
            assert gone(pid)
            with pytest.raises(PeerGone, match="stopped by the host"):
                await task
            with pytest.raises(ExtensionError) as caught:
                await call(extensions, "acme.zoo.echo")
            assert caught.value.code == "SYM-E036"

    asyncio.run(scenario())


def test_a_stop_while_a_worker_starts_leaves_no_process_behind(house, gone):
    source = """
import os, threading
print(os.getpid(), flush=True)
threading.Event().wait()
"""

    async def scenario():
        said = asyncio.Event()
        house.log = Heard(said)
        async with house.opened(house.write("acme.slow", source, tier="fallback")) as extensions:
            task = asyncio.create_task(extensions.activate("acme.slow"))
            await said.wait()
            await extensions.stop()
            with pytest.raises(ExtensionError) as caught:
                await task
            assert caught.value.code == "SYM-E036"

    asyncio.run(scenario())
    assert gone(int(house.texts("info")[0]))


class Heard(list):
    """A log that says when its first line has come."""

    def __init__(self, event):
        self._event = event

    def append(self, line):
        super().append(line)
        self._event.set()


def test_a_worker_dies_with_its_host(house, gone):
    spec = house.zoo()
    host = f"""
    import asyncio, sys
    from pathlib import Path
    from symphony_isolation import IsolatedExtensions, WorkerSpec
    import msgspec
    spec = msgspec.json.decode(sys.argv[1], type=WorkerSpec)
    async def main():
        extensions = IsolatedExtensions([spec], cache_dir=Path({str(house.root / "cache")!r}),
                                        artifacts=None, on_log=lambda *line: None)
        await extensions.activate(spec.id)
        print((await extensions.health(spec.id)).pid, flush=True)
        await asyncio.Event().wait()
    asyncio.run(main())
    """
    import msgspec

    command = [sys.executable, "-c", textwrap.dedent(host), msgspec.json.encode(spec).decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        os.kill(pid, 0)
        process.kill()
    assert gone(pid)


def test_without_pidfd_a_thread_watches(house, call, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(PeerGone, match="exit code 3"):
                await call(extensions, "acme.zoo.crash", how="os._exit")
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"

    asyncio.run(scenario())


def test_callers_that_come_while_a_worker_starts_share_it(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            pids = await asyncio.gather(*(call(extensions, "acme.zoo.say", text="x") for _ in range(10)))
            assert len(set(pids)) == 1

    asyncio.run(scenario())


def test_a_caller_that_leaves_while_a_worker_starts_does_not_stop_it(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await extensions.operations()
            first = asyncio.create_task(call(extensions, "acme.zoo.echo", text="a"))
            second = asyncio.create_task(call(extensions, "acme.zoo.echo", text="b"))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == "b"

    asyncio.run(scenario())


def test_every_error_of_a_worker_names_its_extension(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            for operation, inputs in (("acme.zoo.fail", {}), ("acme.zoo.crash", {"how": "os._exit"})):
                with pytest.raises(SymphonyError) as caught:
                    await call(extensions, operation, **inputs)
                assert caught.value.details["extension"] == "acme.zoo"

    asyncio.run(scenario())
