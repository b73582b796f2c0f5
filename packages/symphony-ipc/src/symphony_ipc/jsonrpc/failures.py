"""Errors as JSON-RPC has them: a number, a text and data; and Symphony's own, which go along in the data."""

from typing import Any, Final

import msgspec
from symphony_sdk.errors import (
    ErrorPayload,
    MalformedMessage,
    SymphonyError,
    TransportError,
    error_from_payload,
)

from symphony_ipc.framing import DECODING_FAILURES

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000
"""Number of an error whose data is Symphony's own error."""

_DATA_LIMIT: Final = (
    64 << 10
)  # bytes of data that are decoded into objects, which take up to 72 times as much


class ErrorObject(msgspec.Struct, frozen=True):
    """What stands in `error`.

    Args:
        code: Number of the kind of error.
        message: For people.
        data: Facts for programs.
    """

    code: int
    message: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_ERROR: Final = msgspec.json.Decoder(ErrorObject)
_PAYLOAD: Final = msgspec.json.Decoder(ErrorPayload)


def rpc_error(code: int, message: str, data: Any = None) -> TransportError:
    """An error with a number of JSON-RPC, for methods that must answer with exactly that.

    Args:
        code: The number.
        message: What is wrong, for people.
        data: JSON-like facts.
    """
    return TransportError(message, code="SYM-T050", details={"code": code, "data": data})


def error_object(error: SymphonyError) -> ErrorObject:
    """An error as it is sent; one that has no form in JSON goes without its details.

    Args:
        error: Why a request failed.
    """
    if error.code == "SYM-T050" and isinstance(error.details.get("code"), int):
        code, data = error.details["code"], error.details.get("data")
    else:
        code, data = SERVER_ERROR, error.payload()
    try:
        encoded: msgspec.Raw | msgspec.UnsetType = msgspec.Raw(msgspec.json.encode(data))
    except (TypeError, ValueError, OverflowError, RecursionError):
        encoded = msgspec.UNSET
    if data is None:
        encoded = msgspec.UNSET
    return ErrorObject(code, error.message.encode(errors="backslashreplace").decode(), encoded)


def error_of(raw: msgspec.Raw) -> SymphonyError:
    """The error that a peer answered with.

    Args:
        raw: What stands in `error`.
    """
    try:
        found = _ERROR.decode(raw)
    except DECODING_FAILURES as error:
        return MalformedMessage(f"the error in an answer is none: {error}")
    data: Any = None
    if found.data is not msgspec.UNSET:
        encoded = bytes(found.data)
        if len(encoded) > _DATA_LIMIT:
            data = f"{len(encoded):,} bytes, which were left out"
        else:
            try:
                if found.code == SERVER_ERROR:
                    return error_from_payload(_PAYLOAD.decode(encoded))
            except DECODING_FAILURES:
                pass  # the data of a peer that is not Symphony's
            try:
                data = msgspec.json.decode(encoded)
            except DECODING_FAILURES as error:
                data = f"not JSON: {error}"
    return rpc_error(found.code, found.message, data)
