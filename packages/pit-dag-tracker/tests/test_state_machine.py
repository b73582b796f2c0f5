"""Whatever commands and results come in whatever order: every change of state is one that the tables allow."""

import asyncio
import tempfile
from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from pit_dag_tracker import ledger as ledgers
from symphony_sdk.errors import RunError
from symphony_workflow.state import NODE_ENDS, NODE_TRANSITIONS, RUN_TRANSITIONS, NodeState, advance
from symphony_workflow.testing import examples

NODES = ["a", "b", "c", "d", "ok", "m", "z"]
COMMANDS = st.sampled_from(["pause", "resume", "cancel", "retry"])


class Steps:
    """Notes each single step that `advance` made, so that a change of state can be traced to its steps."""

    def __init__(self):
        self.chain = []

    def advance(self, state, to):
        result = advance(state, to)
        if not (self.chain and self.chain[-1] is state):
            self.chain = [state]
        self.chain.append(result)
        return result

    def check(self, before, after):
        transitions = NODE_TRANSITIONS if isinstance(before, NodeState) else RUN_TRANSITIONS
        if before is not after and after not in transitions[before]:
            assert self.chain[-1] is after and before in self.chain, f"{before} became {after} by no step"


class CheckedStates(list):
    """The states of the nodes, each change of which is traced to its steps."""

    steps: Steps

    def __setitem__(self, number, after):
        self.steps.check(self[number], after)
        super().__setitem__(number, after)


class CheckedLedger(ledgers.Ledger):
    def __setattr__(self, name, value):
        if name == "state" and not isinstance(value, CheckedStates):
            value = CheckedStates(value)
        elif name == "run_state" and hasattr(self, "run_state"):
            CheckedStates.steps.check(self.run_state, value)
        super().__setattr__(name, value)


def flow(desk):
    return desk.flow(
        {
            "a": "gated",
            "b": {"uses": "gated", "retry": {"attempts": 2}},
            "c": "gated",
            "d": "gated",
            "ok": {"control": "approval", "prompt": "Go on?"},
            "m": {"control": "map", "uses": "gated", "over": "x", "params": {"x": [1, 2, 3]}, "concurrency": 2},
            "z": "gated",
        },
        ["a.result -> b.x", "a -> c", "b.result -> d.x", "c -> d", "a -> m", "c.result -> ok.value",
         "ok.approved -> z.x"],
    )  # fmt: skip


class Steered(RuleBasedStateMachine):
    """A run, its user, and an executor that ends its calls as hypothesis likes."""

    new_desk = None

    def __init__(self):
        super().__init__()
        CheckedStates.steps = Steps()
        self.patches = [
            patch.object(ledgers, "advance", lambda *states: CheckedStates.steps.advance(*states)),
            patch("pit_dag_tracker.starting.Ledger", CheckedLedger),
            patch("pit_dag_tracker.records.Ledger", CheckedLedger),
        ]
        for each in self.patches:
            each.start()
        self.directory = tempfile.TemporaryDirectory(prefix="symphony-")
        self.loop = asyncio.new_event_loop()
        self.desk = type(self).new_desk(Path(self.directory.name), slots=3)
        self.calls = []

        async def gated(call, **inputs):
            end = self.loop.create_future()
            self.calls.append(end)
            return await end

        self.desk.executor.operations["t.t.gated"] = gated
        self.tracker = self.play(self.open())
        self.run = self.play(self.tracker.start(self.desk.request(flow(self.desk))))

    async def open(self):
        from pit_dag_tracker import Tracker

        return Tracker(self.desk.services)

    def play(self, story):
        async def settled():
            result = await story
            for _ in range(20):
                await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(asyncio.wait_for(settled(), 60))

    def ask(self, story):
        """Give a command; that the run's state does not allow it is a fine answer, anything else is not."""
        try:
            self.play(story)
        except RunError as refused:
            assert refused.code in ("SYM-R005", "SYM-R061", "SYM-R062", "SYM-R063"), refused

    @property
    def open_calls(self):
        return [call for call in self.calls if not call.done()]

    @precondition(lambda self: self.open_calls)
    @rule(data=st.data(), fate=st.sampled_from(["works", "works", "works", "fails", "flaky"]))
    def end_a_call(self, data, fate):
        call = data.draw(st.sampled_from(self.open_calls))

        async def end():
            if fate == "works":
                call.set_result({"result": 1})
            else:
                call.set_exception(self.desk.Retryable("no") if fate == "flaky" else ValueError("no"))

        self.play(end())

    @rule(command=COMMANDS)
    def steer(self, command):
        if command == "cancel":
            self.ask(self.tracker.cancel(self.run))
        else:
            self.ask(getattr(self.tracker, command)(self.run))

    @rule(node=st.sampled_from(NODES))
    def skip(self, node):
        self.ask(self.tracker.skip(self.run, node))

    @rule(node=st.sampled_from(NODES))
    def retry(self, node):
        self.ask(self.tracker.retry(self.run, node))

    @rule(approved=st.booleans())
    def answer(self, approved):
        self.ask(self.tracker.answer(self.run, "ok", approved, by="ada"))

    @rule()
    def restart(self):
        self.play(self.tracker.close())
        self.play(self.desk.executor.stop())
        self.tracker = self.play(self.open())
        states = self.play(self.desk.states(self.tracker, self.run))
        assert "running" not in states.values()

    def teardown(self):
        try:
            status = self.play(self.tracker.status(self.run))
            assert {node.node for node in status.nodes} >= set(NODES)
            if status.state == "completed":
                assert all(NodeState(node.state) in NODE_ENDS for node in status.nodes)
            self.play(self.tracker.close())
            self.play(self.desk.executor.stop())
            self.tracker = self.play(self.open())
            events = self.play(self.desk.follow(self.tracker, self.run))
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            self.play(self.tracker.close())
        finally:
            self.loop.close()
            self.directory.cleanup()
            for each in self.patches:
                each.stop()


def test_no_sequence_of_commands_and_results_leads_out_of_the_tables(new_desk):
    from hypothesis.stateful import run_state_machine_as_test

    Steered.new_desk = new_desk
    run_state_machine_as_test(
        Steered,
        settings=settings(
            max_examples=examples(12),
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_the_states_of_the_tables_are_those_of_the_port():
    from typing import get_args

    from symphony_sdk.ports.pit import NodeState as PortNodeState
    from symphony_sdk.ports.pit import RunState as PortRunState

    assert [state.value for state in NODE_TRANSITIONS] == list(get_args(PortNodeState))
    assert [state.value for state in RUN_TRANSITIONS] == list(get_args(PortRunState))
