"""Runs tests of the sandbox on kernels that this machine does not have, in virtual machines without a network.

A kernel is that of a Debian package; all else that a machine needs is copied from this one: this interpreter with
what is installed for it, the libraries that it loads, and the tests. Nothing is accelerated by the processor, so that
it runs wherever qemu does, some ten times slower than here. Needs apt, dpkg and `qemu-system-x86_64`.

What is not an option of its own is one for pytest: `python run.py --place desktop -k truncate`.
"""

import argparse
import json
import os
import re
import shutil
import signal
import site
import stat
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parent

KERNELS: Final = ("linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64")
"""The kernel of the stable release's backports, and its own: 6.12 with Landlock's ABI 6, and 6.1 with its ABI 2."""

PROGRAMS: Final = ("cat", "env", "id", "ls", "sh", "sleep", "touch", "true")
"""What tests execute."""

MACHINE: Final = """
nice -n 19 qemu-system-x86_64 -accel tcg -cpu Nehalem,+rdrand -smp 1 -icount shift=1,sleep=off -m 2G
-nodefaults -nic none -display none -serial stdio -no-reboot
"""
PARAMETERS: Final = "console=ttyS0 rdinit=/init quiet loglevel=1 panic=-1"

LIMIT: Final = 2 * 3600
"""Seconds that one machine may run."""

_NOT_NEEDED: Final = re.compile(
    r"/(?:site-packages|dist-packages|test|idlelib|tkinter|turtledemo|ensurepip|lib2to3|config-[^/]*)(?:/|$)"
    r"|\.opt-\d\.pyc$|/_tkinter\.|\.a$"
)
"""Parts of the standard library."""


def main() -> int:
    """Run the tests on each kernel; 0 where all have passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", action="append", help="the Debian package of one; again for more")
    parser.add_argument(
        "--place", action="append", help="words of the name of a place, see init.py; again for more"
    )
    told, options = parser.parse_known_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="symphony-kernels-") as folder:
        image = Path(folder, "image")
        with image.open("wb") as file:
            write_image(Archive(file), {"places": told.place or [""], "pytest": options})
        for name in told.kernel or KERNELS:
            print(f"== {name}", flush=True)
            good &= boot(fetched(name, Path(folder)), image)
    return 0 if good else 1


def fetched(package: str, folder: Path) -> Path:
    """The kernel of a Debian package, or of the one that it stands for."""
    known = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True, check=True)
    real = re.findall(r"Depends: (linux-image-\S+)", known.stdout) or [package]
    where = Path(tempfile.mkdtemp(dir=folder))
    subprocess.run(["apt-get", "download", "-qq", real[0]], cwd=where, check=True)
    (archive,) = where.glob("*.deb")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as unpacking:
        with tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
            kernel = next(file for file in files if "/boot/vmlinuz-" in file.name)
            (where / "vmlinuz").write_bytes(files.extractfile(kernel).read())
        unpacking.kill()
    return where / "vmlinuz"


def boot(kernel: Path, image: Path) -> bool:
    """Run a machine to its end; whether all of its tests have passed."""
    command = [*MACHINE.split(), "-kernel", str(kernel), "-initrd", str(image), "-append", PARAMETERS]
    results: list[dict[str, Any]] = []
    ended = False
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as machine:
        timer = threading.Timer(LIMIT, machine.kill)
        timer.start()
        try:
            for line in map(str.rstrip, machine.stdout or ()):
                mark, _, told = line.partition(" ")
                if mark == "@result":
                    results.append(json.loads(told))
                elif mark == "@end":
                    ended = True
                else:
                    print(line, flush=True)
        finally:
            timer.cancel()
            machine.kill()
    show(results)
    return ended and bool(results) and not any(result["status"] for result in results)


def show(results: list[dict[str, Any]]) -> None:
    """Print what came of each place, by tier."""
    print(f"{'kernel':<30} {'place':<28} {'tier':<9} passed failed skipped")
    for result in results:
        counts: dict[str, Counter[str]] = {}
        for name, outcome in result["outcomes"]:
            tier = re.search(r"\b(full|fallback)\b", name.partition("[")[2])
            counts.setdefault(tier[0] if tier else "-", Counter())[outcome] += 1
        for tier, count in sorted(counts.items()):
            numbers = (count[outcome] for outcome in ("passed", "failed", "skipped"))
            print(
                f"{result['kernel']:<30} {result['place']:<28} {tier:<9}",
                *(f"{number:6}" for number in numbers),
            )


class Archive:
    """An image of a file tree that a kernel unpacks at its start: cpio in the format `newc`.

    Args:
        file: Where it is written to.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._names: set[str] = set()

    def copy(self, path: Path) -> None:
        """Copy a file, a directory without its content or a symbolic link of this machine, with all that leads there."""
        for part in (*reversed(path.parents), path):
            if part.is_symlink():
                target = part.readlink()
                self.add(str(part), stat.S_IFLNK | 0o777, str(target).encode())
                self.copy(Path(os.path.normpath(part.parent / target / path.relative_to(part))))
                return
            if part.is_dir():
                if part == path:
                    self.directory(str(part))
            elif str(part) not in self._names:
                status = part.stat()
                mode = status.st_mode | 0o444
                self.add(str(part), mode, part.read_bytes(), int(status.st_mtime))

    def directory(self, name: str, mode: int = 0o755) -> None:
        """Add a directory."""
        self.add(name, stat.S_IFDIR | mode)

    def add(self, name: str, mode: int, content: bytes = b"", modified: int = 0) -> None:
        """Add a file of any kind with the directories that lead there, unless it is there."""
        if name in self._names:
            return
        for parent in reversed(Path(name).parents[:-1]):
            self.directory(str(parent))
        self._names.add(name)
        encoded = name.encode().lstrip(b"/") + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        numbers = (len(self._names), mode, 0, 0, links, modified, len(content), 0, 0, 0, 0, len(encoded), 0)
        self._file.write(b"070701" + b"".join(b"%08x" % number for number in numbers))
        self._write(encoded, 110)
        self._write(content, 0)

    def _write(self, content: bytes, before: int) -> None:
        self._file.write(content + bytes(-(before + len(content)) % 4))


