"""Workflows as compact binary files, `.symwf`: a header, and MessagePack of the document's rows.

The header is [BINARY_MAGIC][symphony_workflow.codec.BINARY_MAGIC], the version of the container, its flags and the CRC-32 of what
follows. The rows hold the whole JSON document, the number of its format included, so that an older file takes the
same migrations as one of JSON.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from symphony_sdk.errors import WorkflowError

from symphony_workflow.binary_rows import RowFault, Rows, from_rows, to_rows
from symphony_workflow.codec import BINARY_MAGIC, MAX_BYTES
from symphony_workflow.document import from_document, to_document
from symphony_workflow.migrations import MIGRATIONS, Migration
from symphony_workflow.model import INPUTS, Workflow

VERSION = 1
"""The version of the container that this package reads and writes."""

_HEADER = struct.Struct("<8sBBI")
_DEFLATED = 1
_COMPRESS_ABOVE = 4096
_LEVEL = 6
_MAX_RATIO = 64
"""How much smaller a body may be compressed, so that a small file never becomes a large one in memory."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Rows)


def dumps_binary(workflow: Workflow, *, compress: bool = True) -> bytes:
    """Encode a workflow; the same workflow always gives the same bytes.

    Args:
        workflow: Any workflow, complete or not.
        compress: Whether a body above 4 KiB is compressed.

    Raises:
        WorkflowError: Two parts share a name, or a value is not JSON.
    """
    return pack(to_document(workflow), compress=compress)


def loads_binary(
    data: bytes, *, file: str = "", migrations: Mapping[int, Migration] = MIGRATIONS
) -> Workflow:
    """Decode a workflow.

    Args:
        data: What `dumps_binary` gave, or anything else.
        file: Where it came from, for errors.
        migrations: The step from each older format to the next.

    Raises:
        WorkflowError: It is no binary workflow, damaged, of a newer format, or of the wrong shape.
    """
    return from_document(unpack(data, file=file), file=file, migrations=migrations)


def pack(document: dict[str, Any], *, compress: bool = True) -> bytes:
    """The binary file of a document.

    Args:
        document: The JSON document of a workflow of any format.
        compress: Whether a body above 4 KiB is compressed.
    """
    body, flags = _encoder.encode(to_rows(document, _names(document))), 0
    if compress and len(body) > _COMPRESS_ABOVE:
        deflated = zlib.compress(body, _LEVEL)
        if len(body) // _MAX_RATIO < len(deflated) < len(body):
            body, flags = deflated, _DEFLATED
    return _HEADER.pack(BINARY_MAGIC, VERSION, flags, zlib.crc32(body)) + body


def unpack(data: bytes, *, file: str = "") -> Any:
    """The document in a binary file, in the format that it was written in.

    Args:
        data: The file, which anybody may have made.
        file: Where it came from, for errors.

    Raises:
        WorkflowError: It is no binary workflow, damaged, or of a newer container.
    """
    try:
        return from_rows(_decoder.decode(_body(data, file)), MAX_BYTES)
    except RowFault as error:
        raise _damaged(str(error), file) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(f"its body is not the rows of a workflow: {error}", file) from error


def _body(data: bytes, file: str) -> bytes:
    if len(data) > MAX_BYTES:
        raise _damaged(f"it has {len(data):,} bytes; at most {MAX_BYTES:,} are read", file)
    if not data.startswith(BINARY_MAGIC):
        raise _damaged("it does not begin as one", file)
    if len(data) < _HEADER.size:
        raise _damaged(f"it ends after {len(data)} bytes, within its header", file)
    _, version, flags, crc = _HEADER.unpack_from(data)
    if version > VERSION or flags > _DEFLATED:
        raise WorkflowError(
            f"the binary workflow has a container of version {version} with flags {flags:#04x}; this version of "
            f"Symphony reads up to {VERSION} with {_DEFLATED:#04x}",
            code="SYM-W061",
            hint="Upgrade symphony-workflow, or export the workflow as JSON where it was made.",
            details={"version": version, "flags": flags, "known": VERSION},
            file=file,
        )
    body = data[_HEADER.size :]
    if zlib.crc32(body) != crc:
        raise _damaged("its checksum is that of other bytes: it was cut off or changed on its way", file)
    return _inflate(body, file) if flags else body


def _inflate(body: bytes, file: str) -> bytes:
    limit = min(MAX_BYTES, (len(body) + 1) * _MAX_RATIO)
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise _damaged(f"its body cannot be decompressed: {error}", file) from error
    if len(inflated) > limit:
        raise _damaged(f"its body grows beyond {limit:,} bytes, more than Symphony writes into so few", file)
    if not inflater.eof or inflater.unused_data:
        raise _damaged("its compressed body does not end where the file ends", file)
    return inflated


def _names(document: Any) -> Iterator[str]:
    """What stands before the dot of a place in the workflow and in those within it."""
    yield INPUTS
    if isinstance(document, dict):
        for part in (document, *_values(document.get("workflows"))):
            if isinstance(part, dict) and isinstance(nodes := part.get("nodes"), dict):
                yield from nodes


def _values(found: Any) -> list[Any]:
    return list(found.values()) if isinstance(found, dict) else []


def _damaged(fault: str, file: str) -> WorkflowError:
    return WorkflowError(
        f"this is not a sound binary workflow: {fault}",
        code="SYM-W060",
        hint="Fetch or export the file again; `symphony export FLOW.json -o FLOW.symwf` makes one.",
        file=file,
    )
