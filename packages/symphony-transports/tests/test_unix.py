"""The Unix-socket transport through its port."""

import asyncio
import socket
import subprocess
import sys

import pytest
from symphony_sdk.errors import TransportError
from symphony_sdk.messages import Done
from symphony_sdk.ports.transport import ConnectionPort, ListenerPort, TransportPort
from symphony_transports import UnixTransport


async def answer(message):
    return Done()


def ignore(connection):
    pass


def test_two_processes_connect_at_a_path_and_ask_each_other(folder):
    async def main():
        transport: TransportPort = UnixTransport("host")
        accepted: asyncio.Queue[ConnectionPort] = asyncio.Queue()
        address = f"unix:{folder}/run/s"
        listener: ListenerPort = await transport.listen(
            address, accepted.put_nowait, token=b"t", handler=answer
        )
        assert listener.address == address
        assert (folder / "run").stat().st_mode & 0o777 == 0o700
        assert (folder / "run/s").stat().st_mode & 0o777 == 0o600
        client = await UnixTransport("client").connect(address, token=b"t", handler=answer)
        server = await accepted.get()
        assert await client.request(Done(), Done, timeout=20) == Done()
        assert await server.request(Done(), Done, timeout=20) == Done()
        await listener.close()
        assert not (folder / "run/s").exists()
        assert await client.request(Done(), Done, timeout=20) == Done(), "open connections stay"
        await client.close()
        assert await server.wait_closed() is not None
        await server.close()

    asyncio.run(main())


def test_a_wrong_token_and_a_stranger_do_not_end_the_listener(folder):
    async def main():
        transport = UnixTransport("host")
        address = f"unix:{folder}/run/s"
        listener = await transport.listen(address, ignore, token=b"t", handler=answer)
        with pytest.raises(TransportError) as caught:
            await transport.connect(address, token=b"wrong")
        assert caught.value.code == "SYM-T008"
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(f"{folder}/run/s")
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            client = await transport.connect(address, token=b"t")
        assert await client.request(Done(), Done, timeout=20) == Done()
        await client.close()
        await listener.close()

    asyncio.run(main())


def test_a_directory_that_others_may_enter_is_refused(folder):
    folder.chmod(0o755)
    with pytest.raises(TransportError, match="755") as caught:
        asyncio.run(UnixTransport("host").listen(f"unix:{folder}/s", ignore))
    assert caught.value.code == "SYM-T010"
    assert f"chmod 700 {folder}" in caught.value.hint


def test_a_peer_of_another_user_is_refused(folder, monkeypatch):
    async def main():
        transport = UnixTransport("host")
        listener = await transport.listen(f"unix:{folder}/run/s", ignore)
        user = (folder / "run").stat().st_uid
        monkeypatch.setattr("os.getuid", lambda: user + 1)
        with pytest.raises(TransportError, match=f"belongs to user {user}") as caught:
            await transport.connect(f"unix:{folder}/run/s")
        assert caught.value.code == "SYM-T008"
        await listener.close()

    asyncio.run(main())


def test_one_path_has_one_listener_and_what_a_killed_one_left_is_taken_over(folder):
    async def main():
        address = f"unix:{folder}/run/s"
        (folder / "run").mkdir(mode=0o700)
        code = f"import os, signal, socket; s = socket.socket(socket.AF_UNIX); s.bind('{folder}/run/s'); s.listen(); os.kill(os.getpid(), signal.SIGKILL)"
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=False)
        assert (folder / "run/s").exists()
        listener = await UnixTransport("host").listen(address, ignore)
        with pytest.raises(TransportError, match="listens at"):
            await UnixTransport("other").listen(address, ignore)
        await listener.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("missing/s", id="nothing there"),
        pytest.param("x" * 200, id="too long"),
        pytest.param("file/s", id="in a file"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(folder, path):
    (folder / "file").touch()
    folder.chmod(0o700)
    address = f"unix:{folder}/{path}"
    with pytest.raises(TransportError) as caught:
        asyncio.run(UnixTransport("client").connect(address))
    assert caught.value.code == "SYM-T010"
    assert f"{folder}/{path}" in caught.value.message
    if path != "missing/s":
        with pytest.raises(TransportError) as caught:
            asyncio.run(UnixTransport("host").listen(address, ignore))
        assert caught.value.code == "SYM-T010"


@pytest.mark.parametrize("address", ["/a/path", "tcp:host:1", "unix:"])
def test_an_address_of_another_kind_is_refused(address):
    with pytest.raises(TransportError, match="is not an address of the transport"):
        asyncio.run(UnixTransport("client").connect(address))


def test_a_listener_survives_running_out_of_descriptors(folder, monkeypatch):
    async def main():
        transport = UnixTransport("host")
        loop = asyncio.get_running_loop()
        real, failed = loop.sock_accept, []

        async def accept(sock):
            if not failed:
                failed.append(True)
                raise OSError(24, "Too many open files")
            return await real(sock)

        monkeypatch.setattr(loop, "sock_accept", accept)
        listener = await transport.listen(f"unix:{folder}/run/s", ignore, handler=answer)
        client = await transport.connect(f"unix:{folder}/run/s")
        assert await client.request(Done(), Done, timeout=20) == Done()
        assert failed
        await client.close()
        await listener.close()

    asyncio.run(main())
