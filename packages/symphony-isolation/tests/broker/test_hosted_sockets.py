"""Python's sockets, connected by somebody else: what libraries see of them."""

import errno
import socket

import pytest
from symphony_isolation.hosted_sockets import host_sockets
from symphony_sdk.errors import AccessFailed, PermissionDenied

plain, look_up = socket.socket, socket.getaddrinfo


class Elsewhere:
    """A network in which every name is this machine, but for those that are refused or down."""

    def __init__(self, port):
        self.port = port
        self.asked = []

    def connect(self, host, port, timeout=None):
        self.asked.append((host, port, timeout))
        if host == "refused.example":
            raise PermissionDenied("may not connect to refused.example")
        if host == "down.example":
            raise AccessFailed("nobody is there", code="SYM-P035")
        connected = plain(socket.AF_INET, socket.SOCK_STREAM)
        connected.connect(("127.0.0.1", self.port))
        return connected


@pytest.fixture
def elsewhere(server, monkeypatch):
    """That network behind the module `socket`, which is put back afterwards."""
    monkeypatch.setattr(socket, "socket", plain)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    network = Elsewhere(server)
    host_sockets(network, proxy=server)
    return network


def echoed(connection):
    connection.sendall(b"hello")
    connection.shutdown(socket.SHUT_WR)
    return connection.makefile("rb").read()


def test_a_name_is_told_to_the_network_and_looked_up_nowhere_else(elsewhere):
    with socket.create_connection(("good.example", 443), 20) as connection:
        assert connection.gettimeout() == 20
        assert echoed(connection) == b"hello"
    assert elsewhere.asked == [("good.example", 443, 20)]


def test_options_that_are_set_before_it_is_connected_hold_afterwards(elsewhere):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert connection.connect_ex(("good.example", 1)) == 0
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        with pytest.raises(OSError, match=r"."):  # it is connected, for good
            connection.connect(("good.example", 1))


@pytest.mark.parametrize("flag", [0, socket.SOCK_NONBLOCK])
def test_one_that_does_not_block_does_not_block_afterwards(elsewhere, flag):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | flag) as connection:
        connection.setblocking(not flag)
        connection.connect(("good.example", 1))
        assert connection.getblocking() is (not flag)
        if flag:
            with pytest.raises(BlockingIOError):
                connection.recv(1)


@pytest.mark.parametrize(
    ("name", "kind", "number"),
    [("refused.example", PermissionError, errno.EACCES), ("down.example", OSError, errno.EHOSTUNREACH)],
)
def test_what_is_refused_is_an_error_of_the_system_with_the_reason(elsewhere, name, kind, number):
    with pytest.raises(kind, match=r"may not connect|nobody is there") as caught:
        socket.create_connection((name, 80))
    assert caught.value.errno == number
    with socket.socket() as connection:
        assert connection.connect_ex((name, 80)) == number


def test_the_proxy_is_reached_without_the_network(elsewhere, server):
    with socket.create_connection(("127.0.0.1", server), 20) as connection:
        assert echoed(connection) == b"hello"
    assert elsewhere.asked == []


def test_what_is_no_name_and_no_stream_is_as_ever(elsewhere):
    assert socket.getaddrinfo("127.0.0.1", 80) == look_up("127.0.0.1", 80)
    assert socket.getaddrinfo("::1", 80) == look_up("::1", 80)
    assert socket.getaddrinfo(None, 80) == look_up(None, 80)
    assert socket.getaddrinfo("good.example", "80", socket.AF_INET6) == [
        (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("good.example", 80, 0, 0))
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, plain() as stream:
        assert datagrams.type == socket.SOCK_DGRAM
        with pytest.raises(OSError, match=r"."):
            datagrams.setsockopt(socket.SOL_SOCKET, -1, 1)
        with socket.socket(fileno=stream.detach()) as taken:
            assert taken.type == socket.SOCK_STREAM
