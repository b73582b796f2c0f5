"""A program for the tests: `stdio_program.py MODE [FILE]` listens on its standard streams, or misbehaves."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from symphony_sdk.errors import TransportError
from symphony_sdk.messages import Done
from symphony_transports import StdioTransport


async def answer(message):
    if not isinstance(message, Done):
        await asyncio.Event().wait()
    return message


async def talk() -> None:
    connection = await StdioTransport("program").accept(handler=answer)
    print("printed by the program", flush=True)
    await connection.wait_closed()


async def close_at_once() -> None:
    listener = await StdioTransport("program").listen("stdio:", lambda connection: None, handler=answer)
    await listener.close()
    print(listener.address, "closed")


mode, *files = sys.argv[1:]
if mode == "fails":
    sys.stderr.write("x" * 100_000 + "\n")
    sys.stderr.write("ValueError: no such model\n")
    sys.exit(3)
elif mode == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
elif mode == "babbles":
    print("Welcome to the program!", flush=True)
    time.sleep(60)
elif mode == "silent":
    Path(f"{files[0]}.new").write_text(str(os.getpid()))
    Path(f"{files[0]}.new").rename(files[0])
    time.sleep(60)
elif mode == "closes":
    asyncio.run(close_at_once())
else:
    how = Path(*files)
    if mode == "stays":
        signal.signal(signal.SIGTERM, lambda *_: how.write_text("SIGTERM, and stayed"))
    try:
        asyncio.run(talk())
    except TransportError as error:
        sys.exit(str(error))
    while mode == "stays":
        time.sleep(60)
    how.write_text("by itself")
