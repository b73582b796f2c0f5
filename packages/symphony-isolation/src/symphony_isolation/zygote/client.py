"""The zygote as the host sees it: started, asked to fork and to reap, and ended."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

import msgspec

from symphony_isolation.ending import see_through
from symphony_isolation.interpreter import Interpreter
from symphony_isolation.zygote.messages import PACKET_LIMIT, Answer, Fork, Reap

BOOT_TIMEOUT: Final = 10.0
"""Seconds that the zygote may take until it is ready."""

ANSWER_TIMEOUT: Final = 5.0
"""Seconds that it may take to fork or to reap; it takes a few milliseconds."""

_LAST_WORDS: Final = 4096


class Zygote:
    """One zygote that runs; `start` makes it.

    Args:
        process: Its process.
        control: The host's end of its socket.

    Attributes:
        pid: Its process id.
        alive: Whether it can be asked; its workers die with it.
    """

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.pid = process.pid
        self.alive = True
        self._process = process
        self._control = control
        self._control.setblocking(False)
        self._decode = msgspec.msgpack.Decoder(Answer).decode
        self._turn = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Answer] = self._loop.create_future()
        self._loop.add_reader(control, self._receive)

    @classmethod
    async def start(cls, interpreter: Interpreter, environment: Mapping[str, str]) -> "Zygote":
        """Start one and wait until it is ready. To be called from the thread that the workers are to die with.

        Args:
            interpreter: What it executes, and imports from.
            environment: Its environment: clean, as its workers can read it.

        Raises:
            OSError: It cannot be started, or is not ready in time; its last words say why.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                process = _execute(interpreter, environment, theirs)
        except OSError:
            ours.close()
            raise
        zygote = cls(process, ours)
        try:
            await zygote._answered(BOOT_TIMEOUT)
        except BaseException:
            zygote._answer.cancel()
            zygote.close()
            raise
        return zygote

    async def fork(
        self,
        directory: str,
        environment: Mapping[str, str],
        descriptors: Sequence[int],
        *,
        contained: bool = False,
    ) -> int:
        """Fork a worker and give its process id; see it through.

        Args:
            directory: Where the worker is to be.
            environment: Its environment.
            descriptors: Its stdout, its stderr and those of its bootstrap; remain the caller's to close.
            contained: Whether it is to be in new namespaces from the beginning; the process id is that of its keeper.

        Raises:
            ConnectionError: The zygote is gone.
            OSError: The kernel refused.
        """
        variables = tuple(os.fsencode(f"{name}={value}") for name, value in environment.items())
        request = Fork(os.fsencode(directory), variables, contained)
        return await see_through(self._ask(request, descriptors))

    async def reap(self, pid: int) -> int | None:
        """How a worker has ended: its exit code or minus the signal; None where the zygote is gone and it too.

        Args:
            pid: Process id of a worker that has ended.
        """
        try:
            return await see_through(self._ask(Reap(pid)))
        except OSError:
            return None

    def close(self) -> None:
        """End it, and with it the workers that still run."""
        if self.alive:
            self.alive = False
            self._loop.remove_reader(self._control)
            self._control.close()
            self._process.kill()
            with self._process:
                words = _last_words(self._process.stdout)
            if not self._answer.done():
                text = f"the process that workers are forked from is gone{f': {words}' if words else ''}"
                self._answer.set_exception(ConnectionResetError(text))

    async def _ask(self, request: Fork | Reap, descriptors: Sequence[int] = ()) -> int:
        async with self._turn:
            if not self.alive:
                raise ConnectionResetError("the process that workers are forked from is gone")
            self._answer = self._loop.create_future()
            packet = msgspec.msgpack.encode(request)
            try:
                if descriptors:
                    socket.send_fds(self._control, [packet], descriptors)
                else:
                    self._control.send(packet)
            except ConnectionError:
                self.close()
            answer = await self._answered(ANSWER_TIMEOUT)
        if answer.error:
            raise OSError(answer.error, os.strerror(answer.error))
        return answer.value

    async def _answered(self, timeout: float) -> Answer:
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(self._answer)
        except TimeoutError:
            self.close()
            with suppress(ConnectionError):
                await self._answer
            raise ConnectionResetError(
                f"the process that workers are forked from did not answer within {timeout:g} s"
            ) from None

    def _receive(self) -> None:
        try:
            packet = self._control.recv(PACKET_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet and not self._answer.done():
            self._answer.set_result(self._decode(packet))
        else:
            self.close()


def _execute(
    interpreter: Interpreter, environment: Mapping[str, str], control: socket.socket
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the host's own interpreter with fixed words
        interpreter.command("symphony_isolation.zygote.main", control.fileno()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        pass_fds=(control.fileno(),),
        cwd="/",
        env=environment,
        umask=0o077,
        start_new_session=True,
    )


def _last_words(output: IO[bytes] | None) -> str:
    assert output is not None  # noqa: S101 - it is started with a pipe
    os.set_blocking(output.fileno(), False)
    words = output.read(_LAST_WORDS) or b""
    return words.decode(errors="replace").strip()
