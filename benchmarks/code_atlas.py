"""The code atlas on a folder of 2,000 files: files a second, and what Symphony itself costs.

The floor is one process without Symphony that does the same work in a plain loop: it walks the folder,
classifies each file with the model, measures it and draws the page. Both are whole processes, measured by the
operating system. What is neither the model's work nor the files' is the host's own processor time, and what the
workers take more than the floor; the model's threads spin while they wait, so the workers may take less.

    python benchmarks/code_atlas.py [--files 2000] [--rounds 3]
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

FLOW = Path(__file__).parents[1] / "examples" / "workflows" / "code-atlas.json"
OURS = """
import resource, sys
from symphony_host.__main__ import main

try:
    sys.exit(main())
finally:
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(own.ru_utime + own.ru_stime, file=sys.stderr)
"""
FLOOR = """
import sys
from pathlib import Path
from magika import Magika
from symphony_code_metrics.plugin import ClassifiedFile, measure
from symphony_files.walk import walk
from symphony_report.figures import FileMetrics, summarize
from symphony_report.page import render_page
from symphony_sdk.testing import recording_context
import msgspec

context = recording_context()
model = Magika()
measured = []
for path, relative, size in walk(Path(sys.argv[1])):
    kind = model.identify_path(path).prediction.output
    file = ClassifiedFile(str(path), relative, size, str(kind.label), kind.group, kind.is_text)
    measured.append(msgspec.convert(msgspec.to_builtins(measure(context, file)), FileMetrics))
Path(sys.argv[2]).write_text(render_page("Code atlas", summarize(measured)))
"""


EXTENSIONS = ("symphony.files", "symphony.file-type", "symphony.code-metrics")


def folder_of(count, place):
    """A folder with copies of the standard library's own files."""
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("**/*.py"))
    sources = [source for source in sources if "site-packages" not in source.parts]
    for number in range(count):
        target = place / f"part_{number % 20}" / f"{number}_{sources[number % len(sources)].name}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(sources[number % len(sources)], target)


def measured(command, environment):
    """Wall and processor seconds of a command and all that it started, and what it printed on both streams."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout, done.stderr


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        folder = base / "code"
        folder.mkdir()
        folder_of(chosen.files, folder)
        environment = {
            **os.environ,
            "SYMPHONY_DATA_DIR": str(base / "data"),
            "SYMPHONY_CACHE_DIR": str(base / "cache"),
            "SYMPHONY_CONFIG_DIR": str(base / "config"),
        }
        granting = [sys.executable, "-m", "symphony_host", "permissions", "grant", *EXTENSIONS]
        subprocess.run(granting, env=environment, stdout=subprocess.DEVNULL, check=True)
        ours = [
            sys.executable,
            "-c",
            OURS,
            "run",
            str(FLOW),
            "--input",
            f"path={folder}",
            "--json",
        ]
        floor = [sys.executable, "-c", FLOOR, str(folder), str(base / "page.html")]
        rows = {"ours": [], "floor": []}
        for _ in range(chosen.rounds):
            wall, cpu, printed, told = measured(ours, environment)
            summary = json.loads(printed.splitlines()[-1])
            assert summary["state"] == "completed", summary
            assert all(node["done"] == node["total"] for node in summary["nodes"])
            rows["ours"].append((wall, cpu, float(told.splitlines()[-1])))
            rows["floor"].append(measured(floor, environment)[:2])
    wall, cpu, host = (statistics.median(column) for column in zip(*rows["ours"], strict=True))
    floor_wall, floor_cpu = (statistics.median(column) for column in zip(*rows["floor"], strict=True))
    workers = cpu - host
    print(f"code atlas, {chosen.files:,} files, medians of {chosen.rounds} rounds, whole processes")
    print(f"  ours    {wall:7.2f} s   {cpu:7.2f} s of processor   {chosen.files / wall:6.0f} files/s")
    print(
        f"  floor   {floor_wall:7.2f} s   {floor_cpu:7.2f} s of processor   {chosen.files / floor_wall:6.0f} files/s"
    )
    print(f"  ratio   {wall / floor_wall:7.2f}     {cpu / floor_cpu:7.2f}")
    print(
        f"  host    {host:7.2f} s of processor: {host / cpu:.1%}, {1e3 * host / chosen.files:.2f} ms a file"
    )
    print(f"  workers {workers:7.2f} s of processor: {workers / floor_cpu:.2f} x floor")


if __name__ == "__main__":
    main()
