"""What is put into the outbox arrives in order, or is counted as dropped; nobody waits for long."""

import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_telemetry.outbox import BATCH, LIMIT, Outbox


@settings(deadline=None, max_examples=25)
@given(count=st.integers(0, 2000))
def test_all_arrive_once_and_in_order_in_batches_of_at_most_so_many(count):
    batches = []

    def send(batch):
        batches.append(batch)
        return True

    outbox = Outbox(send, patience=30.0)
    for number in range(count):
        outbox.put(number)
    outbox.close()
    assert [number for batch in batches for number in batch] == list(range(count))
    assert all(0 < len(batch) <= BATCH for batch in batches) and outbox.dropped == 0


def test_what_a_dead_receiver_does_not_take_is_dropped_without_waiting():
    entered, let_go = threading.Event(), threading.Event()
    sent = []

    def send(batch):
        entered.set()
        let_go.wait(30)
        sent.append(batch)
        return True

    outbox = Outbox(send, patience=0.05)
    outbox.put(0)
    assert entered.wait(30)
    for number in range(1, LIMIT + 1):
        outbox.put(number)
    more = 10_000
    for number in range(more):  # 10,000 times the patience would be minutes
        outbox.put(number)
    assert outbox.dropped == more
    let_go.set()
    outbox.close()
    outbox._thread.join(30)
    assert sum(map(len, sent)) + outbox.dropped == 1 + LIMIT + more


def test_a_receiver_that_comes_back_is_waited_for_again():
    arrives = threading.Event()
    sent = threading.Semaphore(0)
    taken = []

    def send(batch):
        if arrives.is_set():
            taken.extend(batch)
        sent.release()
        return arrives.is_set()

    outbox = Outbox(send, patience=30.0)
    outbox.put("lost")
    assert sent.acquire(timeout=30)
    arrives.set()
    outbox.put("first")
    assert sent.acquire(timeout=30)
    outbox.put("second")
    outbox.close()
    assert taken == ["first", "second"] and outbox.dropped == 1


def test_closing_does_not_wait_for_a_receiver_that_hangs():
    let_go = threading.Event()

    def send(batch):
        let_go.wait(30)
        return False

    outbox = Outbox(send, patience=0.05)
    for number in range(LIMIT):
        outbox.put(number)
    outbox.close()
    assert not let_go.is_set() and outbox.dropped > 0
    let_go.set()
    outbox._thread.join(30)
    assert outbox.dropped == LIMIT and not outbox._thread.is_alive()
