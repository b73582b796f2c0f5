"""Large artifacts: 100 MB beside restic and borg, 1 GB in constant memory, and a small range of it.

    uv run benchmarks/artifact_large.py [--rounds 3] [--bytes 1000000000]

100 MB (random bytes, which nothing compresses, and text drawn from passages of eight lines of the standard library), none of it stored
before, encrypted and synced:

- `put` is a call of a store that is open: hash, cut, seal, write, one fdatasync of the packs. The bytes are in memory.
- `whole process` is the same as a command: Python starts, the store is opened, the file is read by `put_stream`,
  stored, synced and the store closed.
- `restic backup` and `borg create` are whole commands too, in a repository that was made before. They read the file, cut,
  hash, encrypt, write and sync. restic derives its key from the passphrase (scrypt) and compresses (0.14 and later);
  borg's key file has a passphrase as well (PBKDF2) and lz4 is its default. Ours has a key file without a passphrase,
  and compresses later, when it collects. So each command is timed with a file of one byte just before, and that start is
  taken off in `without start`; and borg is timed once more with `--compression none`.
- `write+fdatasync` is the floor: the same bytes from memory into a new file, synced.

They take turns, file by file. Figures are medians; ratios are theirs divided by ours: above 1 is ours ahead. A program
that is not installed is passed over with a word.

1 GB goes through `put_stream` and `stream` in a process each; the growth is its peak of resident memory above what it
had with the store open and one small artifact stored and read. The range is 64 KiB at random places of that 1 GB.
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from pit_artifact_store import Store

LARGE = 100_000_000
PART = 1 << 20
RANGE, RANGES = 64 << 10, 200


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def text(size: int, seed: int) -> bytes:
    library = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    lines = [line for file in library for line in file.read_bytes().splitlines(keepends=True)]
    passages = [b"".join(lines[at : at + 8]) for at in range(0, len(lines), 8)]
    chance, parts, length = random.Random(seed), [], 0
    while length < size:
        parts.append(b"".join(chance.choices(passages, k=10_000)))
        length += len(parts[-1])
    return b"".join(parts)[:size]


# -- 100 MB ----------------------------------------------------------------------------------------------


def command(*arguments: object) -> Callable[[], object]:
    return lambda: subprocess.run([str(each) for each in arguments], check=True, capture_output=True)


def write_and_sync(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fdatasync(file.fileno())


def whole_process(directory: Path, path: Path) -> Callable[[], object]:
    return command(sys.executable, __file__, "--child", "put", "--store", directory, "--file", path)


def peers(root: Path) -> dict[str, Callable[[Path], Callable[[], object]]]:
    """The commands that back up a file, each in a repository that is made here."""
    os.environ |= {"RESTIC_PASSWORD": "benchmark", "BORG_PASSPHRASE": "benchmark", "BORG_BASE_DIR": str(root)}
    found: dict[str, Callable[[Path], Callable[[], object]]] = {}
    if shutil.which("restic"):
        restic = ("restic", "--no-cache", "--repo", root / "restic")
        command(*restic, "init")()
        found["restic backup"] = lambda path: command(*restic, "backup", path)
    else:
        print("restic is not installed: passed over")
    if shutil.which("borg"):
        command("borg", "init", "--encryption=repokey-blake2", root / "borg")()
        create, numbers = ("borg", "create", "--files-cache=disabled"), count()
        found["borg create"] = lambda path: command(*create, f"{root}/borg::{next(numbers)}", path)
        found["borg create, none"] = lambda path: command(
            *create, "--compression=none", f"{root}/borg::{next(numbers)}", path
        )
    else:
        print("borg is not installed: passed over")
    return found


def hundred_megabytes(root: Path, rounds: int) -> None:
    backups = peers(root)
    commands = {"whole process": partial(whole_process, root / "whole"), **backups}
    small = root / "small"
    small.write_bytes(b"1")
    for kind in ("random", "text"):
        times: dict[str, list[float]] = defaultdict(list)
        rests: dict[str, list[float]] = defaultdict(list)
        with Store(root / "store") as store:
            for number in range(rounds):
                # Of its own for each that stores into one repository: or the second finds it all there.
                for place, name in enumerate(("put", "write+fdatasync", *commands)):
                    data = os.urandom(LARGE) if kind == "random" else text(LARGE, number * 10 + place)
                    path = root / f"{kind} {number} {place}"
                    path.write_bytes(data)
                    os.sync()  # or what was just written is on its way to the disk beside what is measured
                    if name in commands:
                        start = seconds(commands[name](small))
                        times[name].append(seconds(commands[name](path)))
                        rests[name].append(times[name][-1] - start)
                    elif name == "put":
                        times[name].append(seconds(partial(store.put, data, durability="sync")))
                    else:
                        times[name].append(seconds(partial(write_and_sync, root / "bare", data)))
                    path.unlink()
        print(f"100 MB {kind}, encrypted and synced; load average {os.getloadavg()[0]:.1f}")
        put, process = (statistics.median(times[name]) for name in ("put", "whole process"))
        for name, taken in times.items():
            middle = statistics.median(taken)
            line = f"  {name:<18} {middle:7.3f} s  {LARGE / middle / 1e6:5.0f} MB/s"
            if name in rests:
                rest = statistics.median(rests[name])
                line += f"  without start {rest:7.3f} s"
            if name in backups:
                line += f"  ratio to put {middle / put:5.1f} ({rest / put:5.1f} without start)"
                line += f", to whole process {middle / process:5.1f}"
            print(line, flush=True)


# -- 1 GB ------------------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    """The most bytes of this process that were in memory at once."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def warm(store: Store) -> None:
    """Have everything imported and each of the store's threads started that a large artifact needs."""
    store.get(store.put_stream([os.urandom(100_000)]).id)


