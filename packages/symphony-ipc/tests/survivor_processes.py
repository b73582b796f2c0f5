"""Processes that the tests kill: each line of stdin forks one, and its process id is printed.

Forked from here they cost no start of Python. A line is a role and its arguments: `journal PATH FILE` and
`count PATH` listen at a path, `client PATH FILE COUNT` asks there.
"""

import asyncio
import os
import socket
import sys
from collections import Counter
from pathlib import Path

import msgspec
import stamina  # noqa: F401 - imported once, for all that are forked
from symphony_ipc.answered import AnsweredRequests
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import IDEMPOTENCY_KEY
from symphony_ipc.handshake import Endpoint
from symphony_ipc.reconnect import Reconnecting
from symphony_ipc.sockets import from_socket
from symphony_sdk.messages import CallOperation, OperationResult

ASKED_AT_ONCE = 4


def lines_of(file):
    """What a process wrote that may have been killed; what follows the last whole line is cut off."""
    text = Path(file).read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    os.truncate(file, len(whole))
    return [line.split() for line in whole.decode().splitlines()]


async def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)  # a listener on this machine: it does not block
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return await from_socket(sock, Endpoint("client", timeout=30), accepts=False)


def result(value):
    return OperationResult({"value": msgspec.Raw(msgspec.msgpack.encode(value))})


async def listen(path, handler):
    """Answer at a path until killed; asyncio removes the socket of one that was."""
    answered = AnsweredRequests()
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: Connection(Endpoint("server", timeout=30), accepts=True, handler=handler, answered=answered),
        path,
    )
    await server.serve_forever()


async def journal(path, file):
    """Carries out what it has not, by its own journal: a line is on disk before its answer is sent."""
    done = {key: int(value) for key, value in lines_of(file)}
    journal = os.open(file, os.O_WRONLY | os.O_APPEND)

    async def handler(call):
        key = IDEMPOTENCY_KEY.get()
        if key not in done:
            value = msgspec.msgpack.decode(call.inputs["n"]) ** 2
            os.write(journal, f"{key} {value}\n".encode())
            os.fsync(journal)
            done[key] = value
        return result(done[key])

    await listen(path, handler)


async def count(path):
    """Counts how often it carried out each request, and does not look whether it did before."""
    counts = Counter()

    async def handler(call):
        if call.operation == "counts":
            return result(counts)
        counts[call.operation] += 1
        for _ in range(3):  # others come between the beginning and the end of it
            await asyncio.sleep(0)
        return OperationResult(call.inputs)

    await listen(path, handler)


async def client(path, file, total):
    """Asks for what has no answer in its file yet; an answer is on disk before the next request is made."""
    acknowledged = {int(n) for n, _ in lines_of(file)}
    answers = os.open(file, os.O_WRONLY | os.O_APPEND)
    connection = Reconnecting(path, connect)
    todo = (n for n in range(int(total)) if n not in acknowledged)

    async def ask():
        for n in todo:
            call = CallOperation(str(n), {"n": msgspec.Raw(msgspec.msgpack.encode(n))})
            answer = await connection.request(call, OperationResult, idempotency_key=f"key-{n}")
            value = msgspec.msgpack.decode(answer.outputs["value"])
            os.write(answers, f"{n} {value}\n".encode())
            os.fsync(answers)

    await asyncio.gather(*(ask() for _ in range(ASKED_AT_ONCE)))
    await connection.close()


def main():
    roles = {"journal": journal, "count": count, "client": client}
    children = set()
    for line in sys.stdin:
        role, *arguments = line.split()
        pid = os.fork()
        if not pid:
            try:
                asyncio.run(roles[role](*arguments))
            finally:
                os._exit(0)
        children.add(pid)
        print(pid, flush=True)
        children -= {child for child in children if os.waitpid(child, os.WNOHANG)[0]}
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
