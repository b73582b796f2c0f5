import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_sdk import message
from symphony_sdk.events import (
    ItemCompleted,
    NodeProgressed,
    RunCompleted,
    RunEvent,
    RunPaused,
    ends_run,
    is_durable,
)
from symphony_sdk.messages import MESSAGES, Done, message_type
from symphony_sdk.worker import WorkerRuntime

assert WorkerRuntime  # every message of a worker is registered by its import


def strategy(type_):
    """Values of a type, derived from the type itself."""
    info = msgspec.inspect.type_info(type_)
    return _strategy(info)


def _strategy(info):
    i = msgspec.inspect
    match info:
        case i.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: _strategy(field.type) for field in fields})
        case i.UnionType(types=types):
            return st.one_of([_strategy(one) for one in types])
        case i.StrType(max_length=longest):
            return st.text(max_size=min(20, longest or 20))
        case i.BytesType():
            return st.binary(max_size=50)
        case i.IntType(ge=least, le=most):
            return st.integers(-(2**63) if least is None else least, 2**64 - 1 if most is None else most)
        case i.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case i.BoolType():
            return st.booleans()
        case i.NoneType():
            return st.none()
        case i.LiteralType(values=values):
            return st.sampled_from(values)
        case i.DictType(key_type=key, value_type=value):
            return st.dictionaries(_strategy(key), _strategy(value), max_size=3)
        case i.VarTupleType(item_type=item):
            return st.lists(_strategy(item), max_size=3).map(tuple)
        case i.ListType(item_type=item):
            return st.lists(_strategy(item), max_size=3)
        case i.RawType():
            return (
                st.integers()
                .filter(lambda n: -(2**63) <= n < 2**64)
                .map(lambda n: msgspec.Raw(msgspec.msgpack.encode(n)))
            )
        case i.AnyType():
            return st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.integers(0, 9), max_size=3)
    raise NotImplementedError(info)


def plain(value):
    return msgspec.msgpack.encode(value)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_message_comes_back(name):
    kind = MESSAGES[name]

    @given(strategy(kind))
    def check(value):
        assert plain(msgspec.msgpack.decode(plain(value), type=kind)) == plain(value)

    check()


@given(strategy(RunEvent))
def test_every_event_comes_back_as_its_own_kind(event):
    assert msgspec.msgpack.decode(plain(event), type=RunEvent) == event
    assert msgspec.json.decode(msgspec.json.encode(event), type=RunEvent) == event


def test_a_newer_sender_may_add_fields():
    newer = msgspec.msgpack.encode({"fraction": 0.5, "text": "x", "colour": "red"})
    assert msgspec.msgpack.decode(newer, type=MESSAGES["worker.progress/1"]).fraction == 0.5


def test_two_messages_cannot_have_one_name():
    with pytest.raises(ValueError, match=r"'worker\.done/1' is already symphony_sdk\.messages\.Done"):

        @message("worker.done")
        class Other(msgspec.Struct):
            pass


def test_a_message_knows_its_wire_name():
    assert message_type(Done()) == message_type(Done) == "worker.done/1"


def test_a_struct_that_is_no_message_is_refused():
    class Plain(msgspec.Struct):
        pass

    with pytest.raises(TypeError, match="decorate its class with @message"):
        message_type(Plain)


def test_which_events_end_a_run_and_which_are_kept():
    assert ends_run(RunCompleted(run="r", sequence=1, at=0.0, seconds=1.0))
    assert ends_run(RunPaused(run="r", sequence=1, at=0.0))
    assert not ends_run(ItemCompleted(run="r", sequence=1, at=0.0, node="n", item=0))
    assert is_durable(ItemCompleted(run="r", sequence=1, at=0.0, node="n", item=0))
    assert not is_durable(NodeProgressed(run="r", sequence=1, at=0.0, node="n", fraction=0.1))
