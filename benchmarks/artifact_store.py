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


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
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
        print(f"{what:<30} ours {mine:9.3f} ms   {name:<18} {peer:9.3f} ms   ratio {mine / peer:6.2f}")


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
                sync = durability != "os"
                ours, plain, peer, refs = [], [], [], []
                for number in range(rounds):
                    data, name = os.urandom(size), f"{size}-{durability}-{number}"
                    ours.append(
                        seconds(lambda: refs.append(store.put(data, name=name, durability=durability)))
                    )
                    plain.append(seconds(lambda: plain_put(root / "plain", name, data, sync=sync)))
                    if not sync:
                        peer.append(seconds(lambda: cache.set(name, data)))
                peers = {"file, synced" if sync else "file, not synced": plain}
                show(f"put {label}, {durability}", ours, peers | ({} if sync else {"diskcache": peer}))
                if not sync:
                    got, read, cached = [], [], []
                    for number, ref in enumerate(refs):
                        name = f"{size}-os-{number}"
                        got.append(seconds(lambda: store.get(ref.id)))
                        read.append(seconds(lambda: (root / "plain" / name).read_bytes()))
                        cached.append(seconds(lambda: cache.get(name)))
                    show(
                        f"get {label}, checked", got, {"file, not checked": read, "diskcache, not c.": cached}
                    )
                    again = [
                        seconds(lambda: store.put(data, name="again", durability="os")) for _ in range(rounds)
                    ]
                    show(f"put {label} again, os", again, {"file, not synced": plain})

        def group(durability: str) -> list[float]:
            def work(_: int) -> list[float]:
                contents = [os.urandom(20_000) for _ in range(10)]
                return [seconds(lambda: store.put(data, durability=durability)) for data in contents]

            with ThreadPoolExecutor(16) as pool:
                return [each for times in pool.map(work, range(16)) for each in times]

        lone = [seconds(lambda: store.put(os.urandom(20_000), durability="sync")) for _ in range(rounds)]
        show(
            "put 20 KB, group, 16 writers",
            group("group"),
            {"ours: sync, 1": lone, "ours: sync, 16": group("sync")},
        )
        store.close()
        cache.close()


if __name__ == "__main__":
    main()
