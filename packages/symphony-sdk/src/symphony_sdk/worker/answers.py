"""The answers of calls that came together: whatever is there leaves when somebody sends, and waits for no slower one."""

import threading
from typing import Final

import msgspec

from symphony_sdk.errors import ErrorPayload, SymphonyError, TransportError, payload_within
from symphony_sdk.messages import DATA_LIMIT, MESSAGE_LIMIT, OperationResult, OperationResults
from symphony_sdk.worker.channel import IncomingCall

_AROUND: Final = 64 << 10  # bytes that a frame has besides the values in it
_ERROR_LIMIT: Final = MESSAGE_LIMIT // 2


class Batch:
    """Calls that came in one request.

    Args:
        call: The request.
        calls: How many calls it holds.
    """

    __slots__ = ("call", "errors", "left", "results", "returned", "size")

    def __init__(self, call: IncomingCall, calls: int) -> None:
        self.call = call
        self.left = calls
        self.size = 0
        self.results: dict[int, OperationResult] = {}
        self.errors: dict[int, ErrorPayload] = {}
        self.returned: list[int] = []


class Answers:
    """Collects answers and sends them; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._waiting: dict[Batch, None] = {}

    def add(self, batch: Batch, number: int, answer: OperationResult | SymphonyError | None) -> bool:
        """Keep the answer of a call until `flush`; whether it is the last of its batch. Sends at once what is large.

        Args:
            batch: What the call came in.
            number: Its number.
            answer: Its result, why it failed, or None where it was given back.
        """
        size = 0
        error: ErrorPayload | None = None
        if isinstance(answer, OperationResult):
            size = sum(len(bytes(value)) for value in answer.outputs.values())
            if size > DATA_LIMIT - _AROUND:
                answer, size = _too_large(size), 0
        if isinstance(answer, SymphonyError):
            error = payload_within(answer, _ERROR_LIMIT)
            size = len(msgspec.msgpack.encode(error))
        if batch.size + size > MESSAGE_LIMIT:
            self.flush()
        with self._lock:
            if isinstance(answer, OperationResult):
                batch.results[number] = answer
            elif error is not None:
                batch.errors[number] = error
            else:
                batch.returned.append(number)
            batch.size += size
            batch.left -= 1
            last = not batch.left
            self._waiting[batch] = None
        if size > MESSAGE_LIMIT:
            self.flush()
        return last

    def flush(self) -> None:
        """Send what is there; waits while the host does not read."""
        if not self._waiting:
            return
        with self._sending:
            with self._lock:
                waiting, self._waiting = self._waiting, {}
                taken = [(batch, _taken(batch), batch.left == 0) for batch in waiting]
            for batch, results, last in taken:
                _send(batch.call, results, last=last)


def _taken(batch: Batch) -> OperationResults:
    results = OperationResults(batch.results, batch.errors, tuple(batch.returned))
    batch.results, batch.errors, batch.returned, batch.size = {}, {}, [], 0
    return results


def _send(call: IncomingCall, results: OperationResults, *, last: bool) -> None:
    try:
        if last:
            call.respond(results)
        else:
            call.send_item(results)
    except SymphonyError:
        pass  # the connection has ended, and the calls of it with it: the runtime is told


def _too_large(size: int) -> TransportError:
    return TransportError(
        f"the outputs of the call have {size:,} bytes; {DATA_LIMIT - _AROUND:,} are allowed",
        code="SYM-T005",
        hint="Store large values as artifacts and send their references.",
        details={"bytes": size, "limit": DATA_LIMIT - _AROUND},
    )
