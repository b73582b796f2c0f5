"""An extension that does all that extensions do, the bad things too; it runs in workers only."""

import asyncio
import ctypes
import gc
import mmap
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from symphony_sdk import (
    ArtifactRef,
    Context,
    Instrument,
    hookimpl,
    operator,
    provides_instruments,
    provides_operators,
)


def note(line: str) -> None:
    """Append to a file in the extension's own directory, which is where it was started."""
    with Path("notes").open("a") as file:
        file.write(f"{line}\n")


@operator("acme.zoo.echo")
def echo(ctx: Context, text: str = "") -> str:
    return text


@operator("acme.zoo.echo-async")
async def echo_async(ctx: Context, text: str) -> str:
    await asyncio.sleep(0)
    return text


@operator("acme.zoo.say")
def say(ctx: Context, text: str) -> int:
    print(text)
    print(f"{text} on stderr", file=sys.stderr)
    ctx.log.error(f"{text} in the log")
    ctx.progress(0.5, f"{text} half-way")
    return os.getpid()


@operator("acme.zoo.shout")
def shout(ctx: Context, megabytes: int, line: int) -> None:
    text = "x" * (line - 1) + "\n"
    for _ in range(megabytes * (1 << 20) // line):
        sys.stdout.write(text)


@operator("acme.zoo.chatter")
def chatter(ctx: Context, lines: int) -> None:
    for number in range(lines):
        ctx.log.info(f"line {number}")


@operator("acme.zoo.boast")
def boast(ctx: Context, times: int) -> None:
    for number in range(times):
        ctx.progress(number / times)


@operator("acme.zoo.fail")
def fail(ctx: Context) -> None:
    raise LookupError("no such animal")


@operator("acme.zoo.cancel-itself")
async def cancel_itself(ctx: Context) -> None:
    raise asyncio.CancelledError


@operator("acme.zoo.crash", idempotent=False)
def crash(ctx: Context, how: str) -> None:
    print("these are my last words", file=sys.stderr, flush=True)
    match how:
        case "sys.exit":
            sys.exit(3)
        case "os._exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()


@operator("acme.zoo.wait")
def wait(ctx: Context) -> None:
    """End when it is cancelled."""
    ctx.progress(0.0, str(os.getpid()))
    ctx._cancelled.wait()
    note("cancelled")


@operator("acme.zoo.wait-async")
async def wait_async(ctx: Context) -> None:
    ctx.progress(0.0)
    try:
        await asyncio.Event().wait()
    finally:
        note("cancelled")


@operator("acme.zoo.tidy-up")
def tidy_up(ctx: Context) -> None:
    """Take a moment to end when it is cancelled."""
    ctx.progress(0.0)
    ctx._cancelled.wait()
    threading.Event().wait(0.1)
    note("tidied up")


@operator("acme.zoo.ignore")
def ignore(ctx: Context) -> None:
    """Never end."""
    ctx.progress(0.0)
    threading.Event().wait()


@operator("acme.zoo.stick")
def stick(ctx: Context) -> None:
    """Never end, and never let another thread of Python run."""
    ctx.progress(0.0)
    ctypes.PyDLL(None).pause()


@operator("acme.zoo.grind")
def grind(ctx: Context, seconds: float) -> str:
    """Compute, and never let another thread of Python run meanwhile."""
    ctx.progress(0.0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass
    finally:
        sys.setswitchinterval(interval)
    return "ground"


@operator("acme.zoo.environment")
def environment(ctx: Context) -> dict[str, str]:
    return dict(os.environ)


@operator("acme.zoo.descriptors")
def descriptors(ctx: Context) -> dict[str, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found[entry.name] = str(entry.readlink())
    return found


@operator("acme.zoo.confinement")
def confinement(ctx: Context) -> dict[str, str]:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    umask = os.umask(0o077)
    return {
        "umask": oct(umask),
        "no_new_privs": status["NoNewPrivs"],
        "core": str(resource.getrlimit(resource.RLIMIT_CORE)),
        "files": str(resource.getrlimit(resource.RLIMIT_NOFILE)),
        "session": str(os.getsid(0) == os.getpid()),
        "cwd": str(Path.cwd()),
        "stdin": str(Path("/proc/self/fd/0").readlink()),
        "tmp": tempfile.gettempdir(),
        "isolated": str(sys.flags.isolated),
        "asyncio": str("asyncio" in sys.modules and "acme_zoo" not in sys.modules),
    }


@operator("acme.zoo.allocate")
def allocate(ctx: Context, megabytes: int) -> int:
    try:
        return len(bytearray(megabytes << 20))
    finally:
        gc.collect()


@operator("acme.zoo.fill")
def fill(ctx: Context, megabytes: int) -> None:
    """Use memory, give it back, and take long enough for it to be worth a look."""
    with mmap.mmap(-1, max(megabytes, 1) << 20) as memory:
        for page in range(0, megabytes << 20, mmap.PAGESIZE):
            memory[page] = 1
    threading.Event().wait(0.02)


@operator("acme.zoo.spawn")
def spawn(ctx: Context) -> int:
    return subprocess.Popen(["sleep", "1000"]).pid


@operator("acme.zoo.break-out")
def break_out(ctx: Context) -> str:
    with suppress(PermissionError):
        subprocess.Popen(["sleep", "1000"])
    try:
        socket.socket()
    except PermissionError as error:
        return str(error)
    return "out"


@operator("acme.zoo.hold")
def hold(ctx: Context) -> None:
    """Hold more and more memory, shared, so that no other limit notices."""
    held = []
    while True:
        held.append(mmap.mmap(-1, 1 << 20))
        held[-1].write(b"x" * (1 << 20))


@operator("acme.zoo.store")
def store(ctx: Context, size: int) -> ArtifactRef:
    return ctx.artifacts.put(bytes(range(256)) * (size // 256), name="zoo.bin", metadata={"of": "zoo"})


@operator("acme.zoo.digest")
def digest(ctx: Context, ref: ArtifactRef) -> str:
    return sha256(ctx.artifacts.get(ref)).hexdigest()


class Counter(Instrument):
    """Counts its inferences."""

    id = "acme.zoo.count"

    def load(self, ctx: Context) -> None:
        note("instrument loaded")
        self.count = 0

    def infer(self, ctx: Context, by: int) -> int:
        self.count += by
        return self.count

    def unload(self) -> None:
        note(f"instrument unloaded at {self.count}")


@hookimpl
def symphony_load(ctx: Context) -> None:
    note("load")


@hookimpl
def symphony_activate(ctx: Context) -> None:
    note(f"activate {dict(ctx.config)}")


@hookimpl
def symphony_deactivate(ctx: Context) -> None:
    note("deactivate")


@hookimpl
def symphony_unload(ctx: Context) -> None:
    note("unload")


@provides_operators
def symphony_operators() -> Iterator[object]:
    yield from (echo, echo_async, say, shout, chatter, fail, cancel_itself, crash, wait, wait_async, tidy_up)
    yield from (
        boast,
        ignore,
        stick,
        grind,
        environment,
        descriptors,
        confinement,
        allocate,
        fill,
        spawn,
        store,
    )
    yield from (digest, break_out, hold)


@provides_instruments
def symphony_instruments() -> Iterator[Instrument]:
    yield Counter()
