import msgspec
import pytest
from hypothesis import given
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
from symphony_sdk.testing import message_strategy
from symphony_sdk.worker import WorkerRuntime

assert WorkerRuntime  # every message of a worker is registered by its import


def plain(value):
    return msgspec.msgpack.encode(value)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_message_comes_back(name):
    kind = MESSAGES[name]

    @given(message_strategy(kind))
    def check(value):
        assert plain(msgspec.msgpack.decode(plain(value), type=kind)) == plain(value)

    check()


@given(message_strategy(RunEvent))
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


def test_a_class_of_the_same_name_from_elsewhere_takes_no_message_over():
    def elsewhere():
        class Done(msgspec.Struct):
            pass

        Done.__qualname__ = "Done"
        return Done

    with pytest.raises(ValueError, match="is already symphony_sdk"):
        message("worker.done")(elsewhere())
    assert MESSAGES["worker.done/1"] is Done


def test_a_module_that_is_imported_anew_registers_its_messages_again(monkeypatch):
    monkeypatch.setitem(MESSAGES, "worker.done/1", Done)

    class Anew(msgspec.Struct):
        pass

    Anew.__module__, Anew.__qualname__ = Done.__module__, Done.__qualname__
    assert message("worker.done")(Anew) is MESSAGES["worker.done/1"] is Anew


@pytest.mark.parametrize(
    "name", ["greeting", "", "acme.", ".acme", "Acme.Greeting", "acme greeting.x", "a.b/2"]
)
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="names no message"):
        message(name)


def test_versions_are_counted_from_one():
    with pytest.raises(ValueError, match="version 0"):
        message("acme.greeting", version=0)


@pytest.mark.parametrize("thing", [dict, object(), len])
def test_only_a_struct_can_be_a_message(thing):
    with pytest.raises(TypeError, match=r"derive it from msgspec\.Struct"):
        message("acme.greeting")(thing)


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
