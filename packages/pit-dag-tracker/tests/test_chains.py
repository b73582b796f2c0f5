"""Linear chains: handed out together, and otherwise as if each of their nodes had been handed out alone."""

import asyncio
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import Cancelled, ErrorPayload, RunError
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    RunCancelled,
    RunPaused,
    RunWaiting,
)
from symphony_sdk.ports import NodeEvent, RunPolicy
from symphony_workflow.testing import examples


def chaining(desk, *, gives_back=lambda call: False):
    """Let the desk's executor run chains; `gives_back` says before which link it gives the rest back."""
    base = type(desk.executor)

    class ChainExecutor(base):
        def __init__(self, slots):
            super().__init__(slots)
            self.seconds = 1e-5
            self.batches = []
            self.chained = True
            self._unwanted = set()

        def chains(self, first, then):
            return self.chained

        def submit(self, batch, on_event):
            chains = []
            for call in batch:
                self.calls.append(call)
                if call.takes is None:
                    chains.append([call])
                else:
                    chains[-1].append(call)
            self.batches += [[call.node for call in chain] for chain in chains]
            for chain in chains:
                task = asyncio.get_running_loop().create_task(self._run_chain(chain, on_event))
                self._tasks[task] = chain[0]
                task.add_done_callback(self._tasks.pop)
            self.held += len(batch)

        def cancel(self, run, node="", *, item=-1, force=False):
            self._unwanted.add((run, node))
            super().cancel(run, node, item=item, force=force)

        async def _run_chain(self, chain, on_event):
            last = None

            def take(event):
                nonlocal last
                last = event
                on_event(event)

            for number, call in enumerate(chain):
                if number:
                    stopped = last.kind != "completed" or not last.outputs.keys() >= set(call.takes.values())
                    if stopped or gives_back(call):
                        for link in chain[number:]:
                            on_event(NodeEvent(link, "returned"))
                        return
                    given = {port: last.outputs[source] for port, source in call.takes.items()}
                    call = msgspec.structs.replace(call, inputs=call.inputs | given)
                    if (call.run, call.node) in self._unwanted:
                        error = Cancelled("not wanted").payload()
                        take(NodeEvent(call, "failed", error=error))
                        continue
                    self._tasks[asyncio.current_task()] = call
                await self._run(call, take)

    executor = ChainExecutor(desk.executor.slots)
    executor.operations.update(desk.executor.operations)
    desk.executor = desk.services.executors["local"] = desk.installed.executor = executor
    return executor


def line(desk, count, **changed):
    """A chain `n00 -> n01 -> ...` whose nodes pass a value on; `changed` are fields of some nodes."""
    nodes = {f"n{number:02}": "echo" for number in range(count)} | changed
    edges = [f"n{number:02}.result -> n{number + 1:02}.x" for number in range(count - 1)]
    return desk.flow(nodes, edges, outputs={"last": f"n{count - 1:02}.result"})


def told(events):
    """What events say, without numbers and times."""
    facts = Counter()
    for event in events:
        match event:
            case NodeStarted():
                facts["started", event.node, event.attempt] += 1
            case NodeCompleted():
                facts["completed", event.node, event.received, event.produced] += 1
            case NodeRetrying():
                facts["retrying", event.node, event.attempt] += 1
            case NodeFailed() | NodeSkipped():
                facts[type(event).__name__, event.node] += 1
            case _:
                facts[type(event).__name__] += 1
    return facts


def test_the_nodes_of_a_chain_go_together_and_each_tells_its_own_story(desk):
    executor = chaining(desk)

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, line(desk, 10))
            assert await desk.outputs(tracker, run) == {"last": "n00"}
            return events

    events = desk.play(story())
    # Of the first call nothing is known, so it goes alone.
    assert executor.batches == [["n00"], [f"n{number:02}" for number in range(1, 10)]]
    order = [(type(event), event.node) for event in events if isinstance(event, NodeStarted | NodeCompleted)]
    assert order == [(kind, f"n{number:02}") for number in range(10) for kind in (NodeStarted, NodeCompleted)]
    assert all(event.seconds >= event.work > 0 for event in events if isinstance(event, NodeCompleted))


