"""Network resources: hosts, addresses and blocks of them, and ports."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from symphony_sdk.errors import ManifestError
from symphony_sdk.permissions.syntax import check_printable, malformed

if TYPE_CHECKING:  # pragma: no cover - ipaddress is imported where an address is met, not by every worker
    from ipaddress import IPv4Network, IPv6Network

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_ANY_PORT = (1, 65535)
_HINT = "Write `host`, `host:port`, `host:low-high`, `*.host`, `10.0.0.0/8` or `[2001:db8::]:443`."


class NetworkPattern(NamedTuple):
    """Hosts by name or by address, and the ports on them."""

    host: str
    block: "IPv4Network | IPv6Network | None"
    ports: tuple[int, int]

    def covers(self, asked: "NetworkPattern") -> bool:
        """Whether each host and port of `asked` is one of this pattern's.

        A name never covers an address or the other way round: where a name leads is for the one who opens
        the connection to check.
        """
        if not (self.ports[0] <= asked.ports[0] and asked.ports[1] <= self.ports[1]):
            return False
        if self.block is not None or asked.block is not None:
            if self.block is None or asked.block is None or self.block.version != asked.block.version:
                return False
            return asked.block.subnet_of(self.block)  # type: ignore[arg-type] # the same version, see above
        if self.host.startswith("*"):
            return asked.host.endswith(self.host[1:])
        return self.host == asked.host


@lru_cache(maxsize=1024)
def network_pattern(resource: str) -> NetworkPattern:
    """The pattern that a `network` resource stands for.

    Args:
        resource: Such as `api.example.org:443`, `*.example.org`, `10.0.0.0/8:8000-8080`, `[::1]:80` or `*`.
            `*` stands for every host name and for no address.

    Raises:
        ManifestError: SYM-M006.
    """
    check_printable(resource)
    if resource.startswith("["):
        host, bracket, rest = resource[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise malformed("resource", f"{resource!r} is not an IPv6 address and port", _HINT)
        colon, ports = rest[:1], rest[1:]
        if ":" not in host:
            raise malformed("resource", f"{resource!r} has brackets around what is no IPv6 address", _HINT)
    else:
        host, colon, ports = resource.partition(":")
    return NetworkPattern(*_host(resource, host), _port_range(resource, ports) if colon else _ANY_PORT)


def network_of(resource: str) -> NetworkPattern | None:
    """A host and port as an extension gave them; None where they can never be allowed.

    Upper case and one trailing dot are taken for what they mean, and an IPv4 address inside IPv6 for itself.

    Args:
        resource: `host:port`, `address:port` or `[address]:port`.
    """
    if not resource.isascii() or "*" in resource or "/" in resource:
        return None
    host, colon, port = resource.lower().rpartition(":")
    if not colon or "-" in port or not host:
        return None
    try:
        if host.startswith("[") and host.endswith("]"):
            mapped = _mapped(host[1:-1])
            return network_pattern(f"{mapped or host}:{port}")
        return network_pattern(f"{host.removesuffix('.')}:{port}")
    except ManifestError:
        return None


def _port_range(resource: str, ports: str) -> tuple[int, int]:
    found = _PORTS.fullmatch(ports)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= low <= high <= 65535:
        raise malformed(
            "resource", f"{resource!r} has the port {ports!r}, expected 1 to 65535 or a range of it", _HINT
        )
    return low, high


def _host(resource: str, host: str) -> "tuple[str, IPv4Network | IPv6Network | None]":
    if not host.isascii():
        raise malformed(
            "resource",
            f"the host {host!r} is not ASCII, and letters of other scripts can look like ASCII ones",
            "Write its name as the DNS knows it, starting with `xn--`.",
        )
    if host != host.lower():
        raise malformed("resource", f"the host {host!r} has upper case", f"Write `{host.lower()}`.")
    if host == "*":
        return host, None
    labels = host.removeprefix("*.").split(".")
    if ":" in host or "/" in host or _NUMERIC_LABEL.fullmatch(labels[-1]):
        return "", _block(resource, host)
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise malformed("resource", f"{resource!r} does not start with a host name", _HINT)
    return host, None


def _block(resource: str, text: str) -> "IPv4Network | IPv6Network":
    import ipaddress

    try:
        block = ipaddress.ip_network(text)
    except ValueError as error:
        raise malformed(
            "resource", f"{resource!r} is not an address or a block of them: {error}", _HINT
        ) from None
    mapped = block.network_address.ipv4_mapped if isinstance(block, ipaddress.IPv6Network) else None
    if mapped is not None or "%" in text:
        raise malformed(
            "resource",
            f"{resource!r} is an address that depends on where it is used",
            "Write the plain address.",
        )
    return block


def _mapped(text: str) -> str:
    """The IPv4 address inside an IPv6 one (RFC 4291, 2.5.5.2), or nothing."""
    import ipaddress

    try:
        mapped = ipaddress.IPv6Address(text).ipv4_mapped
    except ValueError:
        return ""
    return str(mapped) if mapped else ""
