"""Machines in the actors of a real Ray cluster."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import RunError
from symphony_sdk.ports import Resources
from symphony_sdk.values import decode

pytestmark = [
    # Not importorskip: the executor imports it, once it has set up the environment for that.
    pytest.mark.skipif(
        find_spec("ray") is None, reason="ray is not installed: `uv run nox -s ray` installs it"
    ),
    pytest.mark.timeout(300),  # Ray takes its time to start
]


@contextmanager
def head():
    """A Ray cluster of its own, as on another computer, of one machine with a licence; gives its address."""
    with (
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        socket.create_server(("127.0.0.1", 0)) as free,
    ):
        port = free.getsockname()[1]
        free.close()
        script = Path(sys.executable).with_name("ray")
        options = [f"--port={port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--block"]
        options += [
            "--num-cpus=2",
            '--resources={"licence": 3}',
            f"--temp-dir={folder}",
            "--disable-usage-stats",
        ]
        process = subprocess.Popen(
            [script, "start", "--head", *options, "--object-store-memory=100000000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            assert any("Ray runtime started" in line for line in process.stdout)
            yield f"127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def test_a_cluster_on_this_computer_runs_calls_and_replaces_a_machine_that_was_killed(bay, gone, machine_of):
    text = "x" * (9 << 20)

    async def scenario():
        async with bay() as its:
            its.submit("acme.bay.where", 100)
            finals = await its.until(100)
            assert {event.kind for event in finals} == {"completed"}
            assert {event.call.node for event in finals} == {f"n{n}" for n in range(100)}
            where = decode(finals[0].outputs["result"])
            where["machine"] = machine_of(int(where["pid"]))
            assert where["machine"] != os.getpid()

            its.submit("acme.bay.store", text=text)
            (stored,) = await its.until(1)
            assert its.store.get(decode(stored.outputs["result"], ArtifactRef).id) == text.encode()

            its.submit("acme.bay.where", text=text)
            (large,) = await its.until(1)
            assert decode(large.outputs["result"], dict[str, str])["text"] == text

            its.submit("acme.bay.wait", 2)
            await its.until(2, "progressed")
            its.fleet.cancel("run", "n0")
            (cancelled,) = await its.until(1)
            assert (cancelled.call.node, cancelled.error.code) == ("n0", "SYM-R003")

            (going,) = {event.text for event in its.events if event.kind == "progressed"}
            os.kill(machine_of(int(going)), signal.SIGKILL)
            lost = (await its.until(2))[1]
            assert (lost.call.node, lost.kind, lost.error.code, lost.retryable) == (
                "n1",
                "lost",
                "SYM-R124",
                True,
            )
            its.submit("acme.bay.where")
            (moved,) = await its.until(1)
            assert (moved.kind, moved.place == lost.place) == ("completed", False)
            after = decode(moved.outputs["result"])
            after["machine"] = machine_of(int(after["pid"]))
            return where, after

    before, after = asyncio.run(scenario())
    assert all(gone(int(where[name])) for where in (before, after) for name in ("pid", "machine"))
    assert not Path(after["cwd"]).exists()


def test_a_cluster_elsewhere_is_used_as_it_is_and_goes_on(bay):
    async def scenario(address):
        async with bay(address=address, cores=1) as its:
            its.submit("acme.bay.where")
            (event,) = await its.until(1)
            fits = [its.fleet.can_place(Resources(custom={"licence": amount})) for amount in (3.0, 4.0)]
            return event.kind, its.fleet.can_place(Resources(cpu=2.0)), fits

    with head() as address:
        assert asyncio.run(scenario(address)) == ("completed", False, [True, False])
        assert asyncio.run(scenario(address)) == ("completed", False, [True, False])


def test_an_address_where_nothing_answers_is_an_error_at_once(bay):
    async def scenario():
        async with bay(address="127.0.0.1:1"):
            pass

    with pytest.raises(RunError, match=r"the Ray cluster at 127.0.0.1:1 cannot be reached") as caught:
        asyncio.run(scenario())
    assert caught.value.code == "SYM-R121"
    assert "ray status" in caught.value.hint
