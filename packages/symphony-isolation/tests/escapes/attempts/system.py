"""The machine: its settings, its clock, its log, its devices, and the large doors of its kernel."""

import ctypes
import os
import struct
from contextlib import suppress

from attempts.effects import Effect, alters, holds
from attempts.native import call
from attempts.table import Table

system = Table("system")
_ADJUSTED = ctypes.create_string_buffer(256)  # struct timex


def frequency():
    """How the clock is slewed, as adjtimex(2) tells everybody."""
    ctypes.memset(_ADJUSTED, 0, 256)
    call("adjtimex", _ADJUSTED)
    return struct.unpack_from("q", _ADJUSTED, 16)[0]


def domain():
    """What the machine says that its domain is."""
    with open("/proc/sys/kernel/domainname") as file:
        return file.read()


def restore(domain, frequency, keyboard):
    """Set the machine as it was."""
    name = domain.rstrip("\n").encode()
    call("setdomainname", name, len(name))
    change = ctypes.create_string_buffer(256)
    struct.pack_into("I4xqq", change, 0, 2, 0, frequency)
    call("clock_adjtime", 0, change)
    with open("/proc/sys/kernel/ctrl-alt-del", "w") as file:
        file.write(keyboard)


def is_named(look):
    return look.world.marks[look.name] in domain()


def is_slewed(look):
    return frequency() == speed(look.world.marks[look.name])


def speed(mark):
    """A speed of the clock that nobody else has it run at: less than 16 millionths beside the right one."""
    return int(mark[1:], 16) % 1_000_000


@system.high(Effect(is_named), needs="the right to administer")
def names_the_domain(at):
    call("setdomainname", at.mark.encode(), len(at.mark))


@system.high(Effect(is_named), needs="the right to administer")
def names_the_domain_by_a_file(at):
    with open("/proc/sys/kernel/domainname", "w") as file:
        file.write(at.mark)


@system.high(Effect(is_slewed), needs="the right to set the clock")
def changes_the_speed_of_the_clock(at):
    change = ctypes.create_string_buffer(256)
    struct.pack_into("I4xqq", change, 0, 2, 0, speed(at.mark))  # ADJ_FREQUENCY
    call("clock_adjtime", 0, change)


@system.high(Effect(is_slewed), needs="the right to set the clock")
def changes_the_speed_of_the_clock_with_adjtimex(at):
    change = ctypes.create_string_buffer(256)
    struct.pack_into("I4xqq", change, 0, 2, 0, speed(at.mark))
    call("adjtimex", change)


@system.high(alters(lambda world: world.clock_was_set()), needs="the right to set the clock")
def sets_the_clock(at):
    now = (ctypes.c_long * 2)()
    call("clock_gettime", 0, now)
    call("clock_settime", 0, now)


@system.high(alters(lambda world: world.clock_was_set()), needs="the right to set the clock")
def sets_the_clock_as_old_programs_do(at):
    now = (ctypes.c_long * 2)()
    call("gettimeofday", now, None)
    call("settimeofday", now, None)


def keyboard():
    """Whether some keys reboot the machine at once."""
    with open("/proc/sys/kernel/ctrl-alt-del") as file:
        return file.read()


@system.high(alters(lambda world: keyboard()), needs="the right to reboot")
def decides_what_the_keyboard_may_reboot(at):
    call("reboot", 0x89ABCDEF if keyboard() == "0\n" else 0)  # LINUX_REBOOT_CMD_CAD_ON, _OFF


@system.high(holds(r"\[io_uring\]"), needs="a kernel that lets this user have io_uring")
def has_a_ring_of_submissions(at):
    at.keep(call("io_uring_setup", 1, ctypes.create_string_buffer(120)))


@system.high(holds(r"bpf"), needs="the right to load programs into the kernel")
def has_a_map_in_the_kernel(at):
    at.keep(call("bpf", 0, struct.pack("5I", 2, 4, 4, 1, 0).ljust(72, b"\0"), 72))  # BPF_MAP_CREATE, ARRAY


@system.high(holds(r"bpf"), needs="the right to load programs into the kernel")
def has_a_program_in_the_kernel(at):
    code = struct.pack("BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)  # r0 = 0; exit
    licence, text = ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(code)
    attributes = struct.pack("IIQQ", 1, 2, ctypes.addressof(text), ctypes.addressof(licence))  # SOCKET_FILTER
    at.keep(call("bpf", 5, attributes.ljust(144, b"\0"), 144))


@system.high(holds(r"\[perf_event\]"), needs="a kernel that counts events")
def counts_events_of_the_kernel(at):
    attributes = ctypes.create_string_buffer(struct.pack("IIQ", 1, 128, 1).ljust(128, b"\0"))  # TASK_CLOCK
    at.keep(call("perf_event_open", attributes, 0, -1, -1, 0))


@system.high(holds(r"\[userfaultfd\]"), needs="a kernel with user faults")
def handles_faults_of_memory(at):
    at.keep(call("userfaultfd", 0))


@system.high(holds(r"\[fscontext\]"), needs="the right to mount")
def prepares_a_file_system(at):
    at.keep(call("fsopen", b"tmpfs", 0))


@system.high(holds(r"seccomp notify"), needs="a filter that it may add")
def answers_for_the_kernel(at):
    call("prctl", 38, 1, 0, 0, 0)
    allow = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
    program = struct.pack("H6xQ", 1, ctypes.addressof(allow))
    at.keep(call("syscall", 317 if os.uname().machine == "x86_64" else 277, 1, 8, program))


@system.high(holds(r"^/dev/mem"), needs="a machine that shows its memory")
def opens_the_memory_of_the_machine(at):
    at.keep(os.open("/dev/mem", os.O_RDONLY))


@system.high(holds(r"^/dev/kvm"), needs="a machine with virtual machines")
def opens_the_device_of_virtual_machines(at):
    at.keep(os.open("/dev/kvm", os.O_RDWR))


@system.high(holds(r"^/dev/fuse"), needs="a machine with file systems of users")
def opens_the_device_of_file_systems(at):
    at.keep(os.open("/dev/fuse", os.O_RDWR))


@system.high(holds(r"^/dev/net/tun"), needs="a machine with tunnels")
def opens_the_device_of_tunnels(at):
    at.keep(os.open("/dev/net/tun", os.O_RDWR))


@system.high(holds(r"^/dev/kmsg"), needs="the right to write to the log of the kernel")
def opens_the_log_of_the_kernel(at):
    at.keep(os.open("/dev/kmsg", os.O_WRONLY))


@system.high(holds(r"^/dev/(vda|sda|nvme0n1|loop0)"), needs="a disk that this user may read")
def opens_a_disk(at):
    for name in ("vda", "sda", "nvme0n1", "loop0"):
        with suppress(OSError):
            at.keep(os.open(f"/dev/{name}", os.O_RDONLY))


@system.high(alters(lambda world: world.control_groups()), needs="control groups that this user may write to")
def makes_a_control_group(at):
    for directory in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if os.path.isdir(directory):
            os.mkdir(f"{directory}/{at.mark}")
            return


@system.high(holds(r"^/proc/sys/kernel/core_pattern"), needs="the right to administer")
def may_say_what_runs_after_a_crash(at):
    at.keep(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))


@system.high(holds(r"^/proc/sysrq-trigger"), needs="the right to administer")
def may_crash_the_machine(at):
    at.keep(os.open("/proc/sysrq-trigger", os.O_WRONLY))
