"""The reconnecting connection against a model of it: whatever happens in whatever order, each request ends well."""

import asyncio
from math import inf

import stamina
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from symphony_ipc import reconnect
from symphony_ipc.reconnect import ATTEMPTS, ConnectionState, Reconnecting
from symphony_sdk.errors import MalformedMessage, PeerGone, SymphonyError, TransportError, WorkflowError
from symphony_sdk.messages import CallOperation, OperationResult

PASSING = (PeerGone("reset"), ConnectionRefusedError("refused"), FileNotFoundError("no socket"))
LASTING = (
    TransportError("wrong token", code="SYM-T008"),
    TransportError("no common protocol", code="SYM-T007"),
    PermissionError("not yours"),
    ZeroDivisionError("a bug"),
)

LATE = 10  # requests that a machine has made when the time has come for what cannot be mended


class Model(RuleBasedStateMachine):
    """What is expected: `waiting` and `in_flight` requests, `failures` in a row, and how each request ended."""

    def __init__(self, peer):
        super().__init__()
        self.runner = asyncio.Runner()
        self.peer = peer
        self.hooks = []
        self.seen = []
        self.tasks = {}  # requests by name
        self.keyed = set()
        self.sent = {}
        self.waiting = set()
        self.in_flight = set()
        self.expected = {}  # name of a request -> code of its error; "" where it was answered
        self.state = "attempting"  # attempting, preparing, connected, closed
        self.failures = 0
        self.attempts = 1
        self.proven = False
        self.prepared = False
        self.code = None
        self.run(self.start())

    async def start(self):
        self.connection = Reconnecting(
            "fake:peer",
            self.peer.connect,
            on_reconnected=self.prepare,
            on_state=lambda state, _: self.seen.append(state),
        )

    async def prepare(self, connection):
        self.hooks.append(asyncio.get_running_loop().create_future())
        await self.hooks[-1]

    def run(self, coroutine):
        async def quietly():
            await coroutine
            for _ in range(30):
                await asyncio.sleep(0)

        self.runner.run(quietly())

    def do(self, action, *arguments):
        async def act():
            action(*arguments)

        self.run(act())

    # -- what the model makes of it ------------------------------------------------------------------

    def end(self, names, code):
        for name in names:
            self.expected[name] = code
        self.waiting -= set(names)
        self.in_flight -= set(names)

    def closes(self, code):
        self.state, self.code = "closed", code
        self.end([*self.waiting, *self.in_flight], code)

    def fails(self, error):
        self.failures += 1
        if not reconnect.may_pass(error):
            self.closes(error.code if isinstance(error, SymphonyError) else "SYM-T001")
        elif self.failures == ATTEMPTS:
            self.closes("SYM-T045")
        else:
            self.state = "attempting"
            self.attempts += 1

    def loses(self, error):
        keyless = self.in_flight - self.keyed
        self.end(keyless, "SYM-T046" if isinstance(error, PeerGone) else error.code)
        self.end([name for name in self.in_flight if self.sent[name] == ATTEMPTS], "SYM-T047")
        self.waiting |= self.in_flight
        self.in_flight = set()
        if self.proven:
            self.failures, self.state = 0, "attempting"
            self.attempts += 1
        else:
            self.fails(error)

    def connects(self):
        self.state, self.proven, self.prepared = "connected", False, True
        self.in_flight, self.waiting = self.waiting, set()
        for name in self.in_flight:
            self.sent[name] += 1

    def errors(self):
        """What an attempt fails with; what ends all is left for late, or little else would be seen."""
        return st.sampled_from(PASSING + LASTING if len(self.tasks) > LATE else PASSING)

    # -- what happens --------------------------------------------------------------------------------

    @rule(keyed=st.booleans())
    def ask(self, keyed):
        name = f"r{len(self.tasks)}"
        request = self.connection.request(
            CallOperation(name), OperationResult, idempotency_key=f"key {name}" if keyed else ""
        )
        self.do(lambda: self.tasks.update({name: asyncio.get_running_loop().create_task(request)}))
        self.sent[name] = 0
        if keyed:
            self.keyed.add(name)
        if self.state == "closed":
            self.expected[name] = self.code
        elif self.state == "connected":
            self.in_flight.add(name)
            self.sent[name] += 1
        else:
            self.waiting.add(name)

    @precondition(lambda self: self.state == "attempting")
    @rule()
    def the_attempt_succeeds(self):
        self.do(self.peer.attempts[-1].set_result, None)
        if self.prepared:
            self.state = "preparing"
        else:
            self.connects()

    @precondition(lambda self: self.state == "attempting")
    @rule(data=st.data())
    def the_attempt_fails(self, data):
        error = data.draw(self.errors())
        self.do(self.peer.attempts[-1].set_exception, error)
        self.fails(error)

    @precondition(lambda self: self.state == "preparing")
    @rule()
    def it_is_prepared(self):
        self.do(self.hooks[-1].set_result, None)
        self.connects()

    @precondition(lambda self: self.state == "preparing")
    @rule(data=st.data())
    def it_is_not_prepared(self, data):
        error = data.draw(self.errors())
        self.do(self.hooks[-1].set_exception, error)
        self.fails(error)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), error=st.sampled_from([None, None, WorkflowError("no"), PeerGone("as answer")]))
    def one_is_answered(self, data, error):
        name = data.draw(st.sampled_from(sorted(self.in_flight)))
        future = self.peer.connections[-1].asked[name]
        if error is None:
            self.do(future.set_result, OperationResult())
            self.proven = True
        else:
            self.do(future.set_exception, error)
        self.end([name], "" if error is None else error.code)

    @precondition(lambda self: self.state == "connected")
    @rule(data=st.data())
    def the_connection_is_lost(self, data):
        nonsense = self.proven or len(self.tasks) > LATE
        error = data.draw(st.sampled_from([PeerGone("killed"), MalformedMessage("nonsense")][: 1 + nonsense]))
        self.do(self.peer.connections[-1].end, error)
        self.loses(error)

    @precondition(lambda self: self.in_flight or self.waiting)
    @rule(data=st.data())
    def one_is_cancelled(self, data):
        name = data.draw(st.sampled_from(sorted(self.in_flight | self.waiting)))
        self.do(self.tasks[name].cancel)
        self.end([name], "cancelled")

    @precondition(lambda self: self.state == "connected" and len(self.tasks) > LATE)
    @rule()
    def the_connection_is_closed_beneath_it(self):
        self.do(self.peer.connections[-1].end, None)
        self.closes("SYM-T009")

    @precondition(lambda self: len(self.tasks) > LATE)
    @rule()
    def it_is_closed(self):
        self.run(self.connection.close())
        if self.state != "closed":
            self.closes("SYM-T009")

    # -- what has to hold ----------------------------------------------------------------------------

    @invariant()
    def it_stands_as_the_model_says(self):
        expected = {"connected": "connected", "closed": "closed"}.get(self.state, "connecting")
        assert self.connection.state == expected
        assert self.connection.is_open == (self.state != "closed")
        assert len(self.peer.attempts) == self.attempts
        assert all(a != b for a, b in zip(self.seen, self.seen[1:], strict=False)), "each change is told once"

    @invariant()
    def each_request_is_where_the_model_says(self):
        asked = {name for c in self.peer.connections for name in c.asked}
        assert asked == self.in_flight
        for name, task in self.tasks.items():
            assert task.done() == (name in self.expected), name
            if task.done():
                assert outcome(task) == self.expected[name], name
        for connection in self.peer.connections:
            assert all(key == f"key {name}" for name, key in connection.keys.items() if key)

    def teardown(self):
        async def end():
            await self.connection.close()
            await asyncio.gather(*self.tasks.values(), return_exceptions=True)

        self.runner.run(end())
        assert self.connection.state is ConnectionState.CLOSED
        assert not any(c.is_open for c in self.peer.connections), "no connection is left behind"
        self.runner.close()


def outcome(task):
    if task.cancelled():
        return "cancelled"
    return task.exception().code if task.exception() else ""


def test_whatever_happens_each_request_ends_as_the_model_says(scripted, monkeypatch):
    monkeypatch.setattr(reconnect, "PROVEN_AFTER", inf)
    with stamina.set_testing(True, attempts=ATTEMPTS):
        run_state_machine_as_test(
            lambda: Model(scripted()), settings=settings(max_examples=60, deadline=None)
        )
