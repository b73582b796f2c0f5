"""The end of a JSON-RPC conversation in a process that does nothing else: one thread, no event loop."""

import os
import select
from collections.abc import Callable
from typing import Any, Final

from symphony_sdk.errors import PeerGone, TransportError

from symphony_ipc.jsonrpc.dialogue import Answer, Dialogue, Faults, Methods
from symphony_ipc.jsonrpc.lines import LINE_LIMIT, LineReader

_READ: Final = 64 << 10
_UNREAD: Final = 64 << 20  # bytes that the peer may leave unread


class BlockingJsonRpc:
    """Serves one peer over two pipes, such as those of `symphony_ipc.pipes.take_stdio`.

    It reads while it waits to write: a peer that writes much before it reads never blocks it for good.

    Args:
        methods: What the other end may ask for and tell; each returns its result.
        incoming: Descriptor to read from.
        outgoing: Descriptor to write to; it becomes non-blocking.
        max_line: Bytes that a line may have.
    """

    def __init__(self, methods: Methods, incoming: int, outgoing: int, *, max_line: int = LINE_LIMIT) -> None:
        self._dialogue = Dialogue(methods, self._write, max_line=max_line)
        self._reader = LineReader(max_line)
        self._incoming = incoming
        self._outgoing = outgoing
        self._unsent = bytearray()
        self._open = True
        self._stuck: TransportError | None = None
        os.set_blocking(outgoing, False)
        self._writable = select.poll()
        self._writable.register(outgoing, select.POLLOUT)
        self._either = select.poll()
        self._either.register(outgoing, select.POLLOUT)
        self._either.register(incoming, select.POLLIN)

    @property
    def faults(self) -> Faults:
        """What came in and could not be used."""
        return self._dialogue.faults

    def notify(self, method: str, params: Any = None) -> None:
        """Tell the other side something; from the thread that serves.

        Args:
            method: What.
            params: Its parameters; None for none.

        Raises:
            TransportError: It is too long or cannot be encoded.
        """
        self._dialogue.tell(method, params)

    def ask(self, method: str, params: Any, answered: Callable[[Answer], None]) -> None:
        """Ask the other side; from the thread that serves, which goes on with what comes in meanwhile.

        Args:
            method: What for.
            params: Its parameters; None for none.
            answered: Takes the answer, an error where the conversation ends first.

        Raises:
            TransportError: It is too long or cannot be encoded.
        """
        self._dialogue.ask(method, params, answered)

    def close(self) -> None:
        """Have `serve` return after this line and what was written; from the thread that serves."""
        self._open = False

    def serve(self) -> None:
        """Take what comes in until the other end closes, or `close` is called.

        Raises:
            TransportError: The other end does not read (`SYM-T052`).
        """
        try:
            while self._open and (data := self._read()):
                for line in self._reader.received(data):
                    self._dialogue.take(line)
                    if not self._open:
                        break
            if self._stuck is not None:
                raise self._stuck
            self._flush()
        finally:
            self._open = False
            self._dialogue.end(PeerGone("the other end closed the connection"))

    def _read(self) -> bytes:
        while self._unsent:
            ready = dict(self._either.poll())
            if self._outgoing in ready:
                self._send_on()
            if self._incoming in ready:
                break
        try:
            return os.read(self._incoming, _READ)
        except ConnectionResetError:
            return b""

    def _flush(self) -> None:
        while self._unsent:
            self._writable.poll()
            self._send_on()

    def _write(self, line: bytes) -> None:
        if self._stuck is not None:
            return
        self._unsent += line
        self._send_on()
        if len(self._unsent) > _UNREAD:
            self._open = False
            self._stuck = TransportError(
                f"the other end left {len(self._unsent):,} bytes unread",
                code="SYM-T052",
                hint="It hangs; start it anew.",
            )
            raise self._stuck

    def _send_on(self) -> None:
        try:
            del self._unsent[: os.write(self._outgoing, self._unsent)]
        except BlockingIOError:
            pass  # the rest goes when the other end has read
        except (BrokenPipeError, ConnectionResetError):
            self._open = False
            self._unsent.clear()
