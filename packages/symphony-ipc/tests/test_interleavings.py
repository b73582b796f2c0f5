"""Any order of asking, cancelling, deadlines, credit and endings: each request ends once, and nothing is left."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_ipc.answered import AnsweredRequests
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.payload import decode_error, encode_payload
from symphony_sdk.errors import SymphonyError, WorkflowError
from symphony_sdk.messages import Done, LogLine, Progress

KINDS = ("now", "wait", "fail", "stream", "endless", "stubborn")

ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("ask"),
            st.sampled_from(KINDS),
            st.sampled_from([None, None, 0.0, 0.001]),
            st.sampled_from(["", "", "a", "b"]),
            st.integers(0, 3),
        ),
        st.tuples(st.just("cancel"), st.integers(0, 15)),
        st.tuples(st.just("credit"), st.integers(0, 15), st.integers(1, 5)),
        st.tuples(st.just("turns"), st.integers(1, 5)),
        st.tuples(st.just("release")),
        st.tuples(st.just("ping")),
    ),
    min_size=1,
    max_size=25,
)


class Handler:
    """Does what `LogLine.level` says; counts what it began and what it ended."""

    def __init__(self):
        self.go = asyncio.Event()
        self.begun = 0
        self.ended = 0

    async def __call__(self, message):
        if message.level in ("stream", "endless"):
            return self.items(message.level)
        self.begun += 1
        try:
            if message.level == "fail":
                raise WorkflowError("no")
            if message.level == "stubborn":
                with suppress(asyncio.CancelledError):
                    await self.go.wait()
            if message.level == "wait":
                await self.go.wait()
            return Done()
        finally:
            self.ended += 1

    async def items(self, level):
        self.begun += 1
        try:
            count = 0
            while level == "endless" or count < 7:
                count += 1
                yield Progress(float(count))
                if count % 3 == 0:
                    await asyncio.sleep(0)
        finally:
            self.ended += 1


class Asked:
    """One request, and all that it was answered."""

    def __init__(self, client, kind, timeout, key, credit):
        self.credit = credit
        self.items = 0
        self.finals = []
        payload = encode_payload(LogLine(kind, "x"))
        envelope = Envelope(Kind.REQUEST, 0, "worker.log/1", timeout, "", key, credit=credit, payload=payload)
        self.forwarded = client.forward(envelope, self.answered)

    def answered(self, envelope):
        assert not self.finals, "nothing comes after the final answer"
        if envelope.kind is Kind.ITEM:
            self.items += 1
            assert self.items <= self.credit
        else:
            self.finals.append(envelope)

    def give(self, credit):
        if not self.finals:
            self.credit += credit
        self.forwarded.credit(credit)


@pytest.mark.parametrize(
    "ending", ["release", "cancel", "client closes", "server closes", "connection breaks"]
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_every_request_ends_once_and_every_window_returns_to_zero(pair, ending, actions):
    async def main():
        handler, answered = Handler(), AnsweredRequests()
        async with pair(handler, answered=answered) as (server, client):
            asked, pings = [], []
            for action in actions:
                match action:
                    case ("ask", kind, timeout, key, credit):
                        asked.append(Asked(client, kind, timeout, f"{kind} {key}" if key else "", credit))
                    case ("cancel", number) if number < len(asked):
                        asked[number].forwarded.cancel()
                    case ("credit", number, items) if number < len(asked):
                        asked[number].give(items)
                    case ("turns", count):
                        for _ in range(count):
                            await asyncio.sleep(0)
                    case ("release",):
                        handler.go.set()
                    case ("ping",):
                        pings.append(asyncio.create_task(client.ping(20)))
            match ending:
                case "release" | "cancel":
                    handler.go.set()
                    for one in asked:
                        one.give(10)
                        if ending == "cancel" or one.items > 7 or not one.finals:
                            one.forwarded.cancel()
                case "client closes":
                    await client.close()
                case "server closes":
                    await server.close()
                case "connection breaks":
                    client._transport.abort()
            async with asyncio.timeout(20):
                if ending not in ("release", "cancel"):
                    await asyncio.gather(client.closed.wait(), server.closed.wait())
                    handler.go.set()  # work with a key goes on when its connection is gone
                while client.in_flight or server._serving._open or server._work._running:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0)
                await asyncio.gather(*pings, return_exceptions=True)
            assert handler.begun == handler.ended
            for one in asked:
                (final,) = one.finals
                if final.kind is Kind.ERROR:
                    assert isinstance(decode_error(final.payload), SymphonyError)
            if ending in ("release", "cancel"):
                for window in (client._asking._window, server._serving._window):
                    assert (window._requests, window._bytes) == (0, 0)
            assert (client._asking._waiting, client._asking._asked) == ({}, {})
            assert (server._serving._open, server._work._waiting, server._work._running) == ({}, {}, set())
            assert answered._under_way == {}

    asyncio.run(main())
