"""One end of a connection through shared memory: two rings, and the pipes that their two ends talk through.

Behind the rings lies a page of words, two for each ring. In one the writer stores how much it has put, each time. In
the other the reader says whether it is *awake*: that it looks at the first word by itself, so that nothing need be
sent through the pipe. A reader that never says so is woken by the pipe each time; an event loop is such a reader.

Why no wake-up is lost: the writer stores how much it has put and then looks whether the reader is awake; the reader
says that it is not and then looks a last time at how much was put. A processor may put off a store until after the
load that follows it, and if both did, each would miss the other. So between the two each end passes a full barrier.
It is the taking and giving of a lock that nobody else wants: CPython's locks are semaphores of the C library, from
3.14 on a byte of its own, and to give either back takes an atomic instruction, whoever is around. On x86 each such
is a full barrier. (The mutexes of glibc are no such thing: they do without while a process has one thread.)

Why the bytes are there when the number says so: x86 lets others see stores in the order in which they were made, and
takes loads in theirs; the number is one aligned word, so it is never seen in halves. Other processors promise neither.
There no reader says that it is awake, and a number comes through the pipe only: the kernel orders a write to it
before the read that returns it.

Why it harms nobody if the peer lies in these words: how much it has put is read once and checked like what comes
through the pipe, and if it claims to be awake while it sleeps, then it is itself that goes on sleeping.

The end that listens makes everything and passes the other end's part over a Unix socket, which is then closed.
Nothing has a name, so nothing is left behind, however the two processes end; and the death of a process closes
its pipes, which is how the other one learns of it.

Why pipes and not eventfds: an eventfd is one open file that both processes hold, with one set of flags. A hostile
peer makes it blocking and fills its counter, and the event loop that signals it next stands still for ever. The
two ends of a pipe are separate open files: nobody but the listening end holds those that it uses. (The end that
connects trusts the one that listens for that much.)

Why the memory cannot be pulled away: it is sealed against shrinking, so that nobody can cut off pages which the
other process is about to touch, and it is no hugetlbfs file, whose pages can run out when they are touched.
"""

import mmap
import os
import socket
import stat
import sys
import threading
from array import array
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO
from struct import Struct
from typing import Final

from symphony_sdk.errors import MalformedMessage, PeerGone, TransportError

from symphony_transports.shared_memory.ring import Incoming, Outgoing
from symphony_transports.systems import not_here

RING_SIZE: Final = 1 << 20
"""Bytes of each of the two rings. The system gives memory for what is used of them."""

CAN_LOOK: Final = sys.platform == "linux" and os.uname().machine == "x86_64" and sys.maxsize > 1 << 32
"""Whether the processor promises what it takes to look at the words instead of waiting for the pipe."""

_MAGIC: Final = b"symshm-3"
_OFFER: Final = Struct("<8sQ")
_DESCRIPTORS: Final = 5  # the memory, and two ends of a pipe for each ring
_PROC: Final = "/proc/self/fd"
_LARGEST: Final = 1 << 30  # bytes of a ring
_WORDS: Final = mmap.PAGESIZE
_APART: Final = (
    128  # bytes from one word to the next: cores share no line of their caches, nor a pair of lines
)
_NOTHING: Final = memoryview(bytes(8)).cast("Q")  # a word of a peer that has put nothing and sleeps


