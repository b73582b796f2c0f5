"""Programs, processes and privileges: starting what was not granted, becoming more than it is."""

import ctypes
import mmap
import os
import resource
import signal
import subprocess
import sys

from attempts.effects import carries_its_mark, has_another_root, moved, reads, runs, signalled
from attempts.native import call, libc
from attempts.processes import FIRST
from attempts.table import Table

privileges = Table("privileges")
PR_SET_NAME, PR_SET_KEEPCAPS, PR_CAP_AMBIENT = 15, 8, 47
SLEEP = "/bin/sleep"
LONG = "60"
NEW_USER, NEW_MOUNT, NEW_UTS, NEW_IPC, NEW_PID, NEW_NET = (
    *(0x10000000, 0x00020000, 0x04000000),
    *(0x08000000, 0x20000000, 0x40000000),
)


def started(at, arguments, program=SLEEP):
    """Start a program with the mark of the attempt among its arguments, or as its name."""
    at.keep(subprocess.Popen(arguments, executable=program, close_fds=False))


@privileges.high(runs())
def starts_a_program(at):
    started(at, [at.mark, LONG])


@privileges.high(runs())
def spawns_a_program(at):
    at.keep(os.posix_spawn(SLEEP, [at.mark, LONG], {}))


@privileges.high(runs())
def becomes_a_program(at):
    if forked(at):
        return
    os.execv(SLEEP, [at.mark, LONG])


@privileges.high(runs())
def becomes_a_program_by_a_descriptor(at):
    if forked(at):
        return
    os.execve(os.open(SLEEP, os.O_RDONLY), [at.mark, LONG], {})


@privileges.high(runs())
def becomes_a_program_with_execveat(at):
    if forked(at):
        return
    arguments = (ctypes.c_char_p * 3)(at.mark.encode(), LONG.encode(), None)
    call("execveat", os.open(SLEEP, os.O_PATH), b"", arguments, (ctypes.c_char_p * 1)(None), 0x1000)


def forked(at):
    """Whether this is the parent of a child that was just made; where none can be, this process tries itself."""
    try:
        child = os.fork()
    except OSError:
        return False
    if child:
        at.keep(child)
    return bool(child)


@privileges.high(runs())
def starts_a_shell(at):
    started(at, ["sh", "-c", f"sleep {LONG} # {at.mark}"], "/bin/sh")


@privileges.high(runs())
def starts_an_interpreter(at):
    started(at, [at.mark, "-I", "-c", "import time; time.sleep(60)"], os.path.realpath(sys.executable))


@privileges.high(runs())
def starts_a_program_by_the_loader(at):
    loader = next(
        path for path in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1") if os.path.exists(path)
    )
    started(at, [loader, "--argv0", at.mark, SLEEP, LONG], loader)


@privileges.high(runs())
def starts_a_program_of_its_own(at):
    program = f"{at.data}/{at.mark}"
    with open(SLEEP, "rb") as source, open(program, "wb") as copy:
        copy.write(source.read())
    os.chmod(program, 0o755)
    started(at, [program, LONG], program)


@privileges.high(runs())
def starts_a_script_of_its_own(at):
    program = f"{at.data}/{at.mark}"
    with open(program, "w") as script:
        script.write(f"#!/bin/sh\nsleep {LONG}\n")
    os.chmod(program, 0o755)
    started(at, [program], program)


@privileges.high(runs())
def starts_a_program_in_memory(at):
    number = os.memfd_create(at.mark, 0)
    with open(SLEEP, "rb") as source:
        os.write(number, source.read())
    started(at, [at.mark, LONG], f"/proc/self/fd/{number}")


@privileges.low(runs())
def forks(at):
    named(at, os.fork())


@privileges.low(runs())
def forks_with_clone(at):
    named(at, call("clone3", (ctypes.c_uint64 * 8)(0, 0, 0, 0, signal.SIGCHLD), 64))


def named(at, child):
    """Let a child that was just made carry the mark, and the parent go on."""
    if child:
        at.keep(child)
        return
    libc.prctl(PR_SET_NAME, at.mark.encode(), 0, 0, 0)
    signal.pause()


@privileges.high(reads("status", r"^Uid:\s+12345"), needs="the right to be another user")
def becomes_another_user(at):
    os.setresuid(12345, 12345, 12345)


@privileges.high(reads("status", r"^Gid:\s+12345"), needs="the right to be in another group")
def becomes_a_member_of_a_group(at):
    os.setresgid(12345, 12345, 12345)


@privileges.high(reads("status", r"^Groups:.*\b12345\b"), needs="the right to be in another group")
def joins_a_group(at):
    os.setgroups([12345])


@privileges.high(reads("status", r"^Uid:\s+\d+\s+12345"), needs="a file system with set-user-id")
def runs_a_program_as_somebody_else(at):
    started(at, [at.mark, LONG], at.set_user_id)


@privileges.high(reads("status", r"^CapAmb:\s+0*[1-9a-f]"), needs="privileges at all")
def keeps_a_privilege_for_programs(at):
    libc.capget.argtypes = libc.capset.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    header, sets = (
        ctypes.create_string_buffer(b"\x22\x05\x08\x20" + bytes(4)),
        ctypes.create_string_buffer(24),
    )
    call("capget", header, sets)
    words = list(memoryview(sets.raw).cast("I"))
    words[2] = words[1]  # inheritable as permitted
    call(
        "capset",
        header,
        bytes(memoryview(bytearray(b"".join(one.to_bytes(4, sys.byteorder) for one in words)))),
    )
    call("prctl", PR_CAP_AMBIENT, 2, 10, 0, 0)  # PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE


