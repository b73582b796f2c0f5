"""Where a worker gets connected to: the name is checked, and every address that it leads to."""

import asyncio
import errno
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_isolation.broker import network as network_module
from symphony_isolation.broker.addresses import plain, special
from symphony_isolation.broker.network import NetworkAccess
from symphony_sdk.errors import AccessFailed, PermissionDenied
from symphony_sdk.permissions import PermissionSet


def access(permissions, addresses, *, denied=()):
    """The network of an extension for which every name leads to these addresses, and what was looked up and checked."""
    looked_up, checked = [], []

    async def resolve(host, port):
        looked_up.append(host)
        if isinstance(addresses, OSError):
            raise addresses
        found = []
        for address in addresses:
            host, place = address if isinstance(address, tuple) else (address, port)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            found.append((family, (host, place) if family == socket.AF_INET else (host, place, 0, 0)))
        return found

    async def allow(one):
        checked.append(one.resource)
        if one.resource in denied:
            raise PermissionDenied(one.resource)

    declared = PermissionSet.parse(permissions)
    return NetworkAccess("acme.reach", declared, allow, resolve), looked_up, checked


def refused(permissions, host, port, *addresses):
    made, _, _ = access(permissions, addresses)
    with pytest.raises(PermissionDenied) as caught:
        asyncio.run(made.connect(host, port))
    return caught.value


INNER = {
    "127.0.0.1": "this machine",
    "127.8.8.8": "this machine",
    "0.0.0.0": "this network",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "provider",
    "169.254.169.254": "metadata",
    "198.18.0.1": "measurements",
    "224.0.0.1": "multicast",
    "255.255.255.255": "broadcast",
    "::1": "this machine",
    "::": "this machine",
    "::ffff:127.0.0.1": "this machine",
    "::ffff:169.254.169.254": "metadata",
    "64:ff9b::a9fe:a9fe": "metadata",
    "64:ff9b::7f00:1": "this machine",
    "fe80::1": "local link",
    "fe80::1%lo": "local link",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "ff02::1": "multicast",
    "2002:7f00:1::": "6to4",
    "2001::1": "protocols",
    "2001:db8::1": "documentation",
    "::127.0.0.1": "nothing on the internet",
    "4000::1": "nothing on the internet",
}


@pytest.mark.parametrize(("address", "what"), INNER.items(), ids=INNER)
def test_a_name_reaches_no_inner_address(address, what):
    error = refused(["network:read:*"], "rebound.example", 80, address)
    assert error.code == "SYM-P034"
    assert what in error.message and "rebound.example" in error.message


def test_one_inner_address_among_others_is_enough_to_refuse_a_name():
    error = refused(["network:read:*"], "mixed.example", 80, "1.1.1.1", "2606:4700::1111", "127.0.0.1")
    assert error.code == "SYM-P034"


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_none_of_them(address):
    assert special(ip_address(address)) is None


@given(st.ip_addresses(v=4))
def test_an_inner_address_of_ipv4_is_inner_however_it_is_written(address):
    mapped = IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
    translated = IPv6Address(IPv6Address("64:ff9b::").packed[:12] + address.packed)
    assert (special(address) is None) == (special(mapped) is None) == (special(translated) is None)
    assert plain(str(mapped)) == address
    if address.is_private or address.is_multicast or address.is_loopback or address.is_link_local:
        assert special(address) is not None


@given(st.ip_addresses(v=6))
def test_no_address_that_python_calls_private_counts_as_one_of_the_internet(address):
    if address.is_private and not address.ipv4_mapped:
        assert special(address) is not None


@pytest.mark.parametrize(
    ("permission", "address"),
    [
        ("network:read:10.0.0.0/8", "10.1.2.3"),
        ("network:read:10.1.2.3", "10.1.2.3"),
        ("network:read:169.254.169.254:80", "169.254.169.254"),
        ("network:read:127.0.0.1", "::ffff:127.0.0.1"),
        ("network:read:[fd00::]", "fd00::"),
    ],
)
def test_an_inner_address_that_a_permission_names_is_reached_and_decided_by_itself(permission, address):
    made, _, checked = access(["network:read:*", permission], [address])
    asyncio.run(made._check_address("intranet.example", address, 80))
    assert len(checked) == 1 and checked[0].endswith(":80")


@pytest.mark.parametrize(
    "permissions",
    [
        ["network:read:0.0.0.0/0"],
        ["network:read:128.0.0.0/1"],
        ["network:read:10.0.0.0/8:443"],
        ["network:read:192.168.0.0/16"],
        ["network:write:10.0.0.0/8"],
        ["file:read:/**"],
        [],
    ],
    ids=range(7),
)
def test_a_permission_that_only_happens_to_hold_an_inner_address_does_not_reach_it(permissions):
    assert refused(permissions, "x.example", 80, "10.1.2.3").code == "SYM-P034"


def test_an_address_that_the_user_denies_is_not_reached_through_a_name():
    made, _, _ = access(["network:read:*", "network:read:10.0.0.0/8"], ["10.1.2.3"], denied=["10.1.2.3:80"])
    with pytest.raises(PermissionDenied, match=r"10\.1\.2\.3:80"):
        asyncio.run(made.connect("x.example", 80))


