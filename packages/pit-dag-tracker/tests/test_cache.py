"""What is unchanged is not computed again; what is changed in the least is."""

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_sdk.events import ItemCompleted, NodeCompleted, NodeReused, RunCompleted
from symphony_sdk.ports import RunPolicy
from symphony_sdk.values import encode
from symphony_workflow.testing import examples


@pytest.fixture
def desk(desk):
    desk.remember()
    return desk


def add_operation(desk):
    @desk.operation("add")
    async def add(call, **inputs):
        return {"result": sum(inputs.values())}


def sums(desk, **params):
    """`a` and `b` take a param each, `c` adds them up, `d` goes on with it."""
    add_operation(desk)
    a, b = params.get("a", 1), params.get("b", 2)
    nodes = {
        "a": {"uses": "add", "params": {"x": a}},
        "b": {"uses": "add", "params": {"x": b}},
        "c": "add",
        "d": {"uses": "add", "params": {"more": 10}},
    }
    edges = ["a.result -> c.x", "b.result -> c.y", "c.result -> d.x"]
    return desk.flow(nodes, edges, outputs={"sum": "d.result"})


def test_a_run_of_an_unchanged_workflow_computes_nothing_and_gives_the_same(desk):
    async def story():
        async with desk.open() as tracker:
            first, before = await desk.run(tracker, sums(desk))
            assert desk.new_calls() == ["a", "b", "c", "d"]
            second, events = await desk.run(tracker, sums(desk))
            assert desk.new_calls() == []
            assert await desk.outputs(tracker, second) == await desk.outputs(tracker, first) == {"sum": 13}
            computed = {event.node: event.at for event in before if isinstance(event, NodeCompleted)}
            reused = [event for event in events if isinstance(event, NodeReused)]
            assert {(event.node, event.source, event.computed) for event in reused} == {
                (node, node, at) for node, at in computed.items()
            }
            assert all(event.cached and event.origin == first for event in reused)
            assert set((await desk.states(tracker, second)).values()) == {"completed"}
        async with desk.open() as tracker:  # as far as another process can tell
            third, events = await desk.run(tracker, sums(desk))
            assert desk.new_calls() == []
            assert {event.origin for event in events if isinstance(event, NodeReused)} == {first}
            assert await desk.follow(tracker, third) == events

    desk.play(story())


def test_only_what_depends_on_a_change_by_value_runs(desk):
    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, sums(desk))
            desk.new_calls()
            run, _ = await desk.run(tracker, sums(desk, a=5))
            assert desk.new_calls() == ["a", "c", "d"]
            assert await desk.outputs(tracker, run) == {"sum": 17}
            run, _ = await desk.run(tracker, sums(desk, a=4, b=3))  # other parts, the same sum
            assert desk.new_calls() == ["a", "b", "c"]
            assert await desk.outputs(tracker, run) == {"sum": 17}
            await desk.run(tracker, sums(desk, a=2, b=1))  # `a` and `b` are what the other was
            assert desk.new_calls() == ["c"]

    desk.play(story())


@pytest.mark.parametrize(
    "change",
    [
        lambda installed: setattr(installed, "release", "1.1"),
        lambda installed: setattr(installed, "fingerprint", "f2"),
        lambda installed: installed.versions.update({"t.t.add": 2}),
    ],
)
def test_another_version_or_other_settings_of_the_extension_let_everything_run(desk, change):
    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, sums(desk))
            desk.new_calls()
            change(desk.installed)
            await desk.run(tracker, sums(desk))
            assert desk.new_calls() == ["a", "b", "c", "d"]

    desk.play(story())


@pytest.mark.parametrize(("ran", "again"), [("f1", []), ("f2", ["a", "b"])])
def test_what_newer_code_gives_that_came_in_mid_run_is_kept_for_no_run_of_the_older(desk, ran, again):
    opened, reached = desk.gate("hold")

    async def story():
        nodes = {"a": {"uses": "hold"}, "b": {"uses": "echo", "params": {"x": 1}}}
        flow = desk.flow(nodes, ["a.result -> b.y"])
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
            desk.executor.fingerprint = ran
            opened.set()
            await desk.follow(tracker, run)
            desk.new_calls()
            await desk.run(tracker, flow)
            assert desk.new_calls() == again

    desk.play(story())


def test_an_operation_that_is_not_idempotent_and_a_node_that_says_never_always_run(desk):
    flow = desk.flow(
        {
            "a": {"uses": "echo", "params": {"x": 1}},
            "b": {"uses": "echo", "params": {"x": 2}, "cache": {"use": "never"}},
            "c": {"uses": "once", "params": {"x": 3}},
        }
    )

    @desk.operation("once")
    async def once(call, x):
        return {"result": x}

    desk.installed.once.add("t.t.once")

    async def story():
        async with desk.open() as tracker:
            for expected in (["a", "b", "c"], ["b", "c"], ["b", "c"]):
                await desk.run(tracker, flow)
                assert desk.new_calls() == expected

    desk.play(story())


