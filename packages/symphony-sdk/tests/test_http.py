"""`ctx.http` and `ctx.connect` as an extension uses them, on the connections of a test's own network."""

import http.server
import json
import ssl
import threading

import pytest
from symphony_sdk.errors import AccessFailed, PermissionDenied
from symphony_sdk.extension import http as http_module
from symphony_sdk.testing import recording_context


class Site(http.server.BaseHTTPRequestHandler):
    """Says what it was asked, sends on, or misbehaves, as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        where = self.path.split("?")[0]
        if where.startswith("/to/"):
            self._say(int(self.headers.get("x-status", 302)), Location=self.path.removeprefix("/to/"))
        elif where == "/loop":
            self._say(302, Location="/loop")
        elif where == "/cookies":
            self._say(200, b"", ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))
        elif where == "/garbage":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True
        elif where == "/large":
            self._say(200, b"x" * 2000)
        elif where == "/missing":
            self._say(404, b"not here")
        else:
            length = int(self.headers.get("Content-Length", 0))
            told = {
                "method": self.command,
                "path": self.path,
                "body": self.rfile.read(length).decode(),
                "headers": {name.lower(): value for name, value in self.headers.items()},
            }
            self._say(200, json.dumps(told).encode())

    do_POST = do_PUT = do_HEAD = do_GET

    def _say(self, status, body=b"", *headers, **more):
        self.send_response(status)
        for name, value in (*headers, *more.items()):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site():
    """Port of the site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield served.server_port
        served.shutdown()
        thread.join()


@pytest.fixture
def context():
    return recording_context(permissions=["network:read:127.0.0.1", "network:read:localhost"])


def test_a_page_is_fetched_with_its_status_headers_and_body(context, site):
    page = context.http.get(f"http://127.0.0.1:{site}/a?b=c#d", headers={"X-Mine": "1"})
    told = page.json()
    assert (page.status, told["method"], told["path"]) == (200, "GET", "/a?b=c")
    assert told["headers"]["x-mine"] == "1"
    assert told["headers"]["host"] == f"127.0.0.1:{site}"
    assert page.headers["content-length"] == str(len(page.body))
    assert page.json(dict) == json.loads(page.text)


def test_what_is_posted_arrives_and_any_method_can_be_sent(context, site):
    assert context.http.post(f"http://127.0.0.1:{site}/", "grüße").json()["body"] == "grüße"
    assert context.http.request("PUT", f"http://127.0.0.1:{site}", body=b"x").json()["method"] == "PUT"
    assert context.http.request("HEAD", f"http://127.0.0.1:{site}/large").headers["content-length"] == "2000"


def test_an_error_of_the_server_is_an_answer(context, site):
    page = context.http.get(f"http://127.0.0.1:{site}/missing")
    assert (page.status, page.text) == (404, "not here")


def test_headers_that_come_more_than_once_are_joined(context, site):
    assert context.http.get(f"http://127.0.0.1:{site}/cookies").headers["set-cookie"] == "a=1, b=2"


def test_a_request_is_sent_on_and_says_where_it_ended(context, site):
    page = context.http.get(f"http://127.0.0.1:{site}/to//there")
    assert page.url == f"http://127.0.0.1:{site}/there"
    assert page.json()["path"] == "/there"


@pytest.mark.parametrize(
    ("status", "method", "body"), [("302", "GET", ""), ("303", "GET", ""), ("308", "POST", "data")]
)
def test_what_was_posted_is_sent_on_only_where_the_status_says_so(context, site, status, method, body):
    told = context.http.post(
        f"http://127.0.0.1:{site}/to//there", "data", headers={"x-status": status}
    ).json()
    assert (told["method"], told["body"]) == (method, body)


def test_a_secret_for_one_server_is_not_told_to_the_next(context, site):
    headers = {"Authorization": "secret", "Cookie": "secret", "X-Other": "kept"}
    same = context.http.get(f"http://127.0.0.1:{site}/to//there", headers=headers).json()["headers"]
    assert same["authorization"] == same["cookie"] == "secret"
    url = f"http://127.0.0.1:{site}/to/http://localhost:{site}/there"
    other = context.http.get(url, headers=headers).json()["headers"]
    assert "authorization" not in other and "cookie" not in other
    assert other["x-other"] == "kept"


def test_a_server_that_it_is_sent_on_to_needs_its_own_permission(context, site):
    with pytest.raises(PermissionDenied) as caught:
        context.http.get(f"http://127.0.0.1:{site}/to/http://127.0.0.2:{site}/there")
    assert caught.value.code == "SYM-P001"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost/",
        "//localhost/",
        "http://",
        "http://u:p@localhost/",
        "http://localhost:x/",
        "",
        "http://[::1",
    ],
)
def test_what_is_no_web_address_is_refused(context, url):
    with pytest.raises(AccessFailed) as caught:
        context.http.get(url)
    assert caught.value.code == "SYM-P038"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("loop", "more than 10 times"),
        ("garbage", "no HTTP"),
        ("large", "larger than 1,000 bytes"),
        ("to/ftp://localhost/", "expected http"),
        ("to/file:///etc/passwd", "expected http"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(context, site, path, says):
    with pytest.raises(AccessFailed, match=says) as caught:
        context.http.get(f"http://127.0.0.1:{site}/{path}", limit=1000)
    assert caught.value.code == "SYM-P038"


def test_a_server_that_is_not_there_is_an_error_of_the_system(context):
    with pytest.raises(ConnectionRefusedError):
        context.http.get("http://127.0.0.1:1/")


def test_a_connection_is_a_plain_socket_and_an_undeclared_one_is_denied(context, site):
    with context.connect("127.0.0.1", site, 20.0) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(8) == b"HTTP/1.1"
    with pytest.raises(PermissionDenied, match="may not connect"):
        context.connect("example.org", 443)
    with pytest.raises(PermissionDenied, match="may not connect"):
        context.connect("::1", 443)


def test_tls_is_spoken_with_the_name_that_was_asked_for(context, site, monkeypatch):
    """No certificate is at hand that a test could trust: that the handshake is begun, and checked, is what is seen."""
    names = []

    class Tls(ssl.SSLContext):
        def wrap_socket(self, sock, *, server_hostname):
            names.append(server_hostname)
            return super().wrap_socket(sock, server_hostname=server_hostname)

    monkeypatch.setattr(http_module, "_tls", lambda: Tls(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(OSError, match=r"SSL|reset|EOF"):
        context.http.get(f"https://localhost:{site}/", timeout=20.0)
    assert names == ["localhost"]
