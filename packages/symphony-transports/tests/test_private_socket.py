"""A path has one listener at a time, however its listeners come and go."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from symphony_sdk.errors import TransportError
from symphony_transports.private_socket import PrivateListener

STARTER = """
import os, signal, sys
from pathlib import Path
from symphony_sdk.errors import TransportError
from symphony_transports.private_socket import PrivateListener
path = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    listener = PrivateListener(path)
except TransportError as error:
    print(error.code, flush=True)
else:
    print("listens", flush=True)
    sys.stdin.readline()
    if "die" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    listener.close()
"""


class Starter:
    def __init__(self, path, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(path), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def says(self):
        return self.process.stdout.readline().strip()

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def starters(folder):
    started = []

    def start(*words):
        started.append(Starter(folder / "run/s", *words))
        return started[-1]

    yield start
    for starter in started:
        starter.close()


def test_of_many_that_start_at_once_on_a_dead_socket_one_listens(folder, starters):
    first = starters("die")
    assert first.says() == "ready"
    first.go()
    assert first.says() == "listens"
    first.go()
    assert first.process.wait(30) == -signal.SIGKILL
    assert (folder / "run/s").exists()
    racing = [starters() for _ in range(5)]
    assert [each.says() for each in racing] == ["ready"] * 5
    for each in racing:
        each.go()
    assert sorted(each.says() for each in racing) == ["SYM-T010"] * 4 + ["listens"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "run/s"))


def test_threads_that_open_and_close_a_listener_never_have_two(folder):
    path, listening, most, opened = folder / "run/s", [], [], []

    def hammer():
        for _ in range(200):
            try:
                listener = PrivateListener(path)
            except TransportError:
                continue
            listening.append(listener)
            most.append(len(listening))
            opened.append(path.exists())
            listening.remove(listener)
            listener.close()

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert all(opened)
    assert list(path.parent.iterdir()) == []


def test_a_listener_that_has_no_lock_is_not_pushed_aside(folder):
    folder.chmod(0o700)
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(TransportError, match="listens at"):
            PrivateListener(path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert [each.name for each in folder.iterdir()] == ["s"], "no lock stays behind"


def test_a_file_that_is_no_socket_is_not_removed(folder):
    folder.chmod(0o700)
    path = folder / "s"
    path.write_text("precious")
    with pytest.raises(TransportError, match="no socket") as caught:
        PrivateListener(path)
    assert caught.value.code == "SYM-T010"
    assert path.read_text() == "precious"


def test_a_directory_in_which_nothing_can_be_made_is_named(folder):
    if os.getuid() == 0:
        path = Path("/proc/self/s")
    else:
        (folder / "run").mkdir(mode=0o500)
        path = folder / "run/s"
    with pytest.raises(TransportError, match=r"cannot be used|may enter") as caught:
        PrivateListener(path)
    assert caught.value.code == "SYM-T010"


def test_refusals_leave_no_descriptor(folder, descriptors):
    path = folder / "run/s"
    listener = PrivateListener(path)
    before = descriptors()
    for _ in range(5):
        with pytest.raises(TransportError):
            PrivateListener(path)
    assert descriptors() <= before
    listener.close()
