"""Hears of the system calls that workers are refused, refuses them, and tells who wants to know.

The filter of a worker asks the host about the calls that no honest library makes (seccomp user notification, see
seccomp_unotify(2)); the answer is always no. One thread answers for all workers. A worker that is refused more than so
many calls in a moment waits for its next answer: it takes its own time, not the host's.
"""

import errno
import fcntl
import os
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from symphony_isolation.sandbox.kernel import NUMBERS
from symphony_isolation.sandbox.seccomp import REPORTED

OnDenied = Callable[[str, str, int], None]
"""Told of refused calls: id of the extension, name of the system call, how many; called in a thread."""

BURST: Final = 20
"""Calls of one worker that are answered in a window; further ones wait for the next."""

WINDOW: Final = 0.01
"""Seconds."""

TOLD_EVERY: Final = 1.0
"""Seconds between two words about a worker; the first one is told at once."""

_RECV: Final = 0xC0502100  # SECCOMP_IOCTL_NOTIF_RECV
_SEND: Final = 0xC0182101  # SECCOMP_IOCTL_NOTIF_SEND
_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
_ANSWER: Final = struct.Struct("=QqiI")

_ERRORS: Final = dict.fromkeys(("socket", "socketpair", "connect", "bind", "listen"), errno.EACCES) | {
    "io_uring_setup": errno.ENOSYS
}
_NAMES: Final = {NUMBERS[name]: name for name in REPORTED if name in NUMBERS}


class _Source:
    """One worker: first the socket on which it hands its listener over, then the listener."""

    def __init__(self, handed: socket.socket, extension: str, on_denied: OnDenied) -> None:
        self.handed: socket.socket | None = handed
        self.descriptor = handed.fileno()
        self.extension = extension
        self.on_denied = on_denied
        self.heard: Counter[str] = Counter()
        self.tell_at = 0.0
        self.window_ends = 0.0
        self.answered = 0

    def take_listener(self) -> bool:
        """Take the listener; whether there was one."""
        assert self.handed is not None  # noqa: S101 - it is handed over once
        with self.handed:
            try:
                _, found, _, _ = socket.recv_fds(self.handed, 1, 1)
            except OSError:
                found = []
        self.handed = None
        if found:
            self.descriptor = found[0]
            os.set_inheritable(self.descriptor, False)
        return bool(found)

    def answer(self) -> None:
        """Refuse the call that waits."""
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.descriptor, _RECV, buffer)
        except OSError:  # the thread that asked was killed
            return
        id, _, _, number, *_ = _NOTIFICATION.unpack(buffer)
        name = _NAMES.get(number, f"number {number}")
        with suppress(OSError):
            fcntl.ioctl(self.descriptor, _SEND, _ANSWER.pack(id, 0, -_ERRORS.get(name, errno.EPERM), 0))
        self.heard[name] += 1
        self.answered += 1

    def tell(self) -> None:
        """Say what was heard."""
        for name, count in self.heard.items():
            self.on_denied(self.extension, name, count)
        self.heard.clear()


class Denials:
    """The thread that answers; it runs while there is a worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: list[_Source] = []
        self._woken, self._wake = os.pipe()
        self._running = False

    def watch(self, handed: socket.socket, extension: str, on_denied: OnDenied) -> None:
        """Answer the calls that a worker is refused, until it has ended.

        Args:
            handed: Where its process hands the descriptor over that they are read from; closed here.
            extension: Id of its extension.
            on_denied: Told of them.
        """
        with self._lock:
            self._new.append(_Source(handed, extension, on_denied))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="symphony-denials", daemon=True).start()
        os.write(self._wake, b"x")

    def _run(self) -> None:
        poll = select.epoll()
        poll.register(self._woken, select.EPOLLIN)
        sources: dict[int, _Source] = {}
        waiting: set[_Source] = set()
        while True:
            with self._lock:
                for source in self._new:
                    poll.register(source.descriptor, select.EPOLLIN)
                    sources[source.descriptor] = source
                self._new.clear()
                if not sources:
                    self._running = False
                    poll.close()
                    return
            for descriptor, events in poll.poll(self._pause(sources.values(), waiting)):
                if descriptor == self._woken:
                    os.read(self._woken, 64)
                else:
                    self._serve(poll, sources, waiting, descriptor, events)
            now = time.monotonic()
            for source in [one for one in waiting if one.window_ends <= now]:
                waiting.discard(source)
                poll.register(source.descriptor, select.EPOLLIN)
            for source in sources.values():
                if source.heard and source.tell_at <= now:
                    source.tell_at = now + TOLD_EVERY
                    source.tell()

    def _serve(
        self,
        poll: select.epoll,
        sources: dict[int, _Source],
        waiting: set[_Source],
        descriptor: int,
        events: int,
    ) -> None:
        source = sources[descriptor]
        if source.handed is not None:
            poll.unregister(descriptor)
            del sources[descriptor]
            if source.take_listener():
                poll.register(source.descriptor, select.EPOLLIN)
                sources[source.descriptor] = source
            return
        now = time.monotonic()
        if source.window_ends <= now:
            source.window_ends, source.answered = now + WINDOW, 0
        if not events & select.EPOLLIN:  # nobody is left who could ask
            poll.unregister(descriptor)
            os.close(descriptor)
            del sources[descriptor]
            source.tell()
            return
        source.answer()
        if source.answered >= BURST:
            poll.unregister(descriptor)
            waiting.add(source)

    @staticmethod
    def _pause(sources: Iterable[_Source], waiting: set[_Source]) -> float | None:
        """Seconds until something is to be done by itself."""
        moments = [one.window_ends for one in waiting] + [one.tell_at for one in sources if one.heard]
        return max(0.0, min(moments) - time.monotonic()) if moments else None
