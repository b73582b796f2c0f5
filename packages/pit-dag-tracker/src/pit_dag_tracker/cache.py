"""Finds the results of unchanged nodes: an index in memory of what the log holds, by the keys of calls.

What is found is read from the log of the run that computed it, in a thread; what follows it there is read with it,
because whoever asks for one result is likely to ask for the next. All of it may fail or be gone at any time: then there
is no result, and the node runs.
"""

import asyncio
import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from functools import partial

import msgspec
from symphony_sdk.errors import SymphonyError
from symphony_sdk.events import ItemCompleted, NodeCompleted, NodeReused
from symphony_sdk.providers import Services

from pit_dag_tracker.entries import Entry, Stored, decode_entries
from pit_dag_tracker.keys import Call, Identities, Known, identities, known_operations
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.result_tables import Pointer, read_results
from pit_dag_tracker.spill import Spill, artifact_ids
from pit_dag_tracker.tables import read_chunks

CHUNKS_AHEAD = 64
"""Chunks of a log that are read at once."""

BYTES_READ = 256 << 10
"""Bytes of a log after which no further chunk is read."""

BYTES_AHEAD = 8 << 20
"""Bytes of results that are kept because they may be asked for next."""

_EACH = 256
"""Bytes that a result takes beside its values, about."""

_log = logging.getLogger(__name__)


class Result(msgspec.Struct, frozen=True):
    """An earlier result that stands in for a node or an item.

    Args:
        run: Id of the run that computed it.
        node: Id of the node that did.
        at: Unix time in seconds when it did.
        seconds: How long that took.
        stored: The outputs as the log holds them.
        outputs: Their encoded values by port name.
    """

    run: str
    node: str
    at: float
    seconds: float
    stored: Mapping[str, Stored]
    outputs: dict[str, bytes]


class RunOperations(msgspec.Struct, frozen=True):
    """The operations that a run uses.

    Args:
        known: What is known of each, by its id.
        identities: Those whose results may stand in for later calls.
    """

    known: dict[str, Known]
    identities: Identities

    def idempotent(self, operation: str) -> bool:
        """Whether an operation may be run twice; not where nothing is known of it.

        Args:
            operation: Its id.
        """
        return operation in self.known and self.known[operation].idempotent