class Channel:
    """One end of a connection through shared memory; made by `offer` and by `receive`.

    Args:
        memory: Both rings and their words: first those of the ring that the listening end reads.
        listens: Whether this is the listening end.
        pipes: Descriptors of this end: those that it reads announcements and acknowledgements from, and those
            that it writes announcements and acknowledgements to. It owns them.

    Attributes:
        incoming: The ring that this end reads.
        outgoing: The ring that this end writes.
        announcements: Where the peer announces what it has put into `incoming`.
        acknowledgements: Where the peer acknowledges what it has taken from `outgoing`.
        put: How much the peer claims to have put into `incoming`; a view of one word, to be read once and checked.
    """

    def __init__(self, memory: mmap.mmap, *, listens: bool, pipes: Sequence[int]) -> None:
        middle, end = (len(memory) - _WORDS) // 2, len(memory) - _WORDS
        with memoryview(memory) as whole:
            rings = whole[:middle], whole[middle:end]
            words = [whole[start : start + 8].cast("Q") for start in range(end, end + 4 * _APART, _APART)]
        self._memory = memory
        self._views = *rings, *words
        lock = threading.Lock()
        self._lock, self._unlock = lock.acquire, lock.release
        reads, writes = (0, 1) if listens else (1, 0)
        self.incoming = Incoming(rings[reads])
        self.outgoing = Outgoing(rings[writes])
        self.put, self._awake = words[2 * reads : 2 * reads + 2]
        self._put, self._peer_awake = words[2 * writes : 2 * writes + 2]
        self.announcements = FileIO(pipes[0], "r")
        self.acknowledgements = FileIO(pipes[1], "r")
        self._announce = FileIO(pipes[2], "w")
        self._acknowledge = FileIO(pipes[3], "w")
        for pipe in (self._announce, self._acknowledge):
            os.set_blocking(pipe.fileno(), False)

    def announce(self) -> None:
        """Tell the peer what was put into `outgoing`, and wake it if it sleeps.

        Raises:
            BrokenPipeError: The peer is gone; it may also be noticed later, by the end of `acknowledgements`.
            MalformedMessage: The peer made the pipe smaller (`SYM-T041`).
        """
        self._put[0] = self.outgoing.position
        self._lock(False)  # without waiting: whoever was interrupted right here has left it locked
        self._unlock()  # the barrier
        if not self._peer_awake[0]:
            self.outgoing.announced += 1
            if self._announce.write(self._put) is None:  # if the peer changes it meanwhile, it lies to itself
                raise _full()

    def stay_awake(self) -> None:
        """Say that this end looks at `put` by itself, until `fall_asleep`; only where `CAN_LOOK`."""
        self._awake[0] = 1

    def fall_asleep(self) -> None:
        """Say that this end is to be woken. It must look at `put` once more before it waits."""
        with threading.Lock():  # the barrier
            self._awake[0] = 0

    def acknowledge(self) -> None:
        """Tell the peer what was taken from `incoming`.

        Raises:
            MalformedMessage: The peer made the pipe smaller (`SYM-T041`).
        """
        # If it is gone, what it left behind is read all the same; then comes the end.
        with suppress(BrokenPipeError):
            if self._acknowledge.write(self.incoming.acknowledgement()) is None:
                raise _full()

    def hang_up(self) -> None:
        """End both directions and wake the threads that read from the pipes.

        From now on they read an end, and `announce` raises BrokenPipeError. The descriptors stay in use, so that no
        other file gets the number of one that a thread is about to use.

        Raises:
            OSError: This process does not see `/proc`, or has no descriptor left.
        """
        self._peer_awake = _NOTHING
        nobody, broken = os.pipe()
        os.close(nobody)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for pipe in (self._announce, self._acknowledge):
            os.dup2(broken, pipe.fileno(), inheritable=False)
        for pipe in (self.announcements, self.acknowledgements):
            waking = writing_end(pipe)
            with suppress(BlockingIOError):  # it is full: nobody waits for more
                os.write(waking, b"\0")
            os.close(waking)
            os.dup2(nothing, pipe.fileno(), inheritable=False)
        os.close(broken)
        os.close(nothing)

    def close(self) -> None:
        """Give everything back; what the peer has not taken yet stays there for it."""
        for pipe in (self._announce, self._acknowledge, self.announcements, self.acknowledgements):
            pipe.close()
        self.incoming = Incoming(memoryview(b""))
        self.outgoing = Outgoing(memoryview(b""))
        self.put = self._peer_awake = _NOTHING
        for view in self._views:
            view.release()
        self._memory.close()


