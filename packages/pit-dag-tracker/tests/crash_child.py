"""A process that runs a workflow until it is killed; started by test_crashes.py.

Arguments: the data directory, the ledger file, the name of the workflow, and the id of a run to resume or nothing for a new run. Each call of
an operation appends one line to the ledger file before it reports; the process prints the id of the run first and
then the durable sequence number each time that a follower sees an event.
"""

import asyncio
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from pit_dag_tracker import Tracker
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import NodeEvent, RunRequest
from symphony_sdk.values import decode, encode

BIG = "x" * 40_000


class Files:
    """The least of an Artifact Store: one file an artifact."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(exist_ok=True)

    def put(self, data, **_):
        from hashlib import sha256

        from symphony_sdk import ArtifactRef

        id = sha256(data).hexdigest()
        draft = self.directory / f"{id}.{os.getpid()}"
        draft.write_bytes(data)
        draft.replace(self.directory / id)
        return ArtifactRef(id=id, size=len(data))

    def read(self, id, offset, length):
        try:
            return (self.directory / id).read_bytes()[offset : offset + length]
        except OSError as error:
            raise ArtifactError(str(error)) from error


class Executor:
    name = "local"
    slots = 2
    capacity = None

    def __init__(self, ledger, go):
        self.go = go
        self.ledger = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def start(self): ...

    def can_place(self, resources):
        return True

    def submit(self, batch, on_event):
        loop = asyncio.get_running_loop()
        for place, call in enumerate(batch):
            loop.call_later(0.001 * (1 + place % 3), self.finish, call, on_event)

    def finish(self, call, on_event):
        if call.operation == "t.t.held" and not self.go.exists():
            asyncio.get_running_loop().call_later(0.005, self.finish, call, on_event)
            return
        os.write(self.ledger, f"{call.node} {call.item} {call.attempt}\n".encode())
        total = sum(decode(value, int | str) if decode(value) != BIG else 0 for value in call.inputs.values())
        result = BIG if call.operation == "t.t.big" else total + 1
        on_event(NodeEvent(call=call, kind="completed", outputs={"result": encode(result)}, seconds=0.004))

    def cancel(self, run, node="", *, item=-1, force=False): ...

    async def stop(self): ...


def layers():
    """Layers of nodes that each read three of the layer before, a big value, and a map in the middle."""
    nodes = {"big": {"kind": "operator", "uses": "t.t.big"}}
    edges = []
    for layer in range(8):
        for place in range(8):
            name = f"n{layer}-{place}"
            nodes[name] = {"kind": "operator", "uses": "t.t.sum"}
            edges += [
                {"from": f"n{layer - 1}-{(place + step) % 8}.result", "to": f"{name}.p{step}"}
                for step in range(3)
                if layer
            ]
    edges += [{"from": "big.result", "to": f"n6-{place}.b"} for place in range(8)]
    nodes["map"] = {
        "kind": "control",
        "control": "map",
        "uses": "t.t.sum",
        "over": "x",
        "params": {"x": list(range(60))},
    }
    edges.append({"kind": "control", "from": "n3-0", "to": "map"})
    return {
        "schema": 1,
        "id": "crash",
        "nodes": nodes,
        "edges": edges,
        "outputs": {"last": "n7-0.result", "mapped": "map.results"},
    }


def nested():
    """Loops, maps and sub-workflows inside of each other, and a join of two ways."""
    add = {"kind": "operator", "uses": "t.t.sum"}
    chain = {
        "inputs": {"x": {}},
        "nodes": {f"s{step}": add for step in range(4)},
        "edges": [
            {"from": "$inputs.x", "to": "s0.x"},
            *({"from": f"s{step}.result", "to": f"s{step + 1}.x"} for step in range(3)),
        ],
        "outputs": {"result": "s3.result"},
    }
    twice = {
        "inputs": {"x": {}},
        "nodes": {
            "first": {"kind": "control", "control": "subworkflow", "uses": "#chain"},
            "then": {
                "kind": "control",
                "control": "loop",
                "uses": "t.t.sum",
                "until": "iteration == 3",
                "max_iterations": 3,
                "carry": {"x": "result"},
            },
        },
        "edges": [{"from": "$inputs.x", "to": "first.x"}, {"from": "first.result", "to": "then.x"}],
        "outputs": {"result": "then.result"},
    }
    each = {
        "kind": "control",
        "control": "map",
        "uses": "#twice",
        "over": "x",
        "params": {"x": list(range(8))},
    }
    grow = {
        "kind": "control",
        "control": "loop",
        "uses": "#chain",
        "params": {"x": 0},
        "until": "result >= 24",
        "max_iterations": 50,
        "carry": {"x": "result"},
    }
    return {
        "schema": 2,
        "id": "nested",
        "nodes": {
            "each": each,
            "grow": grow,
            "way": {"kind": "control", "control": "branch", "condition": "value >= 24"},
            "big": add,
            "small": add,
            "meet": {"kind": "control", "control": "join"},
            "last": add,
        },
        "edges": [
            {"from": "grow.result", "to": "way.value"},
            {"from": "way.then", "to": "big.x"},
            {"from": "way.else", "to": "small.x"},
            {"from": "big.result", "to": "meet.big"},
            {"from": "small.result", "to": "meet.small"},
            {"from": "meet.value", "to": "last.x"},
        ],
        "outputs": {"last": "last.result", "mapped": "each.results"},
        "workflows": {"chain": chain, "twice": twice},
    }


def held(flow):
    """The same with a node more, without which it does not end: it waits for the file `go` in the data directory."""
    return flow | {"nodes": flow["nodes"] | {"held": {"kind": "operator", "uses": "t.t.held"}}}


FLOWS = {
    "layers": layers,
    "nested": nested,
    "held layers": lambda: held(layers()),
    "held nested": lambda: held(nested()),
}


async def main(directory, ledger, flow, run):
    services = SimpleNamespace(
        config={},
        data_dir=Path(directory),
        executors={"local": Executor(ledger, Path(directory) / "go")},
        pit=SimpleNamespace(artifacts=Files(Path(directory) / "artifacts")),
    )
    tracker = Tracker(services)
    if run:
        await tracker.resume(run)
    else:
        run = await tracker.start(RunRequest(workflow=FLOWS[flow]()))
    print("run", run, flush=True)
    async for event in tracker.events(run):
        durable = (await tracker.status(run)).durable
        print("seen", event.sequence, durable, flush=True)
    outputs = {name: decode(value) for name, value in (await tracker.outputs(run)).items()}
    print("outputs", outputs["last"], len(outputs["mapped"]), sum(outputs["mapped"]), flush=True)
    await tracker.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
