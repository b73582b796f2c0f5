"""A server that speaks TLS is reached as anywhere else, and known by the certificates that the user names."""

import asyncio
import http.server
import os
import shutil
import ssl
import subprocess
import threading

import pytest
from symphony_isolation.sandbox import choose
from symphony_sdk.errors import PermissionDenied, SymphonyError

SOURCE = """
import asyncio, errno, os, socket, ssl, urllib.request
from symphony_sdk import Context, operator, provides_operators

@operator("acme.tls.http")
def http(ctx: Context, url: str) -> str:
    return ctx.http.get(url).text

@operator("acme.tls.urllib")
def urllib_(ctx: Context, url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as page:
        return page.read().decode()

@operator("acme.tls.requests")
def requests(ctx: Context, url: str) -> str:
    import requests
    return requests.get(url, timeout=20).text

@operator("acme.tls.streams")
def streams(ctx: Context, port: int, hidden: int) -> str:
    async def ask():
        reader, writer = await asyncio.open_connection("localhost", port, ssl=ssl.create_default_context())
        writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
        answer = await reader.read()
        writer.close()
        return answer.rpartition(b"\\n")[2].decode()
    try:
        socket.create_connection(("localhost", hidden), 5)
    except PermissionError as error:
        assert "may not connect" in str(error), error
        assert socket.socket().connect_ex(("localhost", hidden)) == errno.EACCES
        return asyncio.run(ask())

@operator("acme.tls.known")
def known(ctx: Context) -> int:
    return len(ssl.create_default_context().get_ca_certs())

@operator("acme.tls.variables")
def variables(ctx: Context) -> list[str]:
    return sorted(name for name in os.environ if "SSL" in name or "BUNDLE" in name)

@operator("acme.tls.read")
def read(ctx: Context, path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return type(error).__name__

@provides_operators
def operators():
    yield from (http, urllib_, requests, streams, known, variables, read)
"""
CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = Acme
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
subjectAltName = DNS:localhost
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
UNSEEN = ("FileNotFoundError", "PermissionError")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A directory with an authority of certificates, which no system knows, and a server's certificate by it."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("authority")
    (folder / "conf").write_text(CONFIGURATION)
    by = "-CA ca.pem -CAkey ca.key -CAcreateserial"
    new = "-config conf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for command in (
        f"req -x509 {new} -extensions authority -days 2 -keyout ca.key -out ca.pem",
        f"req {new} -subj /CN=localhost -keyout server.key -out server.csr",
        f"x509 -req -in server.csr {by} -extfile conf -extensions server -days 2 -out server.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    hashed = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", "ca.pem"], cwd=folder, check=True, capture_output=True
    )
    (folder / "known").mkdir()
    (folder / "known" / f"{hashed.stdout.decode().strip()}.0").symlink_to("../ca.pem")
    (folder / "known" / "other").write_text("not to be seen")
    return folder


@pytest.fixture(scope="module")
def url(authority, hello):
    """Where a server is that has such a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), hello) as served:
        served.socket = context.wrap_socket(served.socket, server_side=True)
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://localhost:{served.server_port}/"
        served.shutdown()
        thread.join()


def granted(url):
    return (f"network:read:{url.removeprefix('https://').rstrip('/')}",)


@pytest.fixture(params=["full", "fallback"])
def tier(request):
    try:
        return choose(request.param)
    except PermissionDenied as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("named", ["file", "directory"])
def test_a_server_is_known_by_the_certificates_that_the_user_names(
    house, call, authority, url, tier, named, monkeypatch
):
    if named == "file":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority / "ca.pem"))
    else:
        monkeypatch.setenv("SSL_CERT_DIR", os.path.relpath(authority / "known"))

    async def scenario():
        spec = house.write("acme.tls", SOURCE, permissions=granted(url), sandbox=tier)
        async with house.opened(spec) as extensions:
            assert await call(extensions, "acme.tls.http", url=url) == "hello"
            assert await call(extensions, "acme.tls.urllib", url=url) == "hello"
            port = int(url.rstrip("/").rpartition(":")[2])
            assert await call(extensions, "acme.tls.streams", port=port, hidden=1) == "hello"
            if named == "file":
                assert await call(extensions, "acme.tls.requests", url=url) == "hello"
            for secret in ("ca.key", "known/other"):
                assert await call(extensions, "acme.tls.read", path=str(authority / secret)) in UNSEEN
            assert await call(extensions, "acme.tls.read", path="/etc/ssl/private") in UNSEEN
            with pytest.raises(SymphonyError, match=r"403|may not connect"):
                await call(extensions, "acme.tls.urllib", url="https://elsewhere.example/")

    asyncio.run(scenario())


def test_a_server_that_nobody_vouches_for_is_refused_and_those_of_the_system_are_known(
    house, call, url, tier
):
    async def scenario():
        spec = house.write("acme.tls", SOURCE, permissions=("network:read:localhost",), sandbox=tier)
        async with house.opened(spec) as extensions:
            for client in ("http", "urllib"):
                with pytest.raises(SymphonyError, match="CERTIFICATE_VERIFY_FAILED"):
                    await call(extensions, f"acme.tls.{client}", url=url)
            return await call(extensions, "acme.tls.known")

    assert asyncio.run(scenario()) == len(ssl.create_default_context().get_ca_certs())


def test_who_may_not_connect_is_not_told_what_the_user_trusts(house, call, authority, tier, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))

    async def scenario():
        spec = house.write("acme.tls", SOURCE, sandbox=tier)
        async with house.opened(spec) as extensions:
            assert await call(extensions, "acme.tls.variables") == []
            assert await call(extensions, "acme.tls.read", path=str(authority / "ca.pem")) in UNSEEN

    asyncio.run(scenario())