def test_a_port_that_makes_no_difference_may_change_but_counts_for_nodes_that_do_not_say_so(desk):
    def flow(seed, **cache):
        return desk.flow({"a": {"uses": "echo", "params": {"x": 1, "seed": seed}, **cache}})

    async def story():
        async with desk.open() as tracker:
            ignoring = {"cache": {"ignore": ["seed"]}}
            await desk.run(tracker, flow(1, **ignoring))
            await desk.run(tracker, flow(2, **ignoring))
            assert desk.new_calls() == ["a"]
            await desk.run(tracker, flow(2))
            await desk.run(tracker, flow(2))
            await desk.run(tracker, flow(1))
            assert desk.new_calls() == ["a", "a"]

    desk.play(story())


@pytest.mark.parametrize(
    ("permissions", "pure", "again"),
    [
        ((), None, ["timed"]),
        (("model:read:clip",), None, ["timed"]),
        (("file:read:/**",), None, ["plain", "timed"]),
        (("network:read:example.org:443",), None, ["plain", "timed"]),
        (("file:read:/**",), True, ["timed"]),
        ((), False, ["plain", "timed"]),
    ],
)
def test_what_may_depend_on_the_outside_is_computed_unless_it_says_it_does_not_or_the_node_how_long(
    desk, permissions, pure, again
):
    desk.installed.permissions = permissions
    if pure is not None:
        desk.installed.pure["t.t.echo"] = pure
    later = {"uses": "echo", "params": {"x": 1}, "cache": {"ttl": 3600}}
    over = {"uses": "echo", "params": {"x": 2}, "cache": {"ttl": 0.000001}}
    flow = desk.flow({"plain": {"uses": "echo", "params": {"x": 3}}, "later": later, "timed": over})

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow)
            desk.new_calls()
            run, _ = await desk.run(tracker, flow)
            assert desk.new_calls() == again
            why = {one.node: one.code for one in await tracker.explain(run)}
            assert why == {
                "plain": "reads-outside" if "plain" in again else "hit",
                "later": "hit",
                "timed": "expired",
            }

    desk.play(story())


def test_a_result_that_is_too_old_does_not_stand_in(desk, monkeypatch):
    flow = desk.flow({"a": {"uses": "echo", "params": {"x": 1}, "cache": {"ttl": 60}}})
    later = 0.0
    clock = SimpleNamespace(time=lambda: time.time() + later)
    monkeypatch.setattr("pit_dag_tracker.run_cache.time", clock)

    async def story():
        nonlocal later
        async with desk.open() as tracker:
            await desk.run(tracker, flow)
            later = 30.0
            await desk.run(tracker, flow)
            assert desk.new_calls() == ["a"]
            later = 61.0
            await desk.run(tracker, flow)
            assert desk.new_calls() == ["a"]

    desk.play(story())


def test_a_failed_node_is_never_kept(desk):
    broken = True

    @desk.operation("may")
    async def may(call):
        if broken:
            raise ValueError("not yet")
        return {"result": 1}

    async def story():
        nonlocal broken
        async with desk.open() as tracker:
            for _ in range(2):
                await desk.run(tracker, desk.flow({"a": "may"}))
                assert desk.new_calls() == ["a"]
            broken = False
            for expected in (["a"], []):
                await desk.run(tracker, desk.flow({"a": "may"}))
                assert desk.new_calls() == expected

    desk.play(story())


def test_a_run_without_the_cache_computes_everything_and_later_runs_take_its_results(desk):
    count = 0

    @desk.operation("count")
    async def counted(call):
        nonlocal count
        count += 1
        return {"result": count}

    flow = desk.flow({"a": "count"}, outputs={"n": "a.result"})

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow)
            request = msgspec.structs.replace(desk.request(flow), policy=RunPolicy(cache=False))
            run = await tracker.start(request)
            await desk.follow(tracker, run)
            assert await desk.outputs(tracker, run) == {"n": 2}
            run, events = await desk.run(tracker, flow)
            assert await desk.outputs(tracker, run) == {"n": 2}
            assert isinstance(events[1], NodeReused)

    desk.play(story())


def test_a_node_named_in_a_retry_or_a_rerun_runs_and_what_comes_out_the_same_ends_it_there(desk):
    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, sums(desk))
            desk.new_calls()
            await tracker.retry(run, "a")
            await desk.follow(tracker, run)
            assert desk.new_calls() == ["a"]
            new = await tracker.rerun(run, nodes=["c"])
            await desk.follow(tracker, new)
            assert desk.new_calls() == ["c"]
            assert await desk.outputs(tracker, new) == {"sum": 13}

    desk.play(story())


