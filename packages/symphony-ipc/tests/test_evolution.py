"""Messages that were released stay readable: by peers that are older, and by those that are newer."""

import json
import runpy
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta
from symphony_ipc.evolution import description, example, incompatibilities
from symphony_ipc.framing import decode, decode_typed
from symphony_ipc.schema import FRAMING, family_messages
from symphony_sdk.testing import message_strategy

RELEASED = Path(__file__).with_name("released")
TYPES = {**family_messages(), **FRAMING}
ACCEPT = "if it may stay so, run packages/symphony-ipc/tests/accept_messages.py"


def released(name: str) -> dict[str, Any]:
    file = RELEASED / f"{name.replace('/', '-')}.json"
    assert file.exists(), f"{name} is new: {ACCEPT}"
    return json.loads(file.read_text("utf-8"))


def parts(value: Any) -> Any:
    """A value with all its fields, those with their defaults too, as JSON-like data."""
    if isinstance(value, msgspec.Raw):
        return parts(msgspec.msgpack.decode(value))
    if isinstance(value, msgspec.Struct):
        fields = {name: parts(each) for name, each in msgspec.structs.asdict(value).items()}
        config = value.__struct_config__
        return [*fields.values()] if config.array_like else {config.tag_field: config.tag} | fields
    if isinstance(value, dict):
        return {key: parts(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [parts(each) for each in value]
    return bytes(value) if isinstance(value, memoryview) else value


def holds(whole: Any, part: Any) -> bool:
    """Whether `whole` has everything that `part` has, and perhaps more fields."""
    if isinstance(part, dict):
        return all(key in whole and holds(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) >= len(part) and all(map(holds, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("name", TYPES)
def test_no_message_changes_in_a_way_that_breaks_a_peer(name):
    problems = incompatibilities(released(name), description(TYPES[name]))
    assert not problems, f"{name}: {'; '.join(problems)}: make it a new version of the message"


@pytest.mark.parametrize("name", TYPES)
def test_every_message_is_kept_as_it_is_now(name):
    kept = released(name)
    assert {key: kept[key] for key in ("type", "classes")} == description(TYPES[name]), (
        f"{name} changed: {ACCEPT}"
    )
    assert kept["bytes"][-1] == example(TYPES[name]).hex(), f"{name} changed: {ACCEPT}"


def test_no_message_that_was_released_is_gone():
    assert {file.stem for file in RELEASED.glob("*.json")} == {name.replace("/", "-") for name in TYPES}


@pytest.mark.parametrize("name", TYPES)
def test_the_bytes_of_every_release_are_read_whole(name):
    for sample in released(name)["bytes"]:
        data = bytes.fromhex(sample)
        value = decode_typed(msgspec.msgpack.Decoder(TYPES[name]), data, name)
        assert holds(parts(value), msgspec.msgpack.decode(data))


def test_accepting_anew_changes_nothing():
    before = {file: file.read_bytes() for file in RELEASED.glob("*.json")}
    accept = runpy.run_path(str(Path(__file__).with_name("accept_messages.py")))
    assert accept["main"]() == 0
    assert {file: file.read_bytes() for file in RELEASED.glob("*.json")} == before


class Inner(msgspec.Struct):
    text: str


class Before(msgspec.Struct):
    number: int
    name: str = ""
    inner: Inner | None = None
    many: list[Inner] = []


class List(msgspec.Struct, array_like=True):
    number: int
    name: str = ""


class Tagged(msgspec.Struct, tag="a", tag_field="t"):
    number: int = 0


def variant(of: type[msgspec.Struct], called: str = "", /, **changes: Any) -> type[msgspec.Struct]:
    """A class like another, with fields changed, added, or left out where `None` is given for them."""
    fields = {
        field.name: (field.type, default(field)) if not field.required else (field.type,)
        for field in msgspec.structs.fields(of)
    }
    for field, change in changes.items():
        fields.pop(field) if change is None else fields.update({field: change})
    config = of.__struct_config__
    made = msgspec.defstruct(
        called or of.__qualname__,
        [(field, *rest) for field, rest in fields.items()],
        array_like=config.array_like,
        tag=config.tag,
        tag_field=config.tag_field,
        omit_defaults=config.omit_defaults,
        kw_only=not config.array_like,
        gc=config.gc,
    )
    made.__qualname__ = called or of.__qualname__
    return made


def default(field: Any) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Before, variant(Before, name=None), "Before.name is gone"),
        (Before, variant(Before, number=(str,)), "Before.number was int and is str"),
        (Before, variant(Before, number=(int | None,)), "Before.number was int and is int | none"),
        (Before, variant(Before, number=(Annotated[int, Meta(ge=0)],)), "was int and is int(ge=0)"),
        (Before, variant(Before, name=(Literal["a", "b"], "a")), "Before.name was str and is Literal"),
        (Before, variant(Before, name=(str, "x")), "the default of Before.name was '' and is 'x'"),
        (Before, variant(Before, name=(str,)), "the default of Before.name was '' and is none"),
        (Before, variant(Before, number=(int, 0)), "the default of Before.number was none and is 0"),
        (Before, variant(Before, more=(int,)), "Before.more is new and has no default"),
        (Before, variant(Before, "After"), "it was Before and is After"),
        (
            Before,
            variant(Before, inner=(variant(Inner, more=(int,)) | None, None), many=None),
            "Inner.more is new",
        ),
        (List, variant(List, number=None, more=(int, 0)), "List.number is gone"),
        (
            List,
            msgspec.defstruct(
                "List", [("new", int, 0), ("number", int, 0), ("name", str, "")], array_like=True
            ),
            "new ones come last",
        ),
        (
            List,
            msgspec.defstruct("List", [("number", int), ("name", str, "")]),
            "the layout of List was array and is map",
        ),
        (
            Tagged,
            msgspec.defstruct("Tagged", [("number", int, 0)], tag="b", tag_field="t"),
            "the tag of Tagged was t=a",
        ),
    ],
)
def test_a_change_that_breaks_a_peer_is_found(before, after, told):
    problems = incompatibilities(description(before), description(after))
    assert any(told in problem for problem in problems), problems


@pytest.mark.parametrize("kind", [Before, List, Tagged])
def test_a_field_that_is_added_with_a_default_breaks_nobody(kind):
    assert incompatibilities(description(kind), description(variant(kind, more=(int, 0)))) == []


def drawn_variants(kind: type[msgspec.Struct], data: st.DataObject) -> tuple[type, type]:
    """An older and a newer type: without some of the fields that have a default, and with unknown ones."""
    optional = [field.name for field in msgspec.structs.fields(kind) if not field.required]
    if kind.__struct_config__.array_like:
        dropped = optional[data.draw(st.integers(0, len(optional))) :]
    else:
        dropped = data.draw(st.lists(st.sampled_from(optional), unique=True)) if optional else []
    older = variant(kind, **dict.fromkeys(dropped))
    newer = variant(
        kind, zz_count=(int, 7), zz_notes=(dict[str, list[str]], msgspec.field(default_factory=dict))
    )
    return older, newer


@pytest.mark.parametrize("name", TYPES)
def test_older_and_newer_peers_read_each_other(name):
    current = TYPES[name]

    @settings(max_examples=15)
    @given(st.data())
    def check(data):
        older, newer = drawn_variants(current, data)
        pairs = [(older, current), (current, older), (current, newer), (newer, current), (older, newer)]
        writer, reader = data.draw(st.sampled_from(pairs))
        written = data.draw(message_strategy(writer))
        read = decode_typed(msgspec.msgpack.Decoder(reader), msgspec.msgpack.encode(written), name)
        for field in msgspec.structs.fields(reader):
            sent = field.name in writer.__struct_fields__
            value = getattr(written, field.name) if sent else filled_in(field)
            assert msgspec.msgpack.encode(getattr(read, field.name)) == msgspec.msgpack.encode(value)

    check()


def filled_in(field: Any) -> Any:
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default


def test_an_envelope_of_a_newer_peer_keeps_its_payload_where_it_is():
    envelope = [3, 1, "t/1", None, "", "", None, "", "", 0, b"payload", "new", {"newer": 1}]
    assert bytes(decode(msgspec.msgpack.encode(envelope)).payload) == b"payload"


class Kinds(msgspec.Struct):
    """All that a description tells apart."""

    choice: Literal[3, "x"]
    pair: tuple[int, str]
    table: dict[str, Annotated[list[int], Meta(max_length=4)]]
    raw: msgspec.Raw
    view: memoryview
    tree: "list[Kinds]"


def test_a_description_is_json_and_knows_classes_that_hold_themselves():
    found = json.loads(json.dumps(description(Kinds)))
    assert found["type"] == "Kinds"
    assert {field["name"]: field["type"] for field in found["classes"]["Kinds"]["fields"]} == {
        "choice": "Literal[3, 'x']",
        "pair": "tuple[int, str]",
        "table": "dict[str, list[int](max_length=4)]",
        "raw": "any",
        "view": "bytes",
        "tree": "list[Kinds]",
    }
    assert msgspec.msgpack.decode(example(Kinds), type=Kinds).pair == (1, "pair")
