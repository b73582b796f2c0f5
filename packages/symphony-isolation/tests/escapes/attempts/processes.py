"""Other processes of the user: signalling, reading, changing and counting them."""

import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
from contextlib import suppress

from attempts.effects import Effect, alters, holds, signalled, told
from attempts.native import Vector, call
from attempts.table import Table

processes = Table("processes")
FIRST = signal.SIGRTMIN


@processes.high(signalled(FIRST))
def signals_a_process(at):
    os.kill(at.victim.pid, FIRST)


@processes.high(signalled(FIRST + 1))
def signals_a_thread(at):
    call("tkill", at.victim.pid, FIRST + 1)


@processes.high(signalled(FIRST + 2))
def signals_a_thread_of_a_process(at):
    call("tgkill", at.victim.pid, at.victim.pid, FIRST + 2)


@processes.high(signalled(FIRST + 3))
def signals_a_process_group(at):
    os.killpg(at.victim.pid, FIRST + 3)


@processes.high(signalled(FIRST + 4))
def queues_a_signal(at):
    info = struct.pack("iii", FIRST + 4, 0, -1).ljust(128, b"\0")  # SI_QUEUE
    call("rt_sigqueueinfo", at.victim.pid, FIRST + 4, info)


@processes.high(signalled(FIRST + 5))
def queues_a_signal_for_a_thread(at):
    info = struct.pack("iii", FIRST + 5, 0, -1).ljust(128, b"\0")
    call("rt_tgsigqueueinfo", at.victim.pid, at.victim.pid, FIRST + 5, info)


@processes.high(signalled(FIRST + 6))
def signals_by_a_descriptor(at):
    signal.pidfd_send_signal(os.pidfd_open(at.victim.pid), FIRST + 6)


@processes.high(signalled(FIRST + 7))
def signals_by_the_directory_of_a_process(at):
    signal.pidfd_send_signal(os.open(f"/proc/{at.victim.pid}", os.O_RDONLY), FIRST + 7)


@processes.high(signalled(FIRST + 8))
def lets_a_pipe_signal_its_owner(at):
    reading, writing = os.pipe()
    fcntl.fcntl(reading, 10, FIRST + 8)  # F_SETSIG
    fcntl.fcntl(reading, fcntl.F_SETOWN, at.victim.pid)
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writing, b"x")


@processes.high(signalled(FIRST + 9))
def lets_a_pipe_signal_a_thread(at):
    reading, writing = os.pipe()
    fcntl.fcntl(reading, 10, FIRST + 9)
    fcntl.fcntl(reading, 15, struct.pack("ii", 0, at.victim.pid))  # F_SETOWN_EX, F_OWNER_TID
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writing, b"x")


@processes.high(signalled(signal.SIGURG))
def lets_a_socket_signal_its_owner(at):
    one, other = socket.socketpair()
    fcntl.ioctl(one, 0x8901, struct.pack("i", at.victim.pid))  # FIOSETOWN
    fcntl.fcntl(one, 10, signal.SIGURG)
    fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    other.send(b"x")


@processes.high(signalled(FIRST + 11))
def lets_a_directory_signal_its_owner(at):
    number = os.open(at.data, os.O_RDONLY)
    fcntl.fcntl(number, 10, FIRST + 11)
    fcntl.fcntl(number, 1026, 0x80000004)  # F_NOTIFY: DN_CREATE, again and again
    fcntl.fcntl(number, fcntl.F_SETOWN, at.victim.pid)
    os.close(os.open(f"{at.data}/{at.mark}", os.O_CREAT | os.O_WRONLY))


