"""Any workflow of every kind of node ends as the model says, and goes on from any moment at which its process dies."""

import contextlib
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from symphony_sdk.events import ItemCompleted, NodeCompleted, NodeFailed, NodeSkipped, RunCompleted, RunFailed
from symphony_workflow.testing import examples

PORTS = {
    "op": ["result"],
    "branch": ["then", "else"],
    "switch": ["one", "two", "default"],
    "join": ["value"],
    "approval": ["approved", "rejected"],
    "map": ["results"],
    "loop": ["iterations", "result"],
    "sub": ["result"],
}
FATES = ["works", "works", "works", "flaky", "fails"]


@st.composite
def graphs(draw, inner, most):
    """Nodes with a kind and what makes it go one way or the other; edges lead from lower to higher numbers."""
    nodes = []
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from([kind for kind in PORTS if inner or kind != "sub"]))
        runs = draw(st.sampled_from([*FATES, *range(inner), *range(inner)]))
        if kind == "sub":
            runs = draw(st.integers(0, inner - 1))
        nodes.append(
            (
                kind,
                runs if kind in ("map", "loop", "sub") else draw(st.sampled_from(FATES)),
                draw(st.integers(0, 2)),
            )
        )
    edges = []
    for target in range(1, len(nodes)):
        for source in sorted(draw(st.sets(st.integers(0, target - 1), max_size=3))):
            kind = draw(st.sampled_from(["data", "data", "control", "true", "false"]))
            port = draw(st.sampled_from(PORTS[nodes[source][0]]))
            edges.append((source, target, kind, port))
    return nodes, edges


@st.composite
def families(draw):
    """Two workflows for others to run, and one that is run; each may use those before it."""
    return [draw(graphs(inner, most)) for inner, most in ((0, 3), (1, 3), (2, 7))]


def drawn(desk, family):
    def flow(graph):
        nodes, lines = {}, []
        for number, (kind, runs, choice) in enumerate(graph[0]):
            uses = {"uses": f"#w{runs}" if isinstance(runs, int) else runs, "retry": {"attempts": 2}}
            nodes[f"n{number}"] = {
                "op": uses,
                "branch": {"control": "branch", "condition": "true" if choice else "false"},
                "switch": {"control": "switch", "params": {"c": choice}, "cases": [
                    {"port": "one", "condition": "c == 1"}, {"port": "two", "condition": "c == 2"}]},
                "join": {"control": "join", "wait": ["all", "any", 2][choice]},
                "approval": {"control": "approval", "prompt": "?", "timeout": 0.001, "on_timeout": "approve" if choice else "reject"},
                "map": {**uses, "control": "map", "over": "x", "params": {"x": [1, 2]}, "on_error": "collect" if choice else "fail"},
                "loop": {**uses, "control": "loop", "until": f"iteration == {1 + choice}", "max_iterations": 2,
                         "on_limit": "complete", "carry": {"x": "result"}, "params": {"x": 0}},
                "sub": {"control": "subworkflow", "uses": uses["uses"], "timeout": 60},
            }[kind]  # fmt: skip
        for source, target, kind, port in graph[1]:
            line = {"data": f"n{source}.{port} -> n{target}.p{source}", "control": f"n{source} -> n{target}"}
            lines.append(line.get(kind, f"n{source} -> n{target} if {kind}"))
        last = len(graph[0]) - 1
        inputs = {name: {"required": False} for name in ("x", *(f"p{number}" for number in range(9)))}
        return desk.flow(
            nodes, lines, inputs=inputs, outputs={"result": f"n{last}.{PORTS[graph[0][last][0]][0]}"}
        )

    return desk.flow(flow(family[-1])["nodes"], (), workflows={f"w{n}": flow(one) for n, one in enumerate(family[:-1])}) | {
        name: flow(family[-1])[name] for name in ("nodes", "edges")}  # fmt: skip


