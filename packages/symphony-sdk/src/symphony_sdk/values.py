"""Values of ports as bytes: how they are encoded, and how they are decoded without trusting them.

A value is MessagePack. Whoever only passes a value on keeps the bytes; whoever reads it says which type
it expects. A decode without a type is bounded, because a few bytes can ask for a lot of memory.
"""

from pathlib import PurePath
from typing import Any, TypeVar, cast

import msgspec

from symphony_sdk.errors import MalformedMessage

T = TypeVar("T")

UNTYPED_LIMIT = 1 << 20
"""Bytes of a value that [decode][symphony_sdk.values.decode] reads without being told a type."""

DECODING_ERRORS = (
    msgspec.MsgspecError,
    UnicodeDecodeError,
    RecursionError,
    ValueError,
    OverflowError,
)
"""Everything that msgspec raises for bytes that it cannot decode."""


def encode(value: Any) -> bytes:
    """Encode a value of a port.

    Args:
        value: JSON-like values, bytes, dates, dataclasses, Structs, enums and paths.

    Raises:
        TypeError: A type of `value` has no encoding.
    """
    return _ENCODER.encode(value)


def decode(data: bytes | memoryview, type_: type[T] | Any = Any) -> T:
    """Decode a value of a port.

    Args:
        data: What [encode][symphony_sdk.values.encode] gave, perhaps in a process that is not trusted.
        type_: The type that is expected.

    Raises:
        MalformedMessage: `data` is no value of that type; or no type is given and it is longer than
            `UNTYPED_LIMIT`.
    """
    if type_ is Any and len(data) > UNTYPED_LIMIT:
        raise MalformedMessage(
            f"a value of {len(data):,} bytes was to be read without a type; {UNTYPED_LIMIT:,} bytes are allowed",
            hint="Pass the value on undecoded, read it with its type, or keep it as an artifact.",
        )
    try:
        return cast("T", msgspec.msgpack.decode(data, type=type_, dec_hook=decode_hook))
    except DECODING_ERRORS as error:
        raise MalformedMessage(f"a value is not of the type that its port has: {error}") from error


def encode_hook(value: Any) -> Any:
    """Paths as text; for the types that msgspec does not know."""
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a value of type {type(value).__module__}.{type(value).__qualname__} has no encoding")


def decode_hook(kind: type[Any], value: Any) -> Any:
    """Text as the path that a port asks for; for the types that msgspec does not know."""
    if issubclass(kind, PurePath):
        return kind(value)
    raise TypeError(f"a port of type {kind.__module__}.{kind.__qualname__} has no decoding")


def schema_hook(kind: type[Any]) -> dict[str, Any]:
    """JSON Schema of the types that msgspec does not know."""
    if issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}
    raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be the type of a port")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=encode_hook)