@privileges.high(
    reads("status", r"^Cap(Inh|Prm|Eff|Amb):\s+0*[1-9a-f]", new=False), needs="privileges at all"
)
def has_privileges(at):
    pass


@privileges.high(moved("user"), needs="namespaces of users")
def makes_a_namespace_of_users(at):
    call("unshare", NEW_USER)


@privileges.high(moved("mnt"), needs="the right to make namespaces")
def makes_a_namespace_of_mounts(at):
    call("unshare", NEW_MOUNT)


@privileges.high(moved("net"), needs="the right to make namespaces")
def makes_a_namespace_of_networks(at):
    call("unshare", NEW_NET)


@privileges.high(moved("pid"), needs="the right to make namespaces")
def makes_a_namespace_of_processes(at):
    call("unshare", NEW_PID)
    named(at, os.fork())


@privileges.high(moved("user"), needs="namespaces of users")
def forks_into_a_namespace_of_users(at):
    child = libc.syscall(
        ctypes.c_long(56 if os.uname().machine == "x86_64" else 220), NEW_USER | signal.SIGCHLD, 0, 0, 0, 0
    )
    named(at, child)


@privileges.high(moved("uts"), needs="the right to enter namespaces")
def enters_the_namespace_of_a_process(at):
    call("setns", os.open(f"/proc/{at.victim.pid}/ns/uts", os.O_RDONLY), 0)


@privileges.high(moved("uts"), needs="the right to enter namespaces")
def enters_the_namespaces_of_a_process_by_a_descriptor(at):
    call("setns", os.pidfd_open(at.victim.pid), NEW_UTS)


@privileges.high(reads("mountinfo", r"symphony-mount"), needs="the right to mount")
def mounts_a_file_system(at):
    call("unshare", NEW_MOUNT)
    call("mount", b"none", b"/", None, 0x4000 | (1 << 18), None)  # private, so that nobody else sees it
    call("mount", b"symphony-mount", at.data.encode(), b"tmpfs", 0, None)


@privileges.high(reads("mountinfo", r"symphony-tree"), needs="the right to mount")
def mounts_a_file_system_in_steps(at):
    made = call("fsopen", b"tmpfs", 0)
    call("fsconfig", made, 1, b"source", b"symphony-tree", 0)
    call("fsconfig", made, 6, None, None, 0)
    tree = call("fsmount", made, 0, 0)
    call("unshare", NEW_MOUNT)
    call("mount", b"none", b"/", None, 0x4000 | (1 << 18), None)
    call("move_mount", tree, b"", -100, at.data.encode(), 4)


@privileges.high(has_another_root(), needs="the right to change the root")
def changes_its_root(at):
    os.chroot(at.data)


@privileges.low(reads("status", r"^NoNewPrivs:\s+0", new=False))
def can_gain_privileges(at):
    call("prctl", 38, 0, 0, 0, 0)


@privileges.high(signalled(FIRST + 15), alone=True, needs="a kernel that runs programs of i386")
def calls_the_kernel_as_a_32_bit_program(at):
    """`kill` of i386: mov eax, 37; mov ebx, pid; mov ecx, signal; int 0x80."""
    machine_code(
        b"\x53\xb8\x25\0\0\0\xbb"
        + at.victim.pid.to_bytes(4, "little")
        + b"\xb9"
        + (FIRST + 15).to_bytes(4, "little")
        + b"\xcd\x80\x5b\xc3"
    )


@privileges.high(signalled(FIRST + 16), alone=True, needs="a kernel with the x32 interface")
def calls_the_kernel_by_the_numbers_of_x32(at):
    libc.syscall(ctypes.c_long(0x40000000 + 62), at.victim.pid, FIRST + 16)


def machine_code(code):
    if os.uname().machine != "x86_64":
        raise OSError("another machine")
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()


@privileges.high(reads("stat", r"\) \S+ (?:\S+ ){37}[12] "), needs="the right to be scheduled before others")
def is_scheduled_before_all_others(at):
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


@privileges.low(reads("stat", r"\) \S+ (?:\S+ ){15}-"), needs="the right to be preferred")
def is_preferred_to_others(at):
    os.setpriority(os.PRIO_PROCESS, 0, -3)


@privileges.low(reads("oom_score_adj", r"^-"), needs="the right to be spared")
def is_spared_when_memory_is_short(at):
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-7")


@privileges.low(reads("limits", r"^Max open files +\d+ +765432 "), needs="the right to raise limits")
def raises_the_bound_of_its_open_files(at):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[0], 765432))


@privileges.low(
    reads("limits", r"^Max core file size +[1-9u]", new=False), needs="a bound of images that is not 0"
)
def can_leave_an_image_of_its_memory(at):
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


@privileges.low(reads("status", r"^VmLck:\s+[1-9]"))
def locks_its_memory(at):
    at.keep(memory := ctypes.create_string_buffer(1 << 20))
    call("mlock", memory, 1 << 20)


@privileges.low(reads("personality", r"^0004"))
def lays_out_its_memory_as_it_likes(at):
    call("personality", 0x0040000)  # ADDR_NO_RANDOMIZE


@privileges.high(carries_its_mark("cgroup"), needs="control groups that this user may write to")
def leaves_its_control_group(at):
    for directory in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        try:
            os.makedirs(f"{directory}/{at.mark}", exist_ok=True)
            with open(f"{directory}/{at.mark}/cgroup.procs", "w") as file:
                file.write("0")
        except OSError:
            continue
        return
