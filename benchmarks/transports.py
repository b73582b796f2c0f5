"""Round trips over each transport to another process, beside the floors of the same run.

    uv run --with uvloop benchmarks/transports.py

Prints medians in microseconds: of a request that is decoded and checked at both ends (ours), and of the same
bytes sent back by a blocking loop in Python and by one in C (floors). Without a C compiler that floor is left
out. Both ends of ours run on asyncio, then on uvloop where it is installed.
"""

import asyncio
import importlib.util
import os
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from symphony_sdk.testing.contracts.transport_peer import Echo, made_by, serve

SIZES = {"64 B": 64, "1 KB": 1 << 10, "64 KB": 64 << 10, "1 MB": 1 << 20}
PASSES = 5
FACTORIES = {"unix": "symphony_transports:UnixTransport", "stdio": "symphony_transports:StdioTransport"}
C_FLOOR = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static void all(ssize_t (*move)(int, void *, size_t), int fd, char *data, size_t size) {
    while (size) { ssize_t n = move(fd, data, size); if (n <= 0) exit(0); data += n; size -= n; }
}
static ssize_t put(int fd, void *data, size_t size) { return write(fd, data, size); }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e6 + t.tv_nsec / 1e3; }
static int compare(const void *a, const void *b) { double d = *(double *)a - *(double *)b; return (d > 0) - (d < 0); }
int main(int argc, char **argv) {
    size_t size = atol(argv[2]); int rounds = atoi(argv[3]), there[2], back[2];
    if (strcmp(argv[1], "unix") == 0) { socketpair(AF_UNIX, SOCK_STREAM, 0, there); back[0] = there[0]; back[1] = there[1];
        there[0] = back[1]; there[1] = back[0]; }
    else { if (pipe(there) || pipe(back)) return 1; }
    char *data = calloc(1, size);
    if (fork() == 0) {
        close(there[1]); if (back[0] != there[1]) close(back[0]);
        for (;;) { all(read, there[0], data, size); all(put, back[1], data, size); }
    }
    double *taken = calloc(rounds, sizeof(double));
    for (int i = 0; i < rounds; i++) { double t = now(); all(put, there[1], data, size); all(read, back[0], data, size);
        taken[i] = now() - t; }
    qsort(taken, rounds, sizeof(double), compare);
    printf("%f\n", taken[rounds / 2]);
    return 0;
}
"""


def rounds(size: int) -> int:
    return 2000 if size <= 64 << 10 else 200


def median(round_trip: Callable[[], object], size: int) -> float:
    taken = []
    for _ in range(rounds(size)):
        started = time.perf_counter()
        round_trip()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e6


def read_all(descriptor: int, buffer: memoryview) -> None:
    got = 0
    while got < len(buffer):
        count = os.readv(descriptor, [buffer[got:]])
        if not count:
            raise SystemExit(0)
        got += count


def write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def echo_blocking(read_fd: int, write_fd: int, size: int) -> None:
    buffer = memoryview(bytearray(size))
    while True:
        read_all(read_fd, buffer)
        write_all(write_fd, buffer)


def floor_in_python(name: str, size: int) -> float:
    command = [sys.executable, __file__, "floor", str(size)]
    if name == "unix":
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs)
        theirs.close()
        read_fd = write_fd = ours.detach()
    else:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin and process.stdout
        read_fd, write_fd = process.stdout.fileno(), process.stdin.fileno()
    data, back = memoryview(os.urandom(size)), memoryview(bytearray(size))

    def round_trip() -> None:
        write_all(write_fd, data)
        read_all(read_fd, back)

    result = median(round_trip, size)
    process.kill()
    process.wait()
    return result


def compiled(folder: str) -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, program = Path(folder, "floor.c"), Path(folder, "floor")
    source.write_text(C_FLOOR)
    subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return program


def floor_in_c(program: Path, name: str, size: int) -> float:
    command = [str(program), name, str(size), str(rounds(size))]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


async def ours(name: str, loop: str, folder: str) -> dict[str, float]:
    transport = made_by(FACTORIES[name])
    command = [sys.executable, __file__, "peer", loop, FACTORIES[name]]
    if name == "stdio":
        process = None
        address = f"stdio:{shlex.join([*command, 'stdio:', '-1'])}"
    else:
        address = f"{name}:{folder}/run/s"
        ready, its_ready = os.pipe()
        process = subprocess.Popen([*command, address, str(its_ready)], pass_fds=[its_ready])  # noqa: ASYNC220
        os.close(its_ready)
        os.read(ready, 1)
        os.close(ready)
    connection = await transport.connect(address, token=b"t")
    medians = {}
    for label, size in SIZES.items():
        message, taken = Echo(os.urandom(size)), []
        for _ in range(rounds(size)):
            started = time.perf_counter()
            await connection.request(message, Echo, timeout=30)
            taken.append(time.perf_counter() - started)
        medians[label] = statistics.median(taken) * 1e6
    await connection.close()
    if process is not None:
        await asyncio.to_thread(process.wait)
    return medians


def runner(loop: str) -> asyncio.Runner:
    if loop == "uvloop":
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()


def one_pass(
    name: str, loop: str, program: Path | None, folder: str
) -> dict[str, tuple[float, float, float]]:
    with runner(loop) as run:
        mine = run.run(ours(name, loop, folder))
    return {
        label: (
            mine[label],
            floor_in_python(name, size),
            floor_in_c(program, name, size) if program else float("nan"),
        )
        for label, size in SIZES.items()
    }


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "floor":
        echo_blocking(0, 1, int(sys.argv[2]))
    if len(sys.argv) > 1 and sys.argv[1] == "peer":
        _, _, loop, factory, address, ready = sys.argv
        with runner(loop) as run:
            run.run(serve(factory, address, "t", int(ready)))
        return
    loops = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]
    with tempfile.TemporaryDirectory(prefix="symphony-") as folder:
        program = compiled(folder)
        if program is None:
            print("no C compiler here: that floor is left out")
        for name in FACTORIES:
            for loop in loops:
                passes = [one_pass(name, loop, program, folder) for _ in range(PASSES)]
                print(f"\n{name}, both ends on {loop}, {PASSES} passes, us\n")
                print(
                    f"{'payload':>8} {'ours':>9} {'blocking':>9} {'C':>9} {'x blocking':>11} {'x C':>7}",
                    flush=True,
                )
                for label in SIZES:
                    mine, python, c = (statistics.median(one[label][i] for one in passes) for i in range(3))
                    print(
                        f"{label:>8} {mine:9.1f} {python:9.1f} {c:9.1f} {mine / python:11.2f} {mine / c:7.2f}"
                    )


if __name__ == "__main__":
    main()
