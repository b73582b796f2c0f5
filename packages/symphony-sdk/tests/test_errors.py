import inspect
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_sdk import errors
from symphony_sdk.error_codes import CATALOGUE
from symphony_sdk.errors import (
    Cancelled,
    ErrorPayload,
    ExtensionError,
    PeerGone,
    SymphonyError,
    TransportError,
    error_from_payload,
    foreign_error,
)

CLASSES = [
    value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, SymphonyError)
]
json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    code=st.sampled_from(sorted(CATALOGUE)),
    message=st.text(),
    hint=st.text(),
    details=st.dictionaries(st.text(max_size=8), json_like, max_size=3),
    file=st.text(),
    line=st.integers(0, 10**6),
    column=st.integers(0, 10**6),
    traceback=st.text(),
)
def test_an_error_crosses_a_boundary_without_losing_a_field(code, **fields):
    message = fields.pop("message")
    error = SymphonyError(message, code=code, **fields)
    payload = msgspec.msgpack.decode(msgspec.msgpack.encode(error.payload()), type=ErrorPayload)
    back = error_from_payload(payload)
    assert back.payload() == error.payload()
    assert code.startswith(back.prefix)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_class_comes_back_as_itself_by_its_code(kind):
    assert type(error_from_payload(kind("what").payload())) is kind


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_code_of_each_class_is_in_the_catalogue(kind):
    assert kind.default_code in CATALOGUE


def test_another_code_of_a_part_comes_back_as_that_parts_class():
    assert type(error_from_payload(ErrorPayload("SYM-T002", "x"))) is errors.MalformedMessage
    assert type(error_from_payload(ErrorPayload("SYM-E013", "x"))) is ExtensionError


def test_a_code_of_a_newer_version_is_kept_in_the_details():
    error = error_from_payload(ErrorPayload("SYM-T987", "from the future"))
    assert type(error) is TransportError
    assert error.details["code"] == "SYM-T987"
    assert error.message == "from the future"


def test_an_unknown_code_of_ours_is_refused_when_it_is_raised():
    with pytest.raises(LookupError, match="SYM-Z999 is not in"):
        SymphonyError("x", code="SYM-Z999")


def test_an_extension_may_use_codes_of_its_own():
    assert error_from_payload(SymphonyError("x", code="ACME-001").payload()).code == "ACME-001"


def test_the_text_of_an_error_begins_with_its_place():
    error = SymphonyError("wrong", file="a.toml", line=3, column=7)
    assert str(error) == "a.toml:3:7: wrong"
    assert str(SymphonyError("wrong")) == "wrong"


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_entry_of_the_catalogue_is_written_for_people(code):
    entry = CATALOGUE[code]
    assert code.startswith("SYM-")
    assert entry.title
    assert not entry.title.endswith(".")
    assert entry.explanation.endswith(".")
    assert len(entry.explanation) > 40


def test_foreign_code_is_named_with_its_file_line_and_traceback():
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError as raised:
        error = foreign_error(raised, "acme.text")
    assert error.code == "SYM-E014"
    assert error.message == "'acme.text' raised ZeroDivisionError: by zero"
    assert error.file == __file__
    assert error.line > 0
    assert "ZeroDivisionError: by zero" in error.traceback


def test_an_error_of_ours_stays_what_it_is():
    error = PeerGone("gone")
    assert foreign_error(error, "acme.text") is error


def test_a_cancelled_coroutine_is_a_cancelled_call():
    import asyncio

    assert isinstance(foreign_error(asyncio.CancelledError(), "acme.text"), Cancelled)


def test_an_error_without_a_traceback_has_no_place():
    assert foreign_error(ValueError(), "acme.text").place == ""


def test_errors_can_be_pickled_by_tools_that_must():
    assert str(pickle.loads(pickle.dumps(SymphonyError("x")))) == "x"
