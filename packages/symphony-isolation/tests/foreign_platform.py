"""Imports the package as on PLATFORM, without what that system does not have; prints what was not imported, and why.

What Python and the libraries need themselves is imported before: whether that works there is not tried here.
"""

import asyncio.subprocess
import concurrent.futures
import ctypes
import http.client
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import ssl
import sys
import tempfile
import types
import uuid

import msgspec
import packaging.specifiers
import pluggy

PLATFORM = sys.argv[1]
LOADED = (
    asyncio,
    concurrent.futures,
    http.client,
    ssl,
    tempfile,
    uuid,
    msgspec,
    packaging.specifiers,
    pluggy,
)

LINUX_ALONE = {
    os: "O_PATH O_TMPFILE EFD_CLOEXEC copy_file_range eventfd eventfd_read eventfd_write getrandom memfd_create "
    "pidfd_open pipe2 sched_getaffinity sched_setaffinity setns splice unshare waitid P_PID WEXITED WNOWAIT",
    signal: "SIGPWR SIGRTMAX SIGRTMIN pidfd_send_signal sigtimedwait sigwaitinfo",
    socket: "AF_NETLINK AF_PACKET AF_VSOCK MSG_CMSG_CLOEXEC SO_PASSCRED SO_PEERCRED SOCK_CLOEXEC SOCK_NONBLOCK",
    select: "EPOLLERR EPOLLET EPOLLHUP EPOLLIN EPOLLOUT epoll",
}
NOT_ON_WINDOWS = {
    os: "O_ACCMODE O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK WNOHANG chown chroot environb fork getgid "
    "getloadavg getpgid getuid geteuid killpg mkfifo posix_spawn pread pwrite register_at_fork sendfile set_blocking "
    "setpgid setsid statvfs sysconf uname wait",
    signal: "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGSTOP SIGUSR1 SIGUSR2 SIG_SETMASK pthread_sigmask",
    socket: "AF_UNIX MSG_DONTWAIT SCM_RIGHTS SOCK_SEQPACKET recv_fds send_fds",
    select: "POLLIN poll",
}
UNIX_MODULES = ("fcntl", "grp", "pwd", "resource", "syslog", "termios")


def become(platform: str) -> None:
    """Take away what Python does not have on a platform."""
    missing = [LINUX_ALONE, NOT_ON_WINDOWS] if platform == "win32" else [LINUX_ALONE]
    for module, names in ((module, names) for each in missing for module, names in each.items()):
        for name in names.split():
            vars(module).pop(name, None)
    if platform == "win32":
        sys.modules.update(dict.fromkeys(UNIX_MODULES))
        sys.modules["msvcrt"] = types.ModuleType("msvcrt")
        os.O_NOINHERIT = 0x80
        ctypes.CDLL = None  # which is never asked for the program itself there
    sys.platform = platform


def modules(package: str) -> list[str]:
    path = importlib.util.find_spec(package).submodule_search_locations
    return [
        package,
        *(each.name for each in pkgutil.walk_packages(path, f"{package}.", onerror=lambda name: None)),
    ]


become(PLATFORM)
refused = {}
for name in modules("symphony_isolation"):
    try:
        importlib.import_module(name)
    except (ImportError, AttributeError, TypeError) as error:
        refused[name] = repr(error)
json.dump(
    {"refused": refused, "imported": [name for name in sys.modules if name.startswith("symphony")]},
    sys.stdout,
)
