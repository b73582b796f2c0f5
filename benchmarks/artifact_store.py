"""Storing and reading artifacts beside diskcache, git's object stores and bare files, in the same run.

    uv run --with diskcache --with pygit2 --with dulwich benchmarks/artifact_store.py [--rounds 60]

Ours is sealed with AES-256-GCM, chunked, hashed with keyed BLAKE3 and entered into an encrypted index; what is read is
checked. Every line names the durability. `os` survives `kill -9`, not a crash of the machine; the peers beside it
sync nothing either and encrypt nothing: diskcache (no hash, reads unchecked), pygit2 (libgit2: SHA-1, zlib) and
dulwich (git in Python: SHA-1, zlib). All contents are new to all of them: random bytes, and text whose lines are
drawn from the standard library, so that no stretch of it comes twice.

`sync` with one writer stands beside one write and one fdatasync of as many bytes, appended to a file: the least that
any store does. `group` with 16 writers stands beside 16 threads that each append to a file of their own and sync that,
and beside one thread that appends what all 16 have and syncs once: what sharing a sync can give at best.

Ours and the peers take turns in each round, in an order that moves on, so that a busy machine slows all alike. Figures
are medians; a ratio below 1 is ours ahead.
"""

import argparse
import os
import random
import statistics
import sysconfig
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import diskcache
import pygit2
from dulwich.objects import Blob
from dulwich.repo import Repo
from pit_artifact_store import Store

SIZES = {"1 KB": 1_000, "100 KB": 100_000, "1 MB": 1_000_000}
SYNCED_BYTES = 20_000
WRITERS, PUTS = 16, 10


