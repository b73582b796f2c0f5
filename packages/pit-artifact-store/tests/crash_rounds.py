"""Lets writers be killed again and again: `python crash_rounds.py DIRECTORY ROUNDS SEED`.

Each round forks a writer with two threads that store, remove, tag, collect and compress, until it is killed. Prints what the
writers said was done, one a line: `+ ID SEED SIZE`, `? ID` before a removal and `- ID` after it, `t TAG ID`.
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

SIZES = [100, 5_000, 70_000, 1_200_000]


def write(directory: Path, seed: int, pipe: int) -> None:
    store = Store(directory)

    def work(number: int) -> None:
        chance = random.Random(seed * 2 + number)

        def say(*words: object) -> None:
            os.write(pipe, (" ".join(map(str, words)) + "\n").encode())

        while True:
            of, size = chance.randrange(10**6), chance.choice(SIZES)
            data = random.Random(of).randbytes(size)
            id = store.put(data, name=f"{seed}", durability=chance.choice(["os", "os", "group", "sync"])).id
            say("+", id, of, size)
            what = chance.random()
            if what < 0.2:
                say("?", id)
                store.remove(id)
                say("-", id)
            elif what < 0.3:
                say("t", f"tag-{seed}-{number}", id)
                store.tag(id, f"tag-{seed}-{number}")
            elif what < 0.4:
                store.collect(grace=0)
            elif what < 0.5:
                store._collector.compress(lambda: None)

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
