"""Storing and reading artifacts, beside plain files and diskcache in the same run.

    uv run --with diskcache python benchmarks/artifact_store.py [--rounds 60]

Every line names the durability. The peers of `sync` and `group` are a new file that is written, synced, renamed and
whose directory is synced; those of `os` are the same without any sync, and diskcache (which syncs nothing). Rounds of ours
and of the peers alternate, so that a busy machine slows all of them. Figures are medians; a ratio below 1 is ours ahead.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import diskcache
from pit_artifact_store import Store

SIZES = {"1 KB": 1_000, "100 KB": 100_000, "1 MB": 1_000_000}


def seconds(work: Callable[..., object], *args: object, **options: object) -> float:
    start = time.perf_counter()
    work(*args, **options)
    return time.perf_counter() - start


def plain_put(directory: Path, name: str, data: bytes, *, sync: bool) -> None:
    new = directory / f"{name}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, data)
    if sync:
        os.fsync(fd)
    os.close(fd)
    new.rename(directory / name)
    if sync:
        fd = os.open(directory, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def show(what: str, ours: list[float], peers: dict[str, list[float]]) -> None:
    mine = statistics.median(ours) * 1e3
    for name, times in peers.items():
        peer = statistics.median(times) * 1e3
        print(f"{what:<30} ours {mine:9.3f} ms   {name:<20} {peer:9.3f} ms   ratio {mine / peer:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:  # of the project's disk; /tmp may be memory
        root = Path(place)
        (root / "plain").mkdir()
        store, cache = Store(root / "store"), diskcache.Cache(str(root / "cache"), size_limit=1 << 40)
        for label, size in SIZES.items():
            for durability in ("os", "group", "sync"):
                contents = {f"{size}-{durability}-{number}": os.urandom(size) for number in range(rounds)}
                measure(label, durability, contents, store, root / "plain", cache)
        contents = [os.urandom(20_000) for _ in range(rounds)]
        lone = [seconds(store.put, data, durability="sync") for data in contents]
        grouped, synced = at_once(store, "group"), at_once(store, "sync")
        show("put 20 KB, group, 16 writers", grouped, {"ours: sync, 1": lone, "ours: sync, 16": synced})
        store.close()
        cache.close()


def measure(
    label: str,
    durability: str,
    contents: dict[str, bytes],
    store: Store,
    plain: Path,
    cache: diskcache.Cache,
) -> None:
    synced = durability != "os"
    ours, file, peer = [], [], []
    for name, data in contents.items():
        ours.append(seconds(store.put, data, name=name, durability=durability))
        file.append(seconds(plain_put, plain, name, data, sync=synced))
        if not synced:
            peer.append(seconds(cache.set, name, data))
    if synced:
        show(f"put {label}, {durability}", ours, {"file, synced": file})
        return
    show(f"put {label}, {durability}", ours, {"file, not synced": file, "diskcache": peer})
    again = [seconds(store.put, data, name=name, durability=durability) for name, data in contents.items()]
    show(f"put {label} again, {durability}", again, {"file, not synced": file})
    ours, file, peer = [], [], []
    for name in contents:
        id = store.find(name=name, limit=1)[0].ref.id
        ours.append(seconds(store.get, id))
        file.append(seconds((plain / name).read_bytes))
        peer.append(seconds(cache.get, name))
    show(f"get {label}, checked", ours, {"file, unchecked": file, "diskcache, unchecked": peer})


def at_once(store: Store, durability: str) -> list[float]:
    def work(_: int) -> list[float]:
        contents = [os.urandom(20_000) for _ in range(10)]
        return [seconds(store.put, data, durability=durability) for data in contents]

    with ThreadPoolExecutor(16) as pool:
        return [each for times in pool.map(work, range(16)) for each in times]


if __name__ == "__main__":
    main()
