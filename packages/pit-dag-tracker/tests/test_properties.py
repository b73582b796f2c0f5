"""Any graph with any failures: each node ends once, in order, and the log tells the same story as the live run."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeSkipped,
    NodeStarted,
    RunCompleted,
    RunFailed,
)
from symphony_workflow.testing import examples

FATES = st.sampled_from(["works", "works", "works", "fails", "flaky"])


@st.composite
def graphs(draw):
    """Nodes `n0`, `n1`, ... with a fate each; edges lead from lower to higher numbers."""
    count = draw(st.integers(1, 14))
    fates = [draw(FATES) for _ in range(count)]
    maps = [draw(st.booleans()) for _ in range(count)]
    edges = [
        (source, target, draw(st.sampled_from(["data", "control", "true", "false"])))
        for target in range(count)
        for source in draw(st.sets(st.integers(0, max(0, target - 1)), max_size=3))
        if source < target
    ]
    return fates, maps, edges


def drawn(desk, graph):
    fates, maps, edges = graph
    nodes = {}
    for number, (fate, is_map) in enumerate(zip(fates, maps, strict=True)):
        retry = {"attempts": 2}
        if is_map:
            nodes[f"n{number}"] = {
                "control": "map",
                "over": "x",
                "uses": fate,
                "params": {"x": [0, 1]},
                "retry": retry,
            }
        else:
            nodes[f"n{number}"] = {"uses": fate, "retry": retry}
    lines = []
    for source, target, kind in edges:
        port = "results" if maps[source] else "result"
        if kind == "data":
            lines.append(f"n{source}.{port} -> n{target}.p{source}")
        elif kind == "control":
            lines.append(f"n{source} -> n{target}")
        else:
            lines.append(f"n{source} -> n{target} if {kind}")
    return desk.flow(nodes, lines)


def expected(graph):
    """The state in which each node must end, by the rules of the model."""
    fates, _, edges = graph
    states = []
    for number, fate in enumerate(fates):
        before = [(states[source], kind) for source, target, kind in edges if target == number]
        if any(state != "completed" or kind == "false" for state, kind in before):
            states.append("skipped")
        else:
            states.append("failed" if fate == "fails" else "completed")
    return {f"n{number}": state for number, state in enumerate(states)}


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs(), slots=st.integers(1, 4), data=st.data())
def test_any_graph_ends_as_the_model_says_and_its_log_replays_it(new_desk, graph, slots, data):
    with tempfile.TemporaryDirectory() as directory:
        check(new_desk(Path(directory), slots=slots), graph, data.draw(st.booleans(), label="resumed once"))


def check(desk, graph, resumed):
    async def works(call, **inputs):
        return {"result": 1}

    async def flaky(call, **inputs):
        if call.attempt == 1:
            raise desk.Retryable("first")
        return {"result": 1}

    async def fails(call, **inputs):
        raise ValueError("never")

    desk.executor.operations.update({"t.t.works": works, "t.t.flaky": flaky, "t.t.fails": fails})

    async def story():
        async with desk.open() as tracker:
            run, live = await desk.run(tracker, drawn(desk, graph))
            assert await desk.states(tracker, run) == expected(graph)
            if resumed and isinstance(live[-1], RunFailed):
                await tracker.resume(run)
                live += await desk.follow(tracker, run, len(live))
            status = await tracker.status(run)
        async with desk.open() as tracker:
            assert await desk.follow(tracker, run) == live
            assert await tracker.status(run) == status
        return live

    live = desk.play(story())
    assert [event.sequence for event in live] == list(range(1, len(live) + 1))
    states = expected(graph)
    assert isinstance(live[-1], RunFailed if "failed" in states.values() else RunCompleted)
    ends = {}
    for event in live:
        if isinstance(event, NodeCompleted):
            assert event.node not in ends, "a completed node ended twice"
            ends[event.node] = "completed"
        elif isinstance(event, NodeFailed | NodeSkipped):
            assert ends.get(event.node) != "completed"
            ends[event.node] = "failed" if isinstance(event, NodeFailed) else "skipped"
        elif isinstance(event, NodeStarted):
            for source, target, _ in graph[2]:
                if f"n{target}" == event.node:
                    assert ends[f"n{source}"] == "completed", "a node started before one that it waits for"
    assert ends == states
    items = [(event.node, event.item) for event in live if isinstance(event, ItemCompleted)]
    assert len(set(items)) == len(items), "a completed item ran again"
