"""Lets a process that rotates be killed again and again: `python rotation_rounds.py FILE ROUNDS`.

Each round forks a process that rotates the keys in FILE until it is killed, and then opens the file: every epoch
that was acknowledged must be there. Prints how often it rotated, and the id key, one round a line.
"""

import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from pit_artifact_store.keys import RepositoryKeys, open_keys, rotate, sources

sources.MEMORY, sources.ITERATIONS, sources.LANES = 128, 1, 1
os.fsync = lambda fd: (
    None
)  # what a process wrote outlives it anyway: without the waiting it is killed in all steps


def rotate_until_killed(file: Path, keys: RepositoryKeys, pipe: int) -> None:
    while True:
        keys = rotate(file, keys, data=True)
        os.write(pipe, f"{keys.epoch}\n".encode())


def main(file: Path, rounds: int) -> None:
    keys = open_keys(file)
    for number in range(rounds):
        inward, outward = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                rotate_until_killed(file, keys, outward)
            finally:
                os._exit(1)
        os.close(outward)
        said = b""
        while said.count(b"\n") < number % 4 and (part := os.read(inward, 65536)):
            said += part
        end = time.monotonic() + random.random() * 0.003
        while (rest := end - time.monotonic()) > 0 and select.select([inward], [], [], rest)[0]:
            said += os.read(inward, 65536)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        while part := os.read(inward, 65536):
            said += part
        os.close(inward)
        if not os.WIFSIGNALED(status):
            sys.exit(f"the process of round {number} ended by itself with {status}")
        acknowledged = [int(epoch) for epoch in said.split()]
        before, keys = keys, open_keys(file)
        least = acknowledged[-1] if acknowledged else before.epoch
        if keys.epoch not in {least, least + 1}:
            sys.exit(f"round {number}: epoch {least} was acknowledged, and the file has {keys.epoch}")
        print(len(acknowledged), keys.id_key.hex())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
