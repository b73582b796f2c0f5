"""What the zygote executes: one thread that forks when it is asked to, and ends with the host.

Started as `python -I -S`, in a clean environment: no `.pth` file of any package runs in it. It reaps a child only
when the host says so, because until then no other process can have the child's number.
"""

import os
import signal
import socket
import sys
import traceback

import msgspec

from symphony_isolation.bootstrap import main as be_worker
from symphony_isolation.bootstrap import set_variables
from symphony_isolation.sandbox import namespaces
from symphony_isolation.sandbox.confinement import REFUSED, die_with
from symphony_isolation.zygote.messages import (
    CHANNEL,
    DESCRIPTORS_LIMIT,
    PACKET_LIMIT,
    STDERR,
    Answer,
    Fork,
    Reap,
)
from symphony_isolation.zygote.warm_up import warm_up


def main(descriptor: int) -> None:
    """Serve until the host closes the socket; does not return.

    Args:
        descriptor: The zygote's end of a pair of `SOCK_SEQPACKET` sockets.
    """
    die_with(os.getppid())  # a host that died before has closed the socket
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    sys.argv = [""]
    warm_up()
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(Fork | Reap).decode
    control.send(encode(Answer()))
    keepers: set[int] = set()
    while True:
        packet, descriptors, _, _ = socket.recv_fds(
            control, PACKET_LIMIT, DESCRIPTORS_LIMIT, socket.MSG_CMSG_CLOEXEC
        )
        if not packet:
            os._exit(0)
        request = decode(packet)
        try:
            if isinstance(request, Fork):
                value = _fork(request, descriptors, control, keepers)
            else:
                value = _reap(request.pid, keepers)
            answer = Answer(value)
        except OSError as error:
            answer = Answer(error=error.errno or 0)
        for one in descriptors:
            os.close(one)
        control.send(encode(answer))


def _fork(request: Fork, descriptors: list[int], control: socket.socket, keepers: set[int]) -> int:
    """Fork a worker, or its keeper, which is noted as one."""
    me = os.getpid()
    alive = os.pidfd_open(me)
    owner = os.geteuid(), os.getegid()
    contained = request.contained
    try:
        pid = namespaces.clone() if contained else os.fork()
    except OSError:
        pid, contained = os.fork(), False  # it will be refused there too, and tell by which layer
    if not pid:
        try:
            control.close()
            if contained:
                _keep_first(alive, *owner, descriptors)
            else:
                die_with(me)
                os.setsid()
            os.close(alive)
            _settle(request, descriptors)
            be_worker(*range(3, len(descriptors) + 1), contained=contained)
        except BaseException:  # noqa: BLE001 - this is the end of a process, and it says why
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(alive)
    if contained:
        keepers.add(pid)
    return pid


def _keep_first(zygote: int, user: int, group: int, descriptors: list[int]) -> None:
    try:
        namespaces.keep_first(zygote, user, group, begin=descriptors[CHANNEL])
    except OSError as error:
        os.write(descriptors[STDERR], f"namespaces: {error.strerror}\n".encode())
        os._exit(REFUSED)


def _reap(pid: int, keepers: set[int]) -> int:
    """How a worker ended: its exit code, or minus the signal."""
    told = None
    if pid in keepers:  # no other is listened to: it may have run code of an extension
        keepers.remove(pid)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        told = namespaces.end_of(pid)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status if told is None else told)


def _settle(request: Fork, descriptors: list[int]) -> None:
    """Become a process of one's own: nothing but what was sent along is left of the zygote."""
    count = len(descriptors)
    above = max(count, *descriptors) + 1
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, above + number)
    for number in range(count):  # stdin stays; stdout and stderr, and then those of the bootstrap
        os.dup2(above + number, 1 + number)
    os.closerange(1 + count, above + count)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.chdir(request.directory)
    os.environb.clear()
    set_variables(request.environment)
