"""The calls that one worker has: sent many in a message, each answered, cancelled and late for itself."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from symphony_ipc import Connection, Envelope, Kind
from symphony_ipc.envelope import TRACEPARENT
from symphony_ipc.payload import decode_error, encode_payload
from symphony_sdk.errors import (
    DeadlineExceeded,
    ErrorPayload,
    ExtensionError,
    MalformedMessage,
    SymphonyError,
)
from symphony_sdk.messages import (
    MESSAGE_LIMIT,
    CallOperations,
    CancelCalls,
    OperationResults,
    Progress,
    message_type,
)
from symphony_sdk.model_messages import LEVELS

from symphony_isolation.broker.artifact_requests import ArtifactRequests
from symphony_isolation.call import Call
from symphony_isolation.results import decode_results

CALLS_A_MESSAGE: Final = 256
"""Calls that are sent together."""

_RESULTS: Final = message_type(OperationResults)
_CALLS: Final = message_type(CallOperations)


class WorkerCalls:
    """The calls of one worker, by the numbers that they have on its connection.

    Args:
        extension: Id of the extension.
        place: What the worker is called in events, such as `acme.text#2`.
        fingerprint: That of the extension as the worker runs it.
        connection: The connection to it.
        requests: What it may ask for its calls.
        on_answers: Told when it has ended calls and has room for others; how many seconds one of each operation ran.
        on_breach: Told what is wrong with an answer; ends the worker.
        on_cancelled: Told the number of each call that it was asked to end.

    Attributes:
        busy: How many calls it works on that somebody waits for.
        expected: Seconds that these are expected to take.
        last: When it last ended a call, in seconds of the event loop's clock.
    """

    def __init__(
        self,
        extension: str,
        place: str,
        fingerprint: str,
        connection: Connection,
        requests: ArtifactRequests,
        *,
        on_answers: Callable[[Mapping[str, float]], None],
        on_breach: Callable[[MalformedMessage], None],
        on_cancelled: Callable[[int], None],
    ) -> None:
        self.busy = 0
        self.expected = 0.0
        self._loop = asyncio.get_running_loop()
        self.last = self._loop.time()
        self._extension = extension
        self._place = place
        self._fingerprint = fingerprint
        self._connection = connection
        self._requests = requests
        self._on_answers = on_answers
        self._on_breach = on_breach
        self._on_cancelled = on_cancelled
        self._number = 0
        self._calls: dict[int, Call] = {}
        self._settled = asyncio.Event()
        self._levels = [0] * LEVELS

    def __contains__(self, number: int) -> bool:
        return number in self._calls

    def get(self, number: int) -> Call | None:
        """The call of a number; None where it has none of it.

        Args:
            number: The number.
        """
        return self._calls.get(number)

    def busy_at(self, level: int) -> int:
        """How many calls it works on that so many others wait for.

        Args:
            level: How many.
        """
        return self._levels[level]

    def take(self, call: Call) -> None:
        """Count a call that is about to be sent, and the links after it in its chain.

        Args:
            call: The call.
        """
        for link in call.links():
            self.busy += 1
            self._levels[link.level] += 1
            self.expected += link.cost
            self._requests.begin(link.request.run, link.request.node)

    def send(self, calls: Sequence[Call]) -> None:
        """Have the worker run calls, each with the links after it in its chain.

        Args:
            calls: The calls, counted.
        """
        numbered: dict[int, Call] = {}
        size = 0
        for call in calls:
            chain = [*call.links()]
            large = sum([len(value) for link in chain for value in link.request.inputs.values()])
            if numbered and (len(numbered) + len(chain) > CALLS_A_MESSAGE or size + large > MESSAGE_LIMIT):
                self._send(numbered)
                numbered, size = {}, 0
            for link in chain:
                self._number += 1
                numbered[self._number] = link
            size += large
        self._send(numbered)
        for call in calls:
            call.start()

    def cancel(self, chosen: Callable[[Call], bool]) -> bool:
        """End calls for those who wait, and tell the worker; whether it has any of them.

        Args:
            chosen: Whether a call is meant.
        """
        found = [number for number, call in self._calls.items() if chosen(call)]
        fresh = [number for number in found if not self._calls[number].ended]
        for number in fresh:
            call = self._calls[number]
            self._release_all(call)
            call.cancel(self._place)
        self._tell_to_end(fresh)
        return bool(found)

    async def settle(self) -> None:
        """Wait until it has answered every call that it was told to end."""
        while any(call.ended for call in self._calls.values()):
            self._settled.clear()
            await self._settled.wait()

    def progressed(self, progress: Progress) -> None:
        """The worker says how far a call is.

        Args:
            progress: What it says; about a call that it does not have, it is passed over.
        """
        call = self._calls.get(progress.call)
        if call is not None:
            call.progress(progress, self._loop.time())

    def end(self, error: ErrorPayload, *, lost: bool) -> None:
        """The worker has come to its end.

        Which link of a chain it had come to cannot be told: what it answered last was not read. So the first of those
        that are left is lost, and the others are given back, each to run alone: the one that ended it will do so again.

        Args:
            error: How.
            lost: Whether it was killed because of a call that nobody waits for any more.
        """
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if not call.ended:
                alone = sum(1 for _ in call.links()) == 1
                self._release_all(call)
                if lost or not alone:
                    call.lose(error, self._place)
                else:
                    call.fail(error, self._place)

    def _send(self, numbered: dict[int, Call]) -> None:
        message = CallOperations({number: call.message() for number, call in numbered.items()})
        try:
            payload = encode_payload(message)
        except SymphonyError as error:  # a single call is in it, with its chain: no more may be so large
            number, call = next(iter(numbered.items()))
            if call.then is not None and not call.then.ended:
                self._release_all(call.then)
                call.then.give_back()
                self._send({number: call})
            else:
                self._release(call)
                call.refuse(error)
            return
        self._calls.update(numbered)
        traceparent = TRACEPARENT.get()
        for number, call in numbered.items():
            call.traceparent = traceparent
            if call.request.timeout is not None:
                call.timer = self._loop.call_later(max(call.request.timeout, 0.0), self._too_late, number)
        envelope = Envelope(Kind.REQUEST, 0, _CALLS, None, traceparent, credit=len(numbered), payload=payload)
        left = set(numbered)
        self._connection.forward(envelope, lambda answer: self._take(answer, left))

    def _take(self, answer: Envelope, left: set[int]) -> None:
        """Take answers to calls of one message; `left` are those that it still owes."""
        if answer.kind is Kind.ERROR:
            if self._connection.is_open:
                error = decode_error(answer.payload).payload()
                for number in left:
                    self._failed(number, error)
                self._on_answers({})
            return
        try:
            if answer.type != _RESULTS:
                raise MalformedMessage(f"it answered calls with {answer.type!r:.80}")
            results = decode_results(answer.payload)
            answered = [*results.results, *results.errors, *results.returned]
            left.difference_update(self._owed(answered, left))
            self._check_order(results)
            if left and answer.kind is Kind.RESPONSE:
                raise MalformedMessage(f"it ended a message of calls and owes the answers of {len(left)}")
        except MalformedMessage as error:
            self._on_breach(error)
            return
        took: dict[str, float] = {}
        for number in results.returned:
            call = self._calls.pop(number)
            if not call.ended:
                self._release_all(call)
                call.give_back()
        for number, result in results.results.items():
            call = self._calls.pop(number)
            took[call.request.operation] = result.seconds
            if not call.ended:
                self._release(call)
                call.complete(result, self._place, self._fingerprint)
        for number, payload in results.errors.items():
            self._failed(number, payload)
        self.last = self._loop.time()
        self._settled.set()
        self._on_answers(took)

    def _owed(self, answered: list[int], left: set[int]) -> list[int]:
        if len(set(answered)) < len(answered) or not left.issuperset(answered):
            wrong = next(number for number in answered if number not in left or answered.count(number) > 1)
            raise MalformedMessage(
                f"it answered call {wrong}, which it does not have or has answered already"
            )
        return answered

    def _check_order(self, results: OperationResults) -> None:
        """See that no link of a chain ends before the call that it follows, and that only links are given back."""
        for number in results.returned:
            if self._calls[number].request.takes is None:
                raise MalformedMessage(f"it gave call {number} back, which follows none")
        ended_well: set[Call | None] = set()
        for number in (*results.results, *results.errors):
            call = self._calls[number]
            if not (call.due or call.ended or call in ended_well):
                raise MalformedMessage(f"it answered call {number} before the one that it follows")
            if call.then is not None and number in results.results:
                ended_well.add(call.then)

    def _failed(self, number: int, error: ErrorPayload) -> None:
        call = self._calls.pop(number)
        if not call.ended:
            self._release_all(call)
            if error.code == "SYM-R003":
                error = ExtensionError(
                    f"{self._extension!r} gave {call.request.operation!r} up, and nobody had asked it to",
                    code="SYM-E014",
                    hint="An operation must not raise Cancelled, or cancel its own task, by itself.",
                    traceback=error.traceback,
                ).payload()
            error.details["extension"] = self._extension
            call.fail(error, self._place)

    def _too_late(self, number: int) -> None:
        call = self._calls.get(number)
        if call is not None and not call.ended:
            request = call.request
            late = DeadlineExceeded(
                f"{request.operation!r} did not end within {request.timeout:g} s",
                hint="Give the node a longer timeout, or let the operation do less at once.",
                details={"extension": self._extension},
            )
            self._release_all(call)
            self._tell_to_end([number])
            call.fail(late.payload(), self._place)
            self._on_answers({})

    def _tell_to_end(self, numbers: list[int]) -> None:
        if numbers and self._connection.is_open:
            for start in range(0, len(numbers), CALLS_A_MESSAGE):
                self._connection.notify(CancelCalls(tuple(numbers[start : start + CALLS_A_MESSAGE])))
            for number in numbers:
                self._on_cancelled(number)

    def _release(self, call: Call) -> None:
        """Nobody waits for it any more, or it is about to be answered."""
        self.busy -= 1
        self._levels[call.level] -= 1
        self.expected = self.expected - call.cost if self.busy else 0.0
        self._requests.end(call.request.run, call.request.node)

    def _release_all(self, call: Call) -> None:
        """Nobody waits any more for it, nor for the links after it in its chain."""
        for link in call.links():
            self._release(link)