def offer(sock: socket.socket, size: int = RING_SIZE) -> Channel:
    """Make a connection through shared memory and pass the other end of it to the peer.

    Args:
        sock: A connected Unix socket; it is not needed any more afterwards.
        size: Bytes of each of the two rings: a power of two, 4 KiB to 1 GiB.

    Raises:
        TransportError: The system has no shared memory of this kind (`SYM-T030`), or none left (`SYM-T042`).
        PeerGone: The peer went away.
        ValueError: `size` is not possible.
    """
    if sys.platform != "linux":
        raise not_linux()
    import fcntl

    if not _possible(size):
        raise ValueError(f"a ring of {size} bytes: a power of two is needed, {mmap.PAGESIZE} to {_LARGEST}")
    opened: list[int] = []
    try:
        memory = os.memfd_create("symphony", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        opened.append(memory)
        os.ftruncate(memory, 2 * size + _WORDS)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        for _ in range(4):
            opened += os.pipe()
        _, in_r, in_w, taken_r, taken_w, out_r, out_w, freed_r, freed_w = opened
        theirs = [memory, out_r, taken_r, in_w, freed_w]
        ours = [in_r, freed_r, out_w, taken_w]
        mapped = mmap.mmap(memory, 2 * size + _WORDS)
        socket.send_fds(sock, [_OFFER.pack(_MAGIC, size)], theirs)
    except BaseException as error:
        for descriptor in opened:
            os.close(descriptor)
        if isinstance(error, BrokenPipeError | ConnectionResetError):
            raise PeerGone("the peer went away before it was given the shared memory") from error
        if isinstance(error, OSError):
            raise TransportError(
                f"no connection through shared memory of 2 x {size:,} bytes can be made: {error.strerror}",
                code="SYM-T042",
                hint="Each takes four pipes and a memory file; look at `ulimit -n` and at the memory that is free.",
            ) from error
        raise
    for descriptor in theirs:
        os.close(descriptor)
    return Channel(mapped, listens=True, pipes=ours)


def receive(sock: socket.socket) -> Channel:
    """Take the end that the peer offers.

    Args:
        sock: A connected Unix socket with something to read, or one that blocks; it is not needed any more
            afterwards.

    Raises:
        TransportError: The system has no shared memory of this kind (`SYM-T030`), or what is offered is not safe
            to use (`SYM-T040`).
        PeerGone: The peer went away.
        TimeoutError: The socket has a timeout, and it passed.
    """
    if sys.platform != "linux":
        raise not_linux()
    data, descriptors = _receive_descriptors(sock)
    try:
        if not data:
            raise PeerGone("the peer went away before it offered shared memory")
        if len(data) != _OFFER.size or len(descriptors) != _DESCRIPTORS:
            raise _unsafe(f"{len(data)} bytes with {len(descriptors)} descriptors")
        magic, size = _OFFER.unpack(data)
        if magic != _MAGIC:
            raise _unsafe(f"a greeting of {magic!r}")
        memory, *pipes = descriptors
        _check_memory(memory, size)
        if not all(stat.S_ISFIFO(os.fstat(pipe).st_mode) for pipe in pipes):
            raise _unsafe("something else than pipes")
        mapped = mmap.mmap(memory, 2 * size + _WORDS)
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    os.close(memory)
    return Channel(mapped, listens=False, pipes=pipes)


def writing_end(pipe: FileIO) -> int:
    """The other end of a pipe, opened anew; the end of a connection keeps none, to see when its peer has none.

    Args:
        pipe: The end that is read from.

    Raises:
        OSError: This process does not see `/proc`, or has no descriptor left.
    """
    return os.open(f"{_PROC}/{pipe.fileno()}", os.O_WRONLY | os.O_NONBLOCK)


def not_linux() -> TransportError:
    """The error on a system that has not what this needs."""
    return not_here("memory files", "npipe" if sys.platform == "win32" else "unix")


def _receive_descriptors(sock: socket.socket) -> tuple[bytes, list[int]]:
    # Not socket.recv_fds: it ignores its flags, and a child process that inherits the end of a pipe keeps it open.
    descriptors = array("i")
    room = socket.CMSG_LEN((_DESCRIPTORS + 1) * descriptors.itemsize)  # to see when there are too many
    try:
        data, control, _, _ = sock.recvmsg(_OFFER.size, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return b"", []
    for level, kind, content in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, list(descriptors)


def _check_memory(memory: int, size: int) -> None:
    import fcntl  # not on Windows, where this module is imported for its types

    if not _possible(size) or os.fstat(memory).st_size != 2 * size + _WORDS:
        raise _unsafe(
            f"two rings of {size:,} bytes and their words in a file of {os.fstat(memory).st_size:,}"
        )
    try:
        seals = fcntl.fcntl(memory, fcntl.F_GET_SEALS)
    except OSError:  # it is no memory file
        seals = 0
    if not seals & fcntl.F_SEAL_SHRINK:
        raise _unsafe("memory that can be cut off while it is in use")
    if os.fstatvfs(memory).f_bsize != mmap.PAGESIZE:
        raise _unsafe("memory of huge pages, which may run out while it is in use")


def _possible(size: int) -> bool:
    return mmap.PAGESIZE <= size <= _LARGEST and not size & (size - 1)


def _full() -> MalformedMessage:
    return MalformedMessage(
        "a pipe to the peer is full, though it has room for all that may be under way",
        code="SYM-T041",
        hint="The process at the other end made it smaller, or fills it itself; the connection to it is closed.",
    )


def _unsafe(what: str) -> TransportError:
    return TransportError(
        f"the peer offers {what}; expected were two rings in sealed memory and four pipes",
        code="SYM-T040",
        hint="Something that is not Symphony, or another version of it, listens there.",
    )
