"""The first process of a virtual machine: makes it look as systemd does, and runs the tests in several places of it."""

import ctypes
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

libc = ctypes.CDLL(None, use_errno=True)
GROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = "+cpu +memory +pids"
USER = 1000
MS_BIND, MS_MOVE = 1 << 12, 1 << 13
RB_AUTOBOOT = 0x01234567  # qemu is told not to: it ends

ALL = (
    *(f"sandbox/test_{name}.py" for name in ("choosing", "layers", "denials", "limits")),
    "broker/test_beneath.py",
)
LIMITS = ("sandbox/test_limits.py",)


class Place(NamedTuple):
    """Where the tests are run.

    Args:
        name: In words.
        user: Who runs them.
        group: The control group that they are in; empty where there are none.
        tests: Which.
        namespaces: Whether users may have namespaces.
    """

    name: str
    user: int
    group: str
    tests: tuple[str, ...]
    namespaces: bool = True


PLACES = (
    Place("root, in a session", 0, "user.slice/user-0.slice/session-1.scope", ALL),
    Place(
        "user, in a desktop session",
        USER,
        "user.slice/user-1000.slice/user@1000.service/app.slice/app-symphony.scope",
        ALL,
    ),
    Place("user, as a service", USER, "system.slice/symphony.service", LIMITS),
    Place("user, logged in by ssh", USER, "user.slice/user-1000.slice/session-2.scope", LIMITS),
    Place("user, no namespaces", USER, "user.slice/user-1000.slice/session-2.scope", ALL, namespaces=False),
    Place("root, no control groups", 0, "", LIMITS),
)
DELEGATED = (
    "user.slice/user-1000.slice/user@1000.service",
    "user.slice/user-1000.slice/user@1000.service/app.slice",
    "user.slice/user-1000.slice/user@1000.service/app.slice/app-symphony.scope",
    "system.slice/symphony.service",
)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system."""
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode() or None):
        raise OSError(ctypes.get_errno(), f"mounting {target} failed")


def begin() -> None:
    """Mount what every system has, on a root that can be left: that of an initial file system cannot."""
    mount("/", "/root-again", flags=MS_BIND)
    os.chdir("/root-again")
    mount(".", "/", flags=MS_MOVE)
    os.chroot(".")
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    mount("devtmpfs", "/dev", "devtmpfs")
    Path("/dev/shm").mkdir()
    mount("tmpfs", "/dev/shm", "tmpfs", data="mode=1777")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


def make_groups() -> None:
    """Make the control groups that systemd makes, and give those to the user that are the user's."""
    mount("cgroup2", str(GROUPS), "cgroup2", data="nsdelegate,memory_recursiveprot")
    for place in PLACES:
        if place.group:
            folder = GROUPS
            for part in Path(place.group).parts:
                (folder / "cgroup.subtree_control").write_text(CONTROLLERS)
                folder /= part
                folder.mkdir(exist_ok=True)
    for group in DELEGATED:
        for file in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
            os.chown(GROUPS / group / file, USER, USER)


def run(place: Place, options: list[str]) -> None:
    """Run the tests in one place, and print what came of it."""

    def settle() -> None:
        if place.group:
            (GROUPS / place.group / "cgroup.procs").write_text(str(os.getpid()))
        if place.user:
            os.setgroups([])
            os.setresgid(place.user, place.user, place.user)
            os.setresuid(place.user, place.user, place.user)

    if not place.group:
        libc.umount2(str(GROUPS).encode(), 2)
    Path("/proc/sys/user/max_user_namespaces").write_text("10000" if place.namespaces else "0")
    print(f"== {platform.release()}: {place.name}", flush=True)
    report = Path(f"/tmp/report-{place.user}.xml")
    status = started(settle, ["-c", SESSION, *PYTEST.split(), f"--junitxml={report}", *options, *place.tests])
    outcomes = []
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        outcomes.append((case.get("name"), outcome))
    report.unlink()
    result = {"kernel": platform.release(), "place": place.name, "status": status, "outcomes": outcomes}
    print(f"@result {json.dumps(result)}", flush=True)


PYTEST = """
-q --tb=short --color=no --rootdir /tests --import-mode=importlib -W error -p no:cacheprovider
-p pytest_timeout --timeout 600
"""
SESSION = """
import sys, pytest
from symphony_isolation.sandbox import landlock, probe
print("Landlock", landlock.abi(), "tier", probe().best)
for layer in probe().layers: print(f"  {layer.name}: {layer.reason or 'works'}")
sys.exit(pytest.main(sys.argv[1:]))
"""
"""What each place has, and its tests."""


def started(settle: Callable[[], None], words: list[str]) -> int:
    """Run Python to its end, and reap what is left to this process meanwhile."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    child = subprocess.Popen([sys.executable, *words], cwd="/tests", env=environment, preexec_fn=settle)
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode


try:
    begin()
    make_groups()
    told = json.loads(Path("/options.json").read_text())
    for place in PLACES:
        if any(word in place.name for word in told["places"]):
            run(place, told["pytest"])
    print("@end", flush=True)
except BaseException:  # noqa: BLE001 - the machine ends whatever happens
    traceback.print_exc()
finally:
    sys.stdout.flush()
    libc.reboot(RB_AUTOBOOT)
