"""What the log holds of a run: its events, each with the values that it brought, as MessagePack.

The chunks of a compacted run are deflated; MessagePack of a list never begins with the byte that these begin with.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import RunEvent
from symphony_sdk.values import DECODING_ERRORS

Read = TypeVar("Read")

Stored = bytes | ArtifactRef
"""An encoded value as it is kept: itself where it is small, else the artifact that holds it."""

Entry = tuple[RunEvent, Mapping[str, Stored]]
"""An event, and the outputs of the node or item that it completes."""

Unread = tuple[RunEvent, msgspec.Raw]
"""An entry whose outputs are left as they are encoded: most of them nobody needs any more."""

_DEFLATED = b"\x78"

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Entry])
_UNREAD = msgspec.msgpack.Decoder(list[Unread])
_VALUES = msgspec.msgpack.Decoder(dict[str, Stored])


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Entries as they stand in the log.

    Args:
        entries: Consecutive events of one run.
    """
    return _ENCODER.encode(entries)


def deflate_entries(entries: Sequence[Entry]) -> bytes:
    """Entries as they stand in the log of a compacted run.

    Args:
        entries: Events of one run in order, perhaps with gaps.
    """
    return zlib.compress(_ENCODER.encode(entries))


def decode_entries(data: bytes, run: str) -> list[Entry]:
    """The entries that [encode_entries][pit_dag_tracker.entries.encode_entries] or its deflating sibling wrote.

    Args:
        data: What stands in the log.
        run: Id of the run, for errors.

    Raises:
        RunError: `data` is damaged.
    """
    return _decoded(_DECODER, data, run)


def decode_unread(data: bytes, run: str) -> list[Unread]:
    """The same without reading the outputs.

    Args:
        data: What stands in the log.
        run: Id of the run, for errors.

    Raises:
        RunError: `data` is damaged.
    """
    return _decoded(_UNREAD, data, run)


def decode_outputs(data: msgspec.Raw, run: str) -> dict[str, Stored]:
    """The outputs that were not read with their event.

    Args:
        data: The outputs.
        run: Id of the run, for errors.

    Raises:
        RunError: `data` is damaged.
    """
    try:
        return _VALUES.decode(data)
    except DECODING_ERRORS as error:
        raise _damaged(run, error) from error


def _decoded(decoder: msgspec.msgpack.Decoder[Read], data: bytes, run: str) -> Read:
    try:
        return decoder.decode(zlib.decompress(data) if data[:1] == _DEFLATED else data)
    except (zlib.error, *DECODING_ERRORS) as error:
        raise _damaged(run, error) from error


def _damaged(run: str, error: Exception) -> RunError:
    return RunError(
        f"the log of run {run!r} is damaged: {error}",
        code="SYM-R007",
        hint="Start the workflow anew; other runs are not affected.",
        details={"run": run},
    )


def loggable(error: ErrorPayload) -> ErrorPayload:
    """An error that the log can hold, whatever an extension put into it.

    Args:
        error: An error; its details may hold anything, its texts may not be Unicode.
    """
    try:
        _ENCODER.encode(error)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return ErrorPayload(
            code=_text(error.code),
            message=_text(error.message),
            hint=_text(error.hint),
            details={_text(str(name)): _text(repr(value)) for name, value in error.details.items()},
            file=_text(error.file),
            line=error.line,
            column=error.column,
            traceback=_text(error.traceback),
        )
    return error


def _text(value: str) -> str:
    """`value` without the lone surrogates that file names bring."""
    return value.encode("utf-8", "backslashreplace").decode()
