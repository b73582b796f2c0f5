"""How much a message may hold: by its type, and what the worst one costs."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from symphony_ipc.payload import decode_payload, encode_payload
from symphony_sdk.errors import MalformedMessage, TransportError
from symphony_sdk.messages import (
    MESSAGE_LIMIT,
    MESSAGES,
    LogLine,
    OperationResult,
    PutArtifact,
    message_limit,
)


class Small(msgspec.Struct):
    __message_type__ = "test.small/1"
    __message_limit__ = 100
    text: str


@pytest.mark.parametrize(
    ("message", "limit"), [(Small("x" * 100), 100), (LogLine("x", "x" * (1 << 20)), 1 << 20)]
)
def test_a_message_that_is_larger_than_its_type_allows_is_neither_sent_nor_read(message, limit):
    with pytest.raises(TransportError, match=f"{limit:,} are allowed") as caught:
        encode_payload(message)
    assert caught.value.code == "SYM-T005"
    with pytest.raises(MalformedMessage, match=f"{limit:,} are allowed"):
        decode_payload(type(message), memoryview(msgspec.msgpack.encode(message)))


def test_a_message_that_is_as_large_as_its_type_allows_is_sent_and_read():
    for size in (80, 85, 90, 92, 93):
        message = Small("x" * size)
        payload = msgspec.msgpack.encode(message)
        if len(payload) <= 100:
            assert decode_payload(Small, encode_payload(message)) == message
    assert len(payload) > 100, "the edge was crossed"


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_type_that_may_be_large_bounds_its_collections(name):
    kind = MESSAGES[name]
    if message_limit(kind) <= MESSAGE_LIMIT:
        return
    for field in msgspec.inspect.type_info(kind).fields:
        if isinstance(field.type, msgspec.inspect.DictType | msgspec.inspect.CollectionType):
            assert field.type.max_length is not None, f"{name}.{field.name} has no bound"
            assert field.type.max_length <= 1024


def test_more_values_than_an_operation_can_have_are_refused():
    many = {str(n): msgspec.Raw(b"\xc0") for n in range(1025)}
    with pytest.raises(MalformedMessage, match="1024"):
        decode_payload(OperationResult, encode_payload(OperationResult(outputs=many)))
    with pytest.raises(MalformedMessage, match="1024"):
        decode_payload(PutArtifact, encode_payload(PutArtifact(b"", metadata=dict.fromkeys(many, ""))))


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS bounds nothing elsewhere")
@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ("lists", "decoded LoadExtension"),
        ("maps", "decoded LoadExtension"),
        ("schemas", "decoded ExtensionLoaded"),
        ("too many maps", "refused"),
        ("too many schemas", "refused"),
        ("wide outputs", "refused"),
        ("wide metadata", "refused"),
    ],
)
def test_the_worst_payload_costs_less_than_128_mebibytes(case, outcome):
    """The limit is enforced by the operating system on a process of its own."""
    script = Path(__file__).with_name("hostile_payload.py")
    run = subprocess.run(
        [sys.executable, str(script), case], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.startswith(outcome), run.stderr
