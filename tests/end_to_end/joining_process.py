"""A process of the user that joins the bus of a host: `joining_process.py ADDRESS TOKEN_FILE`."""

import asyncio
import sys
from pathlib import Path

from symphony_ipc.bus import Bus
from symphony_sdk.messages import Done
from symphony_transports import UnixTransport


async def main() -> None:
    address, token_file = sys.argv[1:]
    bus = Bus("guest")
    token = Path(token_file).read_bytes()  # noqa: ASYNC240 - nothing else happens yet
    connection = await UnixTransport("guest").connect(address, token=token)
    await bus.join(connection)

    async def echo(message):
        return message

    async def hang(message):
        bus.publish("guest.busy", Done())
        await asyncio.Event().wait()

    async with await bus.register("guest.echo", echo), await bus.register("guest.hang", hang):
        bus.publish("guest.ready", Done())
        await connection.wait_closed()


asyncio.run(main())