class Contents:
    """Bytes that never come twice."""

    def __init__(self) -> None:
        library = Path(sysconfig.get_path("stdlib")).glob("*.py")
        self._lines = [
            line for file in sorted(library) for line in file.read_bytes().splitlines(keepends=True)
        ]
        self._chance = random.Random(1)
        self._numbers = count()

    def of(self, kind: str, size: int) -> bytes:
        if kind == "random":
            return os.urandom(size)
        text = b"# %d %d\n" % (os.getpid(), next(self._numbers))
        while len(text) < size:
            text += b"".join(self._chance.choices(self._lines, k=size // 30 + 1))
        return text[:size]


def seconds(work: Callable[..., Any], *args: Any, **options: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work(*args, **options)
    return time.perf_counter() - start, result


def in_turn(number: int, works: dict[str, Callable[[], None]]) -> None:
    """Do all of them, another one first each time."""
    names = list(works)
    for place in range(len(names)):
        works[names[(number + place) % len(names)]]()


def show(what: str, times: dict[str, list[float]]) -> None:
    mine = statistics.median(times["ours"]) * 1e3
    beside = []
    for name in times:
        if name != "ours":
            peer = statistics.median(times[name]) * 1e3
            beside.append(f"{name} {peer:8.3f} ({mine / peer:5.2f})")
    print(f"{what:<28} ours {mine:8.3f} ms   {'   '.join(beside)}", flush=True)


def unsynced(root: Path, rounds: int, contents: Contents) -> None:
    with Store(root / "store") as store:
        cache = diskcache.Cache(str(root / "cache"), size_limit=1 << 40)
        objects = pygit2.init_repository(str(root / "pygit2"), bare=True).odb
        dulwich = Repo.init_bare(str(root / "dulwich"), mkdir=True).object_store

        def dulwich_put(data: bytes) -> bytes:
            blob = Blob.from_string(data)
            dulwich.add_object(blob)
            return blob.id

        def cache_put(data: bytes) -> int:
            cache.set(number := next(numbers), data)
            return number

        numbers = count()
        puts: dict[str, Callable[[bytes], Any]] = {
            "ours": lambda data: store.put(data, durability="os").id,
            "diskcache": cache_put,
            "pygit2": lambda data: objects.write(pygit2.enums.ObjectType.BLOB, data),
            "dulwich": dulwich_put,
        }
        gets: dict[str, Callable[[Any], bytes]] = {
            "ours": store.get,
            "diskcache": cache.get,
            "pygit2": lambda id: objects.read(id)[1],
            "dulwich": lambda id: dulwich[id].data,
        }
        for label, size in SIZES.items():
            for kind in ("random", "text"):
                new = partial(contents.of, kind, size)
                stored = measure_puts(f"put {label} {kind}, os", puts, rounds, new)
                measure_gets(f"get {label} {kind}, checked", gets, stored)
        cache.close()


def measure_puts(
    what: str, puts: dict[str, Callable[[bytes], Any]], rounds: int, content: Callable[[], bytes]
) -> list[tuple[bytes, dict[str, Any]]]:
    """Store new contents in each; gives them with the name that each gave them."""
    times: dict[str, list[float]] = {name: [] for name in puts}
    stored = []
    for number in range(rounds):
        data, ids = content(), {}

        def put(name: str, data: bytes = data, ids: dict[str, Any] = ids) -> None:
            took, ids[name] = seconds(puts[name], data)
            times[name].append(took)

        in_turn(number, {name: lambda name=name: put(name) for name in puts})
        stored.append((data, ids))
    show(what, times)
    return stored


def measure_gets(
    what: str, gets: dict[str, Callable[[Any], bytes]], stored: list[tuple[bytes, dict[str, Any]]]
) -> None:
    times: dict[str, list[float]] = {name: [] for name in gets}
    for number, (data, ids) in enumerate(stored):

        def get(name: str, data: bytes = data, ids: dict[str, Any] = ids) -> None:
            took, found = seconds(gets[name], ids[name])
            assert found == data, name
            times[name].append(took)

        in_turn(number, {name: lambda name=name: get(name) for name in gets})
    show(what, times)


def append_and_sync(fd: int, data: bytes) -> None:
    os.write(fd, data)
    os.fdatasync(fd)


def appended(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def synced(root: Path, rounds: int, contents: Contents) -> None:
    with Store(root / "synced") as store:
        for label, size in {"20 KB": SYNCED_BYTES, **SIZES}.items():
            fd = appended(root / f"bare {size}")
            puts: dict[str, Callable[[bytes], Any]] = {
                "ours": lambda data: store.put(data, durability="sync"),
                "write+fdatasync": lambda data, fd=fd: append_and_sync(fd, data),
            }
            measure_puts(f"put {label} random, sync", puts, rounds, partial(contents.of, "random", size))
            os.close(fd)


def grouped(root: Path, rounds: int, contents: Contents) -> None:
    """16 writers at once; one round of each is `PUTS` of every writer."""
    with Store(root / "grouped") as store, ThreadPoolExecutor(WRITERS) as pool:
        own = [appended(root / f"own {writer}") for writer in range(WRITERS)]
        shared = appended(root / "shared")
        walls: dict[str, list[float]] = defaultdict(list)
        waits: dict[str, list[float]] = defaultdict(list)

        def at_once(name: str, put: Callable[[int, bytes], Any]) -> None:
            data = [[contents.of("random", SYNCED_BYTES) for _ in range(PUTS)] for _ in range(WRITERS)]

            def write(writer: int) -> list[float]:
                return [seconds(put, writer, each)[0] for each in data[writer]]

            wall, took = seconds(
                lambda: [each for times in pool.map(write, range(WRITERS)) for each in times]
            )
            walls[name].append(wall)
            waits[name] += took

        def once_for_all() -> None:
            batches = [contents.of("random", WRITERS * SYNCED_BYTES) for _ in range(PUTS)]
            took = [seconds(append_and_sync, shared, batch)[0] for batch in batches]
            walls["shared fdatasync"].append(sum(took))
            waits["shared fdatasync"] += took

        for number in range(max(rounds // PUTS, 3)):
            works = {
                "ours": lambda: at_once("ours", lambda _, data: store.put(data, durability="group")),
                "16 files": lambda: at_once(
                    "16 files", lambda writer, data: append_and_sync(own[writer], data)
                ),
                "shared fdatasync": once_for_all,
            }
            in_turn(number, works)
        for fd in (*own, shared):
            os.close(fd)
        show("put 20 KB, group, 16 writers", waits)
        rate = {name: WRITERS * PUTS / statistics.median(times) for name, times in walls.items()}
        beside = [
            f"{name} {rate[name]:,.0f} ({rate[name] / rate['ours']:.2f})" for name in rate if name != "ours"
        ]
        print(f"{'  of all of them':<28} ours {rate['ours']:8,.0f} puts a second   {'   '.join(beside)}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    print(f"load average {os.getloadavg()[0]:.1f}; in brackets: ours divided by the peer")
    # On the project's disk: /tmp may be memory. The key of the stores goes with them, and into no keyring.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        os.environ["XDG_CONFIG_HOME"] = place
        os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
        root, contents = Path(place), Contents()
        unsynced(root, rounds, contents)
        synced(root, rounds, contents)
        grouped(root, rounds, contents)


if __name__ == "__main__":
    main()
