import inspect
import subprocess
import sys

import pytest
from symphony_sdk import hookspecs, markers
from symphony_sdk.markers import PROJECT

RIGHT = """
from collections.abc import Iterator
from symphony_sdk import (
    Context, Executor, Instrument, on_load, provides_executors, provides_instruments, Services,
)

class Mood(Instrument):
    id = "acme.text.mood"
    def infer(self, ctx: Context, text: str) -> float:
        return 0.0

@provides_instruments
def instruments() -> Iterator[Instrument]:
    yield Mood()

@on_load
def load(ctx: Context) -> None: ...
"""
WRONG = """
from symphony_sdk import on_load, provides_instruments

@provides_instruments
def instruments() -> list[int]:
    return [1]

@on_load
def load(ctx: int) -> None: ...
"""


def mypy(source, tmp_path):
    file = tmp_path / "checked.py"
    file.write_text(source)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(file)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_type_checker_takes_right_implementations(tmp_path):
    pytest.importorskip("mypy")
    run = mypy(RIGHT, tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_type_checker_refuses_a_wrong_result_and_wrong_arguments(tmp_path):
    pytest.importorskip("mypy")
    run = mypy(WRONG, tmp_path)
    assert run.returncode == 1
    assert '"Instruments"' in run.stdout
    assert '"Lifecycle"' in run.stdout


def hooks():
    return [
        (name, function)
        for group in (hookspecs.ExtensionHooks, hookspecs.HostHooks)
        for name, function in vars(group).items()
        if name.startswith("symphony_")
    ]


def test_every_hook_has_a_typed_marker_of_its_own():
    marked = {}
    for name, marker in vars(markers).items():
        if name.startswith(("provides_", "on_", "observes_")):
            marked[marker(lambda: None).symphony_impl["specname"]] = name
    assert sorted(marked) == sorted(name for name, _ in hooks())


@pytest.mark.parametrize(("name", "function"), hooks())
def test_the_example_in_the_docstring_of_a_hook_can_be_run(name, function, monkeypatch):
    monkeypatch.setattr("symphony_sdk.messages.MESSAGES", {})  # another test may have registered the like
    text = inspect.getdoc(function)
    source = text.partition("```python\n")[2].partition("```")[0]
    assert name in source
    namespace = {}
    exec(inspect.cleandoc(source), namespace)
    implementation = namespace[name]
    options = getattr(implementation, f"{PROJECT}_impl")
    assert (options["specname"] or name) == name
    if not inspect.signature(implementation).parameters and name not in ("symphony_addons",):
        assert list(implementation() or [None])
