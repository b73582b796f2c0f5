"""The network: every family of sockets, and connections that the host has made, re-aimed."""

import os
import socket
import struct
from _socket import socket as Socket  # what a library gets is the host's where the network is granted

from attempts.effects import Effect, heard, holds_socket
from attempts.native import call
from attempts.table import Table

network = Table("network")
MPTCP, FAST_OPEN = 262, socket.MSG_FASTOPEN
HOST = "127.0.0.1"


def connected(at, family, address, kind=socket.SOCK_STREAM, protocol=0):
    """Connect, and send the mark."""
    one = Socket(family, kind, protocol)
    one.settimeout(2)
    one.connect(address)
    one.send(at.mark.encode())
    at.keep(one)


@network.high(heard())
def connects_to_a_server(at):
    connected(at, socket.AF_INET, (HOST, at.ports["tcp"]))


@network.high(heard(), needs="a machine with IPv6")
def connects_to_a_server_with_ipv6(at):
    connected(at, socket.AF_INET6, ("::1", at.ports["tcp6"]))


@network.high(heard())
def connects_to_a_server_without_waiting(at):
    one = Socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    one.connect_ex((HOST, at.ports["tcp"]))
    one.settimeout(2)
    one.sendall(at.mark.encode())
    at.keep(one)


@network.high(heard(), needs="a kernel with TCP fast open")
def connects_by_sending(at):
    one = Socket(socket.AF_INET, socket.SOCK_STREAM)
    one.sendto(at.mark.encode(), FAST_OPEN, (HOST, at.ports["tcp"]))
    at.keep(one)


@network.high(heard(), needs="a machine with IPv6")
def connects_by_sending_with_ipv6(at):
    one = Socket(socket.AF_INET6, socket.SOCK_STREAM)
    one.sendto(at.mark.encode(), FAST_OPEN, ("::1", at.ports["tcp6"]))
    at.keep(one)


@network.high(heard(), needs="a kernel with multipath TCP")
def connects_on_many_paths(at):
    connected(at, socket.AF_INET, (HOST, at.ports["tcp"]), protocol=MPTCP)


@network.high(heard(), needs="a kernel with SMC")
def connects_with_shared_memory(at):
    connected(at, 43, (HOST, at.ports["tcp"]))  # AF_SMC, which goes on with TCP


@network.high(heard())
def connects_by_a_number_with_high_bits(at):
    number = call("socket", socket.AF_INET | 1 << 32, socket.SOCK_STREAM | 1 << 32, 0)
    one = Socket(fileno=number)
    one.connect((HOST, at.ports["tcp"]))
    one.send(at.mark.encode())
    at.keep(one)


@network.high(heard())
def sends_a_datagram(at):
    one = Socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.sendto(at.mark.encode(), (HOST, at.ports["udp"]))


@network.high(heard(), needs="a machine with IPv6")
def sends_a_datagram_with_ipv6(at):
    one = Socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.sendto(at.mark.encode(), ("::1", at.ports["udp6"]))


@network.high(heard(), needs="the right to make packets")
def sends_a_packet_of_its_own_protocol(at):
    one = Socket(socket.AF_INET, socket.SOCK_RAW, 253)
    one.sendto(at.mark.encode(), (HOST, 0))


@network.high(heard(), needs="the right to make packets")
def puts_a_packet_on_the_wire(at):
    text = at.mark.encode().ljust(12)
    ends = socket.inet_pton(socket.AF_INET6, "::1") * 2
    datagram = struct.pack("!4H", 1024, at.ports["udp6"], 8 + len(text), 0) + text
    words = struct.unpack(f"!{(32 + len(datagram)) // 2}H", ends + datagram)
    total = sum(words) + len(datagram) + socket.IPPROTO_UDP
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    header = struct.pack("!IHBB", 6 << 28, len(datagram), socket.IPPROTO_UDP, 64) + ends
    one = Socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    one.sendto(header + datagram[:6] + struct.pack("!H", total) + text, ("lo", 0x86DD))


@network.high(holds_socket(socket.AF_PACKET), needs="the right to see packets")
def listens_to_all_packets(at):
    at.keep(Socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))