class Cache:
    """The results that the log of a data directory holds; its methods may be called from any thread.

    Attributes:
        find: Where the result of a call is, by its key; None where there is none. Called for each node, so it is no
            more than a look into the index; so are the two others.
        learn: Notes where the result of a call will be, by its key.
        ready: A result that was read already, by where it is; None for any other.

    Args:
        log: The log.
        services: Gives the Artifact Store, and the extensions, without which no result can stand in for a later one.
    """

    def __init__(self, log: EventLog, services: Services) -> None:
        self._event_log = log
        self._services = services
        self._index: dict[bytes, Pointer] = {}
        self._seen: dict[bytes, int] = {}
        self._ahead: dict[Pointer, Result] = {}
        self._ahead_bytes = 0
        self._changing = threading.Lock()
        self.find = self._index.get
        self.learn = self._index.__setitem__
        self.ready = self._ahead.get

    async def operations_of(self, calls: Collection[Call]) -> RunOperations:
        """What is known of some operations, after a look which of their results there are by now.

        Args:
            calls: What the nodes of a run run.
        """
        extensions = getattr(self._services, "extensions", None)
        if extensions is None:
            return RunOperations({}, {})
        try:
            known = known_operations(calls, await extensions.operations(), await extensions.extensions())
        except SymphonyError as error:
            _log.warning("no earlier result can stand in, and none is kept for later: %s", error)
            return RunOperations({}, {})
        found = RunOperations(known, identities(calls, known))
        await asyncio.to_thread(self.load, found.identities.values())
        return found

    def load(self, operations: Iterable[bytes]) -> None:
        """Learn which results of some operations the log holds by now, those of other processes among them.

        Args:
            operations: The identities of the operations.
        """
        try:
            for one in operations:
                after = self._seen.get(one, 0)
                read = partial(read_results, identity=one, after=after)
                self._seen[one], found = self._event_log.look(read)
                self._index.update(found)
        except SymphonyError as error:
            _log.warning("not all results of earlier runs are known: %s", error)

    def forget(self, key: bytes, pointer: Pointer) -> None:
        """Note that a result is gone.

        Args:
            key: The key of the call.
            pointer: Where the result was.
        """
        if self._index.get(key) == pointer:
            del self._index[key]
        self._ahead.pop(pointer, None)

    def fetch(self, pointers: Iterable[Pointer]) -> dict[Pointer, Result]:
        """Read results; those that are gone are left out.

        Args:
            pointers: Where they should be.
        """
        found: dict[Pointer, Result] = {}
        for pointer in pointers:
            if pointer not in found:
                result = self._ahead.get(pointer) or self._read(pointer)
                if result is not None:
                    found[pointer] = result
        return found

    def _read(self, pointer: Pointer) -> Result | None:
        run, sequence = pointer
        try:
            entries = self._entries(run, sequence)
            if not entries:  # it may be on its way to the disk
                self._event_log.flush().result()
                entries = self._entries(run, sequence)
            self._read_ahead(run, entries)
            entry = next((entry for entry in entries if entry[0].sequence == sequence), None)
            return self._result(run, entry) if entry is not None else None
        except (SymphonyError, OSError) as error:
            _log.info("the result of event %d of run %s cannot be used: %s", sequence, run, error)
            return None

    def _entries(self, run: str, sequence: int) -> list[Entry]:
        rows = self._event_log.look(
            lambda connection: read_chunks(connection, run, sequence, CHUNKS_AHEAD, BYTES_READ)
        )
        return [
            entry for data in rows for entry in decode_entries(data, run) if entry[0].sequence >= sequence
        ]

    def _read_ahead(self, run: str, entries: Iterable[Entry]) -> None:
        """Keep what is small and needs no artifact."""
        with self._changing:
            for entry in entries:
                pointer = run, entry[0].sequence
                result = small_result(run, entry) if pointer not in self._ahead else None
                if result is None:
                    continue
                size = _EACH + sum(map(len, result.outputs.values()))
                if self._ahead_bytes + size > BYTES_AHEAD:
                    self._ahead.clear()
                    self._ahead_bytes = 0
                self._ahead[pointer] = result
                self._ahead_bytes += size

    def _result(self, run: str, entry: Entry) -> Result | None:
        """A result with its artifacts; None where one of them was removed."""
        _, stored = entry
        if not stored:  # a compacted log has the event without its values
            return None
        outputs = Spill(self._services, run).load(stored)
        if any(self._services.pit.artifacts.info(id_).removed for id_ in artifact_ids(outputs)):
            return None
        return _found(run, entry, outputs)


def small_result(run: str, entry: Entry) -> Result | None:
    """A result that needs no artifact; None for one that does, and for an event that brings none.

    Args:
        run: Id of the run that the event is of.
        entry: An event with its outputs.
    """
    outputs = {port: value for port, value in entry[1].items() if isinstance(value, bytes)}
    if not outputs or len(outputs) < len(entry[1]) or artifact_ids(outputs):
        return None
    return _found(run, entry, outputs)


def _found(run: str, entry: Entry, outputs: dict[str, bytes]) -> Result | None:
    """A result, with where it was computed first."""
    event, stored = entry
    match event:
        case NodeCompleted():
            return Result(run, event.node, event.at, event.seconds, stored, outputs)
        case NodeReused(cached=True):
            return Result(event.origin, event.source, event.computed, event.seconds, stored, outputs)
        case ItemCompleted(origin=""):
            return Result(run, f"{event.node}[{event.item}]", event.at, event.seconds, stored, outputs)
        case ItemCompleted():
            return Result(event.origin, event.source, event.computed, event.seconds, stored, outputs)
        case _:
            return None