def test_a_chain_takes_a_moment_and_has_so_many_links_at_most(desk):
    executor = chaining(desk)

    async def story(nodes):
        executor.batches.clear()
        async with desk.open() as tracker:
            await desk.run(tracker, line(desk, nodes))
        return [len(batch) for batch in executor.batches]

    assert desk.play(story(70)) == [1, 64, 5]
    executor.seconds = 0.0007
    assert desk.play(story(4)) == [1, 2, 1]
    executor.seconds = 0.5
    assert desk.play(story(3)) == [1, 1, 1]


def test_a_chain_is_no_longer_than_the_executor_gets_through(desk):
    impatient = True
    executor = chaining(desk, gives_back=lambda call: impatient and call.node in executor.batches[-1][8:])

    async def story():
        nonlocal impatient
        async with desk.open() as tracker:
            await desk.run(tracker, line(desk, 40))
            assert [len(batch) for batch in executor.batches] == [1, 39, 8, 16, 8, 7]
            impatient = False
            executor.batches.clear()
            await desk.run(tracker, line(desk, 100))
            return [len(batch) for batch in executor.batches]

    assert desk.play(story()) == [16, 32, 52]


@pytest.mark.parametrize(
    ("changes", "edges"),
    [
        ({"n02": {"uses": "echo", "timeout": 5.0}}, ()),
        ({"n02": {"uses": "echo", "idle_timeout": 5.0}}, ()),
        ({"n02": {"uses": "echo", "resources": {"cpu": 1}}}, ()),
        ({"n02": {"uses": "echo", "params": {"y": {"$expr": "x"}}}}, ()),
        ({"n02": {"control": "map", "over": "x", "uses": "echo", "params": {"x": [1, 2]}}}, ()),
        ({"n02": {"control": "approval", "prompt": "Go on?"}}, ()),
        ({"other": "echo"}, ("n01 -> other",)),
        ({"other": "echo"}, ("other -> n02",)),
        ({}, ("n01 -> n02 if true",)),
    ],
)
def test_what_needs_a_decision_of_its_own_is_no_link(desk, changes, edges):
    executor = chaining(desk)
    nodes = {"n00": "echo", "n01": "echo", "n02": "echo"} | changes
    flow = desk.flow(nodes, ["n00.result -> n01.x", "n01 -> n02", *edges])

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, line(desk, 1))  # from now on it is known how long a call takes
            executor.batches.clear()
            run = await tracker.start(desk.request(flow))
            async for event in tracker.events(run):
                if isinstance(event, RunWaiting):
                    await tracker.cancel(run)

    desk.play(story())
    assert ["n00", "n01"] in executor.batches
    assert not any("n02" in batch[1:] for batch in executor.batches)


def test_an_edge_that_gives_nothing_but_the_order_links_too(desk):
    executor = chaining(desk)
    flow = desk.flow({"a": "echo", "b": "echo", "c": "echo"}, ["a -> b", "b -> c"])

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow)

    desk.play(story())
    assert executor.batches == [["a"], ["b", "c"]]


def test_a_failing_link_fails_alone_and_its_retries_are_its_own(desk):
    chaining(desk)
    failures = []

    @desk.operation("flaky")
    async def flaky(call, x):
        failures.append(call.attempt)
        if call.attempt < 3:
            raise desk.Retryable("not yet")
        return {"result": x}

    async def story():
        async with desk.open() as tracker:
            flow = line(desk, 8, n04={"uses": "flaky", "retry": {"attempts": 3}})
            run, events = await desk.run(tracker, flow)
            assert await desk.outputs(tracker, run) == {"last": "n00"}
            return told(events)

    facts = desk.play(story())
    assert failures == [1, 2, 3]
    assert facts["retrying", "n04", 1] == facts["retrying", "n04", 2] == 1
    assert all(facts["completed", f"n{number:02}", 4, 4] == 1 for number in range(1, 8))
    assert all(facts["started", f"n{number:02}", 1] == 1 for number in range(8))


def test_what_is_lost_with_its_place_runs_alone_from_then_on(desk):
    executor = chaining(desk)
    run_chain = executor._run_chain

    async def lose(chain, on_event):
        if len(chain) < 3:
            await run_chain(chain, on_event)
            return
        gone = ErrorPayload("SYM-T003", "gone")
        on_event(NodeEvent(chain[0], "started"))
        on_event(NodeEvent(chain[0], "lost", error=gone, retryable=True, place="acme#1"))
        for link in chain[1:]:
            on_event(NodeEvent(link, "returned", error=gone))

    executor._run_chain = lose

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, line(desk, 5))
            assert await desk.outputs(tracker, run) == {"last": "n00"}
            return told(events)

    facts = desk.play(story())
    assert executor.batches == [["n00"], ["n01", "n02", "n03", "n04"], ["n01"], ["n02"], ["n03"], ["n04"]]
    assert facts["retrying", "n01", 1] == facts["started", "n01", 2] == 1
    assert facts["started", "n02", 1] == 1


