"""The transport of the documentation is a whole one: it keeps the contract that the page names."""

import os
import subprocess
import sys


def test_the_transport_of_the_page_keeps_the_contract(pages, tmp_path):
    blocks = [block for block in pages["how-to/write-a-transport.md"].blocks if block.title]
    for block in blocks:
        file = tmp_path / block.title
        file.parent.mkdir(exist_ok=True)
        file.write_text(block.text, "utf-8")
    titles = {
        "acme_tcp/transport.py",
        "acme_tcp/plugin.py",
        "acme_tcp/symphony.toml",
        "tests/test_transport.py",
    }
    assert {block.title for block in blocks} == titles
    code = (
        "from acme_tcp.plugin import *; print(*(each.create(None).scheme for each in symphony_transports()))"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 100}
    made = subprocess.run([sys.executable, "-c", code], check=False, **run)
    assert (made.stdout, made.stderr) == ("tcp\n", "")
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    kept = subprocess.run([sys.executable, "-m", "pytest", *options, "tests"], check=False, **run)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    assert "skipped" not in kept.stdout
