"""Lets whoever moves packs be killed again and again: `python tier_rounds.py DIRECTORY URL ROUNDS SEED`.

Each round forks a process that stores, removes, collects, backs up, offloads and recalls until it is killed. Prints what
was said to be done, one a line: `+ ID SEED SIZE`, `? ID` before a removal and `- ID` after it.
"""

import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from pit_artifact_store import Store

SIZES = [100, 5_000, 70_000, 1_200_000]


def work(directory, url, seed, pipe):
    from symphony_tier_objects import ObjectTier  # a client that was used before does not live through a fork

    def say(*words):
        os.write(pipe, (" ".join(map(str, words)) + "\n").encode())

    chance = random.Random(seed)
    store = Store(directory, lambda: ObjectTier(url))
    while True:
        of, size = chance.randrange(10**6), chance.choice(SIZES)
        id = store.put(random.Random(of).randbytes(size), durability="os").id
        say("+", id, of, size)
        if chance.random() < 0.3:
            say("?", id)
            store.remove(id)
            say("-", id)
        move = chance.choice([store.back_up, store.offload, store.recall, store.collect])
        options = {store.offload: {"age": 0}, store.collect: {"grace": 0}}.get(move, {})
        faults = getattr(move(**options), "faults", ())
        if faults:
            say("!", faults)
        say("m", move.__name__)


def main(directory, url, rounds, seed):
    chance = random.Random(seed)
    for number in range(rounds):
        inward, outward = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                work(directory, url, seed + number, outward)
            finally:
                os._exit(1)
        os.close(outward)
        said = b""
        wanted = chance.randrange(1, 16)
        while said.count(b"\n") < wanted and (part := os.read(inward, 65536)):
            said += part
        end = time.monotonic() + chance.random() * 0.02
        while (rest := end - time.monotonic()) > 0 and select.select([inward], [], [], rest)[0]:
            said += os.read(inward, 65536)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        while part := os.read(inward, 65536):
            said += part
        os.close(inward)
        if not os.WIFSIGNALED(status):
            sys.exit(f"the process of round {number} ended by itself with {status}")
        sys.stdout.write(said.decode())
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
