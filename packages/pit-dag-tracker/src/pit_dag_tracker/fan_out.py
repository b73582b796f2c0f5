"""A map node while it runs: the items of its list, which are done, and what they gave; none of it is decoded."""

from collections.abc import Mapping

import msgspec
from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.values import DECODING_ERRORS, encode
from symphony_workflow.model import MapNode
from symphony_workflow.ports import map_result

_ITEMS = msgspec.msgpack.Decoder(list[msgspec.Raw])
_VALUE = msgspec.msgpack.Decoder(msgspec.Raw)
_NULL = msgspec.Raw(encode(None))


class FanOut:
    """The items of one map node that is under way; `active` counts those that run or are about to.

    Args:
        node: The map node.
        inputs: What the node is given: encoded values by port name.
        done: The outputs of the items that are done, by index.
        failed: The errors of the items that failed and are collected, by index.
        attempt: Number of the next attempt at any item.

    Raises:
        RunError: The input that is mapped over is missing, no list, or longer than the node allows.
    """

    def __init__(
        self,
        node: MapNode,
        inputs: Mapping[str, bytes],
        *,
        done: dict[int, dict[str, bytes]],
        failed: dict[int, ErrorPayload],
        attempt: int,
    ) -> None:
        try:
            self._items = _ITEMS.decode(inputs[node.over])
        except KeyError:
            raise RunError(
                f"map node {node.id!r} is given no list at its input {node.over!r}",
                code="SYM-R010",
                hint=f"Connect an edge to {node.id}.{node.over}, or set it in the node's params.",
            ) from None
        except DECODING_ERRORS as error:
            raise RunError(
                f"map node {node.id!r} is given something else than a list at its input {node.over!r}: {error}",
                code="SYM-R010",
                hint="Connect an output that is a list, or use an operator node for a single value.",
            ) from error
        if node.max_items is not None and len(self._items) > node.max_items:
            raise RunError(
                f"map node {node.id!r} is given {len(self._items):,} items; at most {node.max_items:,} are allowed",
                code="SYM-R082",
                hint="Raise its `max_items`, or give it a shorter list.",
                details={"node": node.id, "items": len(self._items)},
            )
        self.attempt = attempt
        self.active = 0
        self.work = 0.0
        self.received = 0
        self.memory = 0
        self.failure: tuple[int, ErrorPayload] | None = None
        self._over = node.over
        self._collects = node.on_error == "collect"
        self._fixed = {port: value for port, value in inputs.items() if port != node.over}
        self._done = done
        self._failed = failed
        self._waiting = (item for item in range(len(self._items)) if item not in done and item not in failed)
        self._left = len(self._items) - len(done) - len(failed)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def over(self) -> bool:
        """Whether every item has reached an end."""
        return not self._left

    def next(self) -> int | None:
        """The next item that may run, each once; None where there is none, or one has failed the node."""
        item = None if self.failure else next(self._waiting, None)
        if item is not None:
            self.active += 1
        return item

    def drop(self) -> None:
        """Give up one of the items that were about to run."""
        self.active -= 1

    def inputs(self, item: int) -> dict[str, bytes]:
        """What the call for an item is given.

        Args:
            item: Its index.
        """
        return {**self._fixed, self._over: bytes(self._items[item])}

    def complete(self, item: int, outputs: dict[str, bytes], seconds: float) -> None:
        """Take what an item gave.

        Args:
            item: Its index.
            outputs: Encoded values by port name.
            seconds: How long the extension's own code ran.
        """
        self.active -= 1
        self._done[item] = outputs
        self._left -= 1
        self.work += seconds

    def fail(self, item: int, error: ErrorPayload) -> bool:
        """Take the failure of an item; whether it is collected, so that the others go on.

        Args:
            item: Its index.
            error: Why it failed.
        """
        self.active -= 1
        if self._collects:
            self._failed[item] = error
            self._left -= 1
        elif self.failure is None:
            self.failure = (item, error)
        return self._collects

    def outputs(self) -> dict[str, bytes]:
        """The outputs of the node, once every item is done."""
        results = []
        for item in range(len(self._items)):
            outputs = self._done.get(item)
            result = _NULL if outputs is None else map_result(outputs)
            if isinstance(result, dict):
                result = msgspec.Raw(encode({port: msgspec.Raw(value) for port, value in result.items()}))
            results.append(msgspec.Raw(result))
        encoded = {"results": encode(results)}
        if self._collects:
            encoded["errors"] = encode(
                [
                    {"index": item, "code": error.code, "message": error.message}
                    for item, error in sorted(self._failed.items())
                ]
            )
        return encoded


def check_value(value: bytes) -> None:
    """See that bytes are one whole value, because those of many items are joined without being decoded.

    Args:
        value: What an item gave.

    Raises:
        RunError: They are no value, or more than one.
    """
    try:
        _VALUE.decode(value)
    except DECODING_ERRORS as error:
        raise RunError(
            f"the operation gave {len(value):,} bytes that are no value: {error}",
            code="SYM-R011",
            hint="This is an error of the extension or of the executor that ran it.",
        ) from error
