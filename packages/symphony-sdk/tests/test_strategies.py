"""Strategies that follow from types: whatever they give is of the type, and comes back from the wire."""

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import find, given
from hypothesis.errors import NoSuchExample
from msgspec import Meta
from symphony_sdk.testing import message_strategy


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclasses.dataclass
class Size:
    width: int
    height: Annotated[int, Meta(gt=0, lt=10)] = 1


class Place(NamedTuple):
    line: int
    column: int = 0


class Options(TypedDict, total=False):
    wide: bool


class Named(Options):
    name: str


class Tree(msgspec.Struct):
    label: str
    children: list["Tree"] = []


class Everything(msgspec.Struct):
    nothing: None
    truth: bool
    number: int
    small: Annotated[int, Meta(ge=-3, le=3)]
    even: Annotated[int, Meta(multiple_of=2)]
    share: Annotated[float, Meta(ge=0, lt=1)]
    above: Annotated[float, Meta(gt=0)]
    text: str
    short: Annotated[str, Meta(min_length=1, max_length=3)]
    code: Annotated[str, Meta(pattern="^[a-z]{2}$", max_length=3)]
    data: bytes
    moving: bytearray
    view: memoryview
    colour: Colour
    choice: Literal["a", "b", 3]
    listed: Annotated[list[int], Meta(min_length=1)]
    many: tuple[str, ...]
    pair: tuple[int, str]
    some: set[int]
    frozen: frozenset[str]
    table: dict[str, float]
    either: int | str | None
    noted: Annotated[str, Meta(description="for people")]
    size: Size
    place: Place
    named: Named
    tree: Tree
    when: datetime.datetime
    zoned: Annotated[datetime.datetime, Meta(tz=True)]
    plain: Annotated[datetime.datetime, Meta(tz=False)]
    day: datetime.date
    hour: datetime.time
    span: datetime.timedelta
    id: uuid.UUID
    amount: decimal.Decimal
    raw: msgspec.Raw
    anything: Any


@given(message_strategy(Everything))
def test_every_kind_of_field_gets_values_of_its_type(value):
    encoded = msgspec.msgpack.encode(value, order="deterministic")
    decoded = msgspec.msgpack.decode(encoded, type=Everything)  # which checks every type and bound
    assert msgspec.msgpack.encode(decoded, order="deterministic") == encoded


def test_a_type_that_holds_itself_gets_values_of_every_depth():
    found = find(message_strategy(Tree), lambda tree: any(child.children for child in tree.children))
    assert found.children[0].children


def test_bounds_are_reached_and_not_crossed():
    bounded = message_strategy(Annotated[int, Meta(gt=-3, lt=3)])
    assert find(bounded, lambda number: number == 2) == 2
    with pytest.raises(NoSuchExample):
        find(bounded, lambda number: not -2 <= number <= 2)


class Foreign:
    pass


@pytest.mark.parametrize("kind", [Foreign, list[Foreign], dict[str, Foreign]])
def test_a_type_that_msgspec_does_not_know_is_refused(kind):
    with pytest.raises(TypeError, match="only through hooks"):
        message_strategy(kind)


def test_a_field_that_msgspec_does_not_know_is_refused_at_once():
    class Holder(msgspec.Struct):
        foreign: Foreign

    with pytest.raises(TypeError, match="only through hooks"):
        message_strategy(Holder)
