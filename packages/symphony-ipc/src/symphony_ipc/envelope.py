"""The envelope around every message: what a connection must know to route it, and the payload untouched."""

from contextvars import ContextVar
from enum import IntEnum
from typing import Annotated, Final

import msgspec

PROTOCOL_MIN: Final = 1
"""Oldest version of the protocol that this code speaks."""

PROTOCOL_MAX: Final = 1
"""Newest version of the protocol that this code speaks."""


class Kind(IntEnum):
    """What an envelope is. The numbers are part of the protocol: they are added to and never changed."""

    HELLO = 1
    WELCOME = 2
    REQUEST = 3
    RESPONSE = 4
    ERROR = 5
    NOTIFY = 6
    CANCEL = 7
    PING = 8
    PONG = 9
    PUBLISH = 10
    ITEM = 11
    CREDIT = 12


DATA_KINDS: Final = frozenset({Kind.REQUEST, Kind.RESPONSE, Kind.PUBLISH, Kind.ITEM})
"""The kinds whose frames may be longer than a control frame."""

EMPTY: Final = memoryview(b"")

TRACEPARENT: ContextVar[str] = ContextVar("traceparent", default="")
"""W3C trace context of the work at hand; every request takes it along."""

IDEMPOTENCY_KEY: ContextVar[str] = ContextVar("idempotency_key", default="")
"""Key of the request at hand, for a handler that must not do its work twice; empty where it has none."""


class Envelope(msgspec.Struct, array_like=True, gc=False):
    """One message on the wire: a MessagePack array of these fields, in this order.

    New fields are only ever added at the end, with a default. A reader ignores fields that it does not
    know and fills in those that an older writer left out.

    Args:
        kind: What it is.
        id: Number of the request that it belongs to, unique among those of its sender on this connection;
            0 where it belongs to none.
        type: Wire name of the payload's message, such as `worker.call/1`.
        deadline: Seconds that are left for the answer, counted from when it was sent. It is relative
            because the clocks of two machines differ.
        traceparent: W3C trace context of the caller; empty where there is none.
        idempotency_key: Two requests of the same key ask for the same thing once; empty where repeating
            is not safe.
        meta: What else the caller says about the message.
        to: The endpoint that a request is for, or the topic of what is published; empty where it is for the
            other end of this connection.
        group: The queue group that a published message is for; empty for all subscribers outside of groups.
        credit: Items of a stream that the one who asked can take: with a REQUEST at first, with a CREDIT more.
            0 asks for a single answer.
        payload: The encoded message, as MessagePack `bin`. Decoded, it is a view of the frame.
    """

    kind: Kind
    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    type: str = ""
    deadline: Annotated[float, msgspec.Meta(ge=0)] | None = None
    traceparent: str = ""
    idempotency_key: str = ""
    meta: dict[str, str] | None = None
    to: str = ""
    group: str = ""
    credit: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    payload: memoryview = EMPTY
