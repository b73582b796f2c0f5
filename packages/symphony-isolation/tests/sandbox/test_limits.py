"""A confined process is held to its limits, by the kernel or by the host, and says which one ended it."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from symphony_isolation.sandbox import Enclosure, Limits, cgroup, watchdog
from symphony_isolation.sandbox.processes import children_of, descendants_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux")

READY = "print('{}', flush=True)\n"
FILL = "held = []\nwhile True: held.append(b'x' * (1 << 20))\n"
SHARED = (
    "held = []\nwhile True:\n    held.append(mmap.mmap(-1, 1 << 20))\n    held[-1].write(b'x' * (1 << 20))\n"
)
THREADS = "while True: threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
FILES = "while True: Path(str(time.monotonic_ns())).write_bytes(b'x' * (1 << 18))\n"
CHILDREN = "while True: os.fork() or signal.pause()\n"
DAEMON = """
if not os.fork():
    os.setsid()
    if not os.fork():
        Path("daemon").write_text(str(os.getpid()))
        signal.pause()
    os._exit(0)
os.wait()
while not Path("daemon").exists() or not Path("daemon").read_text(): time.sleep(0.001)
"""


def ended(process, deadline=30):
    """Whether a process ends in time, and how."""
    return process.wait(timeout=deadline)


def living(pids):
    """Those processes that have not ended."""
    alive = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if state not in (b"Z", b"X"):
            alive.append(pid)
    return alive


def until(condition, deadline=30):
    """Wait until something holds."""
    limit = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < limit
        select.select([], [], [], 0.005)


@pytest.mark.parametrize(
    ("limits", "code", "reason"),
    [
        (Limits(memory=96 << 20), SHARED, "used more than its 96 MiB of memory"),
        (Limits(disk=2 << 20), FILES, "filled more than its 2 MiB of disk"),
        (Limits(processes=4), CHILDREN, "had more than its 4 processes"),
    ],
)
def test_who_uses_more_than_allowed_is_ended_and_it_is_said_why(place, tier, enclosed, limits, code, reason):
    policy = place.policy(tier, limits=limits)
    enclosure = enclosed(policy)
    with place.start(policy, code) as process:
        enclosure.attach(process.pid)
        assert ended(process) != 0
    assert enclosure.violation().text == reason
    enclosure.kill()
    assert enclosure.violation().text == reason


def test_memory_that_is_written_in_large_pieces_is_refused_before_anyone_is_killed(place, tier, enclosed):
    policy = place.policy(tier, limits=Limits(memory=96 << 20))
    enclosure = enclosed(policy)
    code = "try: bytes(1 << 30)\nexcept MemoryError: found['refused'] = True\n"
    with place.start(policy, code) as process:
        enclosure.attach(process.pid)
        assert process.communicate(timeout=60)[0] == '{"refused": true}\n'
    assert enclosure.violation() is None


@pytest.mark.parametrize("tier", ["full"], indirect=True)
def test_the_interpreter_is_not_counted_as_memory_of_the_extension(place, tier):
    policy = place.policy(tier, limits=Limits(memory=1 << 30))
    enclosure = Enclosure(policy, "test", use_cgroup=False)
    with place.start(policy, "", linger=True) as process:
        try:
            enclosure.attach(process.pid)
            processes = enclosure._watched._processes
            until(lambda: len(processes) == 3)
            until(lambda: 0 < list(processes.values())[-1].base <= 32 << 20)
            process.communicate("\n", timeout=60)
        finally:
            enclosure.close()


def test_threads_are_counted(place, tier, enclosed):
    policy = place.policy(tier, limits=Limits(threads=20, processes=1))
    enclosure = enclosed(policy)
    code = "try:\n    " + THREADS + "except RuntimeError: found['threads'] = threading.active_count()\n"
    with place.start(policy, code) as process:
        enclosure.attach(process.pid)
        output = process.communicate(timeout=60)[0]
    if enclosure.by_kernel:
        assert output == '{"threads": 20}\n'
    else:
        assert output or enclosure.violation().text == "had more than its 20 threads"


def test_processor_time_is_shared_out(place, tier, enclosed):
    policy = place.policy(tier, limits=Limits(cpu=0.2))
    enclosure = enclosed(policy)
    code = """
began, end = time.process_time(), time.monotonic() + 1
while time.monotonic() < end: pass
found["used"] = time.process_time() - began
"""
    with place.start(policy, code) as process:
        enclosure.attach(process.pid)
        output = process.communicate(timeout=60)[0]
    assert 0 < float(output.split()[1].rstrip("}\n")) < 0.7
    assert enclosure.violation() is None


@pytest.mark.parametrize("ending", ["kill", "crash"])
def test_no_process_is_left_by_one_that_hides_in_a_session_of_its_own(place, tier, enclosed, ending):
    policy = place.policy(tier, limits=Limits(processes=8))
    enclosure = enclosed(policy)
    crash = "os._exit(3)" if ending == "crash" else ""
    with place.start(policy, DAEMON + READY + crash, linger=True) as process:
        enclosure.attach(process.pid)
        assert process.stdout.readline() == "{}\n"
        before = descendants_of(process.pid)
        if ending == "kill":
            assert len(before) >= 2
            enclosure.kill()
        ended(process)
        enclosure.close()
        until(lambda: not living(before))


@pytest.mark.skipif(sys.platform != "linux", reason="keepers are of Linux")
def test_the_keeper_takes_orphans_before_anything_can_leave_one():
    code = """
import ctypes, os
from symphony_isolation.sandbox import namespaces