def write_image(archive: Archive, options: dict[str, list[str]]) -> None:
    """Write all that a machine needs."""
    init = f"#!{sys.executable} -I\n" + (HERE / "init.py").read_text()
    archive.add("/init", stat.S_IFREG | 0o755, init.encode())
    archive.directory("/tmp", 0o1777)
    for name in ("dev", "proc", "sys", "root-again"):
        archive.directory(f"/{name}")
    people = "root:x:0:0::/tmp:/bin/sh\nada:x:1000:1000::/tmp:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n"
    archive.add("/etc/passwd", stat.S_IFREG | 0o644, people.encode())
    archive.add("/options.json", stat.S_IFREG | 0o644, json.dumps(options).encode())
    for path in TESTS.rglob("*"):
        if "__pycache__" not in path.parts:
            name = f"/tests/{path.relative_to(TESTS)}"
            if path.is_dir():
                archive.directory(name)
            else:
                archive.add(name, stat.S_IFREG | 0o644, path.read_bytes())
    binaries = [Path(sys.executable).resolve(), *(Path(shutil.which(name)) for name in PROGRAMS)]
    for path in (Path(sys.executable), *binaries, *installed()):
        archive.copy(path)
        if path.suffix == ".so" or ".so." in path.name:
            binaries.append(path)
    for path in libraries(binaries):
        archive.copy(path)
    archive.add("TRAILER!!!", 0)


def installed() -> Iterator[Path]:
    """The standard library, this environment, and the sources that are installed to be edited."""
    standard = Path(sysconfig.get_path("stdlib"))
    yield from (
        path for path in standard.rglob("*") if not _NOT_NEEDED.search(str(path)[len(str(standard)) :])
    )
    yield Path(sys.prefix, "pyvenv.cfg")
    own = [Path(folder) for folder in site.getsitepackages()]
    edited = [
        Path(folder)
        for folder in sys.path
        if Path(folder).is_dir() and not Path(folder).is_relative_to(standard)
    ]
    for folder in dict.fromkeys((*own, *edited)):
        if folder != HERE:
            yield from folder.rglob("*")


def libraries(binaries: Iterable[Path]) -> set[Path]:
    """The libraries that programs and other libraries load."""
    told = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    return {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", told, re.MULTILINE)}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the machine ends with this
    sys.exit(main())
