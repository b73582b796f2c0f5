"""A process that runs a workflow with the cache on; started by test_cached_crashes.py and test_disks.py.

Arguments: the data directory, the seed of the workflow, and the id of a run to resume or nothing for a new one. It
prints the id of the run, the number of each event that it sees, and at the end the outputs and how many calls it made.
With a fourth argument the disk is full after so many bytes more, until the run has paused.
"""

import asyncio
import os
import resource
import sys
from pathlib import Path
from types import SimpleNamespace

from pit_dag_tracker import Tracker
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.events import RunPaused
from symphony_sdk.ports import ExtensionInfo, NodeEvent, RunRequest
from symphony_sdk.values import decode, encode

LAYERS, WIDTH = 8, 6


class Executor:
    name = "local"
    slots = 2

    def __init__(self):
        self.calls = 0

    async def start(self): ...

    def can_place(self, resources):
        return True

    def submit(self, batch, on_event):
        for place, call in enumerate(batch):
            asyncio.get_running_loop().call_later(0.001 * (1 + place % 3), self.finish, call, on_event)

    def finish(self, call, on_event):
        self.calls += 1
        total = sum(decode(value, int) for value in call.inputs.values())
        outputs = {"result": encode(total % 1000), "padding": encode("x" * 2000)}
        on_event(NodeEvent(call=call, kind="completed", outputs=outputs, seconds=0.001))

    def cancel(self, run, node="", *, force=False): ...

    async def stop(self): ...


class Installed:
    async def operations(self):
        return {"t.t.sum": OperationSpec("t.t.sum", "operator")}

    async def extensions(self):
        return [ExtensionInfo("t.t", "1.0", "operator", "active", fingerprint="f1")]


def flow(seed):
    """Layers of sums of the layer before; the first layer knows the seed, all others only what comes of it."""
    nodes, edges = {}, []
    for layer in range(LAYERS):
        for place in range(WIDTH):
            params = {"own": place * (seed if layer == 0 else layer)}
            nodes[f"n{layer}-{place}"] = {"kind": "operator", "uses": "t.t.sum", "params": params}
            edges += [
                {"from": f"n{layer - 1}-{(place + step) % WIDTH}.result", "to": f"n{layer}-{place}.p{step}"}
                for step in range(3)
                if layer
            ]
    outputs = {f"o{place}": f"n{LAYERS - 1}-{place}.result" for place in range(WIDTH)}
    return {"schema": 2, "id": "cached", "nodes": nodes, "edges": edges, "outputs": outputs}


async def main(directory, seed, run="", room=""):
    executor = Executor()
    services = SimpleNamespace(
        config={},
        data_dir=Path(directory),
        executors={"local": executor},
        pit=SimpleNamespace(),
        extensions=Installed(),
    )
    tracker = Tracker(services)
    if run:
        if (await tracker.status(run)).state != "completed":  # it was killed before it could say what it gave
            await tracker.resume(run)
    else:
        run = await tracker.start(RunRequest(workflow=flow(int(seed))))
    print("run", run, flush=True)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    if room:
        size = max(entry.stat().st_size for entry in os.scandir(directory))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(room), unlimited[1]))
    async for event in tracker.events(run):
        print("seen", event.sequence, flush=True)
    if room:
        assert isinstance(event, RunPaused), event
        status = await tracker.status(run)
        print("paused", status.state, status.error.code, executor.calls, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        await tracker.resume(run)
        async for _ in tracker.events(run):
            pass
    outputs = {name: decode(value) for name, value in (await tracker.outputs(run)).items()}
    print("outputs", *[outputs[f"o{place}"] for place in range(WIDTH)], flush=True)
    print("calls", executor.calls, flush=True)
    await tracker.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
