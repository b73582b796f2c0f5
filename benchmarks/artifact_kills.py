"""Does the Artifact Store survive `kill -9` of those who write to it? Two writers at once, each killed in each round.

    uv run benchmarks/artifact_kills.py [--rounds 200] [--seed 1]

Each round forks two processes that open one and the same store; in each, two threads put (at every durability, whole and as a
stream, artifacts that share chunks with others and artifacts that the other process puts as well), move a tag, remove
collect without any grace and compress, and say what has happened only when the call returned. Each process is killed after a
random number of those lines and a random moment more, some while they open the store. Then the store is opened as it is, without any repair, and everything
that was acknowledged in the round is read and compared; every 20 rounds, and after the last one, `verify` reads every
byte that is stored, and everything that was ever acknowledged is read and compared. Counted are

- acknowledged: calls of put that returned before the kill;
- lost: acknowledged artifacts, never removed, that are not there or have other bytes; tags that are not on the artifact
  that they were last put on, nor on the one that they were being moved to;
- came back: artifacts whose removal was acknowledged, and that can be read;
- dangling: what `verify` finds (anything that refers to bytes which are not there, or not sound), packs that the index has
  and the disk has not, and the other way round.

It ends with 1 when any of the last three is not 0.
"""

import argparse
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from pit_artifact_store import Store
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import Durability

WRITERS, THREADS = 2, 2
EARLY, EARLY_SECONDS = 0.15, 0.2  # so many writers are killed so soon after they were forked
MOST_LINES, LATE_SECONDS = 150, 0.03  # the others after up to so many lines, and a moment more
STUCK = 60
CHECKED_EVERY = 20
SIZES, OFTEN = (100, 5_000, 70_000, 700_000), (8, 8, 4, 1)
SHARED_SEEDS = 300
DURABILITIES: tuple[Durability, ...] = ("os", "group", "sync")
COMMON = random.Random(0).randbytes(1_000_000)


