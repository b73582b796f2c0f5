"""The recovery commands in every state that an installation can be in: real distributions, real processes."""

import json
import os
import site
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

MANIFEST = """\
schema = 1
[extension]
id = "acme.bad"
kind = "operator"
module = "acme_bad.plugin"
"""
PLUGIN = """\
from symphony_sdk import Context, hookimpl, operator

@operator("acme.bad.shout")
def shout(ctx: Context, text: str) -> str:
    "Shout."
    return text.upper()

@hookimpl
def symphony_operators():
    yield shout
"""
GOOD = {
    "acme_good/__init__.py": "",
    "acme_good/symphony.toml": MANIFEST.replace("bad", "good"),
    "acme_good/plugin.py": PLUGIN.replace("bad", "good"),
}


def numbered(text: str, number: int) -> str:
    """A text about the broken extension, or the one worse than it, made one about that of a number."""
    return text.replace("bad", f"bad{number}").replace("worse", f"worse{number}")


class Installation:
    """A Python environment of its own that also sees the one of these tests.

    Args:
        folder: Where to make it.
    """

    def __init__(self, folder: Path) -> None:
        prefix = folder / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
        self._python = prefix / "bin" / "python"
        [self._site] = prefix.glob("lib/python*/site-packages")
        # `addsitedir`, unlike a plain line, heeds the .pth files there: those of editable installs
        lines = [f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages()]
        (self._site / "beside.pth").write_text("\n".join(lines))
        self._environment = {
            **os.environ,
            **{f"SYMPHONY_{name}_DIR": str(folder / name.lower()) for name in ("DATA", "CACHE", "CONFIG")},
        }

    def install(
        self, distribution: str, entry: str, files: Mapping[str, str | bytes], number: int = 0
    ) -> None:
        """Install an extension as an installer does.

        Args:
            distribution: Name of its distribution.
            entry: Value of its entry point.
            files: Content by path below site-packages.
            number: Which of those that are broken it is: goes into all its names.
        """
        metadata = f"{distribution.replace('-', '_')}-1.0.dist-info"
        written = {
            **files,
            f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n",
            f"{metadata}/RECORD": "",
            f"{metadata}/entry_points.txt": f"[symphony.extensions]\nbad = {entry}\n",
        }
        for name, content in written.items():
            path = self._site / numbered(name, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(numbered(content, number).encode() if isinstance(content, str) else content)

    def settle(self) -> None:
        """Make everything look installed a minute ago: what has just changed is not kept in the index."""
        then = time.time() - 60
        for path in (self._site, *self._site.rglob("*")):
            os.utime(path, (then, then))

    def symphony(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """What `symphony` says.

        Args:
            arguments: What is typed after it.
            code: The exit code that is expected.
        """
        done = subprocess.run(
            [str(self._python), "-m", "symphony_host", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert "--json" in arguments or "Traceback" not in done.stdout  # JSON carries it for the author
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What `symphony --json` says.

        Args:
            arguments: What is typed after it.
            code: The exit code that is expected.
        """
        return json.loads(self.symphony(*arguments, "--json", code=code).stdout)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path)
    installation.install("acme-good", "acme_good:symphony.toml", GOOD)
    return installation


def package(manifest: str | bytes | None = MANIFEST, plugin: str | None = PLUGIN) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {"acme_bad/__init__.py": "raise RuntimeError('nobody may import this')"}
    if manifest is not None:
        files["acme_bad/symphony.toml"] = manifest
    if plugin is not None:
        files["acme_bad/__init__.py"] = ""
        files["acme_bad/plugin.py"] = plugin
    return files


Install = Callable[[Installation, int], None]


def one(files: Mapping[str, str | bytes], entry: str = "acme_bad:symphony.toml") -> Install:
    return lambda installation, number: installation.install("acme-bad", entry, files, number)


def twice(installation: Installation, number: int) -> None:
    installation.install("acme-bad", "acme_bad:symphony.toml", package(), number)
    other = {name.replace("acme_bad", "acme_worse"): content for name, content in package().items()}
    installation.install("acme-worse", "acme_worse:symphony.toml", other, number)


def cycle(installation: Installation, number: int) -> None:
    needs = '[requires]\nextensions = [{{ id = "acme.{}" }}]\n'
    files = package(MANIFEST + needs.format("worse"))
    installation.install("acme-bad", "acme_bad:symphony.toml", files, number)
    manifest = MANIFEST.replace("bad", "worse") + needs.format("bad")
    files = {"acme_worse/__init__.py": "", "acme_worse/symphony.toml": manifest}
    installation.install("acme-worse", "acme_worse:symphony.toml", files, number)


def without_metadata(installation: Installation) -> None:
    installation.install("acme-bad", "acme_bad:symphony.toml", package())
    [metadata] = installation._site.glob("acme_bad0-*.dist-info")
    (metadata / "METADATA").write_bytes(b"\xff\xfe")


FOUND_BY_DISCOVERY = {
    "the manifest is missing": (one(package(None)), "acme-bad:bad", "symphony.toml"),
    "the manifest is not TOML": (one(package("schema = = 1")), "acme-bad:bad", '"line": 1'),
    "the manifest is binary": (one(package(b"\x00\xff\xfe")), "acme-bad:bad", "symphony.toml"),
    "the kind is unknown": (one(package(MANIFEST.replace("operator", "opertor"))), "acme.bad", "operator"),
    "a key is unknown": (one(package(MANIFEST + "[reqires]\n")), "acme.bad", "requires"),
    "the entry point is malformed": (
        one(package(), "acme_bad.symphony"),
        "acme-bad:bad",
        "acme_bad.symphony",
    ),
    "the package is missing": (one({}, "acme_gone:symphony.toml"), "acme-bad:bad", "acme_gone"),
    "two extensions have one id": (twice, "acme.bad", "acme-worse"),
    "two extensions need each other": (cycle, "acme.bad", "acme.bad -> acme.worse -> acme.bad"),
    "a requirement is missing": (
        one(package(MANIFEST + '[requires]\nextensions = [{ id = "acme.lost" }]\n')),
        "acme.bad",
        "acme.lost",
    ),
    "Symphony is of another version": (
        one(package(MANIFEST + '[requires]\nsymphony = ">=99"\n')),
        "acme.bad",
        ">=99",
    ),
}

FOUND_BY_LOADING = {
    "the module is missing": (package(plugin=None) | {"acme_bad/__init__.py": ""}, "acme_bad.plugin"),
    "the import raises": (package(plugin="raise ValueError('no luck')"), "no luck"),
    "the import exits": (package(plugin="import sys; sys.exit(3)"), "exit"),
    "the import ends the process": (package(plugin="import os; os._exit(3)"), "3"),
    "a hook has a wrong name": (
        package(plugin=PLUGIN.replace("symphony_op", "symphony_opp")),
        "symphony_operators",
    ),
    "a hook has a wrong signature": (
        package(plugin=PLUGIN.replace("def symphony_operators()", "def symphony_operators(what)")),
        "what",
    ),
    "a hook raises": (
        package(plugin=PLUGIN.replace("yield shout", "raise ValueError('bad hook')")),
        "bad hook",
    ),
    "an operation takes another's name": (
        package(plugin=PLUGIN.replace("acme.bad.shout", "acme.good.shout")),
        "acme.good.shout",
    ),
}


MANY_COMMANDS = pytest.mark.timeout(600)  # each is a process, and dozens take their time on a busy machine


def broken_in(report: Any, extension: str) -> Any:
    found = [each for each in report if each["id"] == extension]
    assert found, [each["id"] for each in report]
    return found[0]


@MANY_COMMANDS
def test_every_recovery_command_works_whatever_is_broken(
    installation: Installation, subtests: pytest.Subtests
) -> None:
    for number, (install, _, _) in enumerate(FOUND_BY_DISCOVERY.values()):
        install(installation, number)

    listed = installation.json("list")
    assert broken_in(listed, "acme.good")["state"] == "resolved"
    report = installation.symphony("doctor", code=3).stdout
    for number, (state, (_, extension, told)) in enumerate(FOUND_BY_DISCOVERY.items()):
        with subtests.test(state):
            broken = broken_in(listed, numbered(extension, number))
            assert broken["state"] == "failed"
            [problem] = broken["problems"]
            assert numbered(told, number) in json.dumps(problem)
            assert problem["hint"]
            assert problem["code"].startswith(("SYM-M", "SYM-E"))
            assert problem["code"] in report
            assert problem["message"] in report
            assert problem["hint"] in report
            told = installation.symphony("info", numbered(extension, number)).stdout
            assert problem["code"] in told
            assert problem["message"] in told

    broken = [numbered(extension, n) for n, (_, extension, _) in enumerate(FOUND_BY_DISCOVERY.values())]
    for number, extension in enumerate(broken):
        installation.symphony("disable", extension, "--reason", f"it is number {number}.")
    told = installation.symphony("list").stdout
    assert all(f"switched off: it is number {number}." in told for number in range(len(broken)))
    for extension in broken:
        installation.symphony("enable", extension)
    assert "switched off" not in installation.symphony("list").stdout
    assert installation.symphony("--help").stderr == ""


@MANY_COMMANDS
def test_the_host_goes_on_and_doctor_says_why_whatever_cannot_be_loaded(
    installation: Installation, subtests: pytest.Subtests
) -> None:
    for number, (files, _) in enumerate(FOUND_BY_LOADING.values()):
        installation.install("acme-bad", "acme_bad:symphony.toml", files, number)
    listed = installation.json("list")

    report = installation.json("doctor", "--load", code=3)["extensions"]
    for number, (state, (_, told)) in enumerate(FOUND_BY_LOADING.items()):
        with subtests.test(state):
            assert broken_in(listed, f"acme.bad{number}")["state"] == "resolved"
            broken = broken_in(report, f"acme.bad{number}")
            assert broken["state"] == "failed"
            [problem] = broken["problems"]
            assert numbered(told, number) in problem["message"] + problem["hint"]
            assert problem["hint"]
            unknown = installation.json("info", f"acme.bad{number}.shout", code=1)["error"]
            assert numbered(told, number) in unknown["message"] + unknown["hint"]

    assert broken_in(report, "acme.good")["problems"] == []
    listed = installation.json("list", "--operations")
    assert [each["id"] for each in broken_in(listed, "acme.good")["operations"]] == ["acme.good.shout"]
    for number in range(len(FOUND_BY_LOADING)):
        installation.symphony("disable", f"acme.bad{number}")
    assert installation.json("doctor", "--load")["healthy"]


def test_an_import_that_prints_spoils_no_json(installation: Installation) -> None:
    installation.install(
        "acme-bad", "acme_bad:symphony.toml", package(plugin=f"print('noise', flush=True)\n{PLUGIN}")
    )
    listed = installation.json("list", "--operations")
    assert [each["id"] for each in broken_in(listed, "acme.bad0")["operations"]] == ["acme.bad0.shout"]
    assert installation.json("info", "acme.bad0.shout")["outputs"][0]["name"] == "result"


def test_metadata_that_cannot_be_read_stops_nobody(installation: Installation) -> None:
    without_metadata(installation)
    assert broken_in(installation.json("list"), "acme.good")["state"] == "resolved"


def test_a_damaged_index_is_made_again(installation: Installation, tmp_path: Path) -> None:
    installation.settle()
    before = installation.json("list")
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(b"\x00garbage")
    assert installation.json("list") == before


HOSTED = """\
from symphony_sdk import CliCommand, provides_cli

@provides_cli
def symphony_cli():
    yield CliCommand("greet", "Greet somebody", "acme_bad.cli:greet")
    yield CliCommand("list", "Take the place of another", "acme_bad.cli:greet")
"""
COMMAND = """\
import click

@click.command()
@click.argument("name")
def greet(name):
    click.echo(f"Hello, {name}")
"""


def hosted(installation: Installation, tmp_path: Path, command: str) -> None:
    files = package(MANIFEST + 'runs = "host"\n', HOSTED) | {"acme_bad/cli.py": command}
    installation.install("acme-bad", "acme_bad:symphony.toml", files)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text('trusted = ["acme.bad0"]\n')


def test_a_command_of_a_trusted_extension_is_on_the_front_page_and_runs(
    installation: Installation, tmp_path: Path
) -> None:
    hosted(installation, tmp_path, COMMAND)
    for _ in ("asked", "remembered"):
        page = installation.symphony("--help").stdout
        assert "From acme.bad0:\n  greet " in page
        assert "Take the place of another" not in page
    assert installation.symphony("greet", "Ada").stdout == "Hello, Ada\n"
    installation.symphony("disable", "acme.bad0")
    assert "greet" not in installation.symphony("--help").stdout
    installation.symphony("greet", "Ada", code=2)


def test_a_command_that_cannot_be_imported_is_an_error_of_its_extension(
    installation: Installation, tmp_path: Path
) -> None:
    hosted(installation, tmp_path, "import sys; sys.exit('no')")
    assert "greet" in installation.symphony("--help").stdout
    error = installation.symphony("greet", "Ada", code=3).stderr
    assert error.startswith("error[SYM-E080]")
    assert "symphony disable acme.bad0" in error
    assert installation.json("list")


def test_an_extension_that_is_not_trusted_adds_no_command(installation: Installation, tmp_path: Path) -> None:
    hosted(installation, tmp_path, COMMAND)
    (tmp_path / "config" / "config.toml").unlink()
    assert "greet" not in installation.symphony("--help").stdout
    report = installation.json("doctor", "--load", code=3)
    assert broken_in(report["extensions"], "acme.bad0")["problems"][0]["code"] == "SYM-E027"


def test_info_tells_how_the_workers_of_an_extension_are_started(installation: Installation) -> None:
    start = installation.json("info", "acme.good")["start"]
    told = installation.symphony("info", "acme.good").stdout
    if sys.platform == "linux":
        assert start == {"kind": "warm", "reason": ""}
        assert "warm, forked from a process that is ready" in told
    else:
        assert start["kind"] == "cold"
        assert start["reason"] in told
