"""Which addresses a name may lead to: those of the internet, and others only where a permission names them.

A name is somebody else's word: whoever owns it can point it at the user's own machine, at a router or at the
metadata service of a cloud, which all trust who reaches them from inside.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from symphony_sdk.permissions import Access, Permission, PermissionSet, covers
from symphony_sdk.permissions.network import network_pattern

Address = IPv4Address | IPv6Address
Block = IPv4Network | IPv6Network

# The IANA registries of special-purpose addresses (RFC 6890), as far as no server of the internet has one.
_SPECIAL: Final[tuple[tuple[Block, str], ...]] = tuple(
    (ip_network(block), what)
    for block, what in {
        "0.0.0.0/8": "this network",
        "10.0.0.0/8": "a private network",
        "100.64.0.0/10": "a provider's own network",
        "127.0.0.0/8": "this machine",
        "169.254.0.0/16": "the local link, where clouds have their metadata",
        "172.16.0.0/12": "a private network",
        "192.0.0.0/24": "the protocols themselves",
        "192.0.2.0/24": "documentation",
        "192.88.99.0/24": "relays of 6to4",
        "192.168.0.0/16": "a private network",
        "198.18.0.0/15": "measurements",
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "nothing yet, or broadcast",
        "::1/128": "this machine",
        "::/128": "this machine",
        "fc00::/7": "a private network",
        "fe80::/10": "the local link",
        "fec0::/10": "a private network",
        "ff00::/8": "multicast",
        "2001::/23": "the protocols themselves",
        "2001:db8::/32": "documentation",
        "2002::/16": "6to4, behind which any IPv4 address can be",
        "3fff::/20": "documentation",
    }.items()
)
_INTERNET: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOCALHOST: Final = "localhost"


def special(address: Address) -> tuple[Block, str] | None:
    """The block of special purpose that an address is in and what that is for; None for one of the internet.

    Args:
        address: Any address. One of IPv4 that is written as IPv6 is taken for what it is.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return special(inner)
    for block, what in _SPECIAL:
        if address.version == block.version and address in block:
            return block, what
    if isinstance(address, IPv6Address) and address not in _INTERNET:
        return IPv6Network(address), "nothing on the internet"
    return None


def plain(text: str) -> Address:
    """An address as `getaddrinfo` gives it, without its zone; IPv4 in IPv6 as IPv4.

    Args:
        text: Such as `192.0.2.1` or `fe80::1%eth0`.
    """
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def named(permissions: PermissionSet, host: str, address: Address, port: int, block: Block) -> bool:
    """Whether a permission means an address of a special block, and does not only happen to hold it.

    Args:
        permissions: What the extension declared.
        host: The name that led to it, in lower case.
        address: The address.
        port: The port.
        block: The special block that it is in.
    """
    if host == _LOCALHOST and address.is_loopback:
        entry = Access("network", "read", f"{host}:{port}")
        return any(_host(each) == host and covers(each, entry) for each in permissions)
    entry = Access("network", "read", resource(address, port))
    return any(_within(each, block) and covers(each, entry) for each in permissions)


def resource(address: Address, port: int) -> str:
    """An address and a port in the grammar of permissions.

    Args:
        address: The address.
        port: The port.
    """
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _host(permission: Permission) -> str:
    return network_pattern(permission.resource).host if permission.type == "network" else ""


def _within(permission: Permission, block: Block) -> bool:
    """Whether a permission names addresses of a special block alone: that for 0.0.0.0/0 means the internet."""
    if permission.type != "network":
        return False
    granted = network_pattern(permission.resource).block
    return granted is not None and granted.version == block.version and granted.subnet_of(block)  # type: ignore[arg-type]
