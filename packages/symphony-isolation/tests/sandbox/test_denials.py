"""Refused system calls are told to the host, and cost it no more than it gives."""

import socket
import sys
import threading
import time
from collections import Counter

import pytest
from symphony_isolation.sandbox import Limits
from symphony_isolation.sandbox.denials import Denials
from symphony_isolation.sandbox.kernel import NUMBERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux")


class Heard:
    """What the host is told."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.told = threading.Condition()

    def __call__(self, extension, syscall, count):
        with self.told:
            self.counts[extension, syscall] += count
            self.told.notify_all()

    def until(self, enough):
        with self.told:
            assert self.told.wait_for(lambda: enough(self.counts), timeout=30), self.counts


def watched(place, denials, heard, policy, code, extension="acme.x"):
    """Run code in a process whose refused calls are told."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = place.start(policy, code, reports=theirs.fileno(), pass_fds=(theirs.fileno(),))
    denials.watch(ours, extension, heard)
    return process


def test_what_is_refused_is_told_with_its_name_and_fails_as_before(place, tier):
    heard, denials = Heard(), Denials()
    code = f"""
attempt("socket", socket.socket)
attempt("execute", lambda: os.execv("/bin/true", ["true"]))
attempt("kill", lambda: os.kill(1, 9))
attempt("ring", lambda: system({NUMBERS["io_uring_setup"]}, 1, bytes(120)))
attempt("time", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
attempt("pair", lambda: bool(socket.socketpair()))
"""
    with watched(place, denials, heard, place.policy(tier), code) as process:
        output, errors = process.communicate(timeout=60)
    assert output == (
        '{"socket": "EACCES", "execute": "EPERM", "kill": "EPERM", "ring": "ENOSYS", "time": "EPERM", "pair": true}\n'
    ), errors
    expected = {("acme.x", name): 1 for name in ("socket", "execve", "kill", "io_uring_setup")}
    heard.until(lambda counts: counts == expected)


def test_who_tries_without_end_waits_itself_and_others_are_answered(place, tier):
    heard, denials = Heard(), Denials()
    flood = """
count, end = 0, time.monotonic() + 0.5
while time.monotonic() < end:
    attempt("socket", socket.socket)
    count += 1
found["count"] = count
"""
    with watched(place, denials, heard, place.policy(tier), flood, "acme.flood") as one:
        with watched(
            place, denials, heard, place.policy(tier), "attempt('s', socket.socket)", "acme.calm"
        ) as two:
            assert two.communicate(timeout=60)[0] == '{"s": "EACCES"}\n'
        output, _ = one.communicate(timeout=60)
    count = int(output.rpartition(":")[2].rstrip("}\n"))
    assert 0 < count < 2000
    heard.until(lambda counts: counts == {("acme.flood", "socket"): count, ("acme.calm", "socket"): 1})


def test_a_worker_that_hands_nothing_over_is_forgotten_and_the_thread_ends(place):
    heard, denials = Heard(), Denials()
    ours, theirs = socket.socketpair()
    denials.watch(ours, "acme.x", heard)
    theirs.close()
    limit = time.monotonic() + 30
    while denials._running:
        assert time.monotonic() < limit
        threading.Event().wait(0.005)
    assert ours.fileno() == -1
    with watched(
        place, denials, heard, place.policy("none", limits=Limits()), "found['ran'] = True"
    ) as process:
        assert process.communicate(timeout=60)[0] == '{"ran": true}\n'
