from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Optional, TypedDict

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_workflow import accepts, compatible, describe
from symphony_workflow.testing import examples


@dataclass
class Point:
    x: int
    y: float = 0.0


@dataclass
class Wider:
    x: float
    y: float


@dataclass
class Tree:
    value: int
    children: "list[Tree]"


@dataclass
class Forest:
    value: float
    children: "list[Forest]"


class Closed(TypedDict):
    x: int


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def schema(kind):
    return kind if isinstance(kind, dict) else msgspec.json.schema(kind)


OBJECT = {"type": "object"}
CLOSED = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (str, str),
        (int, Any),
        (Any, int),
        (int, float),
        (bool, bool),
        (int, int | None),
        (None, int | None),
        (Optional[int], float | str | None),  # noqa: UP045 - both spellings reach us
        ({"type": ["integer", "null"]}, int | None),
        (int | None, {"type": ["null", "number"]}),
        (list[int], list[float]),
        (list[int], list[Any]),
        (list[Any], list[int]),
        (tuple[int, int], list[int]),
        (tuple[int, str], tuple[float, str]),
        (Literal["a"], str),
        (Literal["a"], Literal["a", "b"]),
        (Literal[1, 2], float),
        (Colour, str),
        (bool, {"enum": [True, False]}),
        (None, {"const": None}),
        (Point, dict[str, Any]),
        (dict[str, Any], Point),
        (Point, Point),
        (Closed, Closed),
        (CLOSED, dict[str, float]),
        (dict[str, int], dict[str, float]),
        (Tree, Tree),
        (Tree, Forest),
        (CLOSED, {"allOf": [OBJECT, {"required": ["x"]}]}),
        ({"allOf": [OBJECT, CLOSED]}, Closed),
        ({"$ref": "#/$defs/Missing"}, int),
        ({"$ref": "#"}, int),
        (int, {"description": "anything"}),
        ({"title": "no type", "properties": {}}, int),
        (int, {"type": "integer", "minimum": 3}),
    ],
)
def test_types_that_fit(source, target):
    assert compatible(schema(source), schema(target)).reason == ""


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (float, int, "number is not integer"),
        (str, int, "string is not integer"),
        (int | None, int, "null is not integer"),
        (int | str, str, "integer is not string"),
        (str, int | None, "string is not integer or null"),
        (bool, int, "boolean is not integer"),
        (list[str], list[int], "items: string is not integer"),
        (list[int], tuple[int, int], "list of integer is not tuple of integer, integer"),
        (tuple[int, str], list[int], "item 1: string is not integer"),
        (tuple[int, int], tuple[int, int, int], "tuple of integer, integer is not tuple of"),
        (str, Literal["a", "b"], "string is not one of 'a', 'b'"),
        (Literal["a", "c"], Literal["a", "b"], "'c' is not one of 'a', 'b'"),
        (Literal["a"], int, "'a' is not integer"),
        ({"const": 1}, {"const": True}, "1 is not True"),
        (Point, Wider, "Point may lack the property 'y'"),
        (CLOSED, {"type": "object", "required": ["z"]}, "object lacks the property 'z'"),
        (Point, CLOSED, "object has no property 'y'"),
        (CLOSED, dict[str, str], "property 'x': integer is not string"),
        (dict[str, str], dict[str, int], "values: string is not integer"),
        (
            dict[str, str],
            {"type": "object", "properties": {"x": {"type": "integer"}}},
            "values: string is not integer",
        ),
        (Forest, Tree, "property 'value': number is not integer"),
        (int, {"type": "array", "items": False}, "integer is not list of nothing"),
        ({"enum": [[1, "x"]]}, list[int], "item 1: 'x' is not integer"),
        (str, {"allOf": [{"type": "string"}, {"const": "a"}]}, "string is not 'a'"),
        ({"allOf": [{"type": "string"}]}, int, "string is not integer"),
        (
            {"type": "array", "items": {"type": "string"}},
            {"type": "array", "items": False},
            "is not list of nothing",
        ),
    ],
)
def test_types_that_do_not_fit_and_why(source, target, reason):
    found = compatible(schema(source), schema(target))
    assert not found
    assert reason in found.reason


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (int, 3, ""),
        (int, 3.0, ""),
        (int, 3.5, "3.5 is not integer"),
        (int, True, "True is not integer"),
        (int | None, None, ""),
        (int | None, "x", "'x' is not integer or null"),
        (list[int], [1, "x"], "item 1: 'x' is not integer"),
        (Point, {"x": 1}, ""),
        (Point, {"y": 1}, "the property 'x' is missing"),
        (Point, {"x": "1"}, "property 'x': '1' is not integer"),
        (CLOSED, {"x": 1, "z": 2}, "there is no property 'z'"),
        (Colour, "green", "'green' is not one of 'blue', 'red'"),
        (Tree, {"value": 1, "children": [{"value": 2, "children": []}]}, ""),
        (
            Tree,
            {"value": 1, "children": [{"value": "2", "children": []}]},
            "property 'value': '2' is not integer",
        ),
        ({"allOf": [{"type": "string"}, {"enum": ["a"]}]}, "b", "'b' is not 'a'"),
        ({"type": "array", "items": False}, [1], "no value is allowed here"),
        ({}, object, ""),
    ],
)
def test_literals_are_held_against_the_type(kind, value, reason):
    assert reason in accepts(schema(kind), value).reason
    assert bool(accepts(schema(kind), value)) == (not reason)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Any, "any"),
        (list[Any], "list"),
        (list[str | None], "list of string or null"),
        (dict[str, int], "object of integer"),
        (dict[str, Any], "object"),
        (Point, "Point"),
        (tuple[int, str], "tuple of integer, string"),
        ({"enum": list(range(20))}, "one of 0, 1, 2, 3, 4, 5, 6, 7, ..."),
        ({"const": "x" * 100}, "'" + "x" * 56 + "..."),
    ],
)
def test_types_are_told_in_words(kind, words):
    assert describe(schema(kind)) == words


