"""What the host asks the zygote over their socket, one message a packet, and what it answers, in the same order."""

from typing import Final

import msgspec

PACKET_LIMIT: Final = 1 << 16
"""Bytes of a message."""

DESCRIPTORS_LIMIT: Final = 16
"""Descriptors that come with a message."""


STDERR: Final = 1
"""Position of the worker's stderr among these; its stdout comes first."""

CHANNEL: Final = 2
"""Position of the worker's end of the channel."""


class Fork(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Fork a worker; the descriptors that come along are its stdout, its stderr and those of its bootstrap.

    Args:
        directory: Where it is to be.
        environment: Its environment, each variable as `NAME=value`.
        contained: Whether it is to be in new namespaces from the beginning, with a keeper. It is forked once the
            host has sent something over the channel.
    """

    directory: bytes
    environment: tuple[bytes, ...]
    contained: bool = False


class Reap(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Tell how a worker has ended, and give its number back.

    Args:
        pid: Its process id.
    """

    pid: int


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What came of it; the first one, unasked, says that the zygote is ready.

    Args:
        value: Process id of the new worker; or exit code of the ended one, or minus the signal that ended it.
        error: Number of the error where it failed, otherwise 0.
    """

    value: int = 0
    error: int = 0
