"""The programs of the how-to about machines, run as they stand there on a real NATS server."""

import os
import shutil
import socket
import subprocess
import sys

import pytest

NATS = shutil.which("nats-server")
pytestmark = pytest.mark.skipif(
    NATS is None and os.environ.get("CI") != "true", reason="nats-server is not installed"
)


@pytest.fixture
def url(tmp_path):
    assert NATS is not None, "nats-server is not installed: apt-get install nats-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [NATS, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(tmp_path / "kept")]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert any("Server is ready" in line for line in server.stderr)
        yield f"nats://127.0.0.1:{port}"
    finally:
        server.kill()
        server.communicate()


def test_the_programs_about_machines_print_what_the_page_says(pages, tmp_path, url):
    page = pages["how-to/connect-machines.md"]
    for block in page.blocks:
        if block.title:
            (tmp_path / block.title).write_text(block.text, "utf-8")
    told = next(block.text for block in page.blocks if "answer.py" in block.text and not block.title)
    _, _, told = told.partition("answer.py nats://127.0.0.1:4222\n")
    answers, _, asks = told.partition("$ python ask.py nats://127.0.0.1:4222\n")

    def start(program):
        return subprocess.Popen(
            [sys.executable, program, url], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )

    with start("answer.py") as answering:
        first = answering.stdout.readline()
        with start("ask.py") as asking:
            assert asking.communicate(timeout=60)[0] == asks
        assert first + answering.communicate(timeout=60)[0] == answers
    with start("archive.py") as archiving:
        assert archiving.communicate(timeout=60)[0] == "kept\n"
