"""A node of the bus in a process of its own: `bus_process.py FD NAME` joins the hub and does as it is told.

What it is told comes to its endpoint NAME as log lines: the level is the verb, the text its argument.
"""

import asyncio
import os
import socket
import sys

from symphony_ipc import Endpoint, from_socket
from symphony_ipc.bus import Bus
from symphony_sdk.messages import Done, LogLine


class Node:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.received = 0
        self.texts: list[str] = []
        self.subscription = None
        self.taking = None

    async def take(self) -> None:
        async for delivery in self.subscription:
            self.received += 1
            self.texts.append(delivery.message.text)

    async def answer(self, message: LogLine) -> LogLine | Done:
        match message.level:
            case "echo":
                return message
            case "hang":
                self.bus.publish("hanging", LogLine(self.bus.name, message.text))
                await asyncio.Event().wait()
            case "busy":
                data = bytes(int(message.text))
                for _ in range(4):
                    data.count(b"xy")
            case "subscribe":
                topic, _, group = message.text.partition(" ")
                self.subscription = await self.bus.subscribe(topic, group=group, limit=10**6)
                self.taking = asyncio.create_task(self.take())
            case "received":
                return LogLine(str(self.subscription.lost), str(self.received))
            case "texts":
                return LogLine("texts", " ".join(self.texts))
        return Done()


async def main() -> None:
    sock = socket.socket(fileno=int(sys.argv[1]))
    bus = Bus(sys.argv[2])
    connection = await from_socket(sock, Endpoint(bus.name, timeout=30), accepts=False)
    node = Node(bus)
    async with (
        await bus.register(bus.name, node.answer),
        await bus.register("shared", node.answer, group="workers"),
    ):
        await bus.join(connection)
        await bus.request("hub.ready", LogLine(bus.name, str(os.getpid())), Done)
        await connection.wait_closed()
    await bus.close()


if __name__ == "__main__":
    asyncio.run(main())
