import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from symphony_isolation.interpreter import own_interpreter
from symphony_isolation.sandbox import probe

NOBODY = 65534
HERE = Path(__file__).parent
TOOLS = ("unshare", "mount", "setpriv")
LIBRARIES = {
    "numpy": "numpy",
    "pandas": "pandas",
    "pillow": "PIL",
    "lxml": "lxml",
    "cryptography": "cryptography",
    "sqlite": "sqlite3",
    "magika": "magika",
    "sklearn": "sklearn",
    "joblib": "joblib",
}
"""What is tried, and what it is imported as."""


@pytest.fixture(scope="session", params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session", params=["full", "fallback"])
def tier(request: pytest.FixtureRequest) -> str:
    missing = probe().missing(request.param)
    if missing:
        pytest.skip("; ".join(f"{layer.name}: {layer.reason}" for layer in missing))
    return str(request.param)


@pytest.fixture(scope="session", params=["this user", "an ordinary user"])
def user(request: pytest.FixtureRequest) -> int:
    if request.param == "this user":
        return os.geteuid()
    if os.geteuid() != 0:
        pytest.skip("this user is an ordinary one")
    absent = [tool for tool in TOOLS if which(tool) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    return NOBODY


@pytest.fixture(scope="session")
def hosted() -> Iterator[Callable[[str, int], Any]]:
    """Calls all extensions in a tier as a user, once for all tests: what each gave, and the log."""
    absent = [name for name, module in LIBRARIES.items() if find_spec(module) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}; `uv run nox -s libraries` installs them")
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as root:
        Path(root).chmod(0o777)
        told: dict[tuple[str, int], Any] = {}

        def hosted(tier: str, user: int) -> Any:
            if (tier, user) not in told:
                told[tier, user] = _told(tier, user, Path(root, f"{tier}-{user}"))
            return told[tier, user]

        yield hosted


def _told(tier: str, user: int, folder: Path) -> Any:
    program = [sys.executable, str(HERE / "hosted.py"), tier, str(folder), *LIBRARIES]
    if user != os.geteuid():
        program = [*_seen_by(user, folder.with_suffix(".view")), *program]
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTHON"))}
    run = subprocess.run(program, env=quiet, cwd="/", capture_output=True, text=True, timeout=300)
    if run.returncode and user != os.geteuid():
        pytest.skip(f"an ordinary user cannot run the host here: {run.stderr}")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def _seen_by(user: int, stage: Path) -> list[str]:
    """What starts a program as another user, who sees this interpreter and its libraries wherever they are.

    They are often in the home of root, which nobody else may enter. So the program gets mounts of its own, in which
    such a directory has nothing in it but what the interpreter needs.
    """
    needed = {sys.base_prefix, sys.prefix, *own_interpreter().directories, str(HERE)}
    shut: dict[Path, list[Path]] = {}
    for tree in sorted({Path(each).resolve() for each in needed}):
        door = next((each for each in reversed(tree.parents) if not each.stat().st_mode & stat.S_IXOTH), None)
        if door is not None:
            shut.setdefault(door, []).append(tree)
    lines = ["set -e"]
    for door, trees in shut.items():
        kept = {tree: stage / str(number) for number, tree in enumerate(trees)}
        lines += [f"mkdir -p '{place}' && mount --rbind '{tree}' '{place}'" for tree, place in kept.items()]
        lines.append(f"mount -t tmpfs -o mode=755 none '{door}'")
        lines += [f"mkdir -p '{tree}' && mount --rbind '{place}' '{tree}'" for tree, place in kept.items()]
    lines.append(f'exec setpriv --reuid {user} --regid {user} --clear-groups -- "$@"')
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines), "sh"]
