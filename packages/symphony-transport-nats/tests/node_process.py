"""A node in a process of its own: takes kept messages, or works on a request, until it is killed.

node_process.py URL hold DURABLE PATTERN    prints each kept message and takes none
node_process.py URL answer NAME             prints each request and answers none
node_process.py URL echo NAME               answers each request with its payload
"""

import asyncio
import sys
from collections.abc import Callable

from symphony_ipc.envelope import Envelope, Kind
from symphony_transport_nats import NatsSettings, connect, uplink

uplink.BEAT = 0.25


def say(text: str) -> None:
    print(text, flush=True)


class Forgotten:
    def cancel(self) -> None:
        say("cancelled")

    def credit(self, items: int) -> None:
        say(f"credit {items}")


class Node:
    name = "process"

    def __init__(self, role: str) -> None:
        self.role = role

    def published(
        self, envelope: Envelope, durable: str = "", taken: Callable[[], None] | None = None
    ) -> None:
        say(bytes(envelope.payload).decode())

    def asked(self, envelope: Envelope, answered: Callable[[Envelope], None]) -> Forgotten:
        if self.role == "echo":
            answered(Envelope(Kind.RESPONSE, type=envelope.type, payload=envelope.payload))
        else:
            say(bytes(envelope.payload).decode())
        return Forgotten()

    def lost(self, pattern: str, group: str, count: int) -> None:
        say(f"lost {count}")

    def ended(self, reason: Exception | None) -> None:
        say(f"ended {reason}")


async def main(url: str, role: str, name: str, pattern: str = "") -> None:
    nats = await connect(NatsSettings(url=url), "process")
    nats.start(Node(role))
    if role == "hold":
        await nats.subscribe(pattern, "", name)
    else:
        await nats.register(name, "")
    say("ready")
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