def expected(family, graph, prefix=""):
    """The state in which each node must end, and the ports with a value; nothing of what is left open."""
    states, given = {}, []

    def run(name, kind, runs, choice):
        """Whether a node completes, and the ports that have a value."""
        if kind == "branch":
            return True, {"then" if choice else "else"}
        if kind == "switch":
            return True, {["default", "one", "two"][choice]}
        if kind == "approval":
            return True, {"approved" if choice else "rejected"}
        if kind == "join":
            return True, {"value"}
        if not isinstance(runs, int):
            return runs != "fails" or (kind == "map" and bool(choice)), set(PORTS[kind])
        items = {"map": [0, 1], "loop": [0, 1][: 1 + choice], "sub": [None]}[kind]
        for item in items:
            inside = f"{name}/" if item is None else f"{name}[{item}]/"
            inner, ports = expected(family, family[runs], inside)
            works = "failed" not in (
                inner[one] for one in inner if one.startswith(inside) and "/" not in one[len(inside) :]
            )
            if works or kind != "map" or choice:
                states.update(inner)  # else the other items may not have begun
            if not works and kind != "map":
                return False, set()
            last = len(family[runs][0]) - 1
            present = PORTS[family[runs][0][last][0]][0] in ports[last]
        if kind == "map":
            return works or bool(choice), {"results"}
        return True, {"iterations", "result"} if kind == "loop" else {"result"} if present else set()

    for number, (kind, runs, choice) in enumerate(graph[0]):
        name = f"{prefix}n{number}"
        before = [(f"{prefix}n{s}", s, edge, port) for s, t, edge, port in graph[1] if t == number]
        here = [edge != "false" and states[one] == "completed" and (edge != "data" or port in given[s])
                for one, s, edge, port in before]  # fmt: skip
        if kind == "join":
            lost = choice == 0 and any(states[one] == "failed" for one, *_ in before)
            runs_now = not lost and (not before or sum(here) >= (2 if choice == 2 else 1))
        else:
            runs_now = all(here)
        works, ports = run(name, kind, runs, choice) if runs_now else (False, set())
        states[name] = ("completed" if works else "failed") if runs_now else "skipped"
        given.append(ports if works else set())
    return states, given


def with_operations(desk):
    async def works(call, **inputs):
        return {"result": 1}

    async def flaky(call, **inputs):
        if call.attempt == 1:
            raise desk.Retryable("first")
        return {"result": 1}

    async def fails(call, **inputs):
        raise ValueError("never")

    desk.executor.operations.update({"t.t.works": works, "t.t.flaky": flaky, "t.t.fails": fails})
    return desk


def snapshot(source, target):
    """The log as it would be found if the process died now."""
    with (
        contextlib.closing(sqlite3.connect(source)) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)


def check_end(events, states, wanted):
    assert isinstance(
        events[-1],
        RunFailed if "failed" in (wanted[one] for one in wanted if "/" not in one) else RunCompleted,
    )
    assert {node: state for node, state in states.items() if node in wanted} == wanted
    assert set(states.values()) <= {"completed", "failed", "skipped", "pending", "cancelled"}
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    ends = Counter(event.node for event in events if isinstance(event, NodeCompleted))
    assert not ends or max(ends.values()) == 1, "a completed node ran again"
    items = Counter((event.node, event.item) for event in events if isinstance(event, ItemCompleted))
    assert not items or max(items.values()) == 1, "a completed item ran again"


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(family=families(), slots=st.integers(1, 4), after=st.integers(1, 60))
def test_any_workflow_ends_as_the_model_says_and_goes_on_from_any_moment(new_desk, family, slots, after):
    wanted, _ = expected(family, family[-1])
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as folder:
        first = with_operations(new_desk(Path(folder, "first"), slots=slots))
        second = with_operations(new_desk(Path(folder, "second"), slots=slots))
        first.directory.mkdir()
        second.directory.mkdir()
        flow = drawn(first, family)
        note(flow)

        async def dies():
            async with first.open() as tracker:
                run = await tracker.start(first.request(flow))
                events = []
                async for event in tracker.events(run):
                    events.append(event)
                    if len(events) == after:
                        snapshot(first.directory / "runs.sqlite", second.directory / "runs.sqlite")
                check_end(events, await first.states(tracker, run), wanted)
                return run, len(events) >= after

        run, died = first.play(dies())
        if not died:
            return

        async def goes_on():
            async with second.open() as tracker:
                before = await second.follow(tracker, run)
                if not isinstance(before[-1], RunCompleted):
                    await tracker.resume(run)
                events = await second.follow(tracker, run)
                states = await second.states(tracker, run)
            return before, events, states

        before, events, states = second.play(goes_on())
        assert events[: len(before)] == before
        check_end(events, states, wanted)
        completed = {event.node for event in before if isinstance(event, NodeCompleted)}
        completed |= {(event.node, event.item) for event in before if isinstance(event, ItemCompleted)}
        again = [
            call
            for call in second.executor.calls
            if call.node in completed or (call.node, call.item) in completed
        ]
        assert not again, "what had completed was called again"
        ended = [event.node for event in events[len(before) :] if isinstance(event, NodeFailed | NodeSkipped)]
        assert not completed & set(ended)
