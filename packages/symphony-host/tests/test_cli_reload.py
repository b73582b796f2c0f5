"""`symphony reload` and `symphony dev`: real files, real workers, hosts in processes of their own."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import pytest
from symphony_host.bytecode import forget_doubtful
from symphony_host.cli.root import run
from symphony_host.host_mailbox import running_hosts
from symphony_isolation.quarantine import Quarantine

PLUGIN = """
from symphony_sdk import Context, operator, provides_operators

@operator("acme.hot.{name}")
def named(ctx: Context) -> str:
    return "{name}"

@provides_operators
def symphony_operators():
    yield named
"""

# a worker does not see PYTHONPATH: it is told where the extension is, as that is not installed in its interpreter
SEEN = """
import msgspec, sys
from symphony_host.composition import Host
made = Host._spec
Host._spec = lambda self, record: msgspec.structs.replace(made(self, record), import_path=(SITE,))
"""

HOST = """
import asyncio
from symphony_host.configuration import load_settings

async def main():
    async with Host.open(load_settings()) as host:
        try:
            await host.extensions.activate("acme.hot")
        except Exception as error:
            print(error, file=sys.stderr)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""
CLI = """
from symphony_host.cli.root import run
sys.exit(run(sys.argv[1:]))
"""


class Hot:
    """The extension `acme.hot`, installed in editable form, and processes that use it."""

    def __init__(self, site):
        self._site = site
        self._processes = []
        self.root = site.add("hot", files={"__init__.py": "", "plugin.py": PLUGIN.format(name="first")})
        (info,) = site.path.glob("acme_hot-*.dist-info")
        (info / "direct_url.json").write_text(
            json.dumps({"url": self.root.as_uri(), "dir_info": {"editable": True}})
        )

    def write(self, text):
        """Change the code at once: nobody sees half of it."""
        whole = self._site.path.parent / "plugin.py.new"
        whole.write_text(text)
        whole.replace(self.root / "plugin.py")

    def start(self, program, *arguments):
        code = f"SITE = {str(self._site.path)!r}{SEEN}{program}"
        environment = {**os.environ, "PYTHONPATH": str(self._site.path)}
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._processes.append(process)
        return process

    def host(self):
        process = self.start(HOST)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        return process

    def end(self):
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture
def hot(site):
    hot = Hot(site)
    yield hot
    hot.end()


