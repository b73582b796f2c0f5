import datetime
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_sdk import Context, ExtensionError, PortSpec, operator
from symphony_sdk.errors import MalformedMessage
from symphony_sdk.extension import Signature
from symphony_sdk.values import decode, encode


class Color(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


class Box(msgspec.Struct):
    corner: Point
    color: Color = Color.RED


class Pair(TypedDict):
    left: int
    right: Annotated[list[str], msgspec.Meta(description="the right one")]


class Perhaps(TypedDict, total=False):
    maybe: int


def signature(function):
    return Signature(function, owner="acme.test.it", skip=1)


def ports(specs):
    return {spec.name: spec.schema for spec in specs}


def through(function, **values):
    return signature(function).decode({name: msgspec.Raw(encode(value)) for name, value in values.items()})


def test_a_parameter_is_an_input_port_and_its_default_makes_it_optional():
    def function(ctx: Context, text: str, least: int = 3) -> None: ...

    text, least = signature(function).inputs
    assert (text.name, text.schema, text.required) == ("text", {"type": "string"}, True)
    assert (least.name, least.required, least.default) == ("least", False, 3)


def test_no_result_is_no_port_and_any_other_is_the_port_result():
    def nothing(ctx: Context) -> None: ...
    def counts(ctx: Context) -> dict[str, int]: ...

    assert signature(nothing).outputs == ()
    assert ports(signature(counts).outputs) == {
        "result": {"type": "object", "additionalProperties": {"type": "integer"}}
    }


def test_each_key_of_a_typed_dict_is_an_output_port():
    def function(ctx: Context) -> Pair: ...

    left, right = signature(function).outputs
    assert (left.name, left.schema) == ("left", {"type": "integer"})
    assert (right.name, right.description) == ("right", "the right one")


def test_a_key_that_may_be_missing_is_a_port_that_may_be_missing():
    def function(ctx: Context) -> Perhaps: ...

    assert signature(function).outputs[0].required is False
    assert signature(function).encode({}) == {}


def test_descriptions_come_from_the_annotations():
    def function(ctx: Context, text: Annotated[str, msgspec.Meta(description="a text")]) -> None: ...

    assert signature(function).inputs[0].description == "a text"


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        (Point, {"x": 1}, Point(1)),
        (Box, {"corner": {"x": 1}, "color": "red"}, Box(Point(1))),
        (Path, "/tmp/x", Path("/tmp/x")),
        (datetime.date, "2026-01-02", datetime.date(2026, 1, 2)),
        (list[Point], [{"x": 1, "y": 2}], [Point(1, 2)]),
        (bytes, b"\x00\xff", b"\x00\xff"),
        (int | None, None, None),
        (Any, {"free": [1, "a"]}, {"free": [1, "a"]}),
        (set[int], [3], {3}),
    ],
)
def test_values_arrive_as_the_type_of_their_port(type_, value, expected):
    def function(ctx: Context, value: type_) -> None: ...

    assert through(function, value=value) == {"value": expected}


@pytest.mark.parametrize(
    ("type_", "result", "expected"),
    [
        (Point, Point(1, 2), {"x": 1, "y": 2}),
        (Box, Box(Point(1)), {"corner": {"x": 1, "y": 0}, "color": "red"}),
        (Path, Path("/tmp/x"), "/tmp/x"),
        (datetime.date, datetime.date(2026, 1, 2), "2026-01-02"),
        (set[int], {3}, [3]),
        (bytes, b"\x00", b"\x00"),
        (tuple[int, ...], (1, 2), [1, 2]),
    ],
)
def test_results_leave_as_plain_values(type_, result, expected):
    def function(ctx: Context) -> type_: ...

    assert decode(bytes(signature(function).encode(result)["result"])) == expected


@given(st.dictionaries(st.text(), st.lists(st.integers(-(2**53), 2**53) | st.text() | st.none())))
def test_what_one_operator_returns_the_next_one_gets(value):
    def giver(ctx: Context) -> dict[str, list[int | str | None]]: ...
    def taker(ctx: Context, result: dict[str, list[int | str | None]]) -> None: ...

    assert signature(taker).decode(signature(giver).encode(value)) == {"result": value}