def test_an_output_that_has_to_be_kept_first_lets_the_rest_of_its_chain_wait(desk):
    executor = chaining(desk)

    @desk.operation("large")
    async def large(call, x):
        return {"result": "x" * 100_000}

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, line(desk, 6, n02="large"))
            assert await desk.outputs(tracker, run) == {"last": "x" * 100_000}
            return told(events)

    facts = desk.play(story())
    assert ["n01", "n02", "n03"] not in executor.batches
    assert all(facts["started", f"n{number:02}", 1] == 1 for number in range(6))
    assert sum(count for fact, count in facts.items() if fact[0] == "completed") == 6


def test_what_an_executor_says_of_a_link_before_its_turn_is_not_taken(desk):
    executor = chaining(desk)

    async def backwards(chain, on_event):
        for call in reversed(chain):
            await executor._run(msgspec.structs.replace(call, inputs={"x": b"\x01"}), on_event)

    executor._run_chain = backwards

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, line(desk, 3))
            return await desk.states(tracker, run), told(events)

    states, facts = desk.play(story())
    assert set(states.values()) == {"completed"}
    assert all(facts["started", f"n{number:02}", 1] == 1 for number in range(3))


def test_a_bound_on_calls_counts_a_chain_as_one(desk):
    executor = chaining(desk)
    running = []

    @desk.operation("counted")
    async def counted(call, **inputs):
        running.append(executor.running)
        await asyncio.sleep(0)
        return {"result": 1}

    nodes = {f"{chain}{number}": "counted" for chain in "abc" for number in range(6)}
    edges = [f"{chain}{number}.result -> {chain}{number + 1}.x" for chain in "abc" for number in range(5)]

    async def story(policy, config):
        desk.services.config = config
        running.clear()
        async with desk.open() as tracker:
            await desk.run(tracker, line(desk, 1))
            executor.batches.clear()
            request = msgspec.structs.replace(desk.request(desk.flow(nodes, edges)), policy=policy)
            run = await tracker.start(request)
            await desk.follow(tracker, run)
            return await desk.states(tracker, run)

    for policy, config in ((RunPolicy(concurrency=1), {}), (RunPolicy(), {"concurrency": ["t.t=1"]})):
        states = desk.play(story(policy, config))
        assert set(states.values()) == {"completed"}
        assert len(states) == 18
        assert max(running) == 1
        assert any(len(batch) > 1 for batch in executor.batches)


def test_no_earlier_result_is_passed_over_and_those_of_links_are_kept(desk):
    executor = chaining(desk)
    desk.remember()

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, line(desk, 1))
            executor.batches.clear()
            await desk.run(tracker, line(desk, 4))
            assert max(map(len, executor.batches)) == 1  # an earlier result might stand in for each of them
            executor.batches.clear()
            request = desk.request(line(desk, 4))
            run = await tracker.start(msgspec.structs.replace(request, policy=RunPolicy(cache=False)))
            await desk.follow(tracker, run)
            assert executor.batches == [["n00", "n01", "n02", "n03"]]
            executor.batches.clear()
            _, events = await desk.run(tracker, line(desk, 4))
            assert executor.batches == []
            return run, [event.origin for event in events if isinstance(event, NodeReused)]

    run, origins = desk.play(story())
    assert origins == [run] * 4


def test_a_chain_can_be_paused_skipped_in_the_middle_and_cancelled(desk):
    executor = chaining(desk)
    gate, reached = desk.gate()

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, line(desk, 1))
            gate.set()
            await desk.run(tracker, line(desk, 1, n00="gated"))
            for what in ("skip", "pause", "cancel"):
                gate.clear()
                reached.clear()
                executor.batches.clear()
                run = await tracker.start(desk.request(line(desk, 6, n02="gated")))
                await reached.wait()
                assert executor.batches[0][:4] == ["n00", "n01", "n02", "n03"]
                if what == "skip":
                    await tracker.skip(run, "n04")
                elif what == "pause":
                    await tracker.pause(run)
                else:
                    await tracker.cancel(run)
                gate.set()
                events = await desk.follow(tracker, run)
                states = await desk.states(tracker, run)
                if what == "skip":
                    assert [states[f"n{n:02}"] for n in range(6)] == ["completed"] * 4 + ["skipped"] * 2
                elif what == "cancel":
                    assert states["n03"] == states["n05"] != "completed"
                    assert not any(fact[0] == "started" and fact[1] == "n03" for fact in told(events))
                else:
                    await tracker.resume(run)
                    events += await desk.follow(tracker, run, len(events))
                    assert set((await desk.states(tracker, run)).values()) == {"completed"}
                    started = [event.node for event in events if isinstance(event, NodeStarted)]
                    assert sorted(started) == [f"n{number:02}" for number in range(6)]

    desk.play(story())


