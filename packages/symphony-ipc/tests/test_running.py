"""Which event loop a program runs on."""

import asyncio
import sys

from symphony_ipc import run

FAKE = """
import asyncio

def run(main):
    return "on uvloop", asyncio.run(main)
"""


async def main():
    return asyncio.get_running_loop() is not None


def test_a_program_runs_on_uvloop_where_it_is_installed(tmp_path, monkeypatch):
    (tmp_path / "uvloop.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "uvloop", raising=False)
    try:
        assert run(main()) == ("on uvloop", True)
    finally:
        sys.modules.pop("uvloop", None)


def test_a_program_runs_on_asyncio_where_it_is_not(monkeypatch):
    monkeypatch.setattr("symphony_ipc.running.find_spec", lambda name: None)
    assert run(main()) is True
