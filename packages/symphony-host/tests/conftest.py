"""A directory of installed distributions that tests fill, and a way to look at it from a fresh process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from symphony_host.discovery import discover
from symphony_host.records import ExtensionRecord
from symphony_isolation.audit import AuditLog
from symphony_isolation.permissions import AdminPolicy, Authority, Grants

MANIFEST = """\
schema = 1
[extension]
id = "{id}"
kind = "operator"
module = "{package}.plugin"
"""


class Site:
    """A directory on `sys.path` with distributions in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def add(
        self,
        name: str,
        *,
        version: str = "1.0",
        manifest: str | bytes | None = "",
        entry_points: str | bytes | None = "",
        metadata: str | bytes | None = "",
        more: str = "",
        files: dict[str, str] | None = None,
    ) -> Path:
        """Install `acme-NAME` with the package `acme_NAME` and the extension `acme.NAME`; gives the package.

        The defaults are what a wheel would install; importing the package raises. None leaves a file out.
        """
        distribution, package = f"acme-{name}", f"acme_{name.replace('-', '_')}"
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        root = self.path / package
        for directory in (info, root):
            directory.mkdir(exist_ok=True)
        if manifest == "":
            manifest = MANIFEST.format(id=f"acme.{name}", package=package) + more
        if entry_points == "":
            entry_points = f"[symphony.extensions]\n{name} = {package}:symphony.toml\n"
        if metadata == "":
            metadata = (
                f"Metadata-Version: 2.4\nName: {distribution}\nVersion: {version}\nSummary: About {name}\n"
                "License-Expression: MIT\nAuthor: Ada\n\nText\n"
            )
        contents = {
            root / "__init__.py": "raise RuntimeError('imported')\n",
            root / "symphony.toml": manifest,
            info / "METADATA": metadata,
            info / "entry_points.txt": entry_points,
            info / "RECORD": "",
            **{root / file: text for file, text in (files or {}).items()},
        }
        for file, content in contents.items():
            if content is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    def settle(self) -> None:
        """Make everything look written a minute ago."""
        then = time.time() - 60
        for path in (self.path, *self.path.rglob("*")):
            os.utime(path, (then, then), follow_symlinks=False)

    def discover(self) -> dict[str, ExtensionRecord]:
        """What discovery finds here, by id."""
        found = [record for record in discover() if record.metadata_dir.startswith(str(self.path))]
        return {record.id: record for record in found}

    def run(self, code: str, *, cache: Path, **variables: str) -> object:
        """Run code in a fresh interpreter that sees this directory; what it prints as JSON is given back."""
        # coverage would import in that interpreter what it must be shown not to import
        strange = ("SYMPHONY_", "COVERAGE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        environment = {
            **kept,
            "PYTHONPATH": str(self.path),
            "SYMPHONY_CACHE_DIR": str(cache),
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(site.path)
    return site


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """What decides where no extension declares anything."""
    log = AuditLog(tmp_path / "audit", tmp_path / "audit.head")
    return Authority({}, Grants(tmp_path / "grants"), AdminPolicy(), log)


@pytest.fixture(autouse=True)
def no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Keep the user's own settings out, and forget modules that a test imported from its directory."""
    for name in [name for name in os.environ if name.startswith("SYMPHONY_")]:
        monkeypatch.delenv(name)
    for purpose in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"SYMPHONY_{purpose}_DIR", str(tmp_path / purpose.lower()))
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
