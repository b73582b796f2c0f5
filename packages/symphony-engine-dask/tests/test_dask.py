"""Machines in the workers of a real Dask cluster."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import RunError
from symphony_sdk.values import decode

pytest.importorskip("distributed", reason="distributed is not installed: `uv run nox -s dask` installs it")


@contextmanager
def scheduler(folder: Path):
    """A scheduler of its own, as on another computer; gives its address and its process."""
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    file = folder / "scheduler.json"
    process = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", str(file)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    try:
        address = next(line.split()[-1] for line in process.stderr if "Scheduler at:" in line)
        yield address
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def worker(address: str, folder: Path, *options: str, **environment: str):
    """A worker without a nanny, that joined a scheduler."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--local-directory", str(folder), *options],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | environment,
    )
    try:
        assert any("Registered to:" in line for line in process.stderr)
        yield process
    finally:
        process.terminate()
        process.communicate()


def test_calls_run_on_a_cluster_on_this_computer_with_keys_of_its_own(
    dock, recorder, node_call, machine_of, tmp_path
):
    ledger = tmp_path / "ledger"

    async def scenario():
        async with dock() as its:
            seen = recorder()
            calls = [node_call("acme.dock.note", str(n), ledger=str(ledger), line=str(n)) for n in range(100)]
            its.fleet.submit(calls, seen)
            finals = await seen.ended(100)
            machines = {event.place: set() for event in finals}
            for event in finals:
                machines[event.place].add(machine_of(decode(event.outputs["result"])))
            return finals, machines, its.fleet.slots

    finals, machines, slots = asyncio.run(scenario())
    assert {event.kind for event in finals} == {"completed"}
    assert Counter(ledger.read_text().split()) == Counter(str(n) for n in range(100))
    assert all(name.startswith("tls://127.0.0.1:") for name in machines)
    assert [len(pids) for pids in machines.values()] == [1, 1]
    assert slots >= 2


def test_a_killed_worker_loses_its_own_calls_alone_and_its_nanny_brings_another(
    dock, recorder, node_call, machine_of
):
    async def scenario():
        async with dock() as its:
            seen, again = recorder(), recorder()
            its.fleet.submit([node_call("acme.dock.wait", str(n)) for n in range(2)], seen)
            under_way = {event.call.node: event for event in await seen.until(2, "progressed")}
            os.kill(machine_of(int(under_way["0"].text)), signal.SIGKILL)
            lost = (await seen.ended(1))[0]
            its.fleet.submit([node_call("acme.dock.where", "again")], again)
            moved = (await again.ended(1))[0]
            names = await its.ready(2)
            its.fleet.cancel("run")
            return lost, moved, names, (await seen.ended(2))[1]

    lost, moved, names, cancelled = asyncio.run(scenario())
    assert (lost.call.node, lost.kind, lost.error.code, lost.retryable) == ("0", "lost", "SYM-R124", True)
    assert (moved.kind, moved.place == lost.place) == ("completed", False)
    assert (cancelled.call.node, cancelled.error.code) == ("1", "SYM-R003")
    assert len(names) == 2
    assert lost.place not in names


def test_artifacts_and_large_values_cross(dock, recorder, node_call):
    text = "x" * (9 << 20)

    async def scenario():
        async with dock(workers=1) as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.dock.store", text=text)], seen)
            (event,) = await seen.ended(1)
            assert event.kind == "completed", event.error
            return its.store.get(decode(event.outputs["result"], ArtifactRef).id)

    assert asyncio.run(scenario()) == text.encode()


def test_nothing_is_left_behind(dock, recorder, node_call, machine_of):
    async def scenario():
        async with dock(workers=1) as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.dock.where")], seen)
            (event,) = await seen.ended(1)
            where = decode(event.outputs["result"])
            return where, (int(where["pid"]), machine_of(int(where["pid"])))

    where, processes = asyncio.run(scenario())
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert not Path(where["cwd"]).exists()


def test_a_scheduler_elsewhere_is_used_as_it_is_and_goes_on(dock, recorder, node_call, tmp_path):
    async def scenario(address):
        async with dock(address=address) as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.dock.where")], seen)
            (event,) = await seen.ended(1)
            capacity = [member.ready.capacity for member in its.fleet._members.values()]
            return event, capacity

    with (
        scheduler(tmp_path) as address,
        worker(address, tmp_path, "--nthreads", "3", "--resources", "GPU=1,licence=2") as process,
    ):
        event, (capacity,) = asyncio.run(scenario(address))
        again, _ = asyncio.run(scenario(address))
        assert process.poll() is None
    assert (event.kind, again.kind) == ("completed", "completed")
    assert event.place.startswith("tcp://127.0.0.1:")
    assert (capacity.cores, capacity.gpus, capacity.custom) == (3.0, 1.0, {"licence": 2.0})


def test_a_worker_that_comes_later_is_used_and_one_that_goes_is_told(dock, recorder, node_call, tmp_path):
    async def scenario(address):
        async with dock(address=address) as its:
            seen = recorder()
            with worker(address, tmp_path):
                await its.ready(2)
                its.fleet.submit([node_call("acme.dock.wait", str(n)) for n in range(2)], seen)
                await seen.until(2, "progressed")
                slots = its.fleet.slots
            lost = (await seen.ended(1))[0]
            its.fleet.cancel("run")
            await seen.ended(2)
            return lost, slots, its.fleet.slots

    with scheduler(tmp_path) as address, worker(address, tmp_path):
        lost, before, after = asyncio.run(scenario(address))
    assert (lost.kind, before) == ("lost", 2 * after)


def test_a_worker_without_the_package_is_told_with_what_to_do(dock, tmp_path):
    blocked = tmp_path / "blocked" / "symphony_engine_dask"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('not here')")

    async def scenario(address):
        async with dock(address=address):
            pass

    with (
        scheduler(tmp_path) as address,
        worker(address, tmp_path, PYTHONPATH=str(blocked.parent)),
        pytest.raises(RunError, match="not here") as caught,
    ):
        asyncio.run(scenario(address))
    assert caught.value.code == "SYM-R121"
    assert "symphony-engine-dask[dask]" in caught.value.hint


def test_an_address_where_no_scheduler_answers_is_an_error(dock):
    async def scenario():
        async with dock(address="tcp://127.0.0.1:1", start_timeout=0.5):
            pass

    with pytest.raises(RunError, match=r"the Dask cluster on tcp://127.0.0.1:1 cannot be used") as caught:
        asyncio.run(scenario())
    assert caught.value.code == "SYM-R121"