def reload(capsys, extension="acme.hot"):
    """The exit code of `symphony reload`, and what it printed."""
    code = run(["reload", extension, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_host_in_another_process_reloads_an_extension(hot, capsys):
    process = hot.host()
    hot.write(PLUGIN.format(name="second"))
    code, found = reload(capsys)
    (host,) = found["hosts"]
    assert (code, host["process"], host["reloaded"], host["version"]) == (0, process.pid, True, "1.0")
    assert (host["health"]["generation"], host["health"]["alive"]) == (2, True)
    assert run(["reload", "acme.hot"]) == 0
    assert f"acme.hot 1.0 was reloaded in process {process.pid} in " in capsys.readouterr().out
    assert run(["info", "acme.hot"]) == 0
    shown = capsys.readouterr().out
    assert f"process {process.pid}" in shown
    assert "1 worker" in shown
    process.communicate("")
    assert process.returncode == 0
    assert list(running_hosts(_data() / "hosts")) == []


def test_what_does_not_work_is_refused_and_the_exit_code_says_so(hot, capsys):
    process = hot.host()
    hot.write("def broken(:")
    code, found = reload(capsys)
    (host,) = found["hosts"]
    assert (code, host["reloaded"], host["error"]["code"]) == (3, False, "SYM-E047")
    assert "the old one goes on" in host["error"]["message"]
    assert run(["reload", "acme.hot"]) == 3
    shown = capsys.readouterr().err
    assert f"in process {process.pid}:" in shown
    assert "SYM-E047" in shown
    manifest = hot.root / "symphony.toml"
    manifest.write_text(manifest.read_text() + "\n[requires]\nextensions = [{ id = 'acme.none' }]\n")
    code, found = reload(capsys)
    assert (code, found["hosts"][0]["error"]["code"]) == (3, "SYM-E023")
    assert "acme.none" in found["hosts"][0]["error"]["message"]


def test_where_no_host_runs_a_quarantine_is_lifted_for_the_next_start(hot, capsys):
    Quarantine(_data() / "quarantine").put("acme.hot", "another", "crashed")
    assert reload(capsys) == (0, {"extension": "acme.hot", "lifted": True, "hosts": []})
    assert reload(capsys)[1]["lifted"] is False
    assert run(["reload", "acme.hot"]) == 0
    assert "no Symphony of yours runs now" in capsys.readouterr().out


def test_a_host_that_is_stopped_does_not_answer_and_one_that_was_killed_is_none(hot, capsys, monkeypatch):
    monkeypatch.setattr("symphony_host.host_mailbox.PATIENCE", 0.2)
    process = hot.host()
    process.send_signal(signal.SIGSTOP)
    code, found = reload(capsys)
    assert (code, found["hosts"][0]["error"]["code"]) == (3, "SYM-E051")
    process.kill()
    process.wait()
    assert reload(capsys)[1]["hosts"] == []
    assert list((_data() / "hosts").iterdir()) == []


def test_what_is_not_installed_or_runs_in_the_host_cannot_be_reloaded(hot, capsys):
    code, found = reload(capsys, "acme.cold")
    assert (code, found["error"]["code"]) == (1, "SYM-E028")
    code, found = reload(capsys, "symphony.isolation")
    assert (code, found["error"]["code"]) == (3, "SYM-E048")


def test_a_quarantine_is_shown_and_enabling_lifts_it(hot, capsys):
    hot.write(PLUGIN.format(name="first") + "\nimport os; os._exit(5)\n")
    process = hot.host()
    reload(capsys)
    process.communicate("")
    twice = hot.host()
    twice.communicate("")
    assert run(["list", "--json"]) == 0
    (found,) = [each for each in json.loads(capsys.readouterr().out) if each["id"] == "acme.hot"]
    assert found["state"] == "quarantined"
    assert "exit code 5" in found["reason"]
    assert found["problems"][0]["code"] == "SYM-E032"
    assert run(["enable", "acme.hot", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True
    run(["list", "--json"])
    (found,) = [each for each in json.loads(capsys.readouterr().out) if each["id"] == "acme.hot"]
    assert found["state"] == "resolved"


def test_doctor_asks_each_extension_how_it_is(hot):
    health = "\nfrom symphony_sdk import on_health\n@on_health\ndef health(ctx): return 'the cache is cold'\n"
    hot.write(PLUGIN.format(name="first") + health)
    said, _ = hot.start(CLI, "doctor", "--load", "--json").communicate()
    (found,) = [each for each in json.loads(said)["extensions"] if each["id"] == "acme.hot"]
    assert (found["state"], found["problems"][0]["code"]) == ("failed", "SYM-E049")
    assert "the cache is cold" in found["reason"]


def test_source_that_was_changed_twice_in_a_second_is_compiled_anew(tmp_path):
    package = tmp_path / "package"
    (package / "__pycache__").mkdir(parents=True)
    for name, age in (("fresh", 0), ("old", 60)):
        source, compiled = package / f"{name}.py", package / "__pycache__" / f"{name}.cpython-311.pyc"
        for file in (source, compiled):
            file.write_text("")
        os.utime(source, (time.time() - age, time.time() - age))
    (package / "__pycache__" / "orphan.cpython-311.pyc").write_text("")
    forget_doubtful(package)
    left = {file.name for file in (package / "__pycache__").iterdir()}
    assert left == {"old.cpython-311.pyc", "orphan.cpython-311.pyc"}


# -- symphony dev --------------------------------------------------------------------------------------


class Said:
    """What a process prints, line by line, with a deadline for each."""

    def __init__(self, process):
        self._lines = queue.Queue()
        threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            self._lines.put(line)
        self._lines.put("")

    def line(self):
        return self._lines.get(timeout=60)

    def of(self, event):
        """The next line of JSON that tells of this."""
        while line := self.line():
            found = json.loads(line)
            if found.get("event") == event or event in found:
                return found
        raise AssertionError(f"it ended without {event}")


def test_an_extension_is_reloaded_whenever_its_code_changes(hot):
    process = hot.start(CLI, "dev", str(hot.root.parent), "--json")
    said = Said(process)
    assert said.of("loaded")["operations"] == ["acme.hot.first"]
    said.of("watching")
    hot.write(PLUGIN.format(name="other"))
    found = said.of("reloaded")
    assert (found["operations"], found["changed"]) == (["acme.hot.other"], ["plugin.py"])
    hot.write("def broken(:")
    assert said.of("refused")["error"]["code"] == "SYM-E047"
    hot.write(PLUGIN.format(name="third"))
    assert said.of("reloaded")["operations"] == ["acme.hot.third"]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_work_can_begin_on_code_that_does_not_work_yet(hot):
    hot.write("def broken(:")
    process = hot.start(CLI, "dev", "acme.hot")
    said = Said(process)
    assert "watching" in said.line()
    hot.write(PLUGIN.format(name="mended"))
    assert said.line().startswith("reloaded acme.hot 1.0 in ")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert "SYM-E047" in process.stderr.read()


def test_a_workflow_is_run_after_each_reload(hot, tmp_path):
    flow = tmp_path / "flow.json"
    flow.write_text(
        json.dumps(
            {
                "schema": 1,
                "id": "hot",
                "nodes": {"name": {"kind": "operator", "uses": "acme.hot.first"}},
                "outputs": {"name": "name.result"},
            }
        )
    )
    process = hot.start(CLI, "dev", "acme.hot", str(flow), "--json")
    said = Said(process)
    said.of("loaded")
    assert said.of("state")["state"] == "completed"
    said.of("watching")
    hot.write(PLUGIN.format(name="other"))
    said.of("reloaded")
    assert said.of("error")["error"]["code"].startswith("SYM-W")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_there_must_be_something_to_work_on(hot, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    for what, code in (
        (str(empty), "SYM-E052"),
        ("acme.cold", "SYM-E052"),
        (str(tmp_path / "no"), "SYM-E052"),
    ):
        assert run(["dev", what, "--json"]) == 3
        assert json.loads(capsys.readouterr().out)["error"]["code"] == code
    assert run(["dev", "acme.hot", "--input", "a=1", "--json"]) == 2


def _data():
    from symphony_host.configuration import load_settings

    return load_settings().data_dir