def fork():
    takes_orphans = ctypes.c_int()
    ctypes.CDLL(None).prctl(37, ctypes.byref(takes_orphans), 0, 0, 0)  # PR_GET_CHILD_SUBREAPER
    os._exit(10 + takes_orphans.value)

namespaces.os.fork = fork
namespaces.fork_kept()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 11


@pytest.mark.parametrize("processes", [1, 8])
def test_all_end_with_the_host(place, tier, processes):
    policy = place.policy(tier, limits=Limits(processes=processes))
    host = f"""
import os, sys
sys.path[:] = {sys.path!r}
from symphony_isolation.sandbox import SandboxPolicy, die_with, enter
import msgspec, signal, time
from pathlib import Path
here = os.getpid()
if not os.fork():
    die_with(here)
    os.chdir({str(place.data)!r})
    enter(msgspec.msgpack.decode({msgspec.msgpack.encode(policy)!r}, type=SandboxPolicy), keep=())
    if {processes} > 1:
        exec({DAEMON!r})
    print("ready", flush=True)
    signal.pause()
    os._exit(0)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", host], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        within = descendants_of(process.pid)
        assert len(within) >= processes // 4 + 1
        process.send_signal(signal.SIGKILL)
    until(lambda: not living(within))


def groups():
    """The control groups of this process that are there."""
    try:
        directories = cgroup.base().directories
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    return [path for directory in directories for path in directory.glob(f"symphony-{os.getpid()}-*")]


def test_no_control_group_is_left(place, tier):
    assert groups() == []
    enclosure = Enclosure(place.policy(tier, limits=Limits(memory=1 << 28)), "acme/x")
    with place.start(place.policy(tier), READY, linger=True) as process:
        enclosure.attach(process.pid)
        assert process.stdout.readline() == "{}\n"
        assert groups() != []
        enclosure.kill()
        assert ended(process) == -signal.SIGKILL
    enclosure.close()
    until(lambda: groups() == [])


def test_groups_of_a_host_that_was_killed_are_removed_by_the_next_one(tmp_path):
    groups()
    code = f"""
import sys
sys.path[:] = {sys.path!r}
import os, signal
from symphony_isolation.sandbox import Enclosure, SandboxPolicy
enclosure = Enclosure(SandboxPolicy("fallback"), "left")
print(*map(str, enclosure._group._directories), flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        left = [Path(word) for word in process.stdout.readline().split()]
        assert left
        assert all(path.is_dir() for path in left)  # any other host may remove them once this one is dead
        process.kill()
    cgroup.base.cache_clear()
    cgroup.base()
    assert not any(path.exists() for path in left)


def test_a_host_that_is_alone_in_the_only_group_it_may_change_makes_room_for_others_within():
    """As in a service with `Delegate=yes`, or in a container: what has processes in it hands no controllers on."""
    groups()
    base = cgroup.base()
    if base.version == 1:
        pytest.skip("the control groups of this machine are those of version 1")
    service = base.directories[0] / f"symphony-test-{os.getpid()}"
    code = f"""
import sys
sys.path[:] = {sys.path!r}
import subprocess
from pathlib import Path
from symphony_isolation.sandbox import Enclosure, Limits, SandboxPolicy, cgroup
def own(pid):
    return Path(f"/proc/{{pid}}/cgroup").read_text().strip().rpartition(":")[2]
sys.stdin.readline()
before = own("self")
cgroup._mounts = lambda: {{"": (Path({str(service)!r}), before)}}
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
enclosure = Enclosure(SandboxPolicy("fallback", limits=Limits(memory=1 << 28)), "test")
enclosure.attach(child.pid)
print(cgroup.base().directories[0], *(own(pid).removeprefix(before) for pid in ("self", child.pid)), flush=True)
child.kill()
child.wait()
enclosure.close()
"""
    service.mkdir()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            (service / "cgroup.procs").write_text(str(process.pid))
            output = process.communicate("\n", timeout=60)[0]
        where, host, worker = output.split()
        assert (where, host) == (str(service), "/symphony-host")
        assert worker.startswith("/symphony-") and worker != host
    finally:
        until(lambda: not any(path.read_text() for path in service.glob("*/cgroup.procs")))
        for directory in (*service.glob("*/"), service):
            directory.rmdir()


def test_a_worker_that_owes_processor_time_is_stopped_until_it_is_even():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        watched = watchdog.Watched(process.pid, Limits(cpu=0.1), grows=False, trees=(), helpers=0)
        try:
            until(lambda: looked(watched) and watched._stopped)
            until(
                lambda: Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
            )
            until(lambda: looked(watched) and not watched._stopped)
        finally:
            watched.kill()
            process.wait()
            watched.close()


def looked(watched):
    watched.look(time.monotonic())
    return True


def test_a_process_that_is_found_while_the_others_are_stopped_is_stopped_with_them():
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as shell:
        watched = watchdog.Watched(shell.pid, Limits(cpu=0.1), grows=True, trees=(), helpers=0)
        try:
            shell.stdout.readline()
            watched._stopped, watched._tokens = True, -1.0
            watched.look(time.monotonic())
            (child,) = children_of(shell.pid)
            until(lambda: Path(f"/proc/{child}/stat").read_bytes().split()[2] == b"T")
        finally:
            watched.kill()
            watched.close()


def test_the_children_of_a_process_are_found():
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo ready; wait"], stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout.readline() == "ready\n"
        (child,) = children_of(shell.pid)
        assert descendants_of(shell.pid) == [child]
        assert shell.pid in children_of(os.getpid())
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("count", "text"), [(512 << 20, "512 MiB"), (3 << 29, "1.5 GiB"), (100, "100 B"), (2048, "2 KiB")]
)
def test_amounts_are_said_in_their_unit(count, text):
    assert watchdog.size(count) == text