def test_a_mutable_default_is_not_shared_between_calls():
    def function(ctx: Context, items: list[int] = [1]) -> None: ...  # noqa: B006

    first = through(function)["items"]
    first.append(2)
    assert through(function)["items"] == [1]


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({}, "missing required field `text`"),
        ({"text": 1}, "Expected `str`, got `int`"),
        ({"text": "a", "other": 1}, "unknown field `other`"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_and_the_ports_are_named(inputs, text):
    def function(ctx: Context, text: str) -> None: ...

    with pytest.raises(MalformedMessage, match=r"acme\.test\.it") as caught:
        through(function, **inputs)
    assert text in caught.value.message
    assert caught.value.hint == "Its inputs are text."


@pytest.mark.parametrize(
    ("annotation", "result"), [(int, "a"), (Pair, {"left": 1}), (type(None), 1), (list[int], [1, "b"])]
)
def test_a_result_that_breaks_its_annotation_is_refused_at_the_functions_line(annotation, result):
    def function(ctx: Context) -> annotation: ...

    with pytest.raises(ExtensionError) as caught:
        signature(function).encode(result)
    assert caught.value.code == "SYM-E010"
    assert caught.value.file == __file__
    assert caught.value.line == function.__code__.co_firstlineno


def no_annotation(ctx: Context, text) -> None: ...
def no_result(ctx: Context, text: str): ...
def any_number(ctx: Context, *texts: str) -> None: ...
def any_name(ctx: Context, **texts: str) -> None: ...
def no_context() -> None: ...
def no_schema(ctx: Context, number: complex) -> None: ...
def unknown_name(ctx: Context, text: "Nowhere") -> None: ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (no_annotation, "'text' of 'acme.test.it' has no annotation"),
        (no_result, "has no return annotation"),
        (any_number, "'*texts: str' of 'acme.test.it' cannot be a port"),
        (any_name, "cannot be a port"),
        (no_context, "takes no context"),
        (no_schema, "'number' of 'acme.test.it' has a type that JSON Schema cannot say"),
        (unknown_name, "cannot be read: name 'Nowhere' is not defined"),
    ],
)
def test_a_function_that_cannot_be_a_node_is_refused_at_its_line(function, text):
    with pytest.raises(ExtensionError) as caught:
        signature(function)
    assert text in caught.value.message
    assert caught.value.file == __file__
    assert caught.value.line == function.__code__.co_firstlineno


def test_an_operator_is_still_the_function_that_it_was():
    @operator("acme.text.double")
    def double(ctx: Context, text: str) -> str:
        """Say it twice.

        Really.
        """
        return text * 2

    assert double(None, "ab") == "abab"
    assert double(None, text="ab") == "abab"
    assert double.__name__ == "double"
    assert double.spec.title == "Double"
    assert double.spec.description == "Say it twice."
    assert double.spec.id == "acme.text.double"


@pytest.mark.parametrize("id", ["double", "acme.double", "Acme.text.double", "acme.text.", "acme.te xt.x"])
def test_an_id_that_is_no_operation_id_is_refused(id):
    with pytest.raises(ExtensionError, match="cannot be the id") as caught:
        operator(id)(lambda ctx: None)
    assert "acme.text.word-count" in caught.value.hint


class Folder(msgspec.Struct, frozen=True):
    names: tuple[str, ...] = ()


def test_defaults_of_ports_are_as_json_has_them_so_that_the_wire_changes_nothing():
    def function(ctx: Context, names: tuple[str, ...] = ("a",), folder: Folder = Folder()) -> None: ...

    names, folder = signature(function).inputs

    assert (names.default, folder.default) == (["a"], {"names": []})
    for port in (names, folder):
        assert decode(encode(port), PortSpec) == port


def test_a_default_that_calls_would_share_is_refused():
    class Mutable(msgspec.Struct):
        x: int = 0

    default = Mutable()

    def function(ctx: Context, value: Any = default) -> None: ...

    with pytest.raises(ExtensionError, match="would be shared between calls") as caught:
        signature(function)
    assert "frozen" in caught.value.hint
