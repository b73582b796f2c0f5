"""A program that is talked to over its standard input and output: started, listened to, and never left behind."""

import asyncio
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from symphony_sdk.errors import PeerGone, TransportError

GRACE: Final = 1.0
"""Seconds that a program has to end by itself when nobody talks to it any more, and then to obey SIGTERM."""

_LAST_WORDS: Final = 4096  # bytes of its standard error that are kept for the error that tells its end
_READ: Final = 64 << 10
_PIPE_SIZE: Final = 1 << 20  # what Linux allows everyone; a message of 1 MB then takes two thirds of the time


class Program:
    """A running program.

    What it writes to its standard error goes to ours, and the end of it is kept.

    Args:
        argv: The program and its arguments.

    Attributes:
        output: Descriptor of a pipe from its standard output; the caller owns it.
        input: Descriptor of a pipe to its standard input; the caller owns it.
        ended: Set when it has ended, after `end` was called.

    Raises:
        TransportError: It cannot be started (`SYM-T031`).
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.output, its_output = os.pipe()
        its_input, self.input = os.pipe()
        _widen(self.output)
        _widen(self.input)
        self._errors, its_errors = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the address says what is started
                argv,
                stdin=its_input,
                stdout=its_output,
                stderr=its_errors,
                start_new_session=True,  # Ctrl-C is for this process, which then ends the program in order
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            for descriptor in (self.output, self.input, self._errors):
                os.close(descriptor)
            raise TransportError(
                f"{argv[0]!r} cannot be started: {getattr(error, 'strerror', None) or error}",
                code="SYM-T031",
                hint="It must be a program on PATH, or the path of one that may be executed.",
            ) from error
        finally:
            for descriptor in (its_output, its_input, its_errors):
                os.close(descriptor)
        self.name = shlex.join(argv)
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._last_words = bytearray()
        os.set_blocking(self._errors, False)
        self._loop.add_reader(self._errors, self._listen)

    def end(self, patience: float) -> None:
        """Wait for its end in the background, and bring it about if it does not come: SIGTERM, then SIGKILL.

        The event loop may end meanwhile.

        Args:
            patience: Seconds until SIGTERM.
        """
        threading.Thread(target=self._end, args=(patience,), name=f"end of {self.name}").start()

    def ended_early(self) -> PeerGone:
        """The error for a program that ended instead of shaking hands; to be made once it has ended."""
        code = self._process.returncode
        fate = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        words = self._last_words.decode(errors="replace").strip()
        return PeerGone(
            f"`{self.name}` {fate} before it answered" + (f"; its last words:\n{words}" if words else ""),
            code="SYM-T033",
            hint="It must talk the protocol of Symphony over its standard input and output.",
            details={"exit_code": code, "last_words": words},
        )

    def _end(self, patience: float) -> None:
        for wait, signal_it in ((patience, self._process.terminate), (GRACE, self._process.kill)):
            try:
                self._process.wait(wait)
                break
            except subprocess.TimeoutExpired:
                signal_it()
        self._process.wait()
        try:
            self._loop.call_soon_threadsafe(self._ended)
        except RuntimeError:  # the loop was closed: nobody listens any more
            if self._errors >= 0:
                os.close(self._errors)

    def _ended(self) -> None:
        self._listen()  # what it said last
        self._stop_listening()
        self.ended.set()

    def _listen(self) -> None:
        try:
            said = os.read(self._errors, _READ)
        except OSError:  # nothing there
            return
        if not said:
            self._stop_listening()
            return
        self._last_words = (self._last_words + said)[-_LAST_WORDS:]
        with suppress(OSError):  # we have no standard error, or nobody reads it
            os.write(2, said)

    def _stop_listening(self) -> None:
        if self._errors >= 0:
            self._loop.remove_reader(self._errors)
            os.close(self._errors)
            self._errors = -1


def _widen(pipe: int) -> None:
    """Let a pipe hold more than the 64 KiB that it has at first."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # the user has many such pipes already: this one stays as it is
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
