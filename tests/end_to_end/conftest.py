import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 100


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
        return subprocess.Popen(
            [sys.executable, "-m", "symphony_host", *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments):
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=DEADLINE)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def events(self, *arguments):
        """Run to the end with --json; the exit code and every line."""
        done = self(*arguments, "--json")
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def symphony(tmp_path):
    return Symphony(tmp_path / "symphony")


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


@pytest.fixture
def kill_children():
    def kill(pid):
        killed = children(pid)
        assert killed, "the host has no worker"
        for child in killed:
            os.kill(child, signal.SIGKILL)

    return kill
