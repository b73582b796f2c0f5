"""Decodes what a worker answers, without the memory that its errors could be made to ask for.

A result stays encoded; of an error the host makes objects, of which a byte can take some seventy bytes of memory.
"""

from typing import Annotated

import msgspec
from symphony_ipc.framing import decode_typed
from symphony_ipc.payload import decode_payload
from symphony_sdk.errors import MalformedMessage
from symphony_sdk.messages import CALLS_LIMIT, MESSAGE_LIMIT, CallNumber, OperationResults


class _Errors(msgspec.Struct):
    """The errors among the answers, still encoded; msgspec passes over all else."""

    errors: Annotated[dict[CallNumber, msgspec.Raw], msgspec.Meta(max_length=CALLS_LIMIT)] = {}


_ERRORS = msgspec.msgpack.Decoder(_Errors)


def decode_results(payload: memoryview) -> OperationResults:
    """The answers in a message.

    Args:
        payload: Bytes from the worker.

    Raises:
        MalformedMessage: They are no answers, or hold more of errors than there may be.
    """
    if len(payload) > MESSAGE_LIMIT:
        encoded = decode_typed(_ERRORS, payload, "answers").errors
        size = sum(memoryview(error).nbytes for error in encoded.values())
        if size > MESSAGE_LIMIT:
            raise MalformedMessage(f"it sent {size:,} bytes of errors; {MESSAGE_LIMIT:,} are allowed")
    return decode_payload(OperationResults, payload)