FATES = st.sampled_from(["works", "works", "works", "fails", "flaky", "large"])


@st.composite
def graphs(draw):
    """Nodes with a fate each; most have one other before them, so that there are chains."""
    count = draw(st.integers(2, 16))
    fates = [draw(FATES) for _ in range(count)]
    edges = []
    for target in range(1, count):
        kind = draw(st.sampled_from(["data", "data", "data", "control", "true", "none"]))
        if kind != "none":
            edges.append((draw(st.integers(max(0, target - 2), target - 1)), target, kind))
    return fates, edges


@settings(
    max_examples=examples(12),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(graph=graphs(), seed=st.integers(0, 2**20), command=st.sampled_from(["", "", "pause", "cancel"]))
def test_any_run_with_chains_ends_as_it_does_without(new_desk, graph, seed, command):
    with tempfile.TemporaryDirectory() as directory:
        plain, _ = played(new_desk(Path(directory) / "plain"), graph, 0, "", chained=False)
    with tempfile.TemporaryDirectory() as directory:
        chained, commanded = played(new_desk(Path(directory) / "chained"), graph, seed, command, chained=True)
    if commanded:  # what was resumed may have begun a node in flight once more
        assert {fact: 1 for fact in chained if fact[0] in ENDS} == {
            fact: 1 for fact in plain if fact[0] in ENDS
        }
    else:
        assert chained == plain


ENDS = ("completed", "NodeFailed", "NodeSkipped")


def played(desk, graph, seed, command, *, chained):
    """What the events of a run say; what was commanded in its course is undone."""
    fates, edges = graph
    desk.directory.mkdir()
    executor = chaining(desk, gives_back=lambda call: (hash(call.node) ^ seed) % 5 == 0)
    executor.chained = chained
    steered = asyncio.Event()
    countdown = seed % 7

    async def works(call, **inputs):
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            steered.set()
            await asyncio.sleep(0)
        return {"result": len(inputs)}

    async def large(call, **inputs):
        return {"result": call.node * 20_000}

    async def flaky(call, **inputs):
        if call.attempt == 1:
            raise desk.Retryable("first")
        return {"result": len(inputs)}

    async def fails(call, **inputs):
        raise ValueError("never")

    for operation in (works, large, flaky, fails):
        executor.operations[f"t.t.{operation.__name__}"] = operation
    nodes = {f"n{number}": {"uses": fate, "retry": {"attempts": 2}} for number, fate in enumerate(fates)}
    lines = []
    for source, target, kind in edges:
        condition = " if true" if kind == "true" else ""
        data = f"n{source}.result -> n{target}.p" if kind == "data" else f"n{source} -> n{target}{condition}"
        lines.append(data)

    async def story():
        async with desk.open() as tracker:
            request = desk.request(desk.flow(nodes, lines))
            run = await tracker.start(
                msgspec.structs.replace(request, policy=RunPolicy(on_failure="continue"))
            )
            following = asyncio.create_task(desk.follow(tracker, run))
            stop = asyncio.create_task(steered.wait())
            await asyncio.wait((following, stop), return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            commanded = False
            if command and not following.done():
                with suppress(RunError):  # it has ended meanwhile
                    await (tracker.pause(run) if command == "pause" else tracker.cancel(run))
                    commanded = True
            events = await following
            if isinstance(events[-1], RunPaused | RunCancelled):
                await tracker.resume(run)
                events += await desk.follow(tracker, run, len(events))
            status = await tracker.status(run)
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            assert all(node.state in ("completed", "failed", "skipped") for node in status.nodes)
            completed = Counter(event.node for event in events if isinstance(event, NodeCompleted))
            assert not completed or max(completed.values()) == 1
            return told(events), commanded

    return desk.play(story())
