"""How exactly a sandbox holds a worker to its limits, and what it costs a call: `python benchmarks/limits.py`.

Memory: the highest amount that a process holds before it is ended, against its limit. Processor time: what it computes
in a while, against its share of what a process without a limit computes in the same while. Calls: the round trip to a
worker in each tier against one in tier `none`, taken in turns.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from symphony_isolation import IsolatedExtensions, WorkerLimits, WorkerSpec
from symphony_isolation.permissions import compile_policy
from symphony_isolation.sandbox import Enclosure, Limits, SandboxPolicy
from symphony_isolation.sandbox.interpreter import readable_by
from symphony_sdk.ports import NodeCall
from symphony_sdk.testing.fakes import FakeArtifactStore

MEMORY = 256 << 20
SHARE = 0.3

CHILD = """
import json, mmap, os, sys, threading, time
import msgspec
from hashlib import sha256
from symphony_isolation.sandbox import SandboxPolicy, enter
policy, code = msgspec.json.decode(sys.argv[1]), sys.argv[2]
print(flush=True)
sys.stdin.readline()
enter(msgspec.convert(policy, SandboxPolicy), keep=())
exec(code)
"""
NOTE = "out = os.open('held', os.O_CREAT | os.O_WRONLY)\ndef note(n): os.pwrite(out, b'%d' % n, 0)\n"
FILLS = {
    "1 MiB blocks": "held = []\nwhile True:\n    held.append(b'x' * (1 << 20)); note(len(held) << 20)\n",
    "shared 1 MiB": (
        "held = []\nwhile True:\n    held.append(mmap.mmap(-1, 1 << 20)); held[-1].write(b'x' * (1 << 20))\n"
        "    note(len(held) << 20)\n"
    ),
    "slowly": (
        "held = []\nwhile True:\n    held.append(b'x' * (1 << 20)); note(len(held) << 20); time.sleep(0.002)\n"
    ),
}
LOADS = {
    "one thread": "while True: pass\n",
    "two threads": (
        "data = bytes(1 << 20)\ndef work():\n    while True: sha256(data).digest()\n"
        "threading.Thread(target=work).start()\nwork()\n"
    ),
    "30 ms of 50": (
        "while True:\n    end = time.perf_counter() + 0.03\n    while time.perf_counter() < end: pass\n"
        "    time.sleep(0.02)\n"
    ),
}
OPERATION = """
from symphony_sdk import Context, operator, provides_operators

@operator("acme.bench.echo")
def echo(ctx: Context) -> int:
    return 1

@provides_operators
def symphony_operators():
    yield echo
"""


def start(
    policy: SandboxPolicy, code: str, data: str, by_kernel: bool
) -> tuple["subprocess.Popen[bytes]", Enclosure]:
    """A confined process that runs a piece of code once it is enclosed."""
    enclosure = Enclosure(policy, "bench", use_cgroup=by_kernel)
    command = [sys.executable, "-I", "-c", CHILD, json.dumps(msgspec.to_builtins(policy)), code]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=data, start_new_session=True
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdout.readline()  # as workers are, it is enclosed when it has imported what it needs
    enclosure.attach(process.pid)
    process.stdin.write(b"\n")
    process.stdin.flush()
    return process, enclosure


def policy(tier: str, data: str, limits: Limits) -> SandboxPolicy:
    return SandboxPolicy(tier, read=readable_by(sys.executable), write=(data,), limits=limits)  # type: ignore[arg-type]


def memory(tier: str, by_kernel: bool, code: str) -> float:
    """Bytes that a process said it held at last, above its limit, as a ratio; its interpreter is not in it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as data:
        process, enclosure = start(policy(tier, data, Limits(memory=MEMORY)), NOTE + code, data, by_kernel)
        process.wait(60)
        violation = enclosure.violation()
        enclosure.close()
        assert violation is not None, "it was not ended"
        return int(Path(data, "held").read_text()) / MEMORY


def computed(pid: int) -> float:
    """Seconds that a process and all below it have computed."""
    total, left = 0.0, [pid]
    while left:
        one = left.pop()
        total += time.clock_gettime((~one << 3) | 2)
        left += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return total


def share(tier: str, by_kernel: bool, code: str, seconds: float) -> tuple[float, float]:
    """The share of a core that a process with a limit gets, and one without."""
    shares = []
    with tempfile.TemporaryDirectory(dir="/tmp") as data:
        for limits in (Limits(cpu=SHARE), Limits()):
            process, enclosure = start(policy(tier, data, limits), code, data, by_kernel)
            time.sleep(1.0)
            before, began = computed(process.pid), time.perf_counter()
            time.sleep(seconds)
            shares.append((computed(process.pid) - before) / (time.perf_counter() - began))
            enclosure.kill()
            process.kill()
            process.wait(30)
            enclosure.close()
    return shares[0], shares[1]


async def calls(count: int) -> dict[str, float]:
    """Median seconds of a call in each tier."""
    tiers = ("none", "fallback", "full")
    taken: dict[str, list[float]] = {tier: [] for tier in tiers}
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        Path(root, "acme_bench.py").write_text(OPERATION)  # noqa: ASYNC240 - nothing else runs yet
        houses = {}
        for tier in tiers:
            spec = WorkerSpec(
                id="acme.bench",
                version="1",
                kind="operator",
                module="acme_bench",
                data_dir=f"{root}/{tier}",
                fingerprint="1",
                limits=WorkerLimits(load_timeout=60),
                import_path=(root,),
            )
            spec = msgspec.structs.replace(spec, sandbox=compile_policy(spec, tier))  # type: ignore[arg-type]
            store = FakeArtifactStore()
            houses[tier] = IsolatedExtensions(
                [spec], cache_dir=Path(root, "cache"), artifacts=lambda store=store: store, on_log=print
            )
            await houses[tier].call(NodeCall("run", "node", "acme.bench.echo", {}))
        for _ in range(count):
            for tier in tiers:
                began = time.perf_counter()
                await houses[tier].call(NodeCall("run", "node", "acme.bench.echo", {}))
                taken[tier].append(time.perf_counter() - began)
        for house in houses.values():
            await house.stop()
    return {tier: statistics.median(times) for tier, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    ways = [("full", True), ("full", False), ("fallback", False)]
    print(f"load {os.getloadavg()[0]:.1f}; medians of {options.repeats}")
    for tier, by_kernel in ways:
        how = "control group" if by_kernel else "watchdog"
        for name, code in FILLS.items():
            found = statistics.median(memory(tier, by_kernel, code) for _ in range(options.repeats))
            print(f"memory  {tier:8} {how:13} {name:14} held {found:6.1%} of the limit (target 90-110 %)")
    for tier, by_kernel in ways:
        how = "control group" if by_kernel else "watchdog"
        for name, code in LOADS.items():
            pairs = [share(tier, by_kernel, code, options.seconds) for _ in range(options.repeats)]
            got = statistics.median(limited for limited, _ in pairs)
            free = statistics.median(unlimited for _, unlimited in pairs)
            wanted = min(SHARE, free)
            print(
                f"cpu     {tier:8} {how:13} {name:14} got {got:.3f} of {wanted:.3f} cores: {got / wanted - 1:+.1%} "
                f"(free: {free:.2f}; target 20 %)"
            )
    medians = asyncio.run(calls(options.calls))
    for tier in ("fallback", "full"):
        ratio = medians[tier] / medians["none"]
        print(
            f"call    {tier:8} {medians[tier] * 1e6:.0f} us, unconfined {medians['none'] * 1e6:.0f} us: {ratio:.2f}x"
        )


if __name__ == "__main__":
    main()
