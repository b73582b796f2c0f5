"""Processes to be killed: `shared_memory_peer.py ROLE` forks one for each address that it reads, and reaps it."""

import asyncio
import os
import sys

from symphony_sdk.messages import LogLine
from symphony_transports import SharedMemoryTransport

BUSY = LogLine("info", "x" * 50_000)


async def echo(message):
    return message


async def connect(address):
    connection = await SharedMemoryTransport("worker").connect(address, token=b"t", handler=echo)
    await talk(connection)


async def listen(address):
    connections = asyncio.Queue()
    await SharedMemoryTransport("host").listen(address, connections.put_nowait, token=b"t", handler=echo)
    print("listening", flush=True)
    await talk(await connections.get())


async def talk(connection):
    while connection.is_open:
        await connection.request(BUSY, LogLine)


def main(role):
    for line in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run({"connect": connect, "listen": listen}[role](line.strip()))
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1])
