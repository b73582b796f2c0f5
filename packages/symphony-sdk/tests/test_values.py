import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_sdk.errors import MalformedMessage
from symphony_sdk.values import UNTYPED_LIMIT, decode, encode

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_every_value_comes_back(value):
    assert decode(encode(value)) == value


@given(st.binary())
def test_no_bytes_raise_anything_but_malformed_message(data):
    try:
        decode(data)
    except MalformedMessage as error:
        assert error.code == "SYM-T002"


@given(st.binary())
def test_no_bytes_raise_anything_but_malformed_message_with_a_type(data):
    try:
        assert isinstance(decode(data, dict[str, list[int]]), dict)
    except MalformedMessage as error:
        assert error.code == "SYM-T002"


def test_a_long_value_is_not_read_without_a_type():
    data = encode([0] * (UNTYPED_LIMIT + 1))
    with pytest.raises(MalformedMessage, match="without a type"):
        decode(data)
    assert len(decode(data, list[int])) == UNTYPED_LIMIT + 1


def test_deep_nesting_is_an_error_and_no_crash():
    with pytest.raises(MalformedMessage):
        decode(b"\x91" * 100_000 + b"\xc0")


def test_a_type_without_an_encoding_is_named():
    with pytest.raises(TypeError, match="Strange has no encoding"):
        encode(Strange())


class Strange:
    pass


def test_a_list_is_split_without_reading_its_items():
    parts = msgspec.msgpack.decode(encode([{"a": 1}, "b"]), type=list[msgspec.Raw])
    assert [decode(bytes(part)) for part in parts] == [{"a": 1}, "b"]
    assert decode(encode(parts)) == [{"a": 1}, "b"]
