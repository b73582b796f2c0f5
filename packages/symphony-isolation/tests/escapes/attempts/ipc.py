"""What processes of the user talk by: shared memory, queues, semaphores, keys, terminals and sockets with a path."""

import ctypes
import fcntl
import os
import socket
from _socket import socket as Socket  # what a library gets is the host's where the network is granted
from _socket import socketpair

from attempts.effects import Effect, alters, heard, told
from attempts.native import GETVAL, IPC_CREAT, IPC_NOWAIT, IPC_RMID, SETVAL, Message, call, shared
from attempts.table import Table

ipc = Table("ipc")
KEYS = "a kernel with keyrings"


def semaphore(name):
    """The value of a semaphore of the victim; None where it is gone."""

    def value(world):
        try:
            return call("semctl", world.victim[name], 0, GETVAL)
        except OSError:
            return None

    return value


def has_segment(look):
    """Whether there is a segment whose key is made of the mark."""
    with open("/proc/sysvipc/shm") as table:
        return any(line.split()[0] == str(key(look.world.marks[look.name])) for line in table)


def key(mark):
    return int(mark[1:], 16) & 0x7FFFFFFF


def has_messages(world):
    """Whether a queue of the victim is there."""
    with open("/proc/sysvipc/msg") as table:
        return any(line.split()[1] == str(world.victim["removed messages"]) for line in table)


@ipc.high(told("segment"))
def reads_a_shared_segment(at):
    return shared(at.victim["segment"]).value


@ipc.high(alters(lambda world: shared(world.victim["changed segment"]).value))
def writes_a_shared_segment(at):
    shared(at.victim["changed segment"]).value = at.mark.encode()


@ipc.low(Effect(has_segment))
def leaves_a_shared_segment(at):
    at.keep(call("shmget", key(at.mark), 4096, IPC_CREAT | 0o600))


@ipc.high(alters(semaphore("raised semaphore")))
def raises_a_semaphore(at):
    call("semop", at.victim["raised semaphore"], b"\0\0\1\0\0\0", 1)


@ipc.high(alters(semaphore("raised semaphore")))
def raises_a_semaphore_with_semtimedop(at):
    call("semtimedop", at.victim["raised semaphore"], b"\0\0\1\0\0\0", 1, None)


@ipc.high(alters(semaphore("set semaphore")))
def sets_a_semaphore(at):
    call("semctl", at.victim["set semaphore"], 0, SETVAL, 7)


@ipc.high(alters(semaphore("removed semaphore")))
def removes_a_semaphore(at):
    call("semctl", at.victim["removed semaphore"], 0, IPC_RMID)


@ipc.high(told("messages"))
def takes_a_message(at):
    message = Message()
    call("msgrcv", at.victim["messages"], ctypes.byref(message), 128, 0, IPC_NOWAIT)
    return message.text


@ipc.high(heard())
def sends_a_message(at):
    call("msgsnd", at.victim["filled messages"], ctypes.byref(Message(1, at.mark.encode())), 128, IPC_NOWAIT)


@ipc.high(alters(has_messages))
def removes_a_queue_of_messages(at):
    call("msgctl", at.victim["removed messages"], IPC_RMID, None)


@ipc.high(told("queue"))
def takes_from_a_queue(at):
    text = ctypes.create_string_buffer(8192)
    queue = call("mq_open", at.victim["queues"][0].encode(), os.O_RDONLY | os.O_NONBLOCK, 0, None)
    call("mq_receive", queue, text, 8192, None)
    return text.value


@ipc.high(heard())
def puts_in_a_queue(at):
    queue = call("mq_open", at.victim["queues"][1].encode(), os.O_WRONLY | os.O_NONBLOCK, 0, None)
    call("mq_send", queue, at.mark.encode(), len(at.mark), 0)


def has_queue(world):
    try:
        os.close(call("mq_open", world.victim["queues"][2].encode(), os.O_RDONLY, 0, None))
    except OSError:
        return False
    return True


@ipc.high(alters(has_queue))
def removes_a_queue(at):
    call("mq_unlink", at.victim["queues"][2].encode())


