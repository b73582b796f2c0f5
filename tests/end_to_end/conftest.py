import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 100
EXAMPLES = ("symphony.files", "symphony.file-type", "symphony.code-metrics")


class Symphony:
    """The `symphony` command with directories of its own."""

    def __init__(self, home):
        self.environment = {
            **os.environ,
            "SYMPHONY_DATA_DIR": str(home / "data"),
            "SYMPHONY_CACHE_DIR": str(home / "cache"),
            "SYMPHONY_CONFIG_DIR": str(home / "config"),
        }

    def start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "symphony_host", *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # What it tells waits for the test, which is to meet it in the middle of its run.
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        return process

    def __call__(self, *arguments):
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=DEADLINE)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def events(self, *arguments):
        """Run to the end with --json; the exit code and every line."""
        done = self(*arguments, "--json")
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def grants(tmp_path_factory):
    """What a user has who granted to the examples what they declare, once and for all."""
    home = tmp_path_factory.mktemp("grants")
    done = Symphony(home)("permissions", "grant", *EXAMPLES)
    assert done.returncode == 0, done.stderr
    return home / "data" / "grants"


@pytest.fixture
def symphony(tmp_path, grants):
    home = tmp_path / "symphony"
    shutil.copytree(grants, home / "data" / "grants")
    return Symphony(home)


@pytest.fixture
def atlas():
    return ROOT / "examples" / "workflows" / "code-atlas.json"


@pytest.fixture
def folder(tmp_path):
    """A folder of sixty source files, one empty file, one of random bytes, and one of another language."""
    folder = tmp_path / "code"
    (folder / "deep" / "er").mkdir(parents=True)
    for number in range(60):
        (folder / "deep" / f"module_{number}.py").write_text(
            f'"""Module {number}."""\n\n\ndef double(x):\n    if x:\n        return x * 2\n    return {number}\n'
        )
    (folder / "empty").write_bytes(b"")
    (folder / "garbage.bin").write_bytes(bytes((i * 7919 + 13) % 256 for i in range(4000)))
    (folder / "deep" / "er" / "page.html").write_text("<!doctype html><html><body><p>Hi</p></body></html>")
    return folder


def children(pid):
    """The processes that `pid` started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(pid):
    """The workers of a host: its children, and those of the process that others are forked from."""
    for child in children(pid):
        with suppress(OSError):  # it has ended meanwhile
            zygote = b"symphony_isolation.zygote" in Path(f"/proc/{child}/cmdline").read_bytes()
            yield from children(child) if zygote else [child]


@pytest.fixture
def kill_workers():
    def kill(pid):
        killed = [*workers(pid)]
        assert killed, "the host has no worker"
        for child in killed:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    return kill