def test_a_schema_that_doubles_with_every_step_takes_no_exponential_time():
    tangle = {f"d{depth}": {"anyOf": [{"$ref": f"#/$defs/d{depth + 1}"}] * 2} for depth in range(60)}
    deep = {"$ref": "#/$defs/d0", "$defs": {**tangle, "d60": {"type": "integer"}}}
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}}
    assert not compatible({"type": "string"}, deep)
    assert not accepts(deep, "x")
    assert compatible(deep, {"type": "number"})
    assert compatible(loop, {"type": "number"})
    assert accepts(loop, 3)
    assert describe(loop)


kinds = st.recursive(
    st.sampled_from(
        [
            {},
            {"type": "integer"},
            {"type": "number"},
            {"type": "string"},
            {"type": "null"},
            {"enum": ["a", 1]},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda properties: {"type": "object", "properties": properties, "required": sorted(properties)},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
        ),
    ),
    max_leaves=5,
)
values = st.recursive(
    st.sampled_from([None, 1, 1.5, "a", "b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)


@given(kinds)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_type_fits_itself_any_and_its_own_option(kind):
    assert compatible(kind, kind)
    assert compatible(kind, {})
    assert compatible(kind, {"anyOf": [kind, {"type": "null"}]})
    assert compatible({"type": "array", "items": kind}, {"type": "array", "items": kind})


@given(kinds, values)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_literal_is_accepted_exactly_where_its_own_type_fits(kind, value):
    assert bool(compatible({"const": value}, kind)) == bool(accepts(kind, value))


def has_any(kind):
    return (
        not kind
        or any(has_any(part) for part in (*kind.get("anyOf", ()), *kind.get("properties", {}).values()))
        or ("items" in kind and has_any(kind["items"]))
        or ("properties" in kind and not kind["properties"])
    )


@given(kinds.filter(lambda kind: not has_any(kind)), kinds, values)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_fits_a_type_accepts_its_values(source, target, value):
    if accepts(source, value) and compatible(source, target):
        assert accepts(target, value)


scalars = st.sampled_from(
    [
        {"type": "integer"},
        {"type": "number"},
        {"type": "string"},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["integer", "null"]},
        {"type": ["string", "number"]},
        {"const": "a"},
        {"const": 1},
        {"const": True},
        {"enum": ["a", 1, None]},
        {"enum": [[1], {"a": "b"}]},
    ]
)
names = st.sampled_from("abc")


@st.composite
def objects(draw, inner):
    """An object type: required and optional properties, and others of a type, of none, or of any."""
    properties = draw(st.dictionaries(names, inner, max_size=3))
    required = [name for name in sorted(properties) if draw(st.booleans())]
    schema = {"type": "object", "properties": properties, "required": required}
    rest = draw(st.one_of(st.just(False), inner, st.none()))
    if rest is not None:
        schema["additionalProperties"] = rest
    return schema


shapes = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(
            lambda places, rest: {"type": "array", "prefixItems": places, "items": rest},
            st.lists(inner, min_size=1, max_size=2),
            st.one_of(inner, st.just(False)),
        ),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"oneOf": parts}, st.lists(inner, min_size=1, max_size=2)),
        objects(inner),
    ),
    max_leaves=6,
)


@st.composite
def values_of(draw, schema):
    """A value of a type, as JSON Schema defines it."""
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return draw(values_of(draw(st.sampled_from(schema[union]))))
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    kind = schema["type"]
    if isinstance(kind, list):
        return draw(values_of({**schema, "type": draw(st.sampled_from(kind))}))
    if kind == "array":
        places = schema.get("prefixItems", [])
        made = [draw(values_of(place)) for place in places[: draw(st.integers(0, len(places)))]]
        if len(made) == len(places) and schema["items"] is not False:
            made += [draw(values_of(schema["items"])) for _ in range(draw(st.integers(0, 2)))]
        return made
    if kind == "object":
        made = {
            name: draw(values_of(part))
            for name, part in schema["properties"].items()
            if name in schema["required"] or draw(st.booleans())
        }
        rest = schema.get("additionalProperties", {"type": "string"})
        if rest is not False and draw(st.booleans()):
            made.setdefault("z", draw(values_of(rest)))
        return made
    return draw(
        {
            "integer": st.sampled_from([0, -3, 1]),
            "number": st.sampled_from([0.5, 2, -1.0]),
            "string": st.sampled_from(["", "a", "xyz"]),
            "boolean": st.booleans(),
            "null": st.none(),
        }[kind]
    )


def open_ended(schema):
    """Whether an object type says nothing of further properties, which are then of any type."""
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        return True
    parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("prefixItems", ())]
    parts += [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return any(map(open_ended, parts))


@given(st.data())
@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_every_value_of_a_type_is_welcome_wherever_the_type_fits(data):
    source = data.draw(shapes.filter(lambda schema: not open_ended(schema)))
    target = data.draw(
        st.one_of(shapes, st.just(source), st.builds(lambda part: {"anyOf": [source, part]}, shapes))
    )
    value = data.draw(values_of(source))
    assert accepts(source, value) or "oneOf" in str(source)
    if compatible(source, target):
        assert accepts(target, value)
