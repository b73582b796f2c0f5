"""What an honest extension does, and what must work in each tier of the sandbox."""

import ctypes
import hashlib
import json
import mmap
import os
import random
import shutil
import socket
import sqlite3
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

WORK: dict[str, Callable[[Any], Any]] = {}
"""Honest work by its name; it fails where it raises or gives something false."""


def work(name: str, facts: dict[str, Any]) -> str:
    """Do it, and say `done` or why not."""
    here = Path(facts["data"], facts["mark"])
    try:
        here.mkdir(exist_ok=True)
        return "done" if WORK[name]({**facts, "here": here}) else "it did not come out right"
    except Exception as error:  # noqa: BLE001 - the host is told
        return f"{type(error).__name__}: {error}"


def honest(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    WORK[run.__name__.replace("_", " ")] = run
    return run


@honest
def computes(at):
    return hashlib.sha256(zlib.compress(bytes(100_000))).hexdigest() and sum(range(100_000)) == 4_999_950_000


@honest
def reads_a_granted_file(at):
    return Path(at["granted"], "text").read_text() == "granted"


@honest
def lists_a_granted_directory(at):
    return "text" in os.listdir(at["granted"])


@honest
def writes_its_own_file_and_reads_it(at):
    (at["here"] / "kept").write_text("kept")
    return (at["here"] / "kept").read_text() == "kept"


@honest
def replaces_a_file_at_once(at):
    (at["here"] / "new").write_text("new")
    os.replace(at["here"] / "new", at["here"] / "old")
    return (at["here"] / "old").read_text() == "new"


@honest
def copies_a_file_with_all_that_belongs_to_it(at):
    (at["here"] / "from").write_text("text")
    shutil.copy2(at["here"] / "from", at["here"] / "to")
    shutil.copy2(Path(at["granted"], "text"), at["here"] / "copy")
    return (at["here"] / "to").read_text() == "text"


@honest
def makes_and_removes_directories(at):
    (at["here"] / "a/b/c").mkdir(parents=True)
    shutil.rmtree(at["here"] / "a")
    return not (at["here"] / "a").exists()


@honest
def uses_temporary_files(at):
    with (
        tempfile.TemporaryDirectory(dir=at["here"]) as directory,
        tempfile.TemporaryFile(dir=directory) as file,
    ):
        file.write(b"text")
        file.seek(0)
        return file.read() == b"text"


@honest
def keeps_a_data_base(at):
    with sqlite3.connect(at["here"] / "base.sqlite") as base:
        base.execute("pragma journal_mode = wal")
        base.execute("create table t (a)")
        base.execute("insert into t values (42)")
        found = base.execute("select a from t").fetchone()
    base.close()
    return found == (42,)


@honest
def computes_in_threads(at):
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]


@honest
def maps_memory(at):
    (at["here"] / "mapped").write_bytes(bytes(4096))
    with (at["here"] / "mapped").open("r+b") as file, mmap.mmap(file.fileno(), 4096) as memory:
        memory[:4] = b"text"
    return (at["here"] / "mapped").read_bytes()[:4] == b"text" and mmap.mmap(-1, 4096).write(b"x") == 1


@honest
def has_random_numbers(at):
    return len(os.urandom(8)) == 8 and random.SystemRandom().random() >= 0


@honest
def talks_to_itself(at):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"x")
        return theirs.recv(1) == b"x"


@honest
def knows_the_time(at):
    return time.time() > 1e9 and time.strftime("%Y") > "2000" and time.monotonic() > 0


@honest
def waits_for_events(at):
    event = threading.Event()
    threading.Timer(0.001, event.set).start()
    return event.wait(10)


@honest
def calls_native_code(at):
    return ctypes.CDLL(None).abs(-7) == 7


@honest
def asks_what_the_machine_is(at):
    return os.cpu_count() >= 1 and "processor" in Path("/proc/cpuinfo").read_text().lower()


@honest
def asks_what_it_is_itself(at):
    return os.readlink("/proc/self") == str(os.getpid()) and "Name" in Path("/proc/self/status").read_text()


@honest
def imports_what_it_has_not_used_so_far(at):
    from attempts import victim  # of its own code: an ordinary user may not be able to read the interpreter's

    return victim.ANYONE == 0o666


@honest
def locks_a_file_of_its_own(at):
    import fcntl

    with (at["here"] / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


@honest
def touches_a_file(at):
    (at["here"] / "touched").touch()
    (at["here"] / "touched").touch()
    return (at["here"] / "touched").exists()


@honest
def looks_whether_it_is_alive(at):
    os.kill(os.getpid(), 0)
    number = os.open("/proc/self/clear_refs", os.O_WRONLY)  # forgets the peak of its memory
    try:
        return os.write(number, b"5") == 1
    finally:
        os.close(number)


@honest
def writes_to_nowhere(at):
    return Path("/dev/null").write_text("x") == 1 and Path("/dev/urandom").open("rb").read(8)


@honest
def packs_and_unpacks(at):
    return json.loads(json.dumps({"a": [1, 2.5, None]})) and struct.unpack("<I", struct.pack("<I", 7)) == (7,)
