"""A program that confines itself as it is told, then runs a piece of code and prints what it found.

All that the code may need is imported before: as an ordinary user it may not be able to read the interpreter.
"""

# ruff: noqa: F401, BLE001

import ctypes
import errno
import fcntl
import json
import mmap
import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import msgspec
from symphony_isolation.sandbox import landlock, namespaces, privileges, seccomp, tree
from symphony_isolation.sandbox.confinement import REFUSED, LayerRefused, enter
from symphony_isolation.sandbox.policy import SandboxPolicy

libc = ctypes.CDLL(None, use_errno=True)
told = json.loads(sys.argv[1])
found = {}


def attempt(name, action):
    """Note what came of an attempt: the name of the error, or what it gave."""
    try:
        found[name] = action()
    except OSError as error:
        found[name] = errno.errorcode[error.errno]


def system(number, *arguments):
    """A system call by its number."""
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
    return "worked"


os.chdir(told["data"])
if told["user"]:
    os.setgroups([])
    os.setresgid(told["user"], told["user"], told["user"])
    os.setresuid(told["user"], told["user"], told["user"])
    libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as it is after an execution
exec(told["before"])
reports = told["reports"]
try:
    listener = enter(
        msgspec.convert(told["policy"], SandboxPolicy),
        keep=() if reports < 0 else (reports,),
        report=reports >= 0,
    )
except LayerRefused as error:
    print(error.strerror, file=sys.stderr)
    os._exit(REFUSED)
if listener >= 0:
    with socket.socket(fileno=reports) as handed:
        socket.send_fds(handed, [b"x"], [listener])
    os.close(listener)
try:
    exec(told["code"])
except BaseException:
    traceback.print_exc()
    os._exit(1)
print(json.dumps(found), flush=True)
if told["linger"]:
    sys.stdin.readline()
os._exit(0)
