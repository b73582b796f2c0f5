"""Sizes and times of binary workflows beside JSON, plain and compressed.

Run it with `uv run --with zstandard benchmarks/workflow_binary.py`. Times are medians of CPU time.
"""

import gc
import json
import random
import statistics
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from symphony_workflow import (
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Expression,
    InstrumentNode,
    MapNode,
    OperatorNode,
    RetryPolicy,
    Workflow,
    dumps,
    load,
    loads,
    to_document,
)
from symphony_workflow.binary import dumps_binary, loads_binary, unpack

NODES, EDGES_PER_NODE, ROUNDS = 10_000, 3, 7
EXAMPLE = Path(__file__).parents[1] / "examples" / "workflows" / "code-atlas.json"


def generate(count: int) -> Workflow:
    """Nodes of three kinds with parameters, labels and places in a drawing; mostly data edges."""
    chance = random.Random(1)
    ids = [f"{chance.choice(['load', 'clean', 'score', 'merge'])}-{number}" for number in range(count)]
    nodes = [_node(id, chance) for id in ids]
    edges = [
        _edge(ids[chance.randrange(max(0, number - 200), number)], ids[number], port, chance)
        for number in range(1, count)
        for port in range(EDGES_PER_NODE)
    ]
    return Workflow(id="bench", nodes=tuple(nodes), edges=tuple(edges))


def _node(id: str, chance: random.Random) -> Any:
    fields: dict[str, Any] = {
        "id": id,
        "uses": f"acme.{chance.choice(['text', 'image', 'table'])}.{id.partition('-')[0]}",
        "params": {"level": chance.randrange(100), "share": chance.random(), "mode": chance.choice("abc")},
        "metadata": {"x": chance.randrange(9000), "y": chance.randrange(9000)},
    }
    kind = chance.random()
    if kind < 0.6:
        return OperatorNode(**fields)
    if kind < 0.9:
        fields["params"]["length"] = Expression("size(value0) * 2")
        return InstrumentNode(**fields, retry=RetryPolicy(3, delay=1), label=f"The model of {id}")
    return MapNode(**fields, over="value0", timeout=60)


def _edge(source: str, target: str, port: int, chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.94:
        return DataEdge(source, "result", target, f"value{port}")
    return ConditionalEdge(source, target, "count > 3") if kind < 0.97 else ControlEdge(source, target)


def median(work: Callable[[], Any]) -> float:
    """Milliseconds of CPU that `work` takes."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e3


def main() -> None:
    try:
        from zstandard import ZstdCompressor
    except ImportError:
        sys.exit("zstandard is missing: uv run --with zstandard benchmarks/workflow_binary.py")
    zstd = ZstdCompressor(level=3)
    print(
        "size, as a part of compact JSON          JSON, bytes  rows alone      .symwf  JSON+zlib6  JSON+zstd3"
    )
    for name, workflow in (
        ("the example of 4 nodes", load(EXAMPLE)),
        ("100 nodes, 297 edges", generate(100)),
        (f"{NODES:,} nodes, {(NODES - 1) * EDGES_PER_NODE:,} edges", large := generate(NODES)),
    ):
        compact = json.dumps(to_document(workflow), separators=(",", ":"), ensure_ascii=False).encode()
        if loads_binary(dumps_binary(workflow)) != workflow:
            sys.exit(f"{name} did not come back as it was")
        sizes = (
            len(dumps_binary(workflow, compress=False)),
            len(dumps_binary(workflow)),
            len(zlib.compress(compact, 6)),
            len(zstd.compress(compact)),
        )
        print(f"  {name:36} {len(compact):13,}", *(f"{size / len(compact):10.3f}x" for size in sizes))
    text, data, plain = dumps(large), dumps_binary(large), dumps_binary(large, compress=False)
    compact_text = json.dumps(to_document(large), separators=(",", ":"))
    print(f"time of {NODES:,} nodes, CPU ms            binary      JSON   ratio")
    for name, ours, peer in (
        ("encode, compressed", lambda: dumps_binary(large), lambda: dumps(large)),
        ("encode, rows alone", lambda: dumps_binary(large, compress=False), lambda: dumps(large)),
        ("decode and check", lambda: loads_binary(data), lambda: loads(text)),
        ("decode to a document (json.loads)", lambda: unpack(plain), lambda: json.loads(compact_text)),
    ):
        ours_ms, peer_ms = median(ours), median(peer)
        print(f"  {name:34} {ours_ms:8.0f} {peer_ms:9.0f} {ours_ms / peer_ms:6.2f}x")


if __name__ == "__main__":
    main()
