"""What a call is told about itself, and what it tells the host."""

import pytest
from symphony_sdk.errors import Cancelled
from symphony_sdk.messages import Progress
from symphony_sdk.ports import NodeCall
from symphony_sdk.testing import recording_context


@pytest.mark.parametrize(("attempt", "item"), [(1, -1), (2, -1), (1, 0), (7, 12)])
def test_the_key_of_an_attempt_is_the_same_for_its_author_and_its_executor(attempt, item):
    context = recording_context(run="r", node="n", attempt=attempt, item=item)
    call = NodeCall("r", "n", "acme.text.shout", {}, attempt, item)
    assert context.idempotency_key == call.idempotency_key


def test_the_keys_of_two_attempts_differ():
    first, second = (recording_context(run="r", node="n", attempt=attempt) for attempt in (1, 2))
    assert first.idempotency_key != second.idempotency_key


def test_a_heartbeat_says_again_how_far_the_call_is():
    context = recording_context()
    context.heartbeat()
    context.progress(0.4, "reading")
    context.heartbeat()
    assert context.progressed == [Progress(0.0), Progress(0.4, "reading"), Progress(0.4, "reading")]


def test_a_heartbeat_of_a_cancelled_call_ends_it():
    context = recording_context()
    context.cancel()
    with pytest.raises(Cancelled):
        context.heartbeat()
    assert context.progressed == []
