"""What the host tells a process that it has just started, before anything else, over the inherited socket.

Not in the environment and not among the arguments: other processes can read those.
"""

import socket
import struct

import msgspec

from symphony_isolation.sandbox.policy import SandboxPolicy

_LENGTH = struct.Struct("<I")


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """How a new worker is to confine itself and to greet the host.

    Args:
        extension: Id of the extension.
        parent: Process id of the parent: it is to die with it.
        token: The secret of the handshake.
        timeout: Seconds that the handshake may take.
        import_path: Directories to import from besides the interpreter's own.
        sandbox: What it may see and use.
        environment: Variables that it gets besides, each as `NAME=value`.
        connects: Whether it was granted a server, so that its sockets are to be connected by the host.
    """

    extension: str
    parent: int
    token: bytes
    timeout: float
    import_path: tuple[str, ...]
    sandbox: SandboxPolicy
    environment: tuple[bytes, ...] = ()
    connects: bool = False


def send_plan(sock: socket.socket, plan: Plan) -> None:
    """Send a plan.

    Args:
        sock: The host's end; blocking.
        plan: What to send.
    """
    data = msgspec.msgpack.encode(plan)
    sock.sendall(_LENGTH.pack(len(data)) + data)


def receive_plan(sock: socket.socket) -> Plan:
    """Receive the plan, and not a byte of what follows it.

    Args:
        sock: The worker's end; blocking.

    Raises:
        EOFError: The host is gone.
    """
    (length,) = _LENGTH.unpack(_receive(sock, _LENGTH.size))
    return msgspec.msgpack.decode(_receive(sock, length), type=Plan)


def _receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError("the host closed the socket before it said what to do")
        data += part
    return data
