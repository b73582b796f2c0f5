import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from symphony_isolation.sandbox import Enclosure, Limits, SandboxPolicy, probe
from symphony_isolation.sandbox.confinement import REFUSED
from symphony_isolation.sandbox.interpreter import readable_by

NOBODY = 65534
INSIDE = Path(__file__).with_name("inside.py")


class Place:
    """A directory with a secret, and one that a confined process may write to; it can be left by any user."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.granted = root / "granted"
        self.secret = root / "secret"
        for directory in (self.data, self.granted):
            directory.mkdir()
            directory.chmod(0o777)
        (self.granted / "text").write_text("granted")
        self.secret.write_text("secret")
        self.secret.chmod(0o666)
        root.chmod(0o777)

    def policy(self, tier: str, **changes: Any) -> SandboxPolicy:
        read = (*readable_by(sys.executable), str(INSIDE.parent), str(self.granted))
        values: dict[str, Any] = {"read": read, "write": (str(self.data),), "private_tmp": 1 << 20}
        return SandboxPolicy(tier, **(values | {"limits": Limits(processes=1)} | changes))  # type: ignore[arg-type]

    def start(
        self,
        policy: SandboxPolicy,
        code: str,
        user: int = 0,
        linger: bool = False,
        reports: int = -1,
        before: str = "",
        **options: Any,
    ) -> "subprocess.Popen[str]":
        """Start a process that confines itself and runs a piece of code."""
        told = {
            "data": str(self.data),
            "user": user,
            "policy": msgspec.to_builtins(policy),
            "code": code,
            "linger": linger,
            "reports": reports,
            "before": before,
        }
        return subprocess.Popen(
            [sys.executable, "-I", str(INSIDE), json.dumps(told)],
            env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def run(self, policy: SandboxPolicy, code: str, user: int = 0, **options: Any) -> dict[str, Any]:
        """What a piece of code found, run in a confined process."""
        with self.start(policy, code, user, **options) as process:
            output, errors = process.communicate(timeout=60)
        if process.returncode == REFUSED and user:
            pytest.skip(f"an ordinary user is refused here: {errors}")
        assert process.returncode == 0, errors
        return json.loads(output)


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as root:
        yield Place(Path(root))


@pytest.fixture(params=["full", "fallback"])
def tier(request: pytest.FixtureRequest) -> str:
    if sys.platform != "linux":
        pytest.skip("Linux")
    missing = probe().missing(request.param)
    if missing:
        pytest.skip("; ".join(f"{layer.name}: {layer.reason}" for layer in missing))
    return str(request.param)


@pytest.fixture(params=["this user", "an ordinary user"])
def user(request: pytest.FixtureRequest) -> int:
    if request.param == "this user":
        return 0
    if os.geteuid() != 0:
        pytest.skip("this user is an ordinary one")
    return NOBODY


@pytest.fixture(params=["control group", "watchdog"])
def enclosed(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Makes enclosures that the kernel counts for, or the host; each is closed."""
    by_kernel = request.param == "control group"
    made: list[Enclosure] = []

    def enclose(policy: SandboxPolicy) -> Enclosure:
        enclosure = Enclosure(policy, "test", use_cgroup=by_kernel)
        if by_kernel and not enclosure.by_kernel:
            pytest.skip("no control group can be made here")
        made.append(enclosure)
        return enclosure

    yield enclose
    for enclosure in made:
        enclosure.close()
