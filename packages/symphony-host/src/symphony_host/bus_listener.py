"""Lets other processes of the user join the host's bus: a listener, and the token that they have to show."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from symphony_ipc import Connection
from symphony_sdk.errors import PortError, TransportError
from symphony_sdk.ports import ConnectionPort, ListenerPort, TransportPort

if TYPE_CHECKING:
    from symphony_ipc.bus import Bus


class BusListener:
    """Takes processes that join a bus.

    Args:
        listener: Takes their connections.
        token_file: Has the token that they show.
    """

    def __init__(self, listener: ListenerPort, token_file: Path) -> None:
        self._listener = listener
        self.token_file = token_file

    @classmethod
    async def open(
        cls, bus: "Bus", address: str, transports: Mapping[str, TransportPort], directory: Path
    ) -> "BusListener":
        """Listen, with a new token in a file that only this user can read.

        Args:
            bus: What is joined.
            address: Where to listen: the scheme of a transport, `:`, and what that makes of the rest.
            transports: The transports by scheme.
            directory: Where the file is put.

        Raises:
            TransportError: SYM-T064, no transport has that scheme; otherwise the transport's own.
            PortError: SYM-O002, the file cannot be written.
        """
        scheme = address.partition(":")[0]
        if scheme not in transports:
            raise TransportError(
                f"there is no transport for the address {address!r}",
                code="SYM-T064",
                hint=f"Installed are those for {', '.join(sorted(transports)) or 'none'}; "
                "symphony-transports brings `unix`.",
            )

        def attach(connection: ConnectionPort) -> None:
            bus.attach(cast("Connection", connection))  # what every transport of this protocol makes

        token_file = _token_file(directory)
        try:
            listener = await transports[scheme].listen(address, attach, token=token_file.read_bytes())
        except BaseException:
            token_file.unlink(missing_ok=True)
            raise
        return cls(listener, token_file)

    async def close(self) -> None:
        """Take no further process; those that joined stay."""
        self.token_file.unlink(missing_ok=True)
        await self._listener.close()


def _token_file(directory: Path) -> Path:
    path = directory / f"bus-{os.getpid()}-{secrets.token_hex(4)}.token"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_hex(32))
    except OSError as error:
        raise PortError(
            f"{path} cannot be written: {error.strerror}",
            code="SYM-O002",
            hint="Set SYMPHONY_DATA_DIR to a directory that you may write to.",
        ) from error
    return path
