"""Bytes over one of Dask's own connections: what waits is written together, so many small messages cost one write."""

import asyncio
from collections.abc import Callable

from distributed.comm import Comm, CommClosedError


class Stream:
    """One end of a connection between the host and a worker.

    Args:
        comm: The connection.
    """

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self._waiting: list[bytes] = []
        self._news = asyncio.Event()
        self._writer = asyncio.get_running_loop().create_task(self._write())

    def send(self, data: bytes) -> None:
        """Send a message without waiting; on the event loop of the connection.

        Args:
            data: The message.
        """
        self._waiting.append(data)
        self._news.set()

    async def receive(self, take: Callable[[bytes], None]) -> str:
        """Take messages until the connection ends.

        Args:
            take: Takes each message.

        Returns:
            Why it ended; empty where the other end said that it has nothing more to say.
        """
        try:
            while batch := await self._comm.read():
                for data in batch:
                    take(bytes(data))
        except (CommClosedError, OSError) as error:
            return f"the connection to it ended ({error})"
        finally:
            self._writer.cancel()
        return ""

    async def end(self) -> None:
        """Tell the other end that nothing more comes."""
        self._writer.cancel()
        await asyncio.wait((self._writer,))
        try:
            await self._comm.write([])
        except (CommClosedError, OSError):  # it knows already
            return

    async def close(self) -> None:
        """Close the connection."""
        self._writer.cancel()
        await asyncio.wait((self._writer,))
        await self._comm.close()

    async def _write(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                batch, self._waiting = self._waiting, []
                await self._comm.write(batch)
        except (CommClosedError, OSError):  # whoever reads finds it too, and says so
            return
