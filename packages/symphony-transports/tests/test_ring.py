"""The ring of bytes and what its two ends tell each other, without a system call."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from symphony_sdk.errors import MalformedMessage
from symphony_transports.shared_memory.ring import WINDOW, Incoming, Outgoing

SIZE = 64


def word(number):
    return number.to_bytes(8, "little")


class RingMachine(RuleBasedStateMachine):
    """A writer and a reader, with two pipes and a word between them, against a plain string of bytes."""

    def __init__(self):
        super().__init__()
        memory = memoryview(bytearray(SIZE))
        self.outgoing, self.incoming = Outgoing(memory), Incoming(memory)
        self.announced, self.acknowledged = b"", b""
        self.word, self.awake = 0, False
        self.sent, self.received = bytearray(), bytearray()

    @rule(size=st.integers(1, 2 * SIZE))
    def put(self, size):
        data = bytes((len(self.sent) + i) % 251 for i in range(size))
        count = self.outgoing.put(data)
        if count:
            self.sent += data[:count]
            self.word = self.outgoing.position
            if not self.awake:
                self.outgoing.announced += 1
                self.announced += word(self.outgoing.position)

    @rule(size=st.integers(1, 2 * SIZE))
    def take(self, size):
        buffer = memoryview(bytearray(size))
        count = self.incoming.take(buffer)
        self.received += buffer[:count]
        self.give_what_is_owed()

    def give_what_is_owed(self):
        if self.incoming.owes:
            self.acknowledged += self.incoming.acknowledgement()

    @rule()
    def wake_up_or_fall_asleep(self):
        self.awake = not self.awake
        self.look()

    @precondition(lambda self: self.awake)
    @rule()
    def look(self):
        if self.word != self.incoming.position:
            self.incoming.advance(self.word)

    @precondition(lambda self: self.announced)
    @rule(share=st.floats(0.01, 1))
    def carry_announcements(self, share):
        size = max(int(len(self.announced) // 8 * share), 1) * 8
        self.incoming.announcements[:size] = self.announced[:size]
        self.announced = self.announced[size:]
        self.incoming.announce(size)
        self.give_what_is_owed()

    @precondition(lambda self: self.acknowledged)
    @rule(share=st.floats(0.01, 1))
    def carry_acknowledgements(self, share):
        size = max(int(len(self.acknowledged) // 16 * share), 1) * 16
        self.outgoing.acknowledgements[:size] = self.acknowledged[:size]
        self.acknowledged = self.acknowledged[size:]
        self.outgoing.acknowledge(size)

    @rule()
    def a_reader_that_has_caught_up_lets_the_writer_go_on(self):
        while self.announced or self.incoming.available or self.word != self.incoming.position:
            if self.awake:
                self.look()
            if self.announced:
                self.carry_announcements(1.0)
            self.take(SIZE)
        if self.acknowledged:
            self.carry_acknowledgements(1.0)
        assert self.received == self.sent
        before = len(self.sent)
        self.put(1)
        assert len(self.sent) == before + 1

    @invariant()
    def what_is_received_was_sent(self):
        assert self.sent.startswith(self.received)
        assert len(self.announced) <= 8 * WINDOW
        assert len(self.acknowledged) <= 16 * 5, "acknowledgements are rare: their pipe never fills"


def test_whatever_is_put_taken_and_carried_in_whatever_order_arrives():
    run_state_machine_as_test(RingMachine, settings=settings(max_examples=50, deadline=None))


def test_a_writer_waits_when_so_many_announcements_are_not_acknowledged():
    memory = memoryview(bytearray(4096))
    outgoing, incoming = Outgoing(memory), Incoming(memory)
    for _ in range(WINDOW):
        assert outgoing.put(b"x") == 1
        outgoing.announced += 1
        incoming.announcements[:8] = word(outgoing.position)
        incoming.announce(8)
    assert outgoing.put(b"x") == 0
    assert incoming.owes
    outgoing.acknowledgements[:16] = incoming.acknowledgement()
    outgoing.acknowledge(16)
    assert outgoing.put(b"x") == 1


@given(
    words=st.lists(st.one_of(st.integers(0, 3 * SIZE), st.integers(0, 2**64 - 1)), min_size=1, max_size=20)
)
def test_whatever_a_writer_announces_no_more_is_read_than_the_ring_holds(words):
    incoming = Incoming(memoryview(bytearray(SIZE)))
    buffer = memoryview(bytearray(2 * SIZE))
    last = 0
    for number in words:
        incoming.announcements[:8] = word(number)
        try:
            incoming.announce(8)
        except MalformedMessage as error:
            assert error.code == "SYM-T041"
            return
        assert last < number
        last = number
        while incoming.available:
            assert 0 < incoming.available <= SIZE
            incoming.take(buffer)
        if incoming.owes:
            incoming.acknowledgement()


@given(
    words=st.lists(st.one_of(st.integers(0, 3 * SIZE), st.integers(0, 2**64 - 1)), min_size=1, max_size=20)
)
def test_whatever_a_writer_stores_in_memory_no_more_is_read_than_the_ring_holds(words):
    incoming = Incoming(memoryview(bytearray(SIZE)))
    buffer = memoryview(bytearray(2 * SIZE))
    for number in words:
        before = incoming.position
        try:
            incoming.advance(number)
        except MalformedMessage as error:
            assert error.code == "SYM-T041"
            assert incoming.position == before
            assert not before < number <= SIZE // 2, "what is possible is taken"
            return
        assert before < number
        while incoming.available:
            assert 0 < incoming.available <= SIZE
            incoming.take(buffer)
        if incoming.owes:
            incoming.acknowledgement()


def test_an_announcement_of_what_is_known_already_changes_nothing():
    incoming = Incoming(memoryview(bytearray(SIZE)))
    incoming.advance(10)
    for number in (4, 10):
        incoming.announcements[:8] = word(number)
        incoming.announce(8)
        assert (incoming.position, incoming.available) == (10, 10)
    incoming.announcements[:8] = word(12)
    incoming.announce(8)
    assert incoming.available == 12


@pytest.mark.parametrize("number", [0, 9, 10])
def test_announcements_that_go_back_are_refused_though_more_is_known_already(number):
    incoming = Incoming(memoryview(bytearray(SIZE)))
    incoming.advance(20)
    incoming.announcements[:8] = word(10)
    incoming.announce(8)
    incoming.announcements[:8] = word(number)
    with pytest.raises(MalformedMessage, match=f"{number} bytes as put, after 10") as caught:
        incoming.announce(8)
    assert caught.value.code == "SYM-T041"


@given(
    put=st.integers(0, SIZE // 4),
    said=st.lists(st.one_of(st.integers(0, SIZE), st.integers(0, 2**64 - 1)), min_size=2, max_size=2),
)
def test_whatever_a_reader_acknowledges_the_writer_never_believes_more_than_it_put(put, said):
    outgoing = Outgoing(memoryview(bytearray(SIZE)))
    announced = int(outgoing.put(bytes(put)) > 0)
    outgoing.announced = announced
    outgoing.acknowledgements[:16] = word(said[0]) + word(said[1])
    possible = said[0] <= put and said[1] <= announced
    try:
        outgoing.acknowledge(16)
    except MalformedMessage as error:
        assert error.code == "SYM-T041"
        assert not possible
    else:
        assert possible


@pytest.mark.parametrize("size", [1, 7, 9, 4095])
def test_a_part_of_an_announcement_is_refused(size):
    with pytest.raises(MalformedMessage, match=f"an announcement of {size} bytes"):
        Incoming(memoryview(bytearray(SIZE))).announce(size)


@pytest.mark.parametrize("size", [1, 8, 24, 4095])
def test_a_part_of_an_acknowledgement_is_refused(size):
    with pytest.raises(MalformedMessage, match=f"an acknowledgement of {size} bytes"):
        Outgoing(memoryview(bytearray(SIZE))).acknowledge(size)


def test_a_writer_that_does_not_wait_for_acknowledgements_is_refused():
    incoming = Incoming(memoryview(bytearray(4096)))
    for number in range(1, WINDOW + 1):
        incoming.announcements[:8] = word(number)
        incoming.announce(8)
    incoming.announcements[:8] = word(WINDOW + 1)
    with pytest.raises(MalformedMessage, match=f"more than {WINDOW} announcements"):
        incoming.announce(8)
