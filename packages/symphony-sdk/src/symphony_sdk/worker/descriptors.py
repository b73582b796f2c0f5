"""Takes the descriptors that the host sends beside the channel, each by the number that an answer calls it by."""

import errno
import os
import socket
import struct
import threading
from typing import Final

from symphony_sdk.errors import PeerGone

_NUMBER: Final = struct.Struct("<Q")
_DESCRIPTOR: Final = struct.Struct("@i")
_CLOSED_IN_CHILDREN: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def receive_descriptor(sock: socket.socket) -> tuple[bytes, list[int]]:
    """A message of eight bytes at most, and the descriptor that came with it, which no child process inherits.

    `socket.recv_fds` passes its flags over, so that what it receives would be inherited.

    Args:
        sock: A unix socket that keeps the bounds of messages.

    Raises:
        OSError: Nothing can be received.
    """
    room = socket.CMSG_LEN(_DESCRIPTOR.size)
    data, ancillary, _, _ = sock.recvmsg(_NUMBER.size, room, _CLOSED_IN_CHILDREN)
    return data, [
        number
        for level, kind, content in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (number,) in _DESCRIPTOR.iter_unpack(
            content[: len(content) // _DESCRIPTOR.size * _DESCRIPTOR.size]
        )
    ]


class Descriptors:
    """The worker's end of the socket that descriptors come over; may be used from any thread.

    Args:
        sock: The socket; blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._untaken: dict[int, list[int]] = {}

    def take(self, number: int) -> int:
        """The descriptor of an answer; it was sent before the answer was. Its owner closes it.

        Args:
            number: What the answer calls it by.

        Raises:
            PeerGone: The host is gone.
            OSError: This process has no room for it.
        """
        with self._lock:
            while number not in self._untaken:
                data, descriptors = receive_descriptor(self._sock)
                if not data:
                    raise PeerGone("the host closed the socket that descriptors come over")
                self._untaken[_NUMBER.unpack(data)[0]] = descriptors
            taken = self._untaken.pop(number)
        if not taken:  # the kernel drops what does not fit
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return taken[0]
