"""Shared memory in the form of a blocking socket: between two processes, and to the end of either."""

import fcntl
import os
import random
import socket
import subprocess
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import module_from_spec, spec_from_file_location
from itertools import chain, count, repeat
from pathlib import Path

import msgspec
import pytest
from symphony_ipc import BlockingConnection, Endpoint
from symphony_sdk.errors import MalformedMessage, PeerGone, TransportError
from symphony_sdk.messages import CallOperation, OperationResult
from symphony_transports.shared_memory import RingSocket, offer

PEER = Path(__file__).with_name("ring_peer.py")


@contextmanager
def peer(role, size=1 << 20):
    """One end, and a process with the other."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, str(PEER), str(theirs.fileno()), role],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
        ring = RingSocket(offer(ours, size))
    try:
        yield ring, process
    finally:
        ring.close()
        process.kill()
        process.communicate()


@pytest.fixture
def pair(ends):
    return RingSocket(ends[0]), RingSocket(ends[1])


@pytest.fixture
def in_thread():
    """Starts a call in a thread and returns its future."""
    with ThreadPoolExecutor(2) as threads:
        yield threads.submit


@pytest.fixture
def ring_peer():
    """What the other process runs, for this one."""
    spec = spec_from_file_location("ring_peer", PEER)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_hundred_megabytes_cross_two_processes_in_pieces_of_any_size_unharmed(ring_peer):
    with peer("both ways", size=256 << 10) as (ring, process):
        assert ring_peer.send_pseudorandom(ring, 50_000_000, 1) == int(process.stdout.readline())
        assert ring_peer.receive_all(ring, 50_000_000, 2) == int(process.stdout.readline())


def test_a_killed_peer_ends_a_receive(in_thread):
    with peer("stall") as (ring, process):
        process.stdout.readline()
        receiving = in_thread(lambda: ring.recv_into(memoryview(bytearray(10))))
        process.kill()
        assert receiving.result(20) == 0


def test_a_killed_peer_ends_a_send_that_waits_for_room(in_thread):
    with peer("stall") as (ring, process):
        process.stdout.readline()
        sending = in_thread(lambda: ring.sendall(bytes(4 << 20)))
        process.kill()
        with pytest.raises(BrokenPipeError):
            sending.result(20)


def test_what_a_peer_sent_before_it_was_killed_is_received():
    with peer("last words") as (ring, process):
        process.wait()
        assert ring.recv(100) == b"last words"
        assert ring.recv(100) == b""
        with pytest.raises(BrokenPipeError):
            ring.sendall(b"anybody there?")


def test_shutdown_wakes_the_threads_that_receive_and_send_and_ends_the_other_side(pair, in_thread):
    ours, theirs = pair
    receiving = in_thread(lambda: ours.recv(10))
    sending = in_thread(lambda: ours.sendall(bytes(1 << 20)))
    ours.shutdown(socket.SHUT_RDWR)
    ours.shutdown(socket.SHUT_RDWR)
    assert receiving.result(20) == b""
    with pytest.raises(BrokenPipeError):
        sending.result(20)
    assert ours.recv(10) == b""
    while theirs.recv(1 << 20):
        pass
    with pytest.raises(BrokenPipeError):
        theirs.sendall(b"x")


def test_shutdown_after_the_peer_has_closed_is_nothing_special(pair):
    ours, theirs = pair
    theirs.close()
    ours.shutdown()
    assert ours.recv(10) == b""


def test_a_closed_socket_receives_and_sends_nothing(pair):
    ours, _ = pair
    ours.close()
    ours.shutdown()
    assert ours.recv(10) == b""
    with pytest.raises(BrokenPipeError):
        ours.sendall(b"x")


def test_a_timeout_ends_a_receive_and_a_send(pair):
    ours, theirs = pair
    ours.settimeout(0.01)
    with pytest.raises(TimeoutError):
        ours.recv(10)
    with pytest.raises(TimeoutError):
        ours.sendall(bytes(1 << 20))
    ours.settimeout(None)
    theirs.sendmsg([b"in ", memoryview(b"time")])
    assert ours.recv(10) == b"in time"


def test_buffers_longer_than_the_ring_are_sent_whole(pair, in_thread):
    ours, theirs = pair
    data = os.urandom(1 << 20)
    sending = in_thread(lambda: ours.sendmsg([data, b"end"]))
    received = bytearray()
    while len(received) < len(data) + 3:
        received += theirs.recv(100_000)
    assert received == data + b"end"
    assert sending.result(20) == len(data) + 3


def test_a_connection_of_a_worker_works_over_it(in_thread):
    with peer("serve") as (ring, _):
        connection = BlockingConnection.accept(ring, Endpoint("host", b"t", timeout=30))
        serving = in_thread(lambda: connection.serve(Silent()))
        for text in ("", "x" * 10_000, "y" * 3_000_000):
            message = CallOperation("echo", {"text": text})
            answer = connection.request(message, OperationResult, 20)
            assert msgspec.msgpack.decode(answer.outputs["text"]) == text
        connection.close()
        serving.result(20)


def test_a_connection_says_that_its_peer_died(in_thread):
    with peer("serve") as (ring, process):
        connection = BlockingConnection.accept(ring, Endpoint("host", b"t", timeout=30))
        serving = in_thread(lambda: connection.serve(Silent()))
        process.kill()
        serving.result(20)
        with pytest.raises(PeerGone):
            connection.notify(OperationResult())


class Silent:
    def request(self, call): ...

    def cancel(self, call_id): ...

    def closed(self, reason): ...


def test_a_peer_that_announces_what_cannot_be_is_found_out(pair, ends):
    ours, _ = pair
    os.write(ends[1]._announce.fileno(), (1 << 40).to_bytes(8, "little"))
    with pytest.raises(MalformedMessage) as caught:
        ours.recv(10)
    assert caught.value.code == "SYM-T041"


def test_a_peer_that_fills_the_pipe_and_makes_it_blocking_cannot_stop_a_sender(pair, ends):
    ours, _ = pair
    theirs = ends[1].announcements.fileno()
    filling = os.open(f"/proc/self/fd/{theirs}", os.O_WRONLY | os.O_NONBLOCK)
    os.write(filling, bytes(1 << 20))
    os.set_blocking(theirs, True)
    os.set_blocking(filling, True)
    with pytest.raises(MalformedMessage, match="a pipe to the peer is full") as caught:
        ours.sendall(b"x")
    assert caught.value.code == "SYM-T041"
    os.close(filling)


def test_a_peer_that_does_not_read_acknowledgements_cannot_stop_a_receiver(pair, ends):
    ours, _ = pair
    filling = os.open(f"/proc/self/fd/{ends[1].acknowledgements.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
    os.write(filling, bytes(1 << 20))
    while ends[1].outgoing.put(bytes(1 << 20)):
        ends[1].announce()
    with pytest.raises(MalformedMessage, match="a pipe to the peer is full"):
        while ours.recv(1 << 20):
            pass
    os.close(filling)


# -- awake and asleep --------------------------------------------------------------------------------


class Word:
    """How much a peer claims to have put, as it likes; counts how often it is looked at."""

    def __init__(self, says):
        self.looks = 0
        self._says = says

    def __getitem__(self, index):
        self.looks += 1
        return self._says()


@pytest.fixture
def two_cores(monkeypatch):
    """Only a process with two cores looks by itself, and only while it has one thread."""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr("threading.active_count", lambda: 1)


def looks_of_receives(ends, says, count):
    """How often each of so many receives looked at such a word, though its byte was announced already."""
    ours, theirs = RingSocket(ends[0]), RingSocket(ends[1])
    looks = []
    for _ in range(count):
        ends[0].put = Word(says)
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"
        looks.append(ends[0].put.looks)
    return looks


def announced(channel):
    """Bytes that wait in the pipe for this end."""
    waiting = bytearray(4)
    fcntl.ioctl(channel.announcements, termios.FIONREAD, waiting)
    return int.from_bytes(waiting, sys.byteorder)


def test_a_peer_that_is_awake_is_sent_nothing_through_the_pipe(ends, two_cores):
    ours, theirs = RingSocket(ends[0]), RingSocket(ends[1])
    theirs.sendall(b"a")
    assert announced(ends[0]) == 8
    assert ours.recv(10) == b"a"
    for _ in range(1000):
        theirs.sendall(b"b")
        assert ours.recv(10) == b"b"
    assert announced(ends[0]) == 8, "the first one, which was seen in memory as well"


def test_a_peer_that_has_fallen_asleep_is_woken(ends, two_cores):
    ours, theirs = RingSocket(ends[0]), RingSocket(ends[1])
    ours.settimeout(0.01)
    with pytest.raises(TimeoutError):
        ours.recv(10)
    theirs.sendall(b"a")
    assert announced(ends[0]) == 8


def test_what_comes_while_a_receiver_falls_asleep_is_seen_by_its_last_look(ends, two_cores):
    ours, theirs = RingSocket(ends[0]), RingSocket(ends[1])

    def fall_asleep():
        theirs.sendall(b"just before")
        del ends[0].fall_asleep
        ends[0].fall_asleep()

    ends[0].fall_asleep = fall_asleep
    assert ours.recv(100) == b"just before"
    assert announced(ends[0]) == 0


def test_a_receiver_that_finds_nothing_looks_for_a_bounded_while_and_less_and_less_often(ends, two_cores):
    looks = looks_of_receives(ends, lambda: ends[0].incoming.position, 100)
    assert set(looks) == {0, 1001}
    assert [number for number, count in enumerate(looks) if count] == [0, 2, 6, 14, 30, 62, 95]


def test_a_receiver_that_finds_something_again_looks_often_again(ends, two_cores):
    told = chain(repeat(0, 1001), count(3))
    assert looks_of_receives(ends, lambda: next(told), 6) == [1001, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "what, is_so",
    [
        ("os.sched_getaffinity", lambda process: {0}),
        ("threading.active_count", lambda: 2),
        ("symphony_transports.shared_memory.ring_socket.CAN_LOOK", False),
    ],
)
def test_nobody_looks_who_would_keep_others_waiting_or_cannot_trust_the_order_of_stores(
    ends, two_cores, monkeypatch, what, is_so
):
    monkeypatch.setattr(what, is_so)
    assert looks_of_receives(ends, lambda: 1 << 63, 3) == [0, 0, 0]


@pytest.mark.parametrize("lie", [1 << 63, (1 << 64) - 1, (64 << 10) + 2, 0])
def test_a_peer_that_lies_in_memory_about_what_it_has_put_is_found_out(ends, two_cores, lie):
    ours, theirs = RingSocket(ends[0]), RingSocket(ends[1])
    theirs.sendall(b"a")
    assert ours.recv(1) == b"a"
    ends[1]._put[0] = lie
    with pytest.raises(MalformedMessage) as caught:
        ours.recv(10)
    assert caught.value.code == "SYM-T041"


def test_a_peer_that_announces_in_memory_and_in_the_pipe_by_turns_loses_nothing(ends, two_cores):
    ours, theirs = RingSocket(ends[0]), RingSocket(ends[1])
    for number in range(10_000):  # so many stale announcements in the pipe that they must be acknowledged
        ends[1]._peer_awake[0] = 0
        theirs.sendall(number.to_bytes(4, "little"))
        if number % 3:
            ends[0]._awake[0] = 1
        if number % 200 == 0:
            ours.settimeout(0)
            with suppress(TimeoutError):
                while True:
                    ours.recv(1 << 20)
    assert ends[1].outgoing.position == 40_000


def test_a_peer_that_claims_to_be_awake_and_sleeps_stops_nobody_but_itself(ends, two_cores):
    ours, theirs = RingSocket(ends[0]), RingSocket(ends[1])
    ends[1]._awake[0] = 1
    ours.settimeout(0.01)
    with pytest.raises(TimeoutError):
        ours.sendall(bytes(1 << 20))
    assert announced(ends[1]) == 0
    theirs.settimeout(0.01)
    assert len(theirs.recv(1 << 20)) == 64 << 10, "it was there all the time"


def test_a_peer_that_claims_to_be_awake_when_it_is_gone_does_not_keep_a_sender_waiting(ends, two_cores):
    ours, _ = RingSocket(ends[0]), RingSocket(ends[1])
    ends[1]._awake[0] = 1
    ends[1].close()
    with pytest.raises(BrokenPipeError):
        ours.sendall(bytes(1 << 20))


def test_a_sender_that_was_interrupted_in_the_middle_can_go_on(pair, ends):
    ours, theirs = pair
    ends[0]._lock()  # what an interrupt between taking the lock and giving it back leaves behind
    for message in (b"a", b"b"):
        ours.sendall(message)
        assert theirs.recv(10) == message


def test_nothing_is_sent_after_shutdown_though_the_peer_is_awake(ends, two_cores):
    ours = RingSocket(ends[0])
    ends[1]._awake[0] = 1
    ours.shutdown()
    with pytest.raises(BrokenPipeError):
        ours.sendall(b"x")


def test_no_wake_up_is_lost_between_two_processes_at_the_border_of_sleep(ring_peer, two_cores):
    with peer("echo") as (ring, _):
        ring.settimeout(30)
        chance = random.Random(5)
        buffer = memoryview(bytearray(100))
        for number in range(5_000):
            ring_peer.pause(chance)
            message = number.to_bytes(8, "little")
            ring.sendall(message)
            assert ring.recv_into(buffer) == 8
            assert buffer[:8] == message


def test_no_message_of_a_burst_is_lost_between_two_processes_at_the_border_of_sleep(ring_peer, two_cores):
    with peer("count") as (ring, process):
        checksum = ring_peer.send_bursts(ring, 200_000, 6)
        assert int(process.stdout.readline()) == checksum


def test_without_proc_it_says_so_at_once(ends, monkeypatch):
    monkeypatch.setattr("symphony_transports.shared_memory.channel._PROC", "/nonexistent", raising=True)
    with pytest.raises(TransportError, match="/nonexistent") as caught:
        RingSocket(ends[0])
    assert caught.value.code == "SYM-T043"
    assert ends[0].announcements.closed
