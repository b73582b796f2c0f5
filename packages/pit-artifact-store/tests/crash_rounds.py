"""Lets writers be killed again and again: `python crash_rounds.py DIRECTORY ROUNDS SEED`.

Each round forks a writer with two threads that store, and now and then remove, until it is killed. Prints what
the writers said was stored and removed: `+` or `-` and the id, one a line.
"""

import os
import random
import select
import signal
import sys
import threading
import time
from pathlib import Path

from pit_artifact_store import Store


def write(directory: Path, seed: int, pipe: int) -> None:
    store = Store(directory)

    def work(number: int) -> None:
        chance = random.Random(seed * 2 + number)
        while True:
            data = chance.randbytes(chance.choice([100, 5_000, 70_000, 1_200_000]))
            id = store.put(data, name=f"{seed}", durability=chance.choice(["os", "os", "group", "sync"])).id
            os.write(pipe, f"+{id}\n".encode())
            if chance.random() < 0.2:
                os.write(pipe, f"?{id}\n".encode())
                store.remove(id)
                os.write(pipe, f"-{id}\n".encode())

    other = threading.Thread(target=work, args=(1,), daemon=True)
    other.start()
    work(0)


def main(directory: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(rounds):
        inward, outward = os.pipe()
        writer = os.fork()
        if writer == 0:
            try:
                write(directory, seed + number, outward)
            finally:
                os._exit(1)
        os.close(outward)
        said = b""
        wanted = chance.randrange(25)  # 0: it is killed while it opens the store
        while said.count(b"\n") < wanted and (part := os.read(inward, 65536)):
            said += part
        end = time.monotonic() + chance.random() * 0.006
        while (rest := end - time.monotonic()) > 0 and select.select([inward], [], [], rest)[0]:
            said += os.read(inward, 65536)
        os.kill(writer, signal.SIGKILL)
        _, status = os.waitpid(writer, 0)
        while part := os.read(inward, 65536):
            said += part
        os.close(inward)
        if not os.WIFSIGNALED(status):
            sys.exit(f"the writer of round {number} ended by itself with {status}")
        sys.stdout.write(said.decode())
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
