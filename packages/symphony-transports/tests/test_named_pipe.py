"""Named pipes, on pipes that behave as those of Windows do: in messages, until their end is told otherwise.

`PipesLoop` does what `asyncio.ProactorEventLoop` does with pipes, as far as a transport can see it: the listening
end reads messages, into 64 KiB, and fails with ERROR_MORE_DATA where one is longer. What is read comes in
pieces.
"""

import asyncio
import importlib
from asyncio.protocols import _feed_data_to_buffered_proto as feed
from collections import deque
from types import SimpleNamespace

import pytest
from symphony_sdk.errors import PeerGone, TransportError
from symphony_sdk.testing.contracts.transport import TransportContract
from symphony_sdk.testing.contracts.transport_peer import Echo
from symphony_transports import NamedPipeTransport
from symphony_transports.plugins.named_pipe import create_transport

ADDRESS = "npipe:\\\\.\\pipe\\symphony-test"
READ = 64 << 10  # what the proactor reads at once
HIGH = 64 << 10
ERROR_MORE_DATA = 234


class Pipe:
    """One end of a pipe: what `get_extra_info("pipe")` gives."""

    by_handle: dict[int, "Pipe"] = {}

    def __init__(self, messages):
        self.messages = messages
        self.handle = len(self.by_handle) + 1000
        self.by_handle[self.handle] = self

    def fileno(self):
        return self.handle


class PipeTransport(asyncio.Transport):
    """The transport of one end, as the proactor's is seen from outside."""

    def __init__(self, loop, pipe, protocol, piece):
        super().__init__({"pipe": pipe})
        self.loop, self.pipe, self.protocol, self.piece = loop, pipe, protocol, piece
        self.other = None
        self.inbox = deque()
        self.reading, self.closing, self.lost, self.paused = True, False, False, False
        self.scheduled = False
        loop.call_soon(lambda: self.protocol.connection_made(self))

    def set_protocol(self, protocol):
        self.protocol = protocol

    def get_protocol(self):
        return self.protocol

    def write(self, data):
        if data and not self.closing and not self.other.lost:
            self.other.inbox.append(bytes(data))
            self.other.wake()
            if not self.paused and self.get_write_buffer_size() > HIGH:
                self.paused = True
                self.protocol.pause_writing()

    def writelines(self, data):
        self.write(b"".join(data))

    def get_write_buffer_size(self):
        return 0 if self.other.lost else sum(map(len, self.other.inbox))

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True
        self.wake()

    def is_closing(self):
        return self.closing

    def close(self):
        if not self.closing:
            self.closing = True
            self.settle()

    def settle(self):
        """Close when what was written has been read."""
        if self.closing and not self.get_write_buffer_size():
            self.end(None)

    def abort(self):
        self.closing = True
        self.end(None)

    def wake(self):
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.read)

    def read(self):
        self.scheduled = False
        if self.closing or not self.reading:
            return
        if not self.inbox:
            if self.other.lost:
                self.protocol.eof_received()
                self.close()
            return
        data = self.inbox.popleft()
        if self.pipe.messages and len(data) > READ:
            self.end(OSError(ERROR_MORE_DATA, "More data is available"))
            return
        feed(self.protocol, data[: self.piece])
        if data[self.piece :]:
            self.inbox.appendleft(data[self.piece :])
        self.wake()
        if self.other.paused and self.other.get_write_buffer_size() < HIGH // 4:
            self.other.paused = False
            self.other.protocol.resume_writing()
        self.other.settle()

    def end(self, error):
        if not self.lost:
            self.lost = True
            self.closing = True
            self.inbox.clear()
            self.loop.call_soon(lambda: self.protocol.connection_lost(error))
            self.other.wake()
            self.other.settle()


class PipesLoop(asyncio.SelectorEventLoop):
    """An event loop that has named pipes."""

    piece = 8 << 10

    def __init__(self):
        super().__init__()
        self.servers = {}

    async def start_serving_pipe(self, protocol_factory, address):
        if address in self.servers:
            raise PermissionError(13, "Access is denied")
        self.servers[address] = protocol_factory
        return [SimpleNamespace(close=lambda: self.servers.pop(address, None))]

    async def create_pipe_connection(self, protocol_factory, address):
        if address not in self.servers:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        theirs = PipeTransport(self, Pipe(messages=True), self.servers[address](), self.piece)
        protocol = protocol_factory()
        ours = PipeTransport(self, Pipe(messages=False), protocol, self.piece)
        ours.other, theirs.other = theirs, ours
        return ours, protocol


def set_state(handle, mode, count, timeout):
    assert (mode, count, timeout) == (0, None, None)
    Pipe.by_handle[handle].messages = False


