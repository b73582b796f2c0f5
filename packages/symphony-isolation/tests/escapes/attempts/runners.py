"""Starts the hostile code where it is to be tried, asks it for one attempt after another, and looks what came of it."""

import asyncio
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from symphony_isolation import IsolatedExtensions, WorkerLimits, WorkerSpec
from symphony_isolation.sandbox import Enclosure, SandboxPolicy, Wanted
from symphony_isolation.sandbox.processes import children_of
from symphony_sdk.errors import SymphonyError
from symphony_sdk.ports import NodeCall
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import decode, encode

from attempts.resources import LIMITS
from attempts.table import Attempt, Look
from attempts.world import World

SECONDS = 20.0
_WITH_FILES = ("files", "processes", "persistence")
_OPERATION = """
from symphony_sdk import Context, operator, provides_operators
from attempts.extension import tries

@operator("acme.{name}.try")
def attempt(ctx: Context, name: str, facts: str) -> str:
    return tries(ctx, name, facts)

@provides_operators
def symphony_operators():
    yield attempt
"""


class Runner(Protocol):
    """A place that hostile code runs in."""

    def ask(self, name: str, facts: dict[str, Any]) -> str:
        """What it answers to an attempt; empty where that has ended it."""

    def pids(self) -> tuple[int, ...]:
        """Its processes, as the host sees them."""

    def looked(self) -> None:
        """The host has looked: what the attempt holds is not needed any more."""

    def end(self) -> None:
        """End all of it."""


Start = Callable[[Attempt | None], Runner]
"""Makes a place: for one attempt that ends or exhausts it, or for all others."""


class Outcome(NamedTuple):
    """What came of an attempt.

    Args:
        escaped: Whether the host has seen its effect.
        said: What the hostile code answered.
    """

    escaped: bool
    said: str


def family(pid: int) -> tuple[int, ...]:
    """A process with all that it has started, as far as they are still its."""
    if not os.path.exists(f"/proc/{pid}"):
        return ()
    try:
        children = children_of(pid)
    except OSError:  # it has ended meanwhile
        return ()
    return (pid, *(each for child in children for each in family(child)))


def survey(
    world: World, attempts: Iterable[Attempt], start: Start, *, patience: float = 0.0, grace: float = 0.0
) -> dict[str, Outcome]:
    """Try attempts one after the other, and look at once and, where nothing was seen, at the end again.

    Args:
        world: What they could harm.
        attempts: What to try.
        start: Makes the places where they are tried.
        patience: Seconds that an effect may take to be seen.
        grace: Seconds that whoever holds the attacker to its limits has to end it.
    """
    outcomes: dict[str, Outcome] = {}
    looks: list[tuple[Attempt, Look]] = []
    shared: Runner | None = None
    try:
        for attempt in attempts:
            if attempt.alone:
                runner = start(attempt)
            else:
                runner = shared = shared or start(None)
            if attempt.kind in _WITH_FILES:
                world.prepare(attempt.name)
            look = Look(world, attempt.name, "", None, runner, grace)
            look = replace(look, before=attempt.effect.before(look))
            look = replace(look, said=runner.ask(attempt.name, world.facts(attempt.name)))
            outcomes[attempt.name] = Outcome(_seen(attempt, look, patience), look.said)
            if attempt.alone:
                runner.end()
                world.clear()
                continue
            runner.looked()
            if not runner.pids():
                shared = None
            else:
                looks.append((attempt, look))
        for attempt, look in looks:
            if not patience and not outcomes[attempt.name].escaped and attempt.effect.seen(look):
                outcomes[attempt.name] = Outcome(True, f"{look.said} (seen later)")
    finally:
        if shared is not None:
            shared.end()
    return outcomes


def _seen(attempt: Attempt, look: Look, patience: float) -> bool:
    until = time.monotonic() + patience
    while not attempt.effect.seen(look):
        if time.monotonic() >= until:
            return False
        time.sleep(0.01)
    return True