def test_items_of_a_map_iterations_of_a_loop_and_nodes_inside_of_workflows_are_found_one_by_one(desk):
    add_operation(desk)
    inner = desk.flow(
        {"in1": {"uses": "add", "params": {"y": 1}}, "in2": "add"},
        ["$inputs.x -> in1.x", "in1.result -> in2.x"],
        inputs={"x": {}},
        outputs={"result": "in2.result"},
    )

    def flow(items):
        return desk.flow(
            {
                "each": {"control": "map", "uses": "add", "over": "x", "params": {"x": items}},
                "deep": {"control": "map", "uses": "#inner", "over": "x", "params": {"x": items}},
                "loop": {
                    "control": "loop",
                    "uses": "add",
                    "params": {"x": len(items), "step": 1},
                    "until": "result >= 5",
                    "max_iterations": 9,
                    "carry": {"x": "result"},
                },
            },
            outputs={"each": "each.results", "deep": "deep.results", "loop": "loop.result"},
            workflows={"inner": inner},
        )

    async def story():
        async with desk.open() as tracker:
            first, _ = await desk.run(tracker, flow([1, 2, 3]))
            desk.new_calls()
            same, events = await desk.run(tracker, flow([1, 2, 3]))
            assert desk.new_calls() == []
            assert await desk.outputs(tracker, same) == await desk.outputs(tracker, first)
            assert await desk.outputs(tracker, same) == {"each": [1, 2, 3], "deep": [2, 3, 4], "loop": 5}
            sources = {event.source for event in events if isinstance(event, ItemCompleted) and event.origin}
            assert {"each[0]", "loop[1]"} <= sources
            assert {"deep[0]/in1", "deep[2]/in2"} <= {
                event.source for event in events if isinstance(event, NodeReused)
            }
            run, _ = await desk.run(tracker, flow([1, 9, 3, 2]))  # a loop that begins later in the same way
            assert desk.new_calls() == ["deep[1]/in1", "deep[1]/in2", "each[1]"]
            assert await desk.outputs(tracker, run) == {
                "each": [1, 9, 3, 2],
                "deep": [2, 10, 4, 3],
                "loop": 5,
            }

    desk.play(story())


def test_equal_calls_of_one_run_are_made_once_as_soon_as_the_first_has_ended(desk):
    add_operation(desk)
    items = {"control": "map", "uses": "add", "over": "x", "params": {"x": [7] * 50}, "concurrency": 2}

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, desk.flow({"m": items}, outputs={"m": "m.results"}))
            assert await desk.outputs(tracker, run) == {"m": [7] * 50}
            assert len(desk.new_calls()) in (1, 2)  # the second may begin before the first has ended

    desk.play(story())


def test_a_large_result_is_read_back_and_one_that_was_removed_is_computed_again(desk):
    @desk.operation("big")
    async def big(call):
        return {"result": "x" * 100_000}

    @desk.operation("length")
    async def length(call, x):
        return {"result": len(x) + call.attempt}

    def flow(extra):
        nodes = {"a": "big", "b": {"uses": "length"}, "c": {"uses": "echo", "params": {"n": extra}}}
        return desk.flow(nodes, ["a.result -> b.x", "a.result -> c.x"], outputs={"n": "b.result"})

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow(1))
            desk.new_calls()
            run, _ = await desk.run(tracker, flow(2))
            assert desk.new_calls() == ["c"]
            assert desk.executor.calls == []
            assert await desk.outputs(tracker, run) == {"n": 100_001}
            for info in desk.artifacts.find():
                desk.artifacts.remove(info.ref.id)
            run, _ = await desk.run(tracker, flow(3))
            assert desk.new_calls() == ["a", "c"]
            await desk.run(tracker, flow(3))
            assert desk.new_calls() == []

    desk.play(story())


def test_a_result_that_refers_to_an_artifact_counts_only_as_long_as_that_is_there(desk):
    @desk.operation("store")
    async def store(call):
        return {"file": desk.artifacts.put(b"content")}

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, desk.flow({"a": "store"}))
            _, events = await desk.run(tracker, desk.flow({"a": "store"}))
            assert desk.new_calls() == ["a"]
            (reused,) = [event for event in events if isinstance(event, NodeReused)]
            assert reused.artifacts == (desk.artifacts.find()[0].ref.id,)
            desk.artifacts.remove(reused.artifacts[0])
            await desk.run(tracker, desk.flow({"a": "store"}))
            assert desk.new_calls() == ["a"]

    desk.play(story())