@pytest.fixture
def windows(monkeypatch):
    """An event loop with pipes, and the one function of Windows that is called."""
    monkeypatch.setattr("asyncio.events.new_event_loop", PipesLoop)
    module = SimpleNamespace(SetNamedPipeHandleState=set_state)
    real = importlib.import_module
    monkeypatch.setattr(
        "symphony_transports.named_pipe.import_module",
        lambda name: module if name == "_winapi" else real(name),
    )
    yield module
    Pipe.by_handle.clear()


class TestNamedPipe(TransportContract):
    @pytest.fixture
    def transport(self, windows):
        return NamedPipeTransport("contract")

    @pytest.fixture
    def address(self):
        return ADDRESS


async def echo(message):
    return message


async def round_trip(size):
    """Send that many bytes to a listener and back."""
    transport, opened = NamedPipeTransport("test"), []
    listener = await transport.listen(ADDRESS, opened.append, token=b"t", handler=echo)
    try:
        connection = await transport.connect(ADDRESS, token=b"t")
        try:
            message = Echo(bytes(size))
            assert await connection.request(message, Echo, timeout=30) == message
        finally:
            await connection.close()
    finally:
        await listener.close()
        for each in opened:
            await each.close()


@pytest.mark.parametrize("piece", [1, 7, 4096, 8192, 65_536])
def test_a_frame_is_put_together_from_whatever_pieces_come(windows, monkeypatch, piece):
    monkeypatch.setattr(PipesLoop, "piece", piece)
    asyncio.run(round_trip(100 * piece))


def test_a_long_message_needs_a_pipe_of_bytes(windows):
    windows.SetNamedPipeHandleState = lambda *arguments: None  # as if it were forgotten
    with pytest.raises(PeerGone):
        asyncio.run(round_trip(1 << 20))


def test_a_pipe_that_is_closed_before_it_is_taken_ends_nothing_else(windows):
    def closed(*arguments):
        raise OSError(6, "The handle is invalid")

    windows.SetNamedPipeHandleState = closed
    with pytest.raises(PeerGone):
        asyncio.run(round_trip(1))
    windows.SetNamedPipeHandleState = set_state
    asyncio.run(round_trip(1))


def test_a_listener_without_a_token_is_refused(windows):
    with pytest.raises(TransportError, match="open to every process") as caught:
        asyncio.run(NamedPipeTransport("test").listen(ADDRESS, lambda connection: None))
    assert caught.value.code == "SYM-T034"


def test_a_listener_that_greets_others_is_busy_and_not_waited_for_without_end(windows, monkeypatch):
    async def busy(self, protocol_factory, address):
        await asyncio.Event().wait()

    monkeypatch.setattr(PipesLoop, "create_pipe_connection", busy)
    monkeypatch.setattr("symphony_transports.named_pipe._BUSY_TIMEOUT", 0.01)
    with pytest.raises(TransportError, match="it is busy") as caught:
        asyncio.run(NamedPipeTransport("test").connect(ADDRESS))
    assert caught.value.code == "SYM-T010"


def test_closing_a_listener_gives_up_those_who_have_not_shaken_hands(windows):
    async def main():
        transport = NamedPipeTransport("test")
        listener = await transport.listen(ADDRESS, lambda connection: None, token=b"t")
        loop = asyncio.get_running_loop()
        stranger = SimpleNamespace(
            connection_made=lambda transport: None,
            eof_received=lambda: None,
            connection_lost=lambda error: lost.set_result(error),
        )
        lost = loop.create_future()
        await loop.create_pipe_connection(lambda: stranger, ADDRESS.partition(":")[2])
        await asyncio.sleep(0)
        await listener.close()
        async with asyncio.timeout(30):
            assert await lost is None

    asyncio.run(main())


@pytest.mark.parametrize(
    "address",
    ["npipe:", "npipe:\\\\.\\pipe\\", "npipe:\\\\server\\pipe\\symphony", "npipe:symphony", "unix:/a/path"],
)
def test_a_pipe_of_another_machine_and_an_address_of_another_kind_are_refused(windows, address):
    with pytest.raises(TransportError, match="is not the address of a named pipe of this machine") as caught:
        asyncio.run(NamedPipeTransport("test").connect(address))
    assert caught.value.code == "SYM-T010"


def test_another_system_says_that_it_has_no_named_pipes():
    for use in (
        lambda: asyncio.run(NamedPipeTransport("test").connect(ADDRESS)),
        lambda: asyncio.run(NamedPipeTransport("test").listen(ADDRESS, lambda connection: None, token=b"t")),
        lambda: create_transport(SimpleNamespace()),
    ):
        with pytest.raises(TransportError, match="has no named pipes") as caught:
            use()
        assert caught.value.code == "SYM-T030"


def test_on_windows_the_host_gets_the_transport(monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    assert create_transport(SimpleNamespace()).scheme == "npipe"
