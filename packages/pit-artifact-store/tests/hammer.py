"""Stores, reads and removes beside others for a while: `python hammer.py DIRECTORY SEED COUNT`.

Every content is a pure function of a small number, so the processes meet at the same artifacts all the time.
"""

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pit_artifact_store import Store
from symphony_sdk.errors import ArtifactError

KEPT, SHARED = 20, 20


def content(number: int) -> bytes:
    return random.Random(number).randbytes([300, 70_000, 1_100_000][number % 3])


def work(store: Store, seed: int, count: int) -> None:
    """Contents below `KEPT` are never removed; the others come and go."""
    chance = random.Random(seed)
    for _ in range(count):
        number = chance.randrange(KEPT + SHARED)
        data = content(number)
        id = store.put(
            data, name=str(number), durability=chance.choice(["os", "os", "os", "group", "sync"])
        ).id
        try:
            assert store.get(id) == data
            assert store.read(id, 100, 50) == data[100:150]
            assert store.info(id).ref.size == len(data)
            if number >= KEPT and chance.random() < 0.5:
                store.remove(id)
        except ArtifactError as error:
            assert number >= KEPT, error
            assert error.code == "SYM-A002", error
        assert all(info.ref.size in {300, 70_000, 1_100_000} for info in store.find(limit=5))


def main(directory: Path, seed: int, count: int) -> None:
    with Store(directory) as store, ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, store, seed * 8 + number, count) for number in range(8)]:
            done.result()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