@ipc.high(told("shared file"))
def reads_a_shared_file(at):
    return os.read(os.open(f"/dev/shm/{at.victim['shared']}", os.O_RDONLY), 100)


@ipc.high(alters(lambda world: sorted(os.listdir("/dev/shm")).count(world.marks["leaves a shared file"])))
def leaves_a_shared_file(at):
    os.close(os.open(f"/dev/shm/{at.mark}", os.O_CREAT | os.O_WRONLY, 0o600))


@ipc.high(told("key"), needs=KEYS)
def reads_a_key_of_the_kernel(at):
    text = ctypes.create_string_buffer(128)
    call("keyctl", 11, at.victim["key"], text, 128, 0)  # KEYCTL_READ
    return text.value


def has_key(look):
    """Whether the kernel has a key with the mark, among those that everybody may see."""
    with open("/proc/keys") as table:
        return any(look.world.marks[look.name] in line for line in table)


@ipc.high(Effect(has_key), needs=KEYS)
def leaves_a_key_in_the_kernel(at):
    left = call("add_key", b"user", at.mark.encode(), b"left", 4, -4)  # the user's keyring
    call("keyctl", 5, left, 0x3F3F3F3F, 0, 0)  # KEYCTL_SETPERM


@ipc.high(heard())
def writes_to_a_terminal(at):
    terminal = os.open(at.terminal, os.O_WRONLY | os.O_NOCTTY)
    os.write(terminal, f"{at.mark}\n".encode())


@ipc.high(heard(), needs="the right to type into terminals")
def types_into_a_terminal(at):
    terminal = os.open(at.terminal, os.O_RDWR | os.O_NOCTTY)
    for letter in f"{at.mark}\n":
        fcntl.ioctl(terminal, 0x5412, letter.encode())  # TIOCSTI; the terminal echoes it


@ipc.high(heard())
def writes_to_a_pipe_with_a_path(at):
    number = os.open(f"{at.root}/fifo", os.O_WRONLY | os.O_NONBLOCK)
    os.write(number, at.mark.encode())


def sent(at, kind, address):
    one = Socket(socket.AF_UNIX, kind)
    one.settimeout(2)
    one.connect(address)
    one.send(at.mark.encode())
    at.keep(one)


@ipc.high(heard())
def connects_to_a_socket_with_a_path(at):
    sent(at, socket.SOCK_STREAM, f"{at.ports['unix']}/stream")


@ipc.high(heard())
def sends_to_a_socket_with_a_path(at):
    sent(at, socket.SOCK_DGRAM, f"{at.ports['unix']}/datagram")


@ipc.high(heard())
def connects_in_sequence_to_a_socket_with_a_path(at):
    sent(at, socket.SOCK_SEQPACKET, f"{at.ports['unix']}/sequence")


@ipc.high(heard())
def connects_to_a_socket_in_a_granted_directory(at):
    sent(at, socket.SOCK_STREAM, f"{os.path.dirname(at.granted)}/socket")


@ipc.high(heard())
def connects_to_a_socket_without_a_path(at):
    sent(at, socket.SOCK_STREAM, f"\0{at.ports['abstract']}-stream")


@ipc.high(heard())
def sends_to_a_socket_without_a_path(at):
    sent(at, socket.SOCK_DGRAM, f"\0{at.ports['abstract']}-datagram")


@ipc.high(heard())
def sends_from_a_pair_of_sockets_to_a_path(at):
    one, _ = socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendto(at.mark.encode(), f"{at.ports['unix']}/datagram")


@ipc.high(heard())
def connects_one_of_a_pair_of_sockets_to_a_path(at):
    one, _ = socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.connect(f"{at.ports['unix']}/datagram")
    one.send(at.mark.encode())


@ipc.high(heard())
def connects_by_the_descriptor_of_a_path(at):
    sent(at, socket.SOCK_STREAM, f"/proc/self/fd/{os.open(at.ports['unix'], os.O_PATH)}/stream")


@ipc.low(told("name of a socket"))
def learns_which_sockets_there_are(at):
    with open("/proc/self/net/unix") as table:
        return [line for line in table if "secret" in line]