def test_localhost_means_this_machine_where_it_is_named_and_nowhere_else(server):
    async def scenario():
        made, _, _ = access([f"network:read:localhost:{server}"], ["127.0.0.1"])
        connection, address = await made.connect("LOCALHOST.", server)
        connection.close()
        assert address == "127.0.0.1"

    asyncio.run(scenario())
    assert refused(["network:read:localhost"], "localhost", 80, "10.0.0.1").code == "SYM-P034"
    assert refused(["network:read:*"], "localhost", server, "127.0.0.1").code == "SYM-P034"
    assert refused(["network:read:localhost"], "other.example", server, "127.0.0.1").code == "SYM-P034"


def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(server):
    """A second answer, which would lead elsewhere, is never asked for."""

    async def scenario():
        made, looked_up, _ = access(
            ["network:read:*", "network:read:127.0.0.0/8"], [("127.0.0.2", server), ("127.0.0.1", server)]
        )
        connection, address = await made.connect("twice.example", server)
        with connection:
            await asyncio.to_thread(connection.sendall, b"hello")
            assert await asyncio.to_thread(connection.recv, 10) == b"hello"
            assert connection.getblocking()
        assert looked_up == ["twice.example"]
        assert address == "127.0.0.1"  # nobody listens at the first one

    asyncio.run(scenario())


def test_a_server_that_does_not_listen_and_a_name_that_is_unknown_say_so():
    async def scenario():
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        made, _, _ = access(["network:read:127.0.0.1"], ["127.0.0.1"])
        with pytest.raises(AccessFailed) as caught:
            await made.connect("127.0.0.1", port)
        assert caught.value.code == "SYM-P035"
        assert caught.value.details["errno"] == errno.ECONNREFUSED
        made, _, _ = access(["network:read:*"], socket.gaierror(socket.EAI_NONAME, "unknown"))
        with pytest.raises(AccessFailed) as caught:
            await made.connect("none.example", 80)
        assert caught.value.details["lookup"] is True
        made, _, _ = access(["network:read:*"], [])
        with pytest.raises(AccessFailed, match="no address"):
            await made.connect("none.example", 80)

    asyncio.run(scenario())


@pytest.mark.parametrize("timeout", [0.05, float("nan"), float("inf")])
def test_a_look_up_that_never_ends_is_given_up(monkeypatch, timeout):
    monkeypatch.setattr(network_module, "CONNECT_TIMEOUT", 0.1)

    async def never(host, port):
        await asyncio.Event().wait()

    async def allow(one):
        pass

    async def scenario():
        made = NetworkAccess("acme.reach", PermissionSet(), allow, never)
        with pytest.raises(AccessFailed) as caught:
            await made.connect("slow.example", 80, timeout)
        assert caught.value.details["errno"] == errno.ETIMEDOUT

    asyncio.run(scenario())


def test_no_more_connections_are_made_at_once_than_are_allowed():
    async def scenario():
        under_way, most = 0, 0
        release = asyncio.Event()

        async def resolve(host, port):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            if under_way == network_module.CONNECTING_AT_ONCE:
                release.set()
            await release.wait()
            under_way -= 1
            return []

        async def allow(one):
            pass

        made = NetworkAccess("acme.reach", PermissionSet(), allow, resolve)
        tasks = [asyncio.create_task(made.connect("x.example", 80)) for _ in range(100)]
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most == network_module.CONNECTING_AT_ONCE

    asyncio.run(scenario())


def test_a_connection_comes_to_the_worker_as_a_socket_and_errors_as_those_of_sockets(
    reached, server, open_descriptors, settled, monkeypatch
):
    look_up = socket.getaddrinfo

    def known_here(host, *rest, **options):
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return look_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", known_here)

    def use(network):
        with network.connect("127.0.0.1", server, 20.0) as connection:
            assert connection.gettimeout() == 20.0
            connection.sendall(b"hello")
            assert connection.recv(10) == b"hello"
        with pytest.raises(PermissionDenied, match="may not connect"):
            network.connect("127.0.0.2", server)
        with pytest.raises(PermissionDenied, match="may not connect"):
            network.connect("example.org", server)
        with pytest.raises(ConnectionRefusedError):
            network.connect("127.0.0.1", 1)
        with pytest.raises(socket.gaierror):
            network.connect("nothing.invalid", 80)

    async def scenario():
        permissions = ("network:read:127.0.0.1", "network:read:*.invalid")
        async with reached(*permissions) as worker:
            before = open_descriptors()
            await asyncio.to_thread(use, worker.network)
            worker.broker.close()
            await settled(before)  # the server closes its end a moment after

    asyncio.run(scenario())


@given(st.one_of(st.text(max_size=40), st.ip_addresses().map(str)))
def test_no_text_but_an_address_is_taken_for_one(text):
    try:
        address = plain(text)
    except ValueError:
        return
    assert isinstance(address, IPv4Address | IPv6Address)
