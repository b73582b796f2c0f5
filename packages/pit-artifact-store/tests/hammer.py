"""Stores, reads, removes and collects beside others for a while: `python hammer.py DIRECTORY SEED COUNT`.

Every content is a pure function of a small number, so the processes meet at the same artifacts all the time.
"""

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pit_artifact_store import Store
from symphony_sdk.errors import ArtifactError

KEPT, SHARED = 20, 20
SIZES = [300, 70_000, 1_100_000]


def content(number: int) -> bytes:
    """Bytes that share their second half with those of other numbers."""
    size = SIZES[number % 3]
    return random.Random(number).randbytes(size - size // 2) + random.Random(size).randbytes(size // 2)


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
            assert b"".join(store.stream(id, 200)) == data[200:]
            assert store.info(id).ref.size == len(data)
            if number >= KEPT and chance.random() < 0.5:
                store.remove(id)
        except ArtifactError as error:
            assert number >= KEPT, error
            assert error.code == "SYM-A002", error
        if chance.random() < 0.1:
            store.collect(grace=0)
        if chance.random() < 0.1:
            store._collector.compress(lambda: None)
        assert all(info.ref.size in SIZES for info in store.find(limit=5))


def main(directory: Path, seed: int, count: int) -> None:
    with Store(directory) as store, ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, store, seed * 8 + number, count) for number in range(8)]:
            done.result()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
