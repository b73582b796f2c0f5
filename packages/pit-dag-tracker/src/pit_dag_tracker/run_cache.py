"""What one run takes from the results of earlier runs, and what it adds to them."""

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec
from symphony_sdk.events import ItemCompleted, NodeReused
from symphony_sdk.ports.executor import NodeEvent
from symphony_workflow.model import CACHED

from pit_dag_tracker.cache import Cache, Result, RunOperations, small_result
from pit_dag_tracker.entries import Entry, Stored
from pit_dag_tracker.keys import Caller, Keys
from pit_dag_tracker.result_tables import Keyed, Pointer
from pit_dag_tracker.spill import artifact_ids
from pit_dag_tracker.waiting import Key


class _Wanted(msgspec.Struct, frozen=True, eq=False):
    key: Key
    made: bytes
    pointer: Pointer
    ttl: float | None


class RunCache:
    """What one run takes from earlier results, and adds to them.

    A node that its user named is never looked up, nor is any in a run that was asked to compute everything anew; what
    they give is kept all the same, so that later runs take the newest.

    Args:
        run: Id of the run.
        cache: The results.
        operations: The operations of the run.
        reads: Whether earlier results may stand in.
        asked: Whether a node was named to run again by a user of the run.
        note: Takes what is to be written with the events that were emitted last.
        unsent: An event of the run that is not on its way to the log yet, by its number.
        use: Takes a result that stands in for a node or an item.
        miss: Takes a node or an item whose result turned out to be gone.
        on_idle: Called when no results are being read any more.
    """

    def __init__(
        self,
        run: str,
        cache: Cache,
        operations: RunOperations,
        *,
        reads: bool,
        asked: Callable[[int], bool],
        note: Callable[[Keyed], None],
        unsent: Callable[[int], Entry | None],
        use: Callable[[Key, Result], None],
        miss: Callable[[Key], None],
        on_idle: Callable[[], None],
    ) -> None:
        self._run = run
        self._cache = cache
        self._known = operations.known
        self._identities = identities = operations.identities
        self._plain = {name: one for (name, policy), one in identities.items() if policy == CACHED}
        self._reads = reads
        self._asked = asked
        self._learn = cache.learn
        self._note = note
        self._unsent = unsent
        self._use = use
        self._miss = miss
        self._on_idle = on_idle
        self._make_key = Keys().key
        self._calls: dict[Key, tuple[bytes, bytes]] = {}
        self._wanted: list[_Wanted] = []
        self._out: dict[Key, _Wanted] = {}
        self._declined: set[Key] = set()
        self._fetching: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether no results are being read."""
        return self._fetching is None

    def looks_up(self, node: Caller) -> bool:
        """Whether an earlier result may stand in for the calls of a node.

        Args:
            node: The node.
        """
        return self._reads and (node.uses, node.cache) in self._identities

    def stands_in(self, key: Key, node: Caller, inputs: Mapping[str, bytes]) -> bool:
        """Whether an earlier result stands in for a call, now or once it is read; else the call is to be made.

        Args:
            key: The node or item.
            node: The node.
            inputs: What the call is given.
        """
        policy = node.cache
        if policy is CACHED:
            which = self._plain.get(node.uses)
        else:
            which = self._identities.get((node.uses, policy))
            inputs = {port: value for port, value in inputs.items() if port not in policy.ignore}
        if which is None:
            return False
        made = self._make_key(which, inputs)
        self._calls[key] = which, made
        pointer = self._cache.find(made)
        if pointer is None or not self._reads or self._asked(key[0]):
            return False
        if key in self._declined:
            self._declined.remove(key)
            return False
        result = self._cache.ready(pointer) or self._own(pointer)
        if result is None:
            self._out[key] = wanted = _Wanted(key, made, pointer, policy.ttl)
            self._wanted.append(wanted)
            if self._fetching is None:
                self._fetching = asyncio.get_running_loop().create_task(self._fetch())
            return True
        if _expired(result, policy.ttl):
            return False
        self._use(key, result)
        return True

    def withdraw(self, number: int) -> None:
        """Let no result that is being read stand in for a node any more.

        Args:
            number: The node.
        """
        if self._out:
            self._out = {key: wanted for key, wanted in self._out.items() if key[0] != number}

    def made_by(self, key: Key, event: NodeEvent) -> None:
        """Keep no result of other code than the one that the run began with: its extension was reloaded meanwhile.

        Args:
            key: The node or item.
            event: The call's completion.
        """
        ran = event.fingerprint
        if ran and key in self._calls and ran != self._known[event.call.operation].fingerprint:
            del self._calls[key]

    def keep(self, key: Key, sequence: int, stored: Mapping[str, Stored]) -> None:
        """Let the result of a call stand in for later ones like it; one without any output is not worth it.

        Args:
            key: The node or item.
            sequence: Number of the event that brought it, which was emitted last.
            stored: Its outputs.
        """
        call = self._calls.pop(key, None)
        if call is not None and stored:
            which, made = call
            self._note((which, made, sequence))
            self._learn(made, (self._run, sequence))

    def _own(self, pointer: Pointer) -> Result | None:
        """A result of this run that is not on its way to the log yet."""
        entry = self._unsent(pointer[1]) if pointer[0] == self._run else None
        return small_result(self._run, entry) if entry is not None else None

    async def _fetch(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, []
                found = await asyncio.to_thread(self._cache.fetch, [one.pointer for one in wanted])
                for one in wanted:
                    result = found.get(one.pointer)
                    if result is None:
                        self._cache.forget(one.made, one.pointer)
                    if self._out.get(one.key) is not one:
                        continue
                    del self._out[one.key]
                    if result is None or _expired(result, one.ttl):
                        self._declined.add(one.key)
                        self._miss(one.key)
                    else:
                        self._use(one.key, result)
        finally:
            self._fetching = None
            self._on_idle()


def _expired(result: Result, ttl: float | None) -> bool:
    return ttl is not None and result.at + ttl < time.time()


def reuse(
    run: str, node: str, item: int, sequence: int, at: float, result: Result
) -> NodeReused | ItemCompleted:
    """The event with which an earlier result stands in.

    Args:
        run: Id of the run.
        node: Id of the node.
        item: Index of the item; -1 for the whole node.
        sequence: Number of the event.
        at: Unix time in seconds.
        result: The earlier result.
    """
    if item < 0:
        return NodeReused(
            run=run,
            sequence=sequence,
            at=at,
            node=node,
            origin=result.run,
            seconds=result.seconds,
            artifacts=artifact_ids(result.outputs),
            cached=True,
            source=result.node,
            computed=result.at,
        )
    return ItemCompleted(
        run=run,
        sequence=sequence,
        at=at,
        node=node,
        item=item,
        seconds=result.seconds,
        origin=result.run,
        source=result.node,
        computed=result.at,
    )
