"""The start of the command line beside that of the interpreter and of two peers: CPU time, medians.

Run: `uv run --with llm --with datasette python benchmarks/cli_start.py`
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

ROUNDS = 15


def cpu(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Milliseconds of CPU, user and system, that one process takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Print a line for each command: median, and its ratio to the interpreter alone."""
    symphony = [sys.executable, "-m", "symphony_host"]
    floor = [sys.executable, "-c", "pass"]
    commands = {
        "python -c pass": floor,
        "symphony --version": [*symphony, "--version"],
        "symphony --help": [*symphony, "--help"],
        "symphony list": [*symphony, "list"],
        "symphony run --help": [*symphony, "run", "--help"],
    }
    for peer in ("llm", "datasette"):
        if shutil.which(peer):
            commands[f"{peer} --version"] = [peer, "--version"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SYMPHONY_CACHE_DIR": folder, "SYMPHONY_DATA_DIR": folder}
        for command in commands.values():
            cpu(command, environment)  # writes what is cached: bytecode, the index
        # one of each in turn, so that whatever else the machine does meets all alike
        rounds = [
            {name: cpu(command, environment) for name, command in commands.items()} for _ in range(ROUNDS)
        ]
    medians = {name: statistics.median(each[name] for each in rounds) for name in commands}
    for name, median in medians.items():
        print(f"{name:22} {median:8.1f} ms  {median / medians['python -c pass']:6.1f} x python -c pass")


if __name__ == "__main__":
    main()