@network.high(heard(), needs="the right to send to others on netlink")
def sends_on_netlink(at):
    one = Socket(socket.AF_NETLINK, socket.SOCK_RAW, 2)  # NETLINK_USERSOCK
    header = struct.pack("IHHII", 16 + len(at.mark), 16, 0, 0, 0)
    one.sendto(header + at.mark.encode(), (at.ports["netlink"], 0))


@network.high(holds_socket(socket.AF_NETLINK))
def asks_for_the_networks_of_the_machine(at):
    at.keep(Socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))


@network.high(holds_socket(socket.AF_ALG), needs="a kernel that encrypts for users")
def has_the_kernel_encrypt(at):
    at.keep(Socket(socket.AF_ALG, socket.SOCK_SEQPACKET))


@network.high(holds_socket(socket.AF_VSOCK), needs="a kernel with virtual sockets")
def talks_to_the_host_of_the_machine(at):
    at.keep(Socket(socket.AF_VSOCK, socket.SOCK_STREAM))


@network.high(holds_socket(44), needs="a kernel with AF_XDP")
def takes_packets_past_the_kernel(at):
    at.keep(Socket(44, socket.SOCK_RAW))


@network.high(holds_socket(socket.AF_TIPC), needs="a kernel with TIPC")
def talks_to_a_cluster(at):
    at.keep(Socket(socket.AF_TIPC, socket.SOCK_RDM))


@network.high(holds_socket(socket.AF_CAN), needs="a kernel with CAN")
def talks_to_the_bus_of_a_car(at):
    at.keep(Socket(socket.AF_CAN, socket.SOCK_RAW, 1))


@network.high(holds_socket(31), needs="a kernel with Bluetooth")
def talks_to_bluetooth(at):
    at.keep(Socket(31, socket.SOCK_RAW, 1))


def can_be_reached(look):
    try:
        socket.create_connection((HOST, look.world.ports["free"]), 1).close()
    except OSError:
        return False
    return True


@network.high(Effect(can_be_reached))
def serves_a_port(at):
    one = Socket(socket.AF_INET, socket.SOCK_STREAM)
    one.bind((HOST, at.ports["free"]))
    one.listen()
    at.keep(one)


def own(connection):
    """A connection that the host has made, as the kernel knows it."""
    return Socket(fileno=os.dup(connection.fileno()))


def detach(one):
    """Take a socket from its connection: connect(AF_UNSPEC)."""
    call("connect", one.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16)


@network.high(heard())
def aims_a_connection_of_the_host_elsewhere(at):
    one = own(at.connection())
    detach(one)
    one.connect((HOST, at.ports["tcp"]))
    one.send(at.mark.encode())


@network.high(heard(), needs="a kernel that lets a closed connection be opened by sending")
def aims_a_connection_of_the_host_elsewhere_by_sending(at):
    one = own(at.connection())
    one.shutdown(socket.SHUT_RDWR)
    one.sendto(b"", FAST_OPEN, (HOST, at.ports["tcp"]))
    one.sendto(at.mark.encode(), FAST_OPEN, (HOST, at.ports["tcp"]))


@network.high(holds_socket(socket.AF_INET, listens=True))
def listens_on_a_connection_of_the_host(at):
    one = own(at.connection())
    detach(one)
    one.listen()
    at.keep(one)


@network.high(heard(), asks=True)
def asks_the_host_for_a_connection(at):
    one = at.connection(at.ports["tcp"])
    one.send(at.mark.encode())
    at.keep(one)


@network.high(heard(), asks=True)
def asks_the_host_for_a_connection_by_another_name(at):
    one = at.connection(at.ports["tcp"], "localhost")
    one.send(at.mark.encode())
    at.keep(one)


@network.high(heard(), needs="a proxy in its environment that leads there", asks=True)
def asks_the_proxy_for_a_connection(at):
    address = os.environ.get("http_proxy", "").rpartition("/")[2] or f"{HOST}:1"
    one = socket.create_connection(address.rsplit(":", 1), 2)
    one.sendall(f"CONNECT {HOST}:{at.ports['tcp']} HTTP/1.1\r\n\r\n".encode())
    one.recv(1000)
    one.sendall(at.mark.encode())
    at.keep(one)