def test_a_damaged_result_is_none_and_the_node_runs(desk):
    async def story():
        async with desk.open() as tracker:
            first, _ = await desk.run(tracker, sums(desk))
        with sqlite3.connect(desk.directory / "runs.sqlite") as connection:
            connection.execute("UPDATE chunks SET entries = x'c1' WHERE run = ?", (first,))
        connection.close()
        desk.new_calls()
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, sums(desk))
            assert await desk.outputs(tracker, run) == {"sum": 13}
            assert desk.new_calls() == ["a", "b", "c", "d"]

    desk.play(story())


def test_a_node_that_is_skipped_while_its_result_is_read_stays_skipped(desk):
    @desk.operation("big")
    async def big(call):
        return {"result": "x" * 100_000}

    flow = desk.flow({"a": "big"})

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow)
        async with desk.open() as tracker:
            reading, go_on = asyncio.Event(), asyncio.Event()
            loop, real = asyncio.get_running_loop(), desk.artifacts.read

            def slow(*args):
                loop.call_soon_threadsafe(reading.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)
                return real(*args)

            desk.artifacts.read = slow
            run = await tracker.start(desk.request(flow))
            await reading.wait()
            await tracker.skip(run, "a")
            go_on.set()
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunCompleted)
            assert await desk.states(tracker, run) == {"a": "skipped"}
            await tracker.retry(run, "a")
            await desk.follow(tracker, run)
            assert await desk.states(tracker, run) == {"a": "completed"}

    desk.play(story())


@st.composite
def graphs(draw):
    """Sums modulo 3, so that different inputs often come out the same: sources and a param for each node."""
    count = draw(st.integers(1, 12))
    return [
        (
            sorted(draw(st.sets(st.integers(0, max(0, number - 1)), max_size=3))) if number else [],
            draw(st.integers(0, 5)),
        )
        for number in range(count)
    ]


def calls_of(graph):
    """What each node is called with, and what it gives, computed by other means."""
    given, results = [], []
    for sources, param in graph:
        given.append((param, tuple((source, results[source]) for source in sources)))
        results.append((param + sum(results[source] for source in sources)) % 3)
    return given, results


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs(), data=st.data())
def test_after_a_change_exactly_the_nodes_that_are_called_differently_run(new_desk, graph, data):
    changed = list(graph)
    place = data.draw(st.integers(0, len(graph) - 1), label="place")
    changed[place] = (graph[place][0], data.draw(st.integers(0, 5), label="param"))

    with tempfile.TemporaryDirectory() as directory:
        desk = new_desk(Path(directory))
        desk.remember()

        @desk.operation("mod")
        async def mod(call, **inputs):
            return {"result": sum(inputs.values()) % 3}

        def flow(of):
            nodes = {
                f"n{number}": {"uses": "mod", "params": {"own": param, f"me{number}": 0}}
                for number, (_, param) in enumerate(of)
            }
            edges = [
                f"n{source}.result -> n{number}.p{source}"
                for number, (sources, _) in enumerate(of)
                for source in sources
            ]
            outputs = {f"o{number}": f"n{number}.result" for number in range(len(of))}
            return desk.flow(nodes, edges, outputs=outputs)

        async def story():
            async with desk.open() as tracker:
                await desk.run(tracker, flow(graph))
                assert len(desk.new_calls()) == len(graph)
                await desk.run(tracker, flow(graph))
                assert desk.new_calls() == []
                run, _ = await desk.run(tracker, flow(changed))
                before, after = calls_of(graph)[0], calls_of(changed)[0]
                assert desk.new_calls() == sorted(
                    f"n{number}" for number in range(len(graph)) if before[number] != after[number]
                )
                assert await desk.outputs(tracker, run) == {
                    f"o{number}": result for number, result in enumerate(calls_of(changed)[1])
                }

        desk.play(story())


def test_the_order_of_inputs_makes_no_difference_and_their_division_does(desk):
    from pit_dag_tracker.keys import Keys

    make, which = Keys().key, b"i" * 32
    assert make(which, {"a": b"1", "b": b"2"}) == make(which, {"b": b"2", "a": b"1"})
    large = encode("x" * 40_000)
    keys = {
        make(which, {"a": b"12"}),
        make(which, {"a": b"1", "b": b"2"}),
        make(which, {"a1": b"2"}),
        make(b"j" * 32, {"a": b"12"}),
        make(which, {"a": large}),
        make(which, {"a": large, "b": b"2"}),
        make(which, {"b": large}),
        make(which, {}),
    }
    assert len(keys) == 8
    assert make(which, {"a": bytes(bytearray(large))}) in keys
