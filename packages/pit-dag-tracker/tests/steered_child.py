"""A process that works on runs while another one steers them; started by test_other_processes.py.

Argument: the data directory. Lines on standard input: `start`, `rerun RUN NODE`, `go` (lets the operations that wait
end), `break` and `mend` (whether operations named `mended` fail). Lines on standard output: `run ID`, `called NODE`
and `ended STATE`.
"""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

from pit_dag_tracker import Tracker
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.ports import NodeEvent, RunRequest
from symphony_sdk.values import encode

FLOW = {
    "schema": 1,
    "id": "steered",
    "nodes": {
        "first": {"kind": "operator", "uses": "t.t.echo"},
        "mended": {"kind": "operator", "uses": "t.t.mended"},
        "slow": {"kind": "operator", "uses": "t.t.gated"},
        "last": {"kind": "operator", "uses": "t.t.echo"},
    },
    "edges": [
        {"from": "first.result", "to": "slow.x"},
        {"from": "slow.result", "to": "last.x"},
    ],
    "outputs": {"last": "last.result"},
}


class Executor:
    name, slots = "local", 4

    def __init__(self):
        self.gate = asyncio.Event()
        self.broken = True
        self.tasks = {}

    async def start(self): ...

    def can_place(self, resources):
        return True

    def submit(self, batch, on_event):
        for call in batch:
            task = asyncio.get_running_loop().create_task(self.work(call, on_event))
            self.tasks[task] = call
            task.add_done_callback(self.tasks.pop)

    async def work(self, call, on_event):
        on_event(NodeEvent(call=call, kind="started"))
        print("called", call.node, flush=True)
        try:
            if call.operation == "t.t.gated":
                await self.gate.wait()
        except asyncio.CancelledError:
            on_event(NodeEvent(call=call, kind="failed", error=ErrorPayload("TEST-003", "cancelled")))
            return
        if call.operation == "t.t.mended" and self.broken:
            on_event(NodeEvent(call=call, kind="failed", error=ErrorPayload("TEST-001", "broken")))
        else:
            on_event(NodeEvent(call=call, kind="completed", outputs={"result": encode(call.node)}))

    def cancel(self, run, node="", *, item=-1, force=False):
        for task, call in list(self.tasks.items()):
            if node in ("", call.node):
                task.cancel()

    async def stop(self): ...


async def main(directory):
    executor = Executor()
    tracker = Tracker(
        SimpleNamespace(
            config={}, data_dir=Path(directory), executors={"local": executor}, pit=SimpleNamespace()
        )
    )
    following = []

    async def follow(run):
        async for _ in tracker.events(run):
            pass
        print("ended", (await tracker.status(run)).state, flush=True)

    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["start"]:
                run = await tracker.start(RunRequest(workflow=FLOW))
            case ["rerun", origin, node]:
                run = await tracker.rerun(origin, nodes=[node])
            case ["go"]:
                executor.gate.set()
                continue
            case ["mend"]:
                executor.broken = False
                continue
        print("run", run, flush=True)
        following.append(asyncio.create_task(follow(run)))
    await tracker.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