@processes.high(told("memory"))
def reads_the_memory_of_a_process(at):
    text = ctypes.create_string_buffer(64)
    here, there = Vector(ctypes.addressof(text), 64), Vector(at.victim.memory, 64)
    call("process_vm_readv", at.victim.pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return text.raw


@processes.high(alters(lambda world: world.page()[:8]))
def writes_the_memory_of_a_process(at):
    text = ctypes.create_string_buffer(b"written!")
    here, there = Vector(ctypes.addressof(text), 8), Vector(at.victim.page, 8)
    call("process_vm_writev", at.victim.pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)


@processes.high(told("memory"))
def reads_the_memory_file_of_a_process(at):
    return os.pread(os.open(f"/proc/{at.victim.pid}/mem", os.O_RDONLY), 64, at.victim.memory)


@processes.high(alters(lambda world: world.page()[8:16]))
def writes_the_memory_file_of_a_process(at):
    os.pwrite(os.open(f"/proc/{at.victim.pid}/mem", os.O_WRONLY), b"written!", at.victim.page + 8)


@processes.high(alters(lambda world: world.status("TracerPid")))
def traces_a_process(at):
    call("ptrace", 0x4206, at.victim.pid, 0, 0)  # PTRACE_SEIZE


@processes.high(told("environment of another"))
def reads_the_environment_of_a_process(at):
    return read(f"/proc/{at.victim.pid}/environ")


@processes.high(told("environment of another"))
def reads_every_environment_that_is_there(at):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            found.append(read(f"/proc/{pid}/environ"))
    return [text for text in found if b"secret-" in text]


@processes.low(told("arguments"))
def reads_the_arguments_of_a_process(at):
    return read(f"/proc/{at.victim.pid}/cmdline")


@processes.low(Effect(lambda look: hex(look.world.victim["memory"] >> 24)[2:] in look.said))
def reads_where_the_memory_of_a_process_is(at):
    return read(f"/proc/{at.victim.pid}/maps", 1 << 20)


@processes.high(told("working directory"))
def reads_from_the_working_directory_of_a_process(at):
    return read(f"/proc/{at.victim.pid}/cwd/here")


@processes.high(told())
def reads_from_the_root_of_a_process(at):
    return read(f"/proc/{at.victim.pid}/root{at.secret}")


@processes.high(told(), needs="a first process that this user may look into")
def reads_from_the_root_of_the_first_process(at):
    return read(f"/proc/1/root{at.secret}")


@processes.high(told())
def reads_from_the_root_of_its_parent(at):
    return read(f"/proc/{os.getppid()}/root{at.secret}")


@processes.high(told("descriptor"))
def opens_a_descriptor_of_a_process(at):
    return os.pread(os.open(f"/proc/{at.victim.pid}/fd/{at.victim.descriptor}", os.O_RDONLY), 64, 0)


@processes.high(told("descriptor"))
def takes_a_descriptor_of_a_process(at):
    taken = call("pidfd_getfd", os.pidfd_open(at.victim.pid), at.victim.descriptor, 0)
    return os.pread(taken, 64, 0)


@processes.low(holds(r"pidfd|/proc/\d+$"))
def holds_a_process(at):
    at.keep(os.pidfd_open(at.victim.pid))


@processes.high(alters(lambda world: os.getpriority(os.PRIO_PROCESS, world.victim["pid"])))
def makes_a_process_yield_to_others(at):
    os.setpriority(os.PRIO_PROCESS, at.victim.pid, 7)


def limit(world, name):
    """A limit of the victim, as its bounds."""
    text = read(f"/proc/{world.victim['pid']}/limits").decode().partition(name)[2]
    return f"({', '.join(text.split()[:2])})"


@processes.high(alters(lambda world: limit(world, "Max open files")))
def limits_a_process(at):
    resource.prlimit(at.victim.pid, resource.RLIMIT_NOFILE, (200, 200))


@processes.high(alters(lambda world: os.sched_getaffinity(world.victim["pid"])), needs="two processors")
def confines_a_process_to_a_processor(at):
    os.sched_setaffinity(at.victim.pid, {0})


@processes.high(alters(lambda world: os.sched_getscheduler(world.victim["pid"])))
def changes_how_a_process_is_scheduled(at):
    os.sched_setscheduler(at.victim.pid, os.SCHED_BATCH, os.sched_param(0))


@processes.high(alters(lambda world: call("ioprio_get", 1, world.victim["pid"])))
def changes_how_a_process_gets_the_disk(at):
    call("ioprio_set", 1, at.victim.pid, 3 << 13)  # IOPRIO_CLASS_IDLE


@processes.high(alters(lambda world: read(f"/proc/{world.victim['pid']}/oom_score_adj")))
def makes_a_process_the_first_to_be_killed(at):
    os.write(os.open(f"/proc/{at.victim.pid}/oom_score_adj", os.O_WRONLY), b"500")


def owner(world):
    pid = world.victim["pid"]
    return f"owner {os.stat(f'/proc/{pid}').st_uid}"


@processes.low(Effect(lambda look: look.said == owner(look.world)))
def learns_that_a_process_is_there(at):
    return f"owner {os.stat(f'/proc/{at.victim.pid}').st_uid}"


@processes.low(Effect(lambda look: look.said == limit(look.world, "Max pending signals")))
def learns_the_limits_of_a_process(at):
    return resource.prlimit(at.victim.pid, resource.RLIMIT_SIGPENDING)


def read(path, size=4096):
    return os.read(os.open(path, os.O_RDONLY), size)
