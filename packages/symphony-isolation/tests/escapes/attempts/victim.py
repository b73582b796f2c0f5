"""A process of the user that minds its own business: it has secrets in every place that others may look at.

Told its secrets on stdin, it says on stdout where they are, then notes each signal that it gets, until stdin ends.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from attempts.native import IPC_CREAT, IPC_RMID, Message, call, shared

PRIVATE = 0
ANYONE = 0o666


def main(notes):
    told = json.loads(sys.stdin.readline())
    secrets = told["secrets"]
    with contextlib.suppress(OSError):
        call("unshare", 0x04000000)  # a namespace of its own, that others could enter
    become(told["user"])
    for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
        signal.signal(number, lambda *of: None)
    signal.signal(signal.SIGIO, lambda *of: None)
    signal.signal(signal.SIGURG, lambda *of: None)
    signal.set_wakeup_fd(notes, warn_on_full_buffer=False)
    Path("here").write_text(secrets["working directory"])
    memory = ctypes.create_string_buffer(secrets["memory"].encode())
    page = ctypes.create_string_buffer(64)
    with tempfile.TemporaryFile() as unlinked:
        unlinked.write(secrets["descriptor"].encode())
        unlinked.flush()
        where = {
            "pid": os.getpid(),
            "memory": ctypes.addressof(memory),
            "page": ctypes.addressof(page),
            "descriptor": unlinked.fileno(),
            "shared": told["shared"],
        }
        Path("/dev/shm", told["shared"]).write_text(secrets["shared file"])
        queues = [f"/{told['shared']}-{kind}".encode() for kind in ("read", "filled", "removed")]
        try:
            where |= of_system_v(secrets)
            where |= with_queues(queues, secrets)
            where |= with_key(told["shared"], secrets)
            print(json.dumps(where), flush=True)
            while sys.stdin.read(1):
                pass
        finally:
            take_away(where, queues, told["shared"])


def become(user):
    """Be this user, whom others of its own may look at; after all imports, as it may not read the interpreter."""
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        call("prctl", 4, 1, 0, 0, 0)  # PR_SET_DUMPABLE


def of_system_v(secrets):
    ids = {}
    for name in ("segment", "changed segment"):
        ids[name] = call("shmget", PRIVATE, 128, IPC_CREAT | ANYONE)
    shared(ids["segment"]).value = secrets["segment"].encode()
    for name in ("raised semaphore", "set semaphore", "removed semaphore"):
        ids[name] = call("semget", PRIVATE, 1, IPC_CREAT | ANYONE)
    for name in ("messages", "filled messages", "removed messages"):
        ids[name] = call("msgget", PRIVATE, IPC_CREAT | ANYONE)
    call("msgsnd", ids["messages"], ctypes.byref(Message(1, secrets["messages"].encode())), 128, 0)
    return ids


def with_queues(names, secrets):
    os.umask(0)
    for name in names:
        queue = call("mq_open", name, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, ANYONE, None)
        if name == names[0]:
            call("mq_send", queue, secrets["queue"].encode(), len(secrets["queue"]), 0)
    return {"queues": [name.decode() for name in names]}


def with_key(name, secrets):
    secret = secrets["key"].encode()
    try:
        key = call("add_key", b"user", name.encode(), secret, len(secret), -4)  # the user's keyring
        call("keyctl", 5, key, 0x3F3F0000, 0, 0)  # KEYCTL_SETPERM
    except OSError:  # a container's filter
        key = 0
    return {"key": key}


def take_away(where, queues, name):
    for kind, id in where.items():
        with contextlib.suppress(OSError):
            if "segment" in kind:
                call("shmctl", id, IPC_RMID, None)
            elif "semaphore" in kind:
                call("semctl", id, 0, IPC_RMID)
            elif "messages" in kind:
                call("msgctl", id, IPC_RMID, None)
    for queue in queues:
        with contextlib.suppress(OSError):
            call("mq_unlink", queue)
    with contextlib.suppress(OSError):
        call("keyctl", 9, where.get("key", 0), -4, 0, 0)  # KEYCTL_UNLINK
    with contextlib.suppress(OSError):
        Path("/dev/shm", name).unlink()


if __name__ == "__main__":
    main(int(sys.argv[1]))
