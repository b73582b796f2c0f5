"""`symphony artifacts` in processes of its own, on the store that is installed: pipes, terminals and Ctrl-C."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from symphony_host.cli.artifacts.progress_line import LARGE

COMMAND = (sys.executable, "-m", "symphony_host", "artifacts")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm-256color")
    return tmp_path


def artifacts(*arguments: str, code: int = 0, stdin: bytes = b"") -> bytes:
    done = subprocess.run([*COMMAND, *arguments], input=stdin, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def on_a_terminal(*arguments: str, code: int = 0) -> str:
    """What `symphony artifacts` writes where its standard output and error are a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux says EIO where all writers are gone
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait(60) == code, b"".join(parts)
    return b"".join(parts).decode()


def test_bytes_go_through_pipes_and_come_back_unchanged() -> None:
    content = os.urandom(3 << 20)
    (info,) = json.loads(artifacts("put", "-", "--name", "piped.bin", "--json", stdin=content))
    assert (info["ref"]["name"], info["ref"]["size"]) == ("piped.bin", len(content))
    assert artifacts("get", info["ref"]["id"][:12]) == content
    assert artifacts("get", info["ref"]["id"], "-o", "copy.bin").endswith(b"copy.bin (3.0 MiB)\n")
    assert Path("copy.bin").read_bytes() == content
    assert artifacts("fsck") == b"every artifact is whole\n"


def test_what_was_just_stored_is_found_by_its_words() -> None:
    artifacts("put", "-", "--name", "street.txt", "--type", "text/plain", stdin="Häuser\nder Straße".encode())
    (found,) = json.loads(artifacts("search", "straße", "HÄUSER", "--type", "text/", "--json"))
    assert (found["info"]["ref"]["name"], found["snippet"]) == ("street.txt", "Häuser\nder Straße")
    assert found["highlights"] == [[0, 6], [11, 17]]
    assert artifacts("search", "der").decode().endswith(" street.txt (19 B)\n  Häuser der Straße\n")
    assert artifacts("search", "missing") == b"no artifacts\n"
    assert b"SYM-A020" in artifacts("search", "nowhere:x", "--json", code=1)


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    (info,) = json.loads(artifacts("put", "-", "--json", stdin=os.urandom(8 << 20)))
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, "get", info["ref"]["id"]], stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stderr
        assert len(process.stdout.read(10)) == 10
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_ctrl_c_ends_a_put_at_once_and_nothing_is_stored() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, "put", "-"], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(os.urandom(1 << 20))  # more than a pipe holds: it is being read
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().split() == [b"interrupted"]
    assert json.loads(artifacts("list", "--json")) == []
    assert artifacts("fsck") == b"every artifact is whole\n"


def test_large_files_draw_a_line_on_a_terminal_that_goes_again() -> None:
    with Path("large.bin").open("wb") as file:
        file.truncate(LARGE + 5)
    drawn = on_a_terminal("put", "large.bin").split("\r\x1b[K")
    assert drawn[1].startswith("large.bin: ")
    assert drawn[1].endswith(" MiB of 64.0 MiB")
    assert drawn[-1].endswith(" large.bin (64.0 MiB)\r\n")
    Path("small.bin").write_bytes(b"small")
    assert "\x1b[K" not in on_a_terminal("put", "small.bin")


def test_a_terminal_is_given_text_and_no_control_characters() -> None:
    Path("a.txt").write_bytes(b"text\n\twith a tab\n")
    Path("b.txt").write_bytes(b"\x1b[2Jtext\n")
    text, evil = json.loads(artifacts("put", "a.txt", "b.txt", "--json"))
    assert on_a_terminal("get", text["ref"]["id"]).split() == ["text", "with", "a", "tab"]
    refused = on_a_terminal("get", evil["ref"]["id"], code=2)
    assert "is nothing for a terminal" in refused
    assert "\x1b[2J" not in refused
    assert artifacts("get", evil["ref"]["id"]) == b"\x1b[2Jtext\n"
