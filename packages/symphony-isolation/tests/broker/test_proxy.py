"""The proxy of a worker: an unmodified HTTP library reaches what is granted, and nobody gets past it."""

import asyncio
import contextlib
import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from symphony_isolation.broker import Broker
from symphony_isolation.broker import proxy as proxy_module
from symphony_isolation.broker.proxy import Proxy
from symphony_isolation.proxy_listener import prepare_proxy_listener, raise_loopback
from symphony_sdk.errors import AccessFailed, MalformedMessage, PermissionDenied
from symphony_sdk.testing.fakes import FakeArtifactStore


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = "\n".join([self.requestline, *(f"{name}: {value}" for name, value in self.headers.items())])
        self._answer(body.encode())

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def web():
    """Port of a web server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield served.server_port
        served.shutdown()
        thread.join()


@pytest.fixture
def proxied(web):
    """Runs something in a thread beside a proxy that knows `good.example` alone; it gets the proxy's port."""

    def proxied(use, connect=None):
        asked = []

        async def reach(host, port):
            asked.append((host, port))
            if host == "down.example":
                raise AccessFailed("it is down", code="SYM-P035")
            if host != "good.example":
                raise PermissionDenied(f"may not connect to {host}", hint="Add it to symphony.toml.")
            return socket.create_connection(("127.0.0.1", web))

        async def scenario():
            proxy = Proxy(connect or reach)
            listener = socket.create_server(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            await proxy.serve(listener)
            try:
                async with asyncio.timeout(60):
                    return await asyncio.to_thread(use, port)
            finally:
                proxy.close()
                await asyncio.gather(*proxy._open, return_exceptions=True)

        return asyncio.run(scenario()), asked

    return proxied


def opener(port):
    return urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{port}"}))


def said(port, data):
    """All that the proxy answers to these bytes."""
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(65536):
                answer += part
    return answer


def test_an_unmodified_library_gets_its_page_and_the_server_sees_a_plain_request(proxied, web):
    def use(port):
        with opener(port).open(f"http://good.example:{web}/a/b?c=d") as page:
            return page.read().decode().splitlines()

    lines, asked = proxied(use)
    assert lines[0] == "GET /a/b?c=d HTTP/1.1"
    assert f"Host: good.example:{web}" in lines
    assert not any(line.lower().startswith("proxy-") for line in lines)
    assert asked == [("good.example", web)]


def test_a_body_is_sent_and_a_large_one_comes_back_whole(proxied, web):
    body = os.urandom(3_000_000)

    def use(port):
        with opener(port).open(f"http://good.example:{web}/", body) as page:
            return page.read()

    assert proxied(use)[0] == body


def test_a_tunnel_carries_what_the_two_ends_say(proxied, web):
    def use(port):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.set_tunnel("good.example", web)
        found = []
        for _ in range(3):
            connection.request("GET", "/inside")
            found.append(connection.getresponse().read().splitlines()[0])
        connection.close()
        return found

    assert proxied(use)[0] == [b"GET /inside HTTP/1.1"] * 3


def test_what_is_not_granted_is_refused_with_the_reason(proxied):
    def use(port):
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener(port).open("http://evil.example/")
        text = caught.value.read().decode()
        caught.value.close()
        tunnel = http.client.HTTPConnection("127.0.0.1", port)
        tunnel.set_tunnel("evil.example", 443)
        with pytest.raises(OSError, match="403"):
            tunnel.connect()
        tunnel.close()
        return caught.value.code, text

    (code, text), asked = proxied(use)
    assert code == 403
    assert "may not connect to evil.example" in text and "Add it to symphony.toml." in text
    assert asked == [("evil.example", 80), ("evil.example", 443)]


def test_a_server_that_is_down_is_a_bad_gateway(proxied):
    answer, _ = proxied(lambda port: said(port, b"GET http://down.example/ HTTP/1.1\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 502 ") and b"it is down" in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: good.example\r\n\r\n",
        b"GET https://good.example/ HTTP/1.1\r\n\r\n",
        b"GET ftp://good.example/ HTTP/1.1\r\n\r\n",
        b"GET http:///path HTTP/1.1\r\n\r\n",
        b"GET http://user:pass@good.example/ HTTP/1.1\r\n\r\n",
        b"GET http://good.example:99999/ HTTP/1.1\r\n\r\n",
        b"CONNECT good.example HTTP/1.1\r\n\r\n",
        b"CONNECT user@good.example:443 HTTP/1.1\r\n\r\n",
        b"CONNECT :443 HTTP/1.1\r\n\r\n",
        b"CONNECT good.example:0 HTTP/1.1\r\n\r\n",
        b"CONNECT good.example:x HTTP/1.1\r\n\r\n",
        b"GET http://good.example/ HTTP/2.0\r\n\r\n",
        b"GET  http://good.example/ HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"\r\n\r\n",
        b"GET http://good.example/ HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET http://good.example/ HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET http://good.example/ HTTP/1.1\r\nspace : x\r\n\r\n",
        b"GET http://good.example/ HTTP/1.1\r\nA: b\nHost: evil.example\r\n\r\n",
        b"GET http://good.example/ HTTP/1.1\r\nA: b\rHost: evil.example\r\n\r\n",
        b"GET http://good\xff.example/ HTTP/1.1\r\n\r\n",
    ],
    ids=range(22),
)
def test_what_is_no_plain_request_is_refused_before_anything_is_looked_up(proxied, request_bytes):
    answer, asked = proxied(lambda port: said(port, request_bytes))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert asked == []


