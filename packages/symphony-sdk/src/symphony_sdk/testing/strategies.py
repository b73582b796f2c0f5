"""Hypothesis strategies that follow from the types of messages: nobody writes one by hand."""

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import inspect

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

_MAX_SIZE = 3  # of a collection: what breaks, breaks with few
_INTEGERS = (-(2**63), 2**64 - 1)  # what MessagePack holds


def message_strategy(kind: type[T]) -> "SearchStrategy[T]":
    """Every value that a type can have, as a Hypothesis strategy: for tests of a message's round trip.

    Hypothesis has to be installed; the SDK does not bring it along.

    Args:
        kind: A message, another `msgspec.Struct`, or any type that msgspec knows.

    Raises:
        TypeError: The type holds something that msgspec only knows through hooks.

    Example:
        ```python
        import msgspec
        from hypothesis import given
        from symphony_sdk import message
        from symphony_sdk.testing import message_strategy

        @message("acme.text.greeting")
        class Greeting(msgspec.Struct, frozen=True):
            name: str
            times: int = 1

        @given(message_strategy(Greeting))
        def test_a_greeting_comes_back(greeting):
            wire = msgspec.msgpack.encode(greeting)
            assert msgspec.msgpack.decode(wire, type=Greeting) == greeting
        ```
    """
    return _Strategies().of(inspect.type_info(kind))


class _Strategies:
    """The strategies of one type; a class that holds itself refers to the one under construction."""

    def __init__(self) -> None:
        self._classes: dict[type, SearchStrategy[Any]] = {}

    def of(self, info: inspect.Type) -> "SearchStrategy[Any]":
        from hypothesis import strategies as st

        match info:
            case (
                inspect.StructType(cls=cls) | inspect.DataclassType(cls=cls) | inspect.TypedDictType(cls=cls)
            ):
                if cls not in self._classes:
                    self._classes[cls] = st.deferred(lambda: self._fields(info))
                    self._classes[cls].validate()  # a fault shows here rather than in the middle of a test
                return self._classes[cls]
            case inspect.NamedTupleType(cls=cls, fields=fields):
                return st.builds(cls, **{field.name: self.of(field.type) for field in fields})
            case inspect.UnionType(types=types):
                return st.one_of([self.of(each) for each in types])
            case inspect.Metadata(type=inner):
                return self.of(inner)
            case inspect.LiteralType(values=values):
                return st.sampled_from(values)
            case inspect.EnumType(cls=cls):
                return st.sampled_from(list(cls))
            case (
                inspect.ListType()
                | inspect.VarTupleType()
                | inspect.SetType()
                | inspect.FrozenSetType()
                | inspect.DictType()
                | inspect.TupleType()
            ):
                return self._collection(info)
        return _scalar(info)

    def _fields(self, info: Any) -> "SearchStrategy[Any]":
        from hypothesis import strategies as st

        if isinstance(info, inspect.TypedDictType):
            required = {field.name: self.of(field.type) for field in info.fields if field.required}
            optional = {field.name: self.of(field.type) for field in info.fields if not field.required}
            return st.fixed_dictionaries(required, optional=optional)
        return st.builds(info.cls, **{field.name: self.of(field.type) for field in info.fields})

    def _collection(self, info: inspect.Type) -> "SearchStrategy[Any]":
        from hypothesis import strategies as st

        match info:
            case inspect.TupleType(item_types=items):
                return st.tuples(*map(self.of, items))
            case inspect.DictType(key_type=key, value_type=value):
                return st.dictionaries(self.of(key), self.of(value), **_sizes(info))
            case inspect.ListType(item_type=item):
                return st.lists(self.of(item), **_sizes(info))
            case inspect.VarTupleType(item_type=item):
                return st.lists(self.of(item), **_sizes(info)).map(tuple)
            case inspect.SetType(item_type=item):
                return st.sets(self.of(item), **_sizes(info))
            case inspect.FrozenSetType(item_type=item):
                return st.frozensets(self.of(item), **_sizes(info))
        raise _unknown(info)


def _scalar(info: inspect.Type) -> "SearchStrategy[Any]":
    import datetime

    from hypothesis import strategies as st

    match info:
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return _integers(info)
        case inspect.FloatType():
            return _floats(info)
        case inspect.StrType(pattern=pattern) if pattern is not None:
            longest = info.max_length
            found = st.from_regex(pattern)
            return found if longest is None else found.filter(lambda text: len(text) <= longest)
        case inspect.StrType():
            return st.text(**_sizes(info))
        case inspect.BytesType():
            return st.binary(**_sizes(info))
        case inspect.ByteArrayType():
            return st.binary(**_sizes(info)).map(bytearray)
        case inspect.MemoryViewType():
            return st.binary(**_sizes(info)).map(memoryview)
        case inspect.DateTimeType(tz=zoned):
            zones = (None, datetime.UTC) if zoned is None else (datetime.UTC,) if zoned else (None,)
            return st.datetimes(timezones=st.sampled_from(zones))
        case inspect.DateType():
            return st.dates()
        case inspect.TimeType():
            return st.times()
        case inspect.TimeDeltaType():
            return st.timedeltas()
        case inspect.UUIDType():
            return st.uuids()
        case inspect.DecimalType():
            return st.decimals(allow_nan=False, allow_infinity=False)
        case inspect.RawType():
            return _values().map(lambda value: msgspec.Raw(msgspec.msgpack.encode(value)))
        case inspect.AnyType():
            return _values()
    raise _unknown(info)


def _values() -> "SearchStrategy[Any]":
    """What JSON can say, as where a field may hold anything."""
    from hypothesis import strategies as st

    leaves = (
        st.none()
        | st.booleans()
        | st.integers(*_INTEGERS)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=_MAX_SIZE)
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=_MAX_SIZE)
            | st.dictionaries(st.text(max_size=_MAX_SIZE), inner, max_size=3)
        ),
        max_leaves=5,
    )


def _integers(info: inspect.IntType) -> "SearchStrategy[int]":
    from hypothesis import strategies as st

    low = max(value for value in (_INTEGERS[0], info.ge, _next(info.gt, 1)) if value is not None)
    high = min(value for value in (_INTEGERS[1], info.le, _next(info.lt, -1)) if value is not None)
    step = info.multiple_of
    if step is None:
        return st.integers(low, high)
    return st.integers(-(-low // step), high // step).map(lambda count: count * step)


def _floats(info: inspect.FloatType) -> "SearchStrategy[float]":
    from hypothesis import strategies as st

    lowest, highest = (info.ge if info.gt is None else info.gt), (info.le if info.lt is None else info.lt)
    return st.floats(
        min_value=lowest,
        max_value=highest,
        exclude_min=info.gt is not None,
        exclude_max=info.lt is not None,
        allow_nan=False,
        allow_infinity=False,
    )


def _next(bound: int | None, step: int) -> int | None:
    return None if bound is None else bound + step


def _sizes(info: Any) -> dict[str, Any]:
    least = info.min_length or 0
    most = least + _MAX_SIZE
    return {"min_size": least, "max_size": most if info.max_length is None else min(info.max_length, most)}


def _unknown(info: inspect.Type) -> TypeError:
    return TypeError(f"no strategy follows from {info!r}: msgspec knows its values only through hooks")
