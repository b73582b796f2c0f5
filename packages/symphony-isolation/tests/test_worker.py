"""A worker serves its extension, alone and confined."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from symphony_isolation import WorkerLimits
from symphony_isolation.sandbox import probe
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import DeadlineExceeded, ExtensionError, MalformedMessage, PeerGone, PermissionDenied
from symphony_sdk.ports import Lineage


def test_operators_answer_whether_they_await_or_not(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert await call(extensions, "acme.zoo.echo-async", text="wolf") == "wolf"
            assert await call(extensions, "acme.zoo.echo") == ""

    asyncio.run(scenario())


def test_what_an_operator_says_reaches_the_host_with_its_level(house, call):
    heard = []

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await call(extensions, "acme.zoo.say", text="bear", on_progress=heard.append)

    asyncio.run(scenario())
    assert ("acme.zoo", "info", "bear") in house.log
    assert ("acme.zoo", "warning", "bear on stderr") in house.log
    assert ("acme.zoo", "error", "bear in the log") in house.log
    assert [(progress.fraction, progress.text) for progress in heard] == [(0.5, "bear half-way")]


def test_an_instrument_is_loaded_once_and_unloaded_with_its_worker(house, call):
    async def scenario():
        async with house.opened(house.zoo(config={"size": 3})) as extensions:
            results = await asyncio.gather(*(call(extensions, "acme.zoo.count", by=1) for _ in range(8)))
            assert sorted(results) == list(range(1, 9))

    asyncio.run(scenario())
    assert house.notes() == [
        "load",
        "activate {'size': 3}",
        "instrument loaded",
        "deactivate",
        "instrument unloaded at 8",
        "unload",
    ]


def test_artifacts_of_many_parts_go_to_the_store_and_back_with_their_lineage(house, call):
    size = 20 << 20

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            ref = await call(extensions, "acme.zoo.store", size=size, type=ArtifactRef)
            digest = await call(extensions, "acme.zoo.digest", ref=ref)
            return ref, digest

    ref, digest = asyncio.run(scenario())
    assert (ref.id, ref.size, ref.name) == (f"b3-{digest}", size, "zoo.bin")
    info = house.store.info(ref.id)
    assert info.lineage == Lineage("run", "node", "acme.zoo", version="1.0")
    assert info.metadata == {"of": "zoo"}


def test_an_exception_of_an_operator_fails_its_call_alone(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(ExtensionError, match="LookupError: no such animal") as caught:
                await call(extensions, "acme.zoo.fail")
            assert caught.value.code == "SYM-E014"
            assert "acme_zoo.py" in caught.value.traceback
            with pytest.raises(MalformedMessage):
                await call(extensions, "acme.zoo.echo", text=3)
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert (await extensions.health("acme.zoo")).restarts == 0

    asyncio.run(scenario())


def test_an_operation_that_gives_up_unasked_did_not_cancel_the_run(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(ExtensionError, match="nobody had asked") as caught:
                await call(extensions, "acme.zoo.cancel-itself")
            assert caught.value.code == "SYM-E014"

    asyncio.run(scenario())


def test_the_environment_of_a_worker_is_clean(house, call, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("LC_NUMERIC", "C")
    tmp = house.root / "tmp"
    tmp.mkdir()

    async def scenario():
        async with house.opened(house.zoo(roots={"tmp": str(tmp)})) as extensions:
            return await call(extensions, "acme.zoo.environment")

    environment = asyncio.run(scenario())
    known = {"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "JOBLIB_MULTIPROCESSING"}
    assert {name for name in environment if not name.startswith("LC_")} <= known
    assert environment["LC_NUMERIC"] == "C"
    assert environment["TMPDIR"] == str(tmp)
    assert environment["HOME"] == str(house.root / "data" / "acme.zoo")


def test_the_home_of_a_worker_is_the_users_where_something_of_it_was_granted(house, call, monkeypatch):
    monkeypatch.setenv("HOME", str(house.root))

    async def scenario():
        spec = house.zoo(roots={"home": str(house.root)}, permissions=("file:read:${home}/notes",))
        async with house.opened(spec) as extensions:
            return await call(extensions, "acme.zoo.environment")

    assert asyncio.run(scenario())["HOME"] == str(house.root)


def test_a_worker_holds_no_descriptor_of_the_host(house, call):
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:

        async def scenario():
            async with house.opened(house.zoo()) as extensions:
                await call(extensions, "acme.zoo.say", text="bear")
                return await call(extensions, "acme.zoo.descriptors")

        found = asyncio.run(scenario())
    finally:
        os.close(read)
        os.close(write)
    others = [target for number, target in found.items() if int(number) > 2]
    own = [target for target in others if target.startswith("/proc/") and "/fd" not in target]
    assert sorted(Path(target).name for target in own) == ["clear_refs", "status"]
    sockets = [target.split(":")[0] for target in others if target not in own]
    assert sockets == ["socket", "socket"]  # the channel, and the one that descriptors come over
    assert found["0"] == "/dev/null"
    assert found["1"].startswith("pipe:")
    assert found["2"].startswith("pipe:")


def test_a_worker_is_confined_before_it_imports_its_extension(house, call):
    async def scenario():
        async with house.opened(house.zoo(limits=WorkerLimits(open_files=64))) as extensions:
            return await call(extensions, "acme.zoo.confinement")

    found = asyncio.run(scenario())
    assert found["umask"] == "0o77"
    assert found["no_new_privs"] == "1"
    assert found["core"] == "(0, 0)"
    assert found["files"] == "(64, 64)"
    assert found["session"] == "True"
    assert found["isolated"] == "1"
    assert found["cwd"] == str(house.root / "data" / "acme.zoo")


def test_a_worker_that_takes_too_much_memory_gets_a_memory_error(house, call):
    async def scenario():
        async with house.opened(house.zoo(limits=WorkerLimits(memory=256 << 20))) as extensions:
            assert await call(extensions, "acme.zoo.allocate", megabytes=64) == 64 << 20
            with pytest.raises(ExtensionError, match="MemoryError"):
                await call(extensions, "acme.zoo.allocate", megabytes=512)
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"

    asyncio.run(scenario())


@pytest.mark.parametrize("tier", ["full", "fallback"])
def test_a_worker_that_holds_more_memory_than_allowed_is_ended_and_it_is_said_why(house, call, tier):
    async def scenario():
        async with house.opened(house.zoo(limits=WorkerLimits(memory=128 << 20), tier=tier)) as extensions:
            with pytest.raises(PeerGone, match="used more than its 128 MiB of memory") as caught:
                await call(extensions, "acme.zoo.hold")
            assert caught.value.details["cause"] == "memory"
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"

    if probe().missing(tier):
        pytest.skip(f"no {tier} sandbox here")
    asyncio.run(scenario())


def test_what_a_worker_is_refused_is_told(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            assert "Permission denied" in await call(extensions, "acme.zoo.break-out")
            await house.heard("it was refused the system call socket")

    asyncio.run(scenario())


def test_a_worker_that_is_refused_its_sandbox_runs_nothing(house):
    id = "acme.unconfined"
    program = house.root / "python"
    program.write_text(
        f"#!{sys.executable}\nimport sys, runpy\n"
        "from symphony_isolation.sandbox import landlock\n"
        "def refuse(rules, **options): raise OSError(95, 'switched off')\n"
        "landlock.restrict = refuse\n"
        "sys.argv = sys.argv[3:]\n"
        "runpy.run_module('symphony_isolation.bootstrap', run_name='__main__')\n"
    )
    program.chmod(0o755)

    async def scenario():
        spec = house.write(id, "open('ran', 'w')", python=str(program))
        async with house.opened(spec) as extensions:
            with pytest.raises(
                PermissionDenied, match="refused its sandbox: Landlock: switched off"
            ) as caught:
                await extensions.activate(id)
            assert caught.value.code == "SYM-P021"

    asyncio.run(scenario())
    assert not (house.root / "data" / id / "ran").exists()


@pytest.mark.parametrize("line", [100, 1 << 20])
def test_a_flood_on_stdout_is_cut_and_its_call_goes_on(house, call, line):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await call(extensions, "acme.zoo.shout", megabytes=6, line=line)
            await call(extensions, "acme.zoo.echo")

    asyncio.run(scenario())
    printed = [text for text in house.texts("info") if text.startswith("xxx")]
    assert printed
    assert all(len(text) <= 4097 for text in printed)
    assert line > 100 or any("more lines were dropped" in text for text in house.texts("warning"))


def test_a_flood_in_the_log_is_bounded(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await call(extensions, "acme.zoo.chatter", lines=5000)
            await call(extensions, "acme.zoo.echo")

    asyncio.run(scenario())
    assert "line 0" in house.texts("info")
    assert any("more lines were dropped" in text for text in house.texts("warning"))


def test_progress_that_is_faster_than_anyone_can_see_is_thinned_out(house, call):
    heard = []

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await call(extensions, "acme.zoo.boast", times=5000, on_progress=heard.append)

    asyncio.run(scenario())
    assert heard[0].fraction == 0.0
    assert len(heard) < 2500


def test_a_deadline_ends_the_call_and_not_the_worker(house, call, under_way):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await call(extensions, "acme.zoo.echo")
            begun, timeout = [], 0.05
            while not begun:  # on a busy machine a call is late before it begins
                with pytest.raises(DeadlineExceeded):
                    await call(extensions, "acme.zoo.wait", timeout=timeout, on_progress=begun.append)
                timeout *= 2
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert (await extensions.health("acme.zoo")).restarts == 0

    asyncio.run(scenario())
    assert "cancelled" in house.notes()


@pytest.mark.parametrize("operation", ["acme.zoo.wait", "acme.zoo.wait-async"])
def test_cancelling_the_task_cancels_the_operation(house, call, under_way, operation):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            task = await under_way(extensions, operation)
            assert (await extensions.health("acme.zoo")).calls == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await extensions.health("acme.zoo")).calls == 0
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"

    asyncio.run(scenario())
    assert "cancelled" in house.notes()


def test_a_worker_is_deactivated_after_the_calls_that_were_cancelled_have_ended(house, under_way):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            task = await under_way(extensions, "acme.zoo.tidy-up")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())
    assert house.notes()[-3:] == ["tidied up", "deactivate", "unload"]


@pytest.mark.parametrize("operation", ["acme.zoo.ignore", "acme.zoo.stick"])
def test_a_worker_that_does_not_end_a_call_is_killed_and_replaced(
    house, call, under_way, gone, monkeypatch, operation
):
    monkeypatch.setattr("symphony_isolation.worker.CANCEL_GRACE", 0.1)

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await call(extensions, "acme.zoo.echo")
            pid = (await extensions.health("acme.zoo")).pid
            bystander = await under_way(extensions, "acme.zoo.wait")
            stuck = await under_way(extensions, operation)
            stuck.cancel()
            with pytest.raises(PeerGone, match="did not end a call"):
                await bystander
            assert gone(pid)
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert (await extensions.health("acme.zoo")).restarts == 1

    asyncio.run(scenario())


def test_the_bootstrap_needs_neither_asyncio_nor_pydantic():
    code = (
        "import symphony_isolation.bootstrap, sys;"
        "print({'asyncio', 'pydantic', 'logging', 'httpx', 'networkx', 'subprocess'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
