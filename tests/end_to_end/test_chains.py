"""A chain of nodes in real workers that are killed and crash in its middle: no node is lost, and none is done again."""

import asyncio
import itertools
import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from pit_dag_tracker import Tracker
from symphony_isolation import IsolatedExtensions, LocalExecutor, WorkerSpec
from symphony_sdk.events import NodeCompleted, NodeFailed, NodeStarted, RunCompleted, RunFailed
from symphony_sdk.ports import RunRequest
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import decode

NODES = 300
SOURCE = """
import os
from symphony_sdk import Context, operator, provides_operators

@operator("acme.chain.add", short=True)
def add(ctx: Context, number: int = 0) -> int:
    descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{ctx.node} {number}\\n".encode())
    os.close(descriptor)
    return number + 1

@operator("acme.chain.crash", short=True)
def crash(ctx: Context, number: int = 0) -> int:
    os._exit(3)

@provides_operators
def symphony_operators():
    yield from (add, crash)
"""


def flow(attempts=1, **changed):
    """A chain of nodes of which each adds one; `changed` says which operation others have."""
    names = [f"n{number:03}" for number in range(NODES)]
    retry = {"attempts": attempts}
    nodes = {
        name: {"kind": "operator", "uses": f"acme.chain.{changed.get(name, 'add')}", "retry": retry}
        for name in names
    }
    edges = [
        {"from": f"{before}.result", "to": f"{name}.number"} for before, name in itertools.pairwise(names)
    ]
    outputs = {"last": f"{names[-1]}.result"}
    return {"schema": 2, "id": "chain", "nodes": nodes, "edges": edges, "outputs": outputs}


@pytest.fixture
def play(tmp_path):
    """Runs a story with a tracker, the workers of the extension, and how many calls went out in each batch."""

    def play(story):
        async def whole():
            (tmp_path / "acme_chain.py").write_text(SOURCE)
            spec = WorkerSpec(
                id="acme.chain",
                version="1",
                kind="operator",
                module="acme_chain",
                data_dir=str(tmp_path / "data"),
                fingerprint="1",
                import_path=(str(tmp_path),),
            )
            extensions = IsolatedExtensions(
                [spec], cache_dir=tmp_path / "cache", artifacts=FakeArtifactStore, on_log=lambda *line: None
            )
            executor, batches = LocalExecutor(extensions), []
            submit = executor.submit

            def count(batch, on_event):
                batches.append(len(batch))
                submit(batch, on_event)

            executor.submit = count
            services = SimpleNamespace(
                config={}, data_dir=tmp_path / "runs", executors={"local": executor}, pit=SimpleNamespace()
            )
            services.data_dir.mkdir()
            tracker = Tracker(services)
            try:
                return await asyncio.wait_for(story(tracker, extensions), 60), batches
            finally:
                await tracker.close()
                await extensions.stop()

        return asyncio.run(whole())

    return play


def ledger(tmp_path):
    """How often each node ran, and with what."""
    return Counter((Path(tmp_path) / "data" / "ledger").read_text().splitlines())


def test_a_chain_whose_worker_is_killed_goes_on_where_it_was(play, tmp_path):
    async def story(tracker, extensions):
        await extensions.activate("acme.chain")
        run = await tracker.start(RunRequest(workflow=flow(attempts=3)))
        events, kills = [], [60, 180]
        async for event in tracker.events(run):
            events.append(event)
            if kills and sum(isinstance(one, NodeCompleted) for one in events) >= kills[0]:
                kills.pop(0)
                if pid := (await extensions.health("acme.chain")).pid:
                    with suppress(ProcessLookupError):  # it is dead already, and nobody has noticed yet
                        os.kill(pid, signal.SIGKILL)
        return events, await tracker.outputs(run)

    (events, outputs), batches = play(story)
    assert isinstance(events[-1], RunCompleted)
    assert decode(outputs["last"]) == NODES
    assert max(batches) > 1
    completed = Counter(event.node for event in events if isinstance(event, NodeCompleted))
    assert completed == {f"n{number:03}": 1 for number in range(NODES)}
    ran = ledger(tmp_path)
    assert {line.split()[0] for line in ran} == set(completed)
    assert len(ran) == NODES, "a node ran with another input than it was given first"
    assert sum(ran.values()) - NODES <= 2 * 64, "more ran again than were in flight"


def test_the_node_that_ends_its_worker_is_the_one_that_fails(play, tmp_path):
    async def story(tracker, extensions):
        await extensions.activate("acme.chain")
        run = await tracker.start(RunRequest(workflow=flow(n040="crash")))
        return [event async for event in tracker.events(run)]

    events, _ = play(story)
    assert isinstance(events[-1], RunFailed)
    (failed,) = [event for event in events if isinstance(event, NodeFailed)]
    assert (failed.node, failed.error.code) == ("n040", "SYM-T003")
    completed = {event.node for event in events if isinstance(event, NodeCompleted)}
    assert completed == {f"n{number:03}" for number in range(40)}
    started = {event.node for event in events if isinstance(event, NodeStarted)}
    assert started == completed | {"n040"}
