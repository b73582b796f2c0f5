"""What two versions of a message type may differ in: describes types as data, and finds what breaks a peer.

A type that was released is described in a file. Whatever is released later is compared with that: a field may be
added, with a default; nothing else may change. A change of meaning is a new version of the message.
"""

import datetime
import decimal
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

Description = dict[str, Any]
"""A type as JSON-like data."""

_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
# Types of Python that are one on the wire.
_ON_THE_WIRE = {"bytearray": "bytes", "memoryview": "bytes", "raw": "any"}


def description(kind: Any) -> Description:
    """Describe a type: all that the bytes of its values depend on.

    Args:
        kind: A message type, or any type that msgspec knows.

    Returns:
        `type`: the type in words; `classes`: for each class in it by name, how it is laid out and its fields in
        order, each with its type and its default; an empty default where it is always there.
    """
    classes: dict[str, Any] = {}
    return {"type": _words(inspect.type_info(kind), classes), "classes": classes}


def incompatibilities(before: Description, now: Description) -> list[str]:
    """What keeps a peer that knows one description from talking with one that knows the other.

    Args:
        before: What was released.
        now: What is to be released.

    Returns:
        One sentence for each; none where all that changed is fields that were added with a default.
    """
    found = [] if before["type"] == now["type"] else [f"it was {before['type']} and is {now['type']}"]
    for name, old in before["classes"].items():
        new = now["classes"].get(name)
        if new is None:
            found.append(f"{name} is gone or has another name")
        else:
            found += _changes(name, old, new)
    return found


def example(kind: Any) -> bytes:
    """The bytes of a value of a type with every field set, always the same, to be kept of each release.

    Args:
        kind: A message type, or any type that msgspec knows.
    """
    return msgspec.msgpack.encode(_value(inspect.type_info(kind), "value", frozenset()))


def _changes(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for option in ("layout", "tag"):
        if old.get(option) != new.get(option):
            yield f"the {option} of {name} was {old.get(option)} and is {new.get(option)}"
    before = {field["name"]: field for field in old["fields"]}
    after = {field["name"]: field for field in new["fields"]}
    for field in sorted(before.keys() - after.keys()):
        yield f"{name}.{field} is gone or has another name"
    for field, known in before.items():
        if field not in after:
            continue
        for aspect, what in (("type", ""), ("default", "the default of ")):
            was, is_now = known[aspect], after[field][aspect]
            if was != is_now:
                yield f"{what}{name}.{field} was {was or 'none'} and is {is_now or 'none'}"
    for field in sorted(after.keys() - before.keys()):
        if not after[field]["default"]:
            yield f"{name}.{field} is new and has no default"
    if old["layout"] == "array" and [*before] != [*after][: len(before)]:
        yield f"the fields of {name} are an array: new ones come last, and none moves"


def _words(info: inspect.Type, classes: dict[str, Any]) -> str:
    match info:
        case inspect.StructType(cls=cls):
            if cls.__qualname__ not in classes:
                entry = classes[cls.__qualname__] = {"layout": "array" if info.array_like else "map"}
                if info.tag is not None:
                    entry["tag"] = f"{info.tag_field}={info.tag}"
                entry["fields"] = _fields(info, classes)
            return str(cls.__qualname__)
        case (
            inspect.DataclassType(cls=cls) | inspect.NamedTupleType(cls=cls) | inspect.TypedDictType(cls=cls)
        ):
            if cls.__qualname__ not in classes:
                layout = "array" if isinstance(info, inspect.NamedTupleType) else "map"
                entry = classes[cls.__qualname__] = {"layout": layout}
                entry["fields"] = _fields(info, classes)
            return str(cls.__qualname__)
        case inspect.UnionType(types=types):
            return " | ".join(sorted(_words(each, classes) for each in types))
        case inspect.Metadata(type=inner):
            return _words(inner, classes)
        case inspect.DictType(key_type=key, value_type=value):
            return f"dict[{_words(key, classes)}, {_words(value, classes)}]{_bounds(info)}"
        case inspect.TupleType(item_types=items):
            return f"tuple[{', '.join(_words(item, classes) for item in items)}]"
        case inspect.LiteralType(values=values):
            return f"Literal[{', '.join(map(repr, values))}]"
        case inspect.EnumType(cls=cls):
            return f"{cls.__qualname__}({', '.join(repr(member.value) for member in cls)})"
    if isinstance(info, _LISTS):
        return f"list[{_words(info.item_type, classes)}]{_bounds(info)}"
    name = type(info).__name__.removesuffix("Type").lower()
    return _ON_THE_WIRE.get(name, name) + _bounds(info)


def _fields(info: Any, classes: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": field.encode_name,
            "type": _words(field.type, classes),
            "default": _default(field),
        }
        for field in info.fields
    ]


def _default(field: inspect.Field) -> str:
    """What a reader fills in; empty where there is nothing."""
    if field.default_factory is not msgspec.NODEFAULT:
        return repr(field.default_factory())
    if field.default is msgspec.NODEFAULT:
        return ""
    return repr(bytes(field.default)) if isinstance(field.default, memoryview) else repr(field.default)


def _bounds(info: Any) -> str:
    given = msgspec.structs.asdict(info)
    bounds = [
        f"{name}={value!r}"
        for name, value in given.items()
        if not name.endswith("type") and value is not None
    ]
    return f"({', '.join(bounds)})" if bounds else ""


def _value(info: inspect.Type, name: str, inside: frozenset[type]) -> Any:
    match info:
        case inspect.StructType(cls=cls, array_like=array, tag=tag, tag_field=tag_field):
            fields = _values(info, inside | {cls})
            if array:
                return [*(() if tag is None else (tag,)), *fields.values()]
            return fields if tag is None else {tag_field: tag} | fields
        case inspect.NamedTupleType(cls=cls):
            return [*_values(info, inside | {cls}).values()]
        case inspect.DataclassType(cls=cls) | inspect.TypedDictType(cls=cls):
            return _values(info, inside | {cls})
        case inspect.UnionType(types=types):
            return _value(
                next(each for each in types if not isinstance(each, inspect.NoneType)), name, inside
            )
        case inspect.Metadata(type=inner):
            return _value(inner, name, inside)
        case inspect.DictType(key_type=key, value_type=value):
            return {_value(key, "key", inside): _value(value, name, inside)}
        case inspect.TupleType(item_types=items):
            return [_value(item, name, inside) for item in items]
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.EnumType(cls=cls):
            return next(iter(cls))
    if isinstance(info, _LISTS):
        item = info.item_type
        itself = isinstance(item, inspect.StructType) and item.cls in inside
        return [] if itself else [_value(item, name, inside)]
    return _scalar(info, name)


def _scalar(info: inspect.Type, name: str) -> Any:
    match info:
        case inspect.NoneType():
            return None
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return max(1, info.ge or 0)
        case inspect.FloatType():
            return 1.5
        case inspect.BytesType() | inspect.ByteArrayType() | inspect.MemoryViewType():
            return b"\x00\xff"
        case inspect.DateTimeType():
            return datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=None if info.tz is False else datetime.UTC)
        case inspect.DateType():
            return datetime.date(2026, 1, 2)
        case inspect.TimeType():
            return datetime.time(3, 4, 5)
        case inspect.TimeDeltaType():
            return datetime.timedelta(seconds=1.5)
        case inspect.UUIDType():
            return uuid.UUID(int=1)
        case inspect.DecimalType():
            return decimal.Decimal("1.5")
    return name


def _values(info: Any, inside: frozenset[type]) -> dict[str, Any]:
    return {field.encode_name: _value(field.type, field.name, inside) for field in info.fields}