def content(seed: int) -> bytes:
    """The bytes of an artifact: some of its own, and some that others have as well."""
    chance = random.Random(seed)
    (size,) = chance.choices(SIZES, OFTEN)
    begin = chance.randrange(6) * 50_000
    return chance.randbytes(size // 2) + COMMON[begin : begin + size - size // 2]


def work(store: Store, number: int, writer: int, thread: int, pipe: int) -> None:
    """Use the store until the kill, and say so: before a thing is begun that may happen or not, and when it has happened."""
    chance = random.Random(f"{number} {writer} {thread}")
    first_seed = ((number * WRITERS + writer) * THREADS + thread + 1) * 1_000_000
    tag = f"round-{number}/{writer}-{thread}"

    def say(what: str, seed: int, *more: str) -> None:
        os.write(pipe, " ".join((what, str(seed), *more, "\n")).encode())

    for step in range(1_000_000):
        seed = chance.randrange(SHARED_SEEDS) if chance.random() < 0.2 else first_seed + step
        durability = chance.choice(DURABILITIES)
        data = content(seed)
        if chance.random() < 0.2:
            middle = chance.randrange(len(data))
            try:
                id = store.put_stream(
                    [data[:middle], data[middle:]], name=str(seed), durability=durability
                ).id
            except ArtifactError as error:
                if error.code == "SYM-A011":  # a collection came between, as is documented: it was not stored
                    continue
                raise
        else:
            id = store.put(data, name=str(seed), durability=durability).id
        say("+", seed, id)
        if seed >= SHARED_SEEDS and chance.random() < 0.3:
            say("?", seed)
            store.remove(id)
            say("-", seed)
        elif chance.random() < 0.2:
            say("t", seed, tag)
            store.tag(id, tag)
            say("T", seed, tag)
        if chance.random() < 0.03:
            store.collect(grace=0)
            store._collector.compress(lambda: None)


def write(directory: Path, number: int, writer: int, pipe: int) -> None:
    store = Store(directory)

    def guarded(thread: int) -> None:
        try:
            work(store, number, writer, thread, pipe)
        except BaseException:  # noqa: BLE001 - whatever it is, the parent must see it
            traceback.print_exc()
            os._exit(1)

    for thread in range(1, THREADS):
        threading.Thread(target=guarded, args=(thread,), daemon=True).start()
    guarded(0)


@dataclass
class Told:
    """What the writers said."""

    ids: dict[int, str] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    tags: dict[str, set[int | None]] = field(default_factory=dict)  # where each may be; None: nowhere
    acknowledged: int = 0

    def add(self, said: bytes) -> set[int]:
        """Take in the lines of one process; gives the seeds of what it put."""
        lines = said.decode().splitlines()
        put = set()
        for line in lines:
            what, seed, *more = line.split()
            match what:
                case "+":
                    self.ids[int(seed)] = more[0]
                    put.add(int(seed))
                    self.acknowledged += 1
                case "?":
                    self.doubtful.add(int(seed))
                case "-":
                    self.removed.add(int(seed))
                case "t":
                    self.tags.setdefault(more[0], {None}).add(int(seed))
                case "T":
                    self.tags[more[0]] = {int(seed)}
        return put


def kill_writers(directory: Path, number: int, chance: random.Random) -> list[bytes]:
    """Let two processes write until each is killed; gives what they said."""
    said: dict[int, bytes] = {}
    processes: dict[int, int] = {}
    wanted: dict[int, int] = {}
    ends: dict[int, float] = {}
    for writer in range(WRITERS):
        inward, outward = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                os.close(inward)
                write(directory, number, writer, outward)
            finally:
                os._exit(1)
        os.close(outward)
        said[inward], processes[inward] = b"", process
        if chance.random() < EARLY:  # while it opens the store, or soon after
            ends[inward] = time.monotonic() + chance.random() * EARLY_SECONDS
        else:
            wanted[inward] = chance.randrange(1, MOST_LINES)
    while processes:
        now = time.monotonic()
        for pipe in [pipe for pipe in processes if ends.get(pipe, now + 1) <= now]:
            process = processes.pop(pipe)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            while part := os.read(pipe, 65536):
                said[pipe] += part
            os.close(pipe)
        rest = min([ends[pipe] - now for pipe in processes if pipe in ends], default=STUCK)
        readable = select.select(list(processes), [], [], max(rest, 0))[0] if processes else []
        if processes and rest == STUCK and not readable:
            sys.exit(f"the writers of round {number} said nothing for {STUCK} seconds")
        for pipe in readable:
            if not (part := os.read(pipe, 65536)):
                sys.exit(f"a writer of round {number} ended by itself")
            said[pipe] += part
            if pipe not in ends and said[pipe].count(b"\n") >= wanted[pipe]:
                ends[pipe] = time.monotonic() + chance.random() * LATE_SECONDS
    return list(said.values())


def faults_of(store: Store, told: Told, seeds: set[int]) -> tuple[list[str], list[str]]:
    """What is lost of these, and what came back."""
    lost, back = [], []
    for seed in seeds:
        try:
            same = store.get(told.ids[seed]) == content(seed)
        except ArtifactError as error:
            if seed not in told.doubtful:
                lost.append(f"{told.ids[seed]}: {error}")
            continue
        if seed in told.removed:
            back.append(told.ids[seed])
        elif not same:
            lost.append(f"{told.ids[seed]}: other bytes")
    return lost, back


def lost_tags(store: Store, told: Told) -> list[str]:
    there = {tag.name: tag.id for tag in store.tags(1_000_000)}
    return [
        f"tag {name}"
        for name, seeds in told.tags.items()
        if there.get(name) not in {None if seed is None else told.ids[seed] for seed in seeds}
    ]


def dangling(store: Store, directory: Path) -> list[str]:
    found = [payload.message for payload in store.verify()]
    with store._index.reading() as rows:
        known = {pack.id.hex() for pack in rows.packs()}
    on_disk = {path.stem for path in (directory / "packs").iterdir()}
    return found + [f"pack {name}" for name in sorted(known ^ on_disk)]


def run(directory: Path, rounds: int, seed: int) -> int:
    """Print what was counted; gives the number of faults."""
    chance, told = random.Random(seed), Told()
    lost: list[str] = []
    back: list[str] = []
    dangles: list[str] = []
    opening = []
    for number in range(1, rounds + 1):
        seeds: set[int] = set()
        for said in kill_writers(directory, number + seed * 1_000_000, chance):
            seeds |= told.add(said)
        whole = number % CHECKED_EVERY == 0 or number == rounds
        start = time.perf_counter()
        with Store(directory) as store:
            opening.append(time.perf_counter() - start)
            missing, returned = faults_of(store, told, set(told.ids) if whole else seeds)
            lost += missing
            back += returned
            if whole:
                lost += lost_tags(store, told)
                dangles += dangling(store, directory)
                stored = store.usage()
                print(
                    f"rounds {number}, kills {number * WRITERS}, acknowledged {told.acknowledged:,}, lost {len(lost)}, "
                    f"came back {len(back)}, dangling {len(dangles)}; {stored.artifacts:,} artifacts, "
                    f"slowest opening {max(opening):.2f} s",
                    flush=True,
                )
    for fault in (*lost, *back, *dangles)[:20]:
        print(fault)
    return len(lost) + len(back) + len(dangles)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    # On the project's disk: /tmp may be memory. The key of the store goes with it, and into no keyring.
    place = Path(tempfile.mkdtemp(dir=Path.cwd()))
    os.environ["XDG_CONFIG_HOME"] = str(place)
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    if run(place / "store", asked.rounds, asked.seed):
        sys.exit(f"the store is kept in {place}")
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
