"""A program that takes its standard streams and answers in capitals, while it prints what it should not."""

import asyncio
import sys

from symphony_ipc.pipes import open_stdio
from symphony_sdk.errors import TransportError


class Upper(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.buffer = bytearray(1 << 10)
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(self.buffer[:nbytes].upper())

    def eof_received(self) -> None:
        pass

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


async def main() -> None:
    _, protocol = await open_stdio(Upper)
    print("from python", flush=True)
    echo = await asyncio.create_subprocess_exec("echo", "from a child")
    await echo.wait()
    print("read:", repr(sys.stdin.read()), flush=True)
    try:
        await open_stdio(Upper)
    except TransportError as error:
        print(error.code, error.message.partition(": ")[2], flush=True)
    await protocol.lost.wait()


try:
    asyncio.run(main())
except TransportError as error:
    sys.exit(str(error))
