"""The real command on a real terminal, whose screen is read back."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

DEADLINE = 100
GATES = 300


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """Three hundred branches, which need no extension, a question, and a node that waits for its answer."""
    nodes: dict[str, object] = {
        f"gate-{number}": {"kind": "control", "control": "branch", "condition": "true"}
        for number in range(GATES)
    }
    nodes["publish"] = {"kind": "control", "control": "approval", "prompt": "Publish it?"}
    nodes["after"] = {"kind": "control", "control": "branch", "condition": "true"}
    path = tmp_path / "gates.json"
    path.write_text(
        json.dumps(
            {
                "schema": 1,
                "id": "gates",
                "nodes": nodes,
                "edges": [
                    {"from": "gate-0", "to": "publish", "kind": "control"},
                    {"from": "publish", "to": "after", "kind": "control"},
                ],
            }
        )
    )
    return path


class Terminal:
    """A terminal in which one `symphony` command runs."""

    def __init__(self, arguments: list[str], columns: int, rows: int, **variables: str) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "symphony_host", *arguments],
            env={**environment, "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "", **variables},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Read what is written until the screen is as wanted; its lines."""
        limit = time.monotonic() + DEADLINE
        while not seen(lines := [line.rstrip() for line in self.screen.display]):
            readable, _, _ = select.select([self.master], [], [], max(0.0, limit - time.monotonic()))
            if not readable:
                raise AssertionError("the screen never was as wanted:\n" + "\n".join(lines))
            try:
                data = os.read(self.master, 65536)
            except OSError as error:  # the command has ended
                raise AssertionError("the command ended; its screen:\n" + "\n".join(lines)) from error
            self.raw += data
            self.stream.feed(data)
        return lines

    def end(self) -> int:
        """Read the rest, and return the exit code."""
        while True:
            readable, _, _ = select.select([self.master], [], [], DEADLINE)
            assert readable, "the command does not end"
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return self.process.wait(DEADLINE)
            self.raw += data
            self.stream.feed(data)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait(DEADLINE)
        os.close(terminal.master)


def test_a_run_of_hundreds_of_nodes_is_drawn_resized_and_paused_on_a_terminal(
    flow: Path, terminals: list[Terminal]
) -> None:
    terminal = Terminal(["run", str(flow)], 100, 24)
    terminals.append(terminal)
    lines = terminal.until(lambda lines: any("asks anybody: Publish it?" in line for line in lines))
    drawn = [line for line in lines if line]
    head = next(line for line in drawn if "of 302" in line)
    assert "301 of 302" in head or "300 of 302" in head
    assert "━" in head
    assert any(line.strip().startswith("symphony runs approve ") and "publish" in line for line in drawn)
    terminal.resize(40, 12)
    lines = terminal.until(
        lambda lines: (
            any("symphony runs approve" in line for line in lines)
            and not any(len(line) > 40 for line in lines)
        )
    )
    terminal.until(lambda lines: sum("of 302" in line for line in lines) == 1)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    shown = "\n".join(terminal.screen.display)
    assert "symphony resume" in shown.replace("\n", "")


def test_without_colour_and_unicode_the_picture_is_plain_ascii(flow: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(["run", str(flow)], 100, 24, NO_COLOR="1", LANG="C")
    terminals.append(terminal)
    lines = terminal.until(lambda lines: any("asks anybody: Publish it?" in line for line in lines))
    assert any("####" in line for line in lines)
    assert terminal.raw.isascii()
    assert b"\x1b[3" not in terminal.raw
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
