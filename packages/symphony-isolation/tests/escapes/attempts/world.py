"""The host's side of all attempts: files, a process, sockets and queues of a user, and what has become of them."""

import contextlib
import ctypes
import errno
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Any

from attempts.ipc import key
from attempts.native import IPC_NOWAIT, IPC_RMID, Message, call
from attempts.system import domain, frequency, keyboard, restore

HERE = Path(__file__).parent
VARIABLE = "SYMPHONY_ATTEMPTS_SECRET"
_MARK = re.compile(rb"m[0-9a-f]{6}\d{3}")


class World:
    """What an extension could harm; close it.

    Args:
        names: Of the attempts: each has files and a mark of its own.
        user: Whose all of it is; 0 for this user.
    """

    def __init__(self, names: Iterable[str], user: int = 0) -> None:
        self.user = user
        self.run = f"m{secrets.token_hex(3)}"
        self.marks = {name: f"{self.run}{index:03}" for index, name in enumerate(names)}
        self.size = random.randrange(5_000, 50_000)
        self._secrets: dict[str, str] = {}
        self._closing = contextlib.ExitStack()
        self.root = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp"))
        self.data, self.granted, self.site = (f"{self.root}/{name}" for name in ("data", "granted", "site"))
        self.code, self.partly = f"{self.root}/code", f"{self.root}/partly"
        self._fill()
        self._sources: list[Any] = []
        self.ports = self._listen()
        self._signals = b""
        self._heard: set[str] = set()
        self._clock_was_set = 0
        self._timer = self._watch_clock()
        self._before = self._settings()
        self._let_inherit()
        self.victim = self._start_victim()

    def secret(self, name: str) -> str:
        """A secret that has this name."""
        return self._secrets.setdefault(name, f"secret-{secrets.token_hex(16)}")

    def place(self, kind: str, name: str) -> str:
        """The directory of an attempt in a tree of this kind: `outside`, `granted` or `home`."""
        return f"{self.root}/{kind}/{self.marks[name]}"

    def prepare(self, name: str) -> None:
        """Make the files of an attempt."""
        outside, granted, home = (self.place(kind, name) for kind in ("outside", "granted", "home"))
        secret = self.secret(name)
        self._write(f"{outside}/secret", secret)
        self._write(f"{outside}/sized", "x" * self.size)
        self._write(f"{outside}/{secret}", "")
        os.symlink(secret, f"{outside}/link")
        with suppress(OSError):  # a file system without
            os.setxattr(f"{outside}/secret", "user.secret", secret.encode())
        self._write(f"{granted}/text", "granted")
        self._write(f"{granted}/.git/hooks/pre-commit.sample", "#!/bin/sh\n")
        self._write(f"{home}/.bashrc", "# empty\n")
        self._write(f"{home}/.ssh/id_ed25519", secret)
        for directory in (outside, granted, home):
            self._give(directory)

    def clear(self) -> None:
        """Take away what is in the directory of the attacker."""
        for entry in os.scandir(self.data):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    def _give(self, directory: str) -> None:
        if self.user:
            for where, _, files in os.walk(directory):
                for path in (where, *(f"{where}/{file}" for file in files)):
                    os.chown(path, self.user, self.user, follow_symlinks=False)

    def facts(self, name: str) -> dict[str, Any]:
        """What an attempt may know: everything but the secrets."""
        known = {kind: self.place(kind, name) for kind in ("outside", "granted", "home")}
        return known | {
            "data": self.data,
            "code": self.code,
            "site": self.site,
            "hidden": f"{self.partly}/hidden",
            "mark": self.marks[name],
            "ports": self.ports,
            "host": os.getpid(),
            "victim": self.victim,
            "terminal": os.ttyname(self._terminal),
            "passed": self.passed.fileno(),
            "root": self.root,
            "set_user_id": f"{self.granted}/set-user-id",
        }

    def heard(self) -> set[str]:
        """The marks of the attempts of which something arrived."""
        for source in self._sources:
            with suppress(OSError):
                while data := source():
                    self._heard.update(mark.decode() for mark in _MARK.findall(data))
        return self._heard

    def signals(self) -> bytes:
        """The signals that the victim has got, as bytes."""
        with suppress(BlockingIOError):
            self._signals += os.read(self._notes, 4096)
        return self._signals

    def status(self, name: str) -> str:
        """What the kernel says of the victim."""
        text = Path(f"/proc/{self.victim['pid']}/status").read_text()
        return re.search(rf"^{name}:\s*(.*)$", text, re.MULTILINE)[1]

    def page(self) -> bytes:
        """What is in the memory of the victim that nobody but it writes to."""
        with open(f"/proc/{self.victim['pid']}/mem", "rb", buffering=0) as memory:
            memory.seek(self.victim["page"])
            return memory.read(64)

    def marked(self, name: str) -> list[int]:
        """The processes anywhere that have the mark of an attempt as their name or among their arguments."""
        return self._having(self.marks[name].encode())

    @staticmethod
    def _having(text: bytes) -> list[int]:
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for name in ("cmdline", "comm"):
                with suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
                    if text in file.read():
                        found.append(int(pid))
        return found

    def disk(self, name: str) -> tuple[int, int]:
        """Bytes and number of the files that an attempt has made in the directory of the attacker."""
        made = [entry.stat() for entry in os.scandir(self.data) if entry.name.startswith(self.marks[name])]
        return sum(status.st_blocks * 512 for status in made), len(made)

    def in_memory(self, name: str) -> int:
        """Bytes of the shared file that has the mark of an attempt."""
        with suppress(OSError):
            return os.stat(f"/dev/shm/{self.marks[name]}").st_blocks * 512
        return 0

    def clock_was_set(self) -> bool:
        """Whether somebody has set the clock, as the kernel tells a timer that is to be cancelled then."""
        with suppress(BlockingIOError):
            try:
                os.read(self._timer, 8)
            except OSError as error:
                if error.errno != errno.ECANCELED:
                    raise
                self._clock_was_set += 1
        return self._clock_was_set

    def control_groups(self) -> list[str]:
        """The control groups that attempts have made."""
        return [
            path for name in ("pids", "unified", ".") for path in glob(f"/sys/fs/cgroup/{name}/{self.run}*")
        ]

    def close(self) -> None:
        """Take everything away."""
        os.environ.pop(VARIABLE, None)
        for pid in self._having(self.run.encode()):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if self._settings() != self._before:
            restore(*self._before)
        for directory in self.control_groups():
            with suppress(OSError):
                os.rmdir(directory)
        for path in (*glob(f"/dev/shm/{self.run}*"), *glob(f"{self.site}/*{self.run}*")):
            with suppress(OSError):
                os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
        self._take_away_of_the_kernel()
        self._closing.close()

    def _take_away_of_the_kernel(self) -> None:
        """Segments and keys that attempts have left."""
        numbers = {key(mark) for mark in self.marks.values()}
        for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            number, id = map(int, line.split()[:2])
            if number in numbers:
                with suppress(OSError):
                    call("shmctl", id, IPC_RMID, None)
        with suppress(OSError):
            for line in Path("/proc/keys").read_text().splitlines():
                if self.run in line:
                    call("keyctl", 9, int(line.split()[0], 16), -4, 0, 0)  # KEYCTL_UNLINK

    def _settings(self) -> tuple[str, int, str]:
        return domain(), frequency(), keyboard()

    def _watch_clock(self) -> int:
        """A timer that is cancelled when the clock is set."""
        timer = call("timerfd_create", 0, os.O_NONBLOCK | os.O_CLOEXEC)
        self._closing.callback(os.close, timer)
        call(
            "timerfd_settime", timer, 3, struct.pack("4q", 0, 0, 1 << 40, 0), None
        )  # absolute, cancelled on set
        return timer

    def _let_inherit(self) -> None:
        """What a careless host leaves to those that it starts."""
        os.environ[VARIABLE] = self.secret("environment")
        number = os.open(self.root, os.O_TMPFILE | os.O_RDWR, 0o600)
        self._closing.callback(os.close, number)
        os.write(number, self.secret("inherited").encode())
        os.set_inheritable(number, True)

    def _fill(self) -> None:
        for kind in ("data", "granted", "partly", "site", "outside", "home", "working"):
            os.mkdir(f"{self.root}/{kind}")
        shutil.copytree(HERE, f"{self.code}/attempts", ignore=shutil.ignore_patterns("__pycache__"))
        self._write(f"{self.partly}/hidden/secret", self.secret("hidden"))
        os.chmod(self.root, 0o755)
        self._give(self.root)
        with suppress(OSError):  # only root can give a file away
            program = shutil.copy("/bin/sleep", f"{self.granted}/set-user-id")
            os.chown(program, 12345, -1)
            os.chmod(program, 0o4755)

    def _write(self, path: str, text: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def _listen(self) -> dict[str, Any]:
        """Listen wherever an extension could talk to."""
        path, abstract = f"{self.root}/sockets", f"\0{secrets.token_hex(8)}"
        os.mkdir(path)
        os.chmod(path, 0o755)
        ports: dict[str, Any] = {"unix": path, "abstract": abstract[1:]}
        stream, datagram, sequence = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
        for name, family, kind, address in (
            ("tcp", socket.AF_INET, stream, ("127.0.0.1", 0)),
            ("granted", socket.AF_INET, stream, ("127.0.0.1", 0)),
            ("tcp6", socket.AF_INET6, stream, ("::1", 0)),
            ("udp", socket.AF_INET, datagram, ("127.0.0.1", 0)),
            ("udp6", socket.AF_INET6, datagram, ("::1", 0)),
            ("unix stream", socket.AF_UNIX, stream, f"{path}/stream"),
            ("unix datagram", socket.AF_UNIX, datagram, f"{path}/datagram"),
            ("unix sequence", socket.AF_UNIX, sequence, f"{path}/sequence"),
            ("granted unix", socket.AF_UNIX, stream, f"{self.granted}/socket"),
            ("abstract stream", socket.AF_UNIX, stream, f"{abstract}-stream"),
            ("abstract datagram", socket.AF_UNIX, datagram, f"{abstract}-datagram"),
            ("named", socket.AF_UNIX, stream, f"\0{self.secret('name of a socket')}"),
        ):
            with suppress(OSError):  # such as a machine without IPv6
                one = self._closing.enter_context(socket.socket(family, kind))
                one.bind(address)
                if isinstance(address, str) and not address.startswith("\0"):
                    os.chmod(address, 0o777)
                elif isinstance(address, tuple):
                    ports[name] = one.getsockname()[1]
                self._hear(one, listens=kind != datagram)
        with suppress(OSError):
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
            self._hear(self._closing.enter_context(raw), listens=False)
        with suppress(OSError):
            netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2)  # NETLINK_USERSOCK
            netlink.bind((0, 0))
            ports["netlink"] = netlink.getsockname()[0]
            self._hear(self._closing.enter_context(netlink), listens=False)
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports["free"] = free.getsockname()[1]
        self.passed = self._closing.enter_context(socket.create_connection(("127.0.0.1", ports["granted"])))
        self.passed.set_inheritable(True)
        master, self._terminal = os.openpty()
        for one in (master, self._terminal):
            self._closing.callback(os.close, one)
        os.fchown(self._terminal, self.user or -1, -1)
        os.set_blocking(master, False)
        self._sources.append(lambda: os.read(master, 4096))
        fifo = f"{self.root}/fifo"
        os.mkfifo(fifo)
        os.chmod(fifo, 0o666)
        end = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self._closing.callback(os.close, end)
        self._sources.append(lambda: os.read(end, 4096))
        return ports

    def _hear(self, one: socket.socket, *, listens: bool) -> None:
        one.setblocking(False)
        if not listens:
            self._sources.append(lambda: one.recv(4096))
            return
        one.listen()
        accepted: list[socket.socket] = []

        def receive() -> bytes:
            with suppress(BlockingIOError):
                while True:
                    connection, _ = one.accept()
                    accepted.append(self._closing.enter_context(connection))
                    connection.setblocking(False)
            found = b""
            for each in accepted:
                with suppress(OSError):
                    found += each.recv(4096)
            return found

        self._sources.append(receive)

    def _start_victim(self) -> dict[str, Any]:
        places = (
            *("environment", "arguments", "memory", "descriptor", "working directory", "segment"),
            *("messages", "queue", "key", "shared file"),
        )
        told = {
            "secrets": {name: self.secret(name) for name in places},
            "shared": f"symphony-{secrets.token_hex(4)}",
            "user": self.user,
        }
        self._notes, writing = os.pipe()
        os.set_blocking(self._notes, False)
        os.set_blocking(writing, False)
        victim = subprocess.Popen(
            [sys.executable, "-m", "attempts.victim", str(writing), self.secret("arguments")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=f"{self.root}/working",
            env={"SECRET": self.secret("environment of another"), "PYTHONPATH": self.code},
            pass_fds=[writing],
            start_new_session=True,
        )
        os.close(writing)
        self._closing.callback(os.close, self._notes)
        self._closing.callback(_end, victim)
        victim.stdin.write(json.dumps(told) + "\n")
        victim.stdin.flush()
        where = json.loads(victim.stdout.readline())
        self._hear_queues(where)
        return where

    def _hear_queues(self, where: dict[str, Any]) -> None:
        message = Message()

        def from_system_v() -> bytes:
            call("msgrcv", where["filled messages"], ctypes.byref(message), 128, 0, IPC_NOWAIT)
            return message.text

        queue = call("mq_open", where["queues"][1].encode(), os.O_RDONLY | os.O_NONBLOCK, 0, None)
        self._closing.callback(os.close, queue)
        text = ctypes.create_string_buffer(8192)

        def from_queue() -> bytes:
            size = call("mq_receive", queue, text, 8192, None)
            return text.raw[:size]

        self._sources += [from_system_v, from_queue]


def _end(victim: "subprocess.Popen[str]") -> None:
    with victim:
        with suppress(OSError):
            victim.send_signal(signal.SIGCONT)
            victim.stdin.close()
        try:
            victim.wait(10)
        except subprocess.TimeoutExpired:
            victim.kill()
