"""Makes the listener of a worker's proxy, in the worker's own network, and hands it to the host.

It is called in the new process once it is in its own network, and before its system calls are filtered: afterwards
nobody in it can listen. What accepts on it is `broker/proxy.py`, in the host.
"""

import os
import socket
import struct
from typing import Final

BACKLOG: Final = 64

_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1
_REQUEST: Final = struct.Struct("16sH14x")
_NAME: Final = b"lo"


def prepare_proxy(descriptors: socket.socket) -> None:
    """Make a new network ready for the proxy: its loopback, and the listener on it.

    Args:
        descriptors: The worker's end of the socket that descriptors come over.

    Raises:
        OSError: The kernel refused.
    """
    raise_loopback()
    prepare_proxy_listener(descriptors)


def prepare_proxy_listener(descriptors: socket.socket) -> None:
    """Listen on loopback, give the listener to the host, and point HTTP libraries there.

    Args:
        descriptors: The worker's end of the socket that descriptors come over; the listener is all that is ever
            sent on it.

    Raises:
        OSError: The kernel refused.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        socket.send_fds(descriptors, [b"proxy"], [listener.fileno()])
    for name in ("http_proxy", "https_proxy"):  # upper case means the same to some libraries, and is not set
        os.environ[name] = proxy
    os.environ["no_proxy"] = ""


def proxy_port() -> int:
    """The port of the proxy that this process was pointed to."""
    return int(os.environ["http_proxy"].rpartition(":")[2])


def raise_loopback() -> None:
    """Bring the loopback interface of a new network up; it is down at first.

    Raises:
        OSError: The kernel refused.
    """
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        _, flags = _REQUEST.unpack(fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _REQUEST.pack(_NAME, 0)))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _REQUEST.pack(_NAME, flags | _IFF_UP))
