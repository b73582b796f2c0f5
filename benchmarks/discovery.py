"""Discovery of extensions among 10, 100 and 500 installed distributions, against its peers.

Each figure is the CPU time of a fresh interpreter from before its imports until it knows the extensions, the
median of the rounds; what starting Python itself costs is not in it. Ours reads and validates each manifest,
the peers only read entry points. One distribution in ten brings an extension.

    uv run --with stevedore python benchmarks/discovery.py [--rounds N]
"""

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (10, 100, 500)
PLUGINS = {10: 1, 100: 10, 500: 50}
GOAL_MS = 10.0
GOAL_RATIO = 5.0

MANIFEST = """\
schema = 1
[extension]
id = "acme.number-{number}"
kind = "operator"
module = "acme_{number}.plugin"
[requires]
symphony = ">=0.1,<1"
[[permissions.required]]
type = "file"
scope = ["read"]
resource = "${{project}}/**"
reason = "reads the files that it measures"
[resources]
memory = "512 MiB"
[config.properties.min_length]
type = "integer"
default = 1
"""

OURS = "from symphony_host.index import load_records\nfound = [r for r in load_records() if r.usable]"
CATALOGUE = (
    "from symphony_host.catalogue import load_catalogue\n"
    "from symphony_host.configuration import load_settings\n"
    "found = load_catalogue(load_settings()).order"
)
PEERS = {
    "importlib.metadata": (
        "from importlib.metadata import entry_points\nfound = entry_points(group='symphony.extensions')"
    ),
    "stevedore": ("from stevedore._cache import get_group_all\nfound = get_group_all('symphony.extensions')"),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    missed = []
    print(f"{'distributions':>13}  {'what':<28}{'CPU ms':>9}{'wall ms':>9}  {'ours is':>10}")
    for size in SIZES:
        # not below the system's temporary directory: stevedore keeps no cache for what runs there
        with tempfile.TemporaryDirectory(dir=Path.home()) as directory:
            figures = measure(Path(directory), size, rounds)
        warm = figures["ours, warm"][0]
        for name, (cpu, wall) in figures.items():
            ratio = f"{cpu / warm:.1f}x less" if not name.startswith("ours") else ""
            print(f"{size:>13}  {name:<28}{cpu:>9.1f}{wall:>9.1f}  {ratio:>10}")
        if size == SIZES[-1]:
            if warm > GOAL_MS:
                missed.append(f"warm takes {warm:.1f} ms of CPU, goal {GOAL_MS:.0f}")
            if "stevedore, warm" in figures and figures["stevedore, warm"][0] < GOAL_RATIO * warm:
                missed.append(f"less than {GOAL_RATIO:.0f}x below stevedore")
    print("goals: " + ("met" if not missed else "; ".join(missed)))


def measure(directory: Path, size: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Median CPU and wall time in milliseconds of each way, taken in turns.

    Args:
        directory: An empty directory.
        size: How many distributions to install.
        rounds: How often to measure each.
    """
    site = directory / "site"
    install(site, size)
    ways = {
        "ours, cold": (OURS, True),
        "ours, warm": (OURS, False),
        "ours, warm, resolved": (CATALOGUE, False),
    }
    ways["importlib.metadata"] = (PEERS["importlib.metadata"], False)
    if importlib.util.find_spec("stevedore"):
        ways |= {
            "stevedore, cold": (PEERS["stevedore"], True),
            "stevedore, warm": (PEERS["stevedore"], False),
        }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (code, cold) in ways.items():
            cache = directory / f"cache-{name.split(',')[0]}"
            if cold:
                shutil.rmtree(cache, ignore_errors=True)
            taken[name].append(run(code, site, cache, expected=PLUGINS[size]))
    return {
        name: (statistics.median(cpu for cpu, _ in each), statistics.median(wall for _, wall in each))
        for name, each in taken.items()
    }


def run(code: str, site: Path, cache: Path, *, expected: int) -> tuple[float, float]:
    """CPU and wall time in milliseconds that a fresh interpreter takes for `code`.

    Args:
        code: Sets `found`.
        site: The directory of installed distributions.
        cache: Where caches go.
        expected: How many extensions of `site` must be found.
    """
    program = (
        "import time\ncpu, wall = time.process_time(), time.perf_counter()\n"
        f"{code}\n"
        "cpu, wall = time.process_time() - cpu, time.perf_counter() - wall\n"
        "print(cpu * 1000, wall * 1000, len(list(found)))"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "SYMPHONY_CACHE_DIR": str(cache),
        "XDG_CACHE_HOME": str(cache),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, cwd=site
    )
    cpu, wall, found = done.stdout.split()
    if int(found) < expected:
        raise RuntimeError(f"found {found} extensions, expected at least {expected}")
    return float(cpu), float(wall)


def install(site: Path, size: int) -> None:
    """Make distributions as an installer leaves them, a minute ago.

    Args:
        site: The directory to make.
        size: How many.
    """
    text = "Long description of the project.\n" * 200  # metadata is some 7 kB in practice
    for number in range(size):
        info = site / f"acme_{number}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: acme-{number}\nVersion: 1.0\nSummary: Number {number}\n\n{text}"
        )
        (info / "RECORD").write_text("")
        if number < PLUGINS[size]:
            points = f"[symphony.extensions]\nnumber-{number} = acme_{number}:symphony.toml\n"
            package = site / f"acme_{number}"
            package.mkdir()
            (package / "__init__.py").write_text("")
            (package / "symphony.toml").write_text(MANIFEST.format(number=number))
        else:
            points = f"[console_scripts]\nacme-{number} = acme_{number}:main\n"
        (info / "entry_points.txt").write_text(points)
    then = time.time() - 60
    for path in (site, *site.rglob("*")):
        os.utime(path, (then, then))


if __name__ == "__main__":
    main()
