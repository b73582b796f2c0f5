"""What deduplication saves on real successive versions, apart from what compression saves, beside borg and restic.

    uv run benchmarks/artifact_dedup.py

The files are those of several wheels of one project after another, unpacked, and every version of every file that the
history of this checkout has: there, no two files are alike, and only parts of them can be shared. Each set goes into
stores of its own, with the names of the files, and each store is sized as a whole on disk, its index included.

`shared` is what a store without compression saves of the bytes of the files: ours as it is written, borg with
`--compression none`, restic with `--compression off`. `small` is with compression: ours after `collect`, which
compresses at zstd 3, borg with `--compression zstd,3`, restic with `--compression max` (it can be chosen no finer).
`compression` is what is then saved of what deduplication had left. `whole files` is what sharing files that are equal
would save, computed, and `unique chunks` what the chunks of ours save, without what it costs to keep track of them:
sets of a few small files pay for the headers, ids and index of a store. A program that is not installed is passed over
with a word.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pit_artifact_store import Store

ROOT = Path(__file__).parents[1]
PROJECTS = {
    "requests": ("2.31.0", "2.32.2", "2.32.3", "2.32.4", "2.32.5"),
    "httpx": ("0.27.0", "0.27.1", "0.27.2", "0.28.0", "0.28.1"),
    "django": ("5.1.1", "5.1.2", "5.1.3", "5.1.4"),
    "jupyterlab": ("4.2.0", "4.2.1", "4.2.2", "4.2.3"),
    "numpy": ("2.1.0", "2.1.1", "2.1.2"),
    "scikit-learn": ("1.5.0", "1.5.1", "1.5.2"),
    "magika": ("0.6.1", "0.6.2"),
}


def run(*command: object, **options: Any) -> bytes:
    ran = subprocess.run([str(each) for each in command], capture_output=True, **options)
    if ran.returncode:
        sys.exit(f"{command[0]} ended with {ran.returncode}: {ran.stderr.decode()}")
    return ran.stdout


def unpack_wheels(project: str, versions: tuple[str, ...], place: Path) -> None:
    """Unpack some versions of a project, without what it needs, through the index that is configured."""
    for number, version in enumerate(versions):
        wanted = ("--no-deps", "--only-binary", ":all:", f"{project}=={version}")
        run("uv", "pip", "install", "--python", sys.executable, "--target", place / str(number), *wanted)


def unpack_history(place: Path) -> None:
    """Write each version of each file of the history of this checkout, the versions of a file beside each other."""
    # Of the oldest commit first; a file that was moved has the name that it had first.
    named = run("git", "-C", ROOT, "rev-list", "--objects", "--reverse", "HEAD").decode().splitlines()
    paths = {id: path for id, _, path in (line.partition(" ") for line in named) if path}
    batch = run("git", "-C", ROOT, "cat-file", "--batch", input="\n".join(paths).encode())
    at, numbers = 0, dict[str, int]()
    while at < len(batch):
        end = batch.index(b"\n", at)
        id, kind, size = batch[at:end].decode().split()
        begin, at = end + 1, end + 1 + int(size) + 1
        if kind == "blob":
            number = numbers[paths[id]] = numbers.get(paths[id], -1) + 1
            file = place / f"{paths[id]}.versions" / f"{number:04}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(batch[begin : begin + int(size)])


def files_of(place: Path) -> Iterator[Path]:
    return (path for path in sorted(place.rglob("*")) if path.is_file() and not path.is_symlink())


def bytes_of(place: Path) -> int:
    return sum(path.stat().st_size for path in files_of(place))


def ours(files: Path, place: Path) -> tuple[int, int]:
    """Bytes on disk after all files were stored, and after a collection."""
    with Store(place) as store:
        for file in files_of(files):
            store.put(file.read_bytes(), name=str(file.relative_to(files)), durability="os")
    shared = bytes_of(place)
    with Store(place) as store:
        with store._index.reading() as rows:
            (unique,) = rows.first("select sum(size) from chunk")
        print(f"  ours    unique chunks {1 - unique / bytes_of(files):.1%}")
        store.collect(grace=0)
    return shared, bytes_of(place)


def borg(files: Path, place: Path) -> tuple[int, int]:
    return of_each(
        place, ("none", "zstd,3"), lambda repository, kind: back_up_with_borg(files, repository, kind)
    )


def back_up_with_borg(files: Path, repository: Path, kind: str) -> None:
    run("borg", "init", "--encryption=repokey-blake2", repository)
    run(
        "borg",
        "create",
        "--files-cache=disabled",
        f"--compression={kind}",
        f"{repository}::all",
        ".",
        cwd=files,
    )


def restic(files: Path, place: Path) -> tuple[int, int]:
    return of_each(
        place, ("off", "max"), lambda repository, kind: back_up_with_restic(files, repository, kind)
    )


def back_up_with_restic(files: Path, repository: Path, kind: str) -> None:
    run("restic", "--no-cache", "--repo", repository, "init", "--repository-version", 2)
    run("restic", "--no-cache", "--repo", repository, "--compression", kind, "backup", ".", cwd=files)


def of_each(place: Path, kinds: tuple[str, str], back_up: Callable[[Path, str], None]) -> tuple[int, int]:
    """Bytes on disk of a repository without compression, and of one with it."""
    sizes = []
    for kind in kinds:
        back_up(place / kind, kind)
        sizes.append(bytes_of(place / kind))
    return sizes[0], sizes[1]


def whole_files(files: Path) -> int:
    """Bytes of the files without those that are equal to another."""
    return sum(
        {hashlib.sha256(file.read_bytes()).digest(): file.stat().st_size for file in files_of(files)}.values()
    )


def measure(
    what: str, files: Path, place: Path, stores: dict[str, Callable[[Path, Path], tuple[int, int]]]
) -> float:
    """Print what each store saves; gives what ours saves without compression."""
    total = bytes_of(files)
    print(f"{what}: {sum(1 for _ in files_of(files)):,} files, {total / 1e6:.1f} MB", end="; ")
    print(f"whole files {1 - whole_files(files) / total:.1%}")
    saved = {}
    for name, store in stores.items():
        (repository := place / name).mkdir(parents=True)
        shared, small = store(files, repository)
        saved[name] = 1 - shared / total
        print(
            f"  {name:<7} shared {1 - shared / total:6.1%}   compression {1 - small / shared:6.1%} of the rest   "
            f"small {1 - small / total:6.1%}   ({shared / 1e6:.1f} MB, {small / 1e6:.1f} MB)",
            flush=True,
        )
        shutil.rmtree(repository)
    return saved["ours"]


def main() -> None:
    stores = {"ours": ours, "borg": borg, "restic": restic}
    for name in ("borg", "restic"):
        if not shutil.which(name):
            print(f"{name} is not installed: passed over")
            del stores[name]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.environ |= {"RESTIC_PASSWORD": "benchmark", "BORG_PASSPHRASE": "benchmark", "BORG_BASE_DIR": name}
        # The key of the stores goes with them, and into no keyring.
        os.environ |= {"XDG_CONFIG_HOME": name, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
        sets: dict[str, Callable[[Path], None]] = {"the history of this checkout": unpack_history}
        for project, versions in PROJECTS.items():
            sets[f"{project} {', '.join(versions)}"] = partial(unpack_wheels, project, versions)
        passed = 0
        for number, (what, unpack) in enumerate(sets.items()):
            (files := place / f"files {number}").mkdir()
            unpack(files)
            passed += measure(what, files, place / f"stores {number}", stores) >= 0.3
            shutil.rmtree(files)
        print(f"ours shares 30 % or more in {passed} of {len(sets)}")


if __name__ == "__main__":
    main()
