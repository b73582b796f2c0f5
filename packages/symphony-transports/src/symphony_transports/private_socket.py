"""Unix sockets that only this user reaches, at paths that have one listener each.

Who may connect is settled twice here: by the directory, which only this user may enter, and by the user id
that the kernel gives for the peer, where it does. The token of the handshake settles it a third time.

A listener holds the lock of `PATH.lock` while it lives, and the kernel takes the lock from a process that is
killed. So whoever has the lock may remove the socket that lies at the path: two processes that start at the
same time cannot both think that the other is dead.
"""

import asyncio
import errno
import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from symphony_sdk.errors import TransportError

_UCRED: Final = struct.Struct("3i")


def path_of(address: str, scheme: str) -> Path:
    """The path in an address.

    Args:
        address: Such as `unix:/run/user/1000/symphony/host.sock`.
        scheme: First part that it must have.

    Raises:
        TransportError: It is an address of another kind (`SYM-T010`).
    """
    found, _, path = address.partition(":")
    if found != scheme or not path:
        raise TransportError(
            f"{address!r} is not an address of the transport {scheme!r}",
            code="SYM-T010",
            hint=f"Write `{scheme}:` and a path, such as `{scheme}:/run/user/1000/symphony/host.sock`.",
        )
    return Path(path)


async def connect_private(path: Path) -> socket.socket:
    """A socket that is connected to the listener at a path.

    Args:
        path: Where it listens.

    Raises:
        TransportError: Nobody listens there (`SYM-T010`), or a process of another user does (`SYM-T008`).
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, str(path))
        check_user(sock)
    except OSError as error:
        sock.close()
        raise _unusable(path, error) from error
    except BaseException:
        sock.close()
        raise
    return sock


class PrivateListener:
    """A listening socket at a path; its directory is made if it is missing.

    Args:
        path: Where to listen.

    Attributes:
        path: Where it listens.
        sock: The listening socket; it does not block.

    Raises:
        TransportError: Others may enter the directory, somebody listens there already, or the path cannot be
            used (`SYM-T010`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lock = -1
        try:
            _make_private(path.parent)
            self._lock = _locked(_lock_file(path))
            _remove_stale(path)
            self.sock.bind(str(path))
            path.chmod(0o600)
            self.sock.listen()
            self.sock.setblocking(False)
        except OSError as error:
            self._release()
            raise _unusable(path, error) from error
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Give the path back."""
        self.path.unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        self.sock.close()
        if self._lock >= 0:
            _lock_file(self.path).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def check_user(sock: socket.socket) -> None:
    """Refuse a peer of another user.

    Args:
        sock: A connected Unix socket.

    Raises:
        TransportError: The peer is of another user (`SYM-T008`).
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return  # Linux alone has it; elsewhere the directory and the token decide
    _, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    if user != os.getuid():
        raise TransportError(
            f"the peer belongs to user {user}; only user {os.getuid()} may connect",
            code="SYM-T008",
            hint="Run both ends as the same user.",
        )


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TransportError(
            f"others than this user may enter {directory} (mode {stat.S_IMODE(found.st_mode):o})",
            code="SYM-T010",
            hint=f"Use a directory of your own, or `chmod 700 {directory}`.",
        )


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _locked(file: Path) -> int:
    """A descriptor that holds the lock of a file.

    Raises:
        TransportError: Another listener holds it.
    """
    import fcntl  # not on Windows, where this module is imported for its types

    while True:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder removes the file, so what was opened may be a file that nobody finds any more.
            if os.fstat(lock).st_ino == os.stat(file).st_ino:  # noqa: PTH116 - beside its fstat
                return lock
        except BlockingIOError:
            os.close(lock)
            raise _taken(file.with_suffix("")) from None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that was killed; to be called with the lock held."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is no socket lies there")
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:  # it listens without a lock: another program, or somebody removed the file of the lock
            raise _taken(path)


def _taken(path: Path) -> TransportError:
    return TransportError(
        f"a process listens at {path} already",
        code="SYM-T010",
        hint="Stop it, or choose another path.",
    )


def _unusable(path: Path, error: OSError) -> TransportError:
    return TransportError(
        f"{path} cannot be used: {error.strerror or error} ({len(os.fsencode(path))} bytes)",
        code="SYM-T010",
        hint="Something must listen there; the path must be writable and shorter than 108 bytes (macOS: 104).",
    )
