"""An extension in a worker of its own, which reaches files and servers through the host alone."""

import asyncio
import http.server
import os
import sys
import threading

import msgspec
import pytest
from symphony_isolation.permissions.compiling import compile_policy
from symphony_isolation.sandbox import choose
from symphony_sdk.errors import PermissionDenied, SymphonyError

REACHES = """
import os
from symphony_sdk import Context, operator, provides_operators

@operator("acme.reach.echo")
def echo(ctx: Context, port: int, text: str) -> str:
    with ctx.connect("127.0.0.1", port, 20.0) as connection:
        connection.sendall(text.encode())
        return connection.recv(1000).decode()

@operator("acme.reach.fetch")
def fetch(ctx: Context, url: str) -> str:
    return ctx.http.get(url).text

@operator("acme.reach.read")
def read(ctx: Context, path: str) -> str:
    return ctx.files.read_text(path)

@operator("acme.reach.read-by-itself")
def read_by_itself(ctx: Context, path: str) -> str:
    with open(path) as file:
        return file.read()

@operator("acme.reach.write")
def write(ctx: Context, path: str, text: str) -> None:
    ctx.files.write_text(path, text)

@operator("acme.reach.inherited")
def inherited(ctx: Context, port: int) -> bool:
    with ctx.connect("127.0.0.1", port) as connection:
        return os.get_inheritable(connection.fileno())

@operator("acme.reach.urllib")
def urllib(ctx: Context, url: str) -> str:
    import urllib.request
    with urllib.request.urlopen(url, timeout=20) as page:
        return page.read().decode()

@operator("acme.reach.dial")
def dial(ctx: Context, host: str, port: int) -> str:
    import _socket  # past what Symphony does for libraries
    try:
        _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM).connect((host, port))
    except OSError as error:
        return str(error)
    return "connected"

@operator("acme.reach.loaded")
def loaded(ctx: Context) -> list[str]:
    import sys
    return [name for name in ("asyncio", "ssl", "http.client", "logging", "pydantic") if name in sys.modules]

@provides_operators
def operators():
    yield from (echo, fetch, urllib, dial, read, read_by_itself, write, inherited, loaded)
"""


def test_what_an_extension_reaches_comes_from_the_host(house, call, server, open_descriptors, settled):
    async def scenario():
        spec = house.write("acme.reach", REACHES, permissions=(f"network:read:127.0.0.1:{server}",))
        async with house.opened(spec) as extensions:
            await extensions.activate("acme.reach")
        before = open_descriptors()  # with what the process keeps for all workers
        async with house.opened(spec) as extensions:
            for _ in range(20):
                assert await call(extensions, "acme.reach.echo", port=server, text="hello") == "hello"
            assert await call(extensions, "acme.reach.inherited", port=server) is False
            assert await call(extensions, "acme.reach.loaded") == []
            with pytest.raises(SymphonyError) as caught:
                await call(extensions, "acme.reach.echo", port=1, text="hello")
            assert caught.value.code == "SYM-P001"
        await settled(before)

    asyncio.run(scenario())


def test_a_page_is_fetched_through_the_host(house, call, hello):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), hello) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()

        async def scenario():
            spec = house.write("acme.reach", REACHES, permissions=("network:read:localhost",))
            async with house.opened(spec) as extensions:
                url = f"http://localhost:{served.server_port}/"
                assert await call(extensions, "acme.reach.fetch", url=url) == "hello"
                with pytest.raises(PermissionDenied, match=r"may not connect to '127\.0\.0\.1"):
                    await call(extensions, "acme.reach.fetch", url=url.replace("localhost", "127.0.0.1"))

        try:
            asyncio.run(scenario())
        finally:
            served.shutdown()
            thread.join()


def test_a_file_that_is_not_declared_is_refused_by_the_host_in_the_words_of_the_manifest(house, call, place):
    async def scenario():
        spec = house.write("acme.reach", REACHES, permissions=(f"file:read:{place}/granted/**",))
        async with house.opened(spec) as extensions:
            assert await call(extensions, "acme.reach.read", path=str(place / "granted/sub/f")) == "ok"
            with pytest.raises(PermissionDenied, match=r"acme\.reach may not read") as caught:
                await call(extensions, "acme.reach.read", path=str(place / "outside/f"))
            assert os.fspath(place / "outside/f") in caught.value.hint

    asyncio.run(scenario())


def test_what_its_sandbox_does_not_show_an_extension_gets_from_the_host(house, call, place):
    """As with a permission that is granted while it runs: the sandbox is not opened, a descriptor comes in."""
    kept = place / "granted/sub/kept"
    wanted = "fallback" if sys.platform == "linux" else "none"
    try:
        tier = choose(wanted)
    except PermissionDenied as error:
        pytest.skip(str(error))
    spec = house.write("acme.reach", REACHES, permissions=(f"file:read,write:{place}/granted/**",))
    policy = compile_policy(msgspec.structs.replace(spec, permissions=()), tier)
    spec = msgspec.structs.replace(spec, sandbox=policy)

    async def scenario():
        async with house.opened(spec) as extensions:
            with pytest.raises(SymphonyError, match="PermissionError"):
                await call(extensions, "acme.reach.read-by-itself", path=str(place / "granted/sub/f"))
            assert await call(extensions, "acme.reach.read", path=str(place / "granted/sub/f")) == "ok"
            await call(extensions, "acme.reach.write", path=str(kept), text="kept")
            assert await call(extensions, "acme.reach.read", path=str(kept)) == "kept"
            with pytest.raises(SymphonyError, match="FileNotFoundError"):
                await call(extensions, "acme.reach.read", path=str(place / "granted/none"))

    asyncio.run(scenario())
    assert kept.read_text() == "kept"


def test_an_unmodified_library_reaches_what_is_granted_and_nothing_else(house, call, server, hello):
    """In tier `full` its network holds the proxy of the host, and nothing but it."""
    try:
        choose("full")
    except PermissionDenied as error:
        pytest.skip(str(error))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), hello) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://localhost:{served.server_port}/"

        async def scenario():
            permissions = ("network:read:localhost", f"network:read:127.0.0.1:{server}")
            spec = house.write("acme.reach", REACHES, permissions=permissions, sandbox="full")
            async with house.opened(spec) as extensions:
                assert await call(extensions, "acme.reach.urllib", url=url) == "hello"
                assert await call(extensions, "acme.reach.fetch", url=url) == "hello"
                assert await call(extensions, "acme.reach.echo", port=server, text="hello") == "hello"
                with pytest.raises(SymphonyError, match="403"):
                    await call(extensions, "acme.reach.urllib", url="http://elsewhere.example/")
                said = await call(extensions, "acme.reach.dial", host="127.0.0.1", port=served.server_port)
                assert "refused" in said

        try:
            asyncio.run(scenario())
        finally:
            served.shutdown()
            thread.join()