class Program:
    """The hostile program, in whatever a command makes of it.

    Args:
        command: Starts it.
        environment: Its variables.
        policy: What it confines itself to; None where somebody else confines it, or nobody.
    """

    def __init__(
        self, command: Sequence[str], environment: dict[str, str], policy: SandboxPolicy | None = None
    ) -> None:
        self._enclosure = None if policy is None else Enclosure(policy, "attacker")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            close_fds=False,
        )
        if self._enclosure is not None:
            self._enclosure.attach(self._process.pid)
        self.refused = ""
        if self._receive() != "ready":
            self.refused = self._process.communicate()[1].decode() or "it did not start"

    def ask(self, name: str, facts: dict[str, Any]) -> str:
        try:
            self._send(json.dumps({"name": name, "facts": facts}).encode())
        except BrokenPipeError:
            return ""
        return self._receive()

    def pids(self) -> tuple[int, ...]:
        return family(self._process.pid) if self._process.poll() is None else ()

    def looked(self) -> None:
        if self._enclosure is None:
            with suppress(BrokenPipeError):
                self._send(b"")
                self._receive()

    def end(self) -> None:
        if self._enclosure is not None:
            self._enclosure.kill()
        pids = self.pids()
        self._process.kill()
        for pid in pids[1:]:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()
        if self._enclosure is not None:
            self._enclosure.close()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def _receive(self) -> str:
        assert self._process.stdout is not None
        line, until = b"", time.monotonic() + SECONDS
        while not line.endswith(b"\n"):
            left = max(0.0, until - time.monotonic())
            ready = select.select([self._process.stdout], [], [], left)[0]
            part = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not part:
                return ""
            line += part
        return str(json.loads(line))


class Workers:
    """Hostile extensions in workers of Symphony: one for all attempts that leave it well, and for each other a new worker.

    Args:
        world: What they could harm.
        sandbox: The tier.
    """

    def __init__(self, world: World, sandbox: Wanted) -> None:
        self._loop = asyncio.new_event_loop()
        permissions = (
            f"file:read:{world.granted}/**",
            f"file:read:{world.partly}/**",
            f"file:read,write:{world.data}/**",
            f"network:read:127.0.0.1:{world.ports['granted']}",
        )
        specs = []
        for name, starts, limits in (
            ("shared", False, {}),
            ("alone", False, LIMITS),
            ("starting", True, LIMITS),
        ):
            Path(world.code, f"hostile_{name}.py").write_text(_OPERATION.format(name=name))
            specs.append(
                WorkerSpec(
                    id=f"acme.{name}",
                    version="1.0",
                    kind="operator",
                    module=f"hostile_{name}",
                    data_dir=world.data,
                    fingerprint="1",
                    permissions=(*permissions, "system:execute:process") if starts else permissions,
                    limits=WorkerLimits(load_timeout=30.0, **limits),
                    import_path=(world.code,),
                    sandbox=sandbox,
                    hidden=(f"{world.partly}/hidden",),
                )
            )
        self._extensions = IsolatedExtensions(
            specs, cache_dir=Path(world.root, "cache"), artifacts=FakeArtifactStore, on_log=lambda *line: None
        )

    def start(self, attempt: Attempt | None) -> "Worker":
        """A new worker that tries an attempt alone, or the one for all others."""
        name = "shared" if attempt is None else "starting" if attempt.starts else "alone"
        worker = Worker(self._loop, self._extensions, f"acme.{name}")
        self._loop.run_until_complete(self._extensions.reload(f"acme.{name}"))
        return worker

    def close(self) -> None:
        """End them all."""
        self._loop.run_until_complete(self._extensions.stop())
        self._loop.close()


class Worker:
    """One hostile extension in its worker.

    Args:
        loop: Where the host lives.
        extensions: The host.
        id: Of the extension.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, extensions: IsolatedExtensions, id: str) -> None:
        self._loop = loop
        self._extensions = extensions
        self._id = id
        self._outer: tuple[int, ...] = ()

    def ask(self, name: str, facts: dict[str, Any]) -> str:
        inputs = {"name": encode(name), "facts": encode(json.dumps(facts))}
        call = NodeCall("run", "node", f"{self._id}.try", inputs, timeout=SECONDS)
        try:
            result = self._loop.run_until_complete(self._extensions.call(call))
        except SymphonyError as error:
            self._outer = ()
            return f"the worker failed: {error.code}"
        return decode(bytes(result.outputs["result"]), str)

    def pids(self) -> tuple[int, ...]:
        if not self._outer:
            health = self._loop.run_until_complete(self._extensions.health(self._id))
            self._outer = tuple(health.pids.values())
        return tuple(pid for outer in self._outer for pid in family(outer))

    def looked(self) -> None:
        self._loop.run_until_complete(asyncio.sleep(0))  # the host goes on with what has come meanwhile

    def end(self) -> None:
        self._loop.run_until_complete(self._extensions.deactivate(self._id))
        self._outer = ()
