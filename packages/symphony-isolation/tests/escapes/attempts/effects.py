"""How the host sees that an attempt has succeeded: each function gives an `Effect`.

None of them trusts what the hostile code says, but for a secret that it cannot have from anywhere else.
"""

import os
import re
import socket
import stat
import time
from contextlib import suppress

from attempts import native
from attempts.table import Effect

SO_DOMAIN = 39


def told(secret=""):
    """It told the secret: that of its own directory outside of what is granted, unless another one is named."""
    return Effect(lambda look: look.world.secret(secret or look.name) in look.said)


def changed(place="outside"):
    """Something of the user is not as it was: files, their modes, times, attributes, or which there are."""

    def snapshot(look):
        return _snapshot(look.world.place(place, look.name))

    return Effect(lambda look: snapshot(look) != look.before, snapshot)


def heard():
    """Something of it arrived at a socket, a queue or a terminal of the host."""
    return Effect(lambda look: look.world.marks[look.name] in look.world.heard())


def signalled(number):
    """A process of the user got this signal."""
    return Effect(
        lambda look: look.world.signals().count(number) > look.before,
        lambda look: look.world.signals().count(number),
    )


def alters(what):
    """Something that the host can ask for is not as it was.

    Args:
        what: Gives it from the world.
    """
    return Effect(lambda look: what(look.world) != look.before, lambda look: what(look.world))


def holds(pattern):
    """A process of it has a descriptor of something that leads out of the sandbox."""

    def found(look):
        return [pid_link for pid_link in links(look.pids) if re.search(pattern, pid_link[1])]

    return Effect(lambda look: len(found(look)) > look.before, lambda look: len(found(look)))


def holds_socket(family, *, listens=False):
    """A process of it has a socket of this family."""

    def seen(look):
        for pid, link in links(look.pids):
            if link.startswith("socket:"):
                with suppress(OSError), _taken(pid, link) as one:
                    listening = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    if one.getsockopt(socket.SOL_SOCKET, SO_DOMAIN) == family and (listening or not listens):
                        return True
        return False

    return Effect(seen)


def watches(name):
    """A process of it is told of what happens in a directory outside."""

    def seen(look):
        inode = f"ino:{os.stat(look.world.place('outside', look.name)).st_ino:x} "
        return any(inode in text for text in _texts(look.pids, "fdinfo/*"))

    return Effect(seen)


def runs():
    """A process with its mark runs somewhere: what it started, or what it became."""
    return Effect(lambda look: bool(look.world.marked(look.name)))


def moved(namespace):
    """A process of it is in another namespace than it was put in."""
    return _leads_elsewhere(f"ns/{namespace}")


def reads(file, pattern, *, new=True):
    """What the kernel tells of a process of it matches.

    Args:
        file: Beneath `/proc/PID`.
        pattern: A regular expression.
        new: Whether it must not have matched before.
    """

    def count(look):
        return sum(bool(re.search(pattern, text, re.MULTILINE)) for text in _texts(look.pids, file))

    return Effect(lambda look: count(look) > (look.before if new else 0), count)


def carries_its_mark(file):
    """What the kernel tells of a process of it names the attempt."""
    return Effect(lambda look: any(look.world.marks[look.name] in text for text in _texts(look.pids, file)))


def has_another_root():
    """A process of it has another root than it was given."""
    return _leads_elsewhere("root")


def _leads_elsewhere(link):
    def ends(look):
        found = set()
        for pid in look.pids:
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/{link}"))
        return found

    return Effect(lambda look: not ends(look) <= look.before, ends)


def made(test):
    """A file is in its own directory that must not be there.

    Args:
        test: Tells by the `os.stat_result` of each.
    """

    def seen(look):
        try:
            return test(os.lstat(f"{look.world.data}/{look.world.marks[look.name]}"))
        except FileNotFoundError:
            return False

    return Effect(seen)


def outgrew(amount):
    """It has got more than it may have, and goes on.

    Args:
        amount: Gives how much it has and how much it may have.
    """

    def seen(look):
        until = time.monotonic() + look.grace
        while look.pids:
            has, may = amount(look)
            if has <= may or time.monotonic() >= until:
                return has > may
            time.sleep(0.01)
        return False

    return Effect(seen)


def is_device(status):
    return stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)


def is_socket(status):
    return stat.S_ISSOCK(status.st_mode)


def runs_as_another(status):
    return bool(status.st_mode & 0o6000)


def links(pids):
    """What the descriptors of some processes are, by process."""
    for pid in pids:
        with suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    yield pid, os.readlink(f"/proc/{pid}/fd/{number}")


def _taken(pid, link):
    for number in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{number}") == link:
            process = os.pidfd_open(pid)
            try:
                number = native.call("pidfd_getfd", process, int(number), 0)
                return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, number)  # asked what it is later
            finally:
                os.close(process)
    raise FileNotFoundError(link)


def _texts(pids, file):
    for pid in pids:
        directory, _, name = f"/proc/{pid}/{file}".rpartition("/")
        with suppress(OSError):
            for one in os.listdir(directory) if name == "*" else [name]:
                with suppress(OSError), open(f"{directory}/{one}") as opened:
                    yield opened.read()


def _snapshot(directory):
    found = {}
    for where, directories, files in os.walk(directory):
        for name in (".", *directories, *files):
            path = os.path.join(where, name)
            status = os.lstat(path)
            content = b""
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            attributes = () if stat.S_ISLNK(status.st_mode) else tuple(os.listxattr(path))
            times = status.st_mtime_ns if stat.S_ISREG(status.st_mode) else 0
            found[path] = (status.st_mode, status.st_uid, status.st_gid, times, content, attributes)
    return found