def parts_of(size: int) -> Iterator[bytes]:
    chance = random.Random(size)
    for offset in range(0, size, PART):
        yield chance.randbytes(min(PART, size - offset))


def parts_of_file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART):
            yield part


def child(work: str, directory: Path, file: Path, id: str, size: int) -> None:
    with Store(directory) as store:
        if work == "put":
            store.put_stream(parts_of_file(file), durability="sync")
            return
        warm(store)
        before = resident()
        made = seconds(lambda: sum(len(part) for part in parts_of(size))) if work == "put_stream" else 0.0
        told: dict[str, Any] = {}

        def measured() -> None:
            if work == "put_stream":
                told["id"] = store.put_stream(parts_of(size), durability="sync").id
            else:
                length = sum(len(part) for part in store.stream(id))
                assert length == size, length

        told["seconds"] = seconds(measured) - made
        told["grown"] = peak() - before
        told["before"] = before
    print(json.dumps(told))


def gigabyte(root: Path, size: int) -> None:
    def measured(work: str, id: str = "") -> dict[str, Any]:
        arguments = ["--child", work, "--store", root / "gigabyte", "--id", id, "--bytes", size]
        ran = subprocess.run(
            [sys.executable, __file__, *map(str, arguments)], check=True, capture_output=True, text=True
        )
        told: dict[str, Any] = json.loads(ran.stdout)
        print(
            f"{work} of {size:,} bytes: {told['seconds']:.2f} s ({size / told['seconds'] / 1e6:,.0f} MB/s), memory "
            f"grew by {told['grown'] / 1e6:.1f} MB above {told['before'] / 1e6:.1f} MB",
            flush=True,
        )
        return told

    id = str(measured("put_stream")["id"])
    measured("stream", id)
    with Store(root / "gigabyte") as store:
        chance = random.Random(2)
        offsets = [chance.randrange(size - RANGE) for _ in range(RANGES)]
        times = [seconds(lambda offset=offset: store.read(id, offset, RANGE)) for offset in offsets]
        pack = max((root / "gigabyte" / "packs").iterdir(), key=lambda path: path.stat().st_size)
        fd = os.open(pack, os.O_RDONLY)
        length = os.fstat(fd).st_size - RANGE
        bare = [seconds(lambda: os.pread(fd, RANGE, chance.randrange(length))) for _ in offsets]
        os.close(fd)
    ours, floor = statistics.median(times) * 1e3, statistics.median(bare) * 1e3
    print(
        f"64 KiB anywhere in it, checked: median {ours:.3f} ms, worst {max(times) * 1e3:.3f} ms; "
        f"pread of 64 KiB {floor:.3f} ms, ratio {ours / floor:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, default=Path(), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, default=Path(), help=argparse.SUPPRESS)
    parser.add_argument("--id", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.store, asked.file, asked.id, asked.bytes)
        return
    # On the project's disk: /tmp may be memory. The key of the stores goes with them, and into no keyring.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        os.environ["XDG_CONFIG_HOME"] = place
        os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
        hundred_megabytes(Path(place), asked.rounds)
        gigabyte(Path(place), asked.bytes)


if __name__ == "__main__":
    main()