def test_a_server_is_told_the_host_that_was_checked_and_not_another(proxied, web):
    request = (
        b"GET http://good.example:%d/ HTTP/1.1\r\nHost: other.example\r\nProxy-Authorization: x\r\n\r\n" % web
    )
    answer, _ = proxied(lambda port: said(port, request))
    assert b"Host: good.example:%d" % web in answer
    assert b"other.example" not in answer and b"Proxy-Authorization" not in answer


def test_a_head_that_is_too_large_or_too_slow_is_given_up(proxied, monkeypatch):
    large = b"GET http://good.example/ HTTP/1.1\r\nX: " + b"x" * (proxy_module.HEAD_LIMIT + 1000)
    assert proxied(lambda port: said(port, large))[0].startswith(b"HTTP/1.1 431 ")
    monkeypatch.setattr(proxy_module, "HEAD_TIMEOUT", 0.05)
    assert proxied(lambda port: said(port, b"GET http://good.exam"))[0].startswith(b"HTTP/1.1 408 ")


def test_one_connection_too_many_is_refused_and_the_others_live(proxied, monkeypatch):
    monkeypatch.setattr(proxy_module, "CONNECTIONS", 2)

    def use(port):
        tunnels = []
        for _ in range(2):
            tunnel = http.client.HTTPConnection("127.0.0.1", port)
            tunnel.set_tunnel("good.example", 1)
            tunnel.connect()
            tunnels.append(tunnel)
        refused = said(port, b"")
        for tunnel in tunnels:
            tunnel.request("GET", "/")
            assert tunnel.getresponse().status == 200
            tunnel.close()
        return refused

    assert proxied(use)[0].startswith(b"HTTP/1.1 503 ")


def test_a_client_that_goes_away_leaves_nothing_behind(proxied, open_descriptors):
    def use(port):
        before = open_descriptors()
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(b"CONNECT good.example:80 HTTP/1.1\r\n\r\n")
                assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
        until = 1000
        while open_descriptors() > before and until:
            until -= 1
        return open_descriptors() - before

    assert proxied(use)[0] <= 0


def test_the_listener_of_the_sandbox_is_served_by_the_host(spec_of, web):
    """What the sandbox does before it shuts the door, and an unmodified library after it, in a process of its own."""
    program = (
        "import socket, sys, urllib.request\n"
        "from symphony_isolation.proxy_listener import prepare_proxy_listener\n"
        "beside = socket.socket(fileno=int(sys.argv[1]))\n"
        "prepare_proxy_listener(beside)\n"
        "print('made', flush=True)\n"
        "sys.stdin.readline()\n"
        f"print(urllib.request.urlopen('http://localhost:{web}/').status)\n"
        "try: urllib.request.urlopen('http://evil.example/')\n"
        "except OSError as error: print(error)\n"
    )

    async def scenario():
        broker = Broker(spec_of(f"network:read:localhost:{web}"), FakeArtifactStore)
        end = broker.descriptors.worker_end
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, str(end.fileno())),
            pass_fds=(end.fileno(),),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        end.close()
        assert await process.stdout.readline() == b"made\n"
        await broker.open_proxy()
        out, _ = await asyncio.wait_for(process.communicate(b"go\n"), 60)
        broker.close()
        return out.decode().splitlines()

    status, refusal = asyncio.run(scenario())
    assert status == "200"
    assert "403" in refusal


def test_behind_a_proxy_a_worker_gets_no_socket_of_the_hosts_network(reached, server, monkeypatch):
    monkeypatch.setenv("http_proxy", "")
    monkeypatch.setenv("https_proxy", "")
    monkeypatch.setenv("no_proxy", "")

    def use(network):
        with network.connect("localhost", server, 20.0) as connection:
            assert connection.family == socket.AF_UNIX
            connection.sendall(b"x" * 100_000)
            connection.shutdown(socket.SHUT_WR)
            got = 0
            while part := connection.recv(65536):
                got += len(part)
            assert got == 100_000

    async def scenario():
        async with reached(f"network:read:localhost:{server}") as worker:
            prepare_proxy_listener(worker.worker_end)
            await worker.broker.open_proxy()
            await asyncio.to_thread(use, worker.network)

    asyncio.run(scenario())


@pytest.mark.parametrize("what", ["a file", "a connection", "bytes alone"])
def test_what_is_no_listener_ends_the_worker(spec_of, what):
    async def scenario():
        broker = Broker(spec_of(), FakeArtifactStore)
        end = broker.descriptors.worker_end
        one, other = socket.socketpair()
        with one, other:
            if what == "a file":
                socket.send_fds(end, [b"proxy"], [0])
            elif what == "a connection":
                socket.send_fds(end, [b"proxy"], [one.fileno()])
            else:
                end.send(b"proxy")
            with pytest.raises(MalformedMessage) as caught:
                await broker.open_proxy()
        broker.close()
        return caught.value.code

    assert asyncio.run(scenario()) == "SYM-P037"


def test_the_loopback_of_a_new_network_comes_up():
    program = (
        "import ctypes, os, socket\n"
        "from symphony_isolation.proxy_listener import raise_loopback\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.unshare(0x50000000): raise SystemExit(77)\n"
        "raise_loopback()\n"
        "with socket.create_server(('127.0.0.1', 0)) as listener:\n"
        "    socket.create_connection(listener.getsockname()).close()\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    if run.returncode == 77:
        pytest.skip("this machine gives no process a network of its own")
    assert run.returncode == 0, run.stderr
    assert callable(raise_loopback)
