"""A small HTTP client on connections that the host makes: one request a connection, the whole answer in memory.

It is imported when `ctx.http` is first used. TLS is spoken here, in the extension's process: the host does not read along.
"""

from collections.abc import Mapping
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from symphony_sdk.errors import AccessFailed
from symphony_sdk.extension.network import Network

if TYPE_CHECKING:  # pragma: no cover - only those who speak TLS pay for it
    import ssl

TIMEOUT: Final = 30.0
"""Seconds until a connection stands, and of each wait on it, unless the caller says otherwise."""

BODY_LIMIT: Final = 64 << 20
"""Bytes of an answer, unless the caller says otherwise."""

REDIRECTS: Final = 10
"""How often a request is sent on."""

_PORTS: Final = {"http": 80, "https": 443}
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_ASK_AGAIN_PLAINLY: Final = frozenset({301, 302, 303})
_FOR_ONE_SERVER: Final = frozenset({"authorization", "cookie"})


class Response(msgspec.Struct, frozen=True):
    """What a server answered.

    Args:
        url: Where the answer came from, after all redirects.
        status: Such as 200.
        headers: By names in lower case; those that came more than once are joined with a comma.
        body: The bytes.
    """

    url: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8; what is not is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self, type: Any = Any) -> Any:
        """The body as JSON.

        Args:
            type: What it is to be.

        Raises:
            ValueError: It is not.
        """
        return msgspec.json.decode(self.body, type=type)


class Http:
    """Asks servers.

    Args:
        network: Makes the connections.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def get(self, url: str, **options: Any) -> Response:
        """Ask for something; `options` and errors as of [request][symphony_sdk.extension.http.Http.request]."""
        return self.request("GET", url, **options)

    def post(self, url: str, body: bytes | str = b"", **options: Any) -> Response:
        """Send something; `options` and errors as of [request][symphony_sdk.extension.http.Http.request]."""
        return self.request("POST", url, body=body, **options)

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        limit: int = BODY_LIMIT,
    ) -> Response:
        """Send a request, follow where it is sent on, and take the whole answer, whatever its status.

        Args:
            method: Such as `PUT`.
            url: An `http` or `https` address. Each server on the way needs its permission.
            body: What to send; text is UTF-8.
            headers: Further headers.
            timeout: Seconds until a connection stands, and of each wait on it.
            limit: Bytes of the answer.

        Raises:
            PermissionDenied: The extension may not connect there.
            AccessFailed: SYM-P038, this is no such address, or the answer is too large or none of HTTP.
            OSError: The server cannot be reached, or its certificate is not valid.
        """
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        data = body.encode() if isinstance(body, str) else body
        there = _parsed(url)
        for _ in range(REDIRECTS + 1):
            response = self._exchange(method, there, data, sent, timeout, limit)
            target = response.headers.get("location")
            if response.status not in _MOVED or target is None:
                return response
            before, there = there, _parsed(urljoin(there.geturl(), target))
            if (before.scheme, there.scheme) == ("https", "http"):
                raise _unusable(there.geturl(), f"{before.hostname} sends on from https to http")
            if (before.scheme, before.netloc) != (there.scheme, there.netloc):
                sent = {name: value for name, value in sent.items() if name not in _FOR_ONE_SERVER}
            if response.status in _ASK_AGAIN_PLAINLY and method not in ("GET", "HEAD"):
                method, data = "GET", None
        raise _unusable(url, f"it is sent on more than {REDIRECTS} times")

    def _exchange(
        self,
        method: str,
        there: SplitResult,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: float,
        limit: int,
    ) -> Response:
        host, port = there.hostname or "", there.port or _PORTS[there.scheme]
        made = self._network.connect(host, port, timeout)
        with made as sock:
            sock.settimeout(timeout)
            connection = HTTPConnection(host, port)
            if there.scheme == "https":
                connection = HTTPSConnection(host, port, context=_tls())
                sock = _tls().wrap_socket(sock, server_hostname=host)
            connection.sock = sock
            path = there._replace(scheme="", netloc="", fragment="").geturl() or "/"
            try:
                connection.request(method, path, body, {"connection": "close", **headers})
                answer = connection.getresponse()
                taken = _body(answer, limit, there)
            except HTTPException as error:
                raise _unusable(
                    there.geturl(), f"the server answers with what is no HTTP: {error!r}"
                ) from None
            finally:
                connection.close()
        found: dict[str, str] = {}
        for name, value in answer.getheaders():
            key = name.lower()
            found[key] = f"{found[key]}, {value}" if key in found else value
        return Response(there.geturl(), answer.status, found, taken)


@cache
def _tls() -> "ssl.SSLContext":
    import ssl

    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _body(answer: HTTPResponse, limit: int, there: SplitResult) -> bytes:
    taken = answer.read(limit + 1)
    if len(taken) > limit:
        raise _unusable(
            there.geturl(), f"the answer is larger than {limit:,} bytes", "Give a higher `limit`."
        )
    return taken


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _PORTS and parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise _unusable(url, "expected http://host/path or https://host/path")
    return parts._replace(path=parts.path or "/")


def _unusable(url: str, why: str, hint: str = "") -> AccessFailed:
    return AccessFailed(f"{url[:200]!r} cannot be used: {why}", code="SYM-P038", hint=hint)
