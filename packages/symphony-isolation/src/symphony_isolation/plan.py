"""What the host tells a process that it has just started, before anything else, over the inherited socket.

Not in the environment and not among the arguments: other processes can read those.
"""

import socket
import struct

import msgspec

_LENGTH = struct.Struct("<I")


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """How a new worker is to confine itself and to greet the host.

    Args:
        extension: Id of the extension.
        host: Process id of the host.
        token: The secret of the handshake.
        memory: Bytes of private writable memory; 0 for no bound.
        open_files: Descriptors.
        timeout: Seconds that the handshake may take.
        import_path: Directories to import from besides the interpreter's own.
    """

    extension: str
    host: int
    token: bytes
    memory: int
    open_files: int
    timeout: float
    import_path: tuple[str, ...]


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
