"""The programs of the how-to about machines, run as they stand there on a real NATS server."""

import asyncio
import json
import os
import shutil
import subprocess
import sys

import pytest
from symphony_ipc.bus import Bus
from symphony_sdk.events import RunHappened
from symphony_transport_nats import NatsSettings, connect

NATS = shutil.which("nats-server")
pytestmark = pytest.mark.skipif(
    NATS is None and os.environ.get("CI") != "true", reason="nats-server is not installed"
)


@pytest.fixture
def url(tmp_path):
    assert NATS is not None, "nats-server is not installed: apt-get install nats-server"
    command = [NATS, "-js", "-a", "127.0.0.1", "-p", "-1", "-sd", str(tmp_path / "kept")]  # any port
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        said = []
        while not said or "Server is ready" not in said[-1]:
            said.append(server.stderr.readline())
            assert said[-1], said
        (listens,) = (line for line in said if "Listening for client connections on" in line)
        yield f"nats://127.0.0.1:{listens.rpartition(':')[2].strip()}"
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


def test_a_host_with_the_setting_of_the_page_tells_the_server_of_its_runs(tmp_path, url):
    async def main():
        listener = Bus("elsewhere")
        await listener.join(await connect(NatsSettings(url=url), listener.name))
        async with await listener.subscribe("run.*.run-completed") as told, asyncio.timeout(60):
            flow = {
                "schema": 1,
                "id": "walk",
                "nodes": {"walk": {"kind": "operator", "uses": "symphony.files.walk"}},
                "inputs": {"path": {"schema": {"type": "string", "format": "path"}}},
                "edges": [{"from": "$inputs.path", "to": "walk.path"}],
            }
            (tmp_path / "flow.json").write_text(json.dumps(flow))
            environment = {
                **os.environ,
                **{f"SYMPHONY_{kind}_DIR": str(tmp_path / kind) for kind in ("DATA", "CACHE", "CONFIG")},
                "SYMPHONY_BUS_UPLINK": "nats",
                "SYMPHONY_EXTENSIONS__SYMPHONY_TRANSPORT_NATS__URL": url,
            }
            symphony = [sys.executable, "-m", "symphony_host"]
            granting = [*symphony, "permissions", "grant", "symphony.files"]
            granted = await asyncio.create_subprocess_exec(*granting, env=environment)
            assert await granted.wait() == 0
            command = [*symphony, "run", "flow.json", "--input", "path=."]
            running = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment)
            assert isinstance((await anext(told)).message, RunHappened)
            assert await running.wait() == 0
        await listener.close()

    asyncio.run(main())
