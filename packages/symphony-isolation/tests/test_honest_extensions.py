"""What libraries do on their way, without a thought of a sandbox: it works, or they can tell beforehand that it does not.

`tests/libraries` tries the libraries themselves.
"""

import asyncio
import sys

import pytest
from symphony_isolation.sandbox import choose
from symphony_sdk.errors import PermissionDenied

SOURCE = """
import multiprocessing, os, subprocess, sys, threading
from symphony_sdk import Context, operator, provides_operators

@operator("acme.honest.environment")
def environment(ctx: Context, name: str) -> str:
    return os.environ.get(name, "not there")

@operator("acme.honest.pin")
def pin(ctx: Context) -> bool:
    # as the thread pool of onnxruntime does with each of its threads
    thread = threading.get_native_id()
    os.sched_setaffinity(thread, os.sched_getaffinity(0))
    return thread != os.getpid()

@operator("acme.honest.run")
def run(ctx: Context, program: str) -> str:
    try:
        return subprocess.run([program, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout.strip()
    except OSError as error:
        return type(error).__name__

@operator("acme.honest.interpreter")
def interpreter(ctx: Context) -> str:
    return sys.executable

@operator("acme.honest.share-out")
def share_out(ctx: Context, way: str) -> list[int]:
    with multiprocessing.get_context(way).Pool(2) as pool:
        return pool.map(abs, [-1, -2, -3])

@provides_operators
def operators():
    yield from (environment, pin, run, interpreter, share_out)
"""


@pytest.fixture(params=["full", "fallback"])
def tier(request):
    try:
        return choose(request.param)
    except PermissionDenied as error:
        pytest.skip(str(error))


def test_without_processes_libraries_are_told_so_and_threads_choose_their_processors(house, call, tier):
    async def scenario():
        spec = house.write("acme.honest", SOURCE, sandbox=tier)
        async with house.opened(spec) as extensions:
            found = await call(extensions, "acme.honest.environment", name="JOBLIB_MULTIPROCESSING")
            pinned = await call(extensions, "acme.honest.pin")
            ran = await call(extensions, "acme.honest.run", program=sys.executable)
        return found, pinned, ran

    assert asyncio.run(scenario()) == ("0", True, "PermissionError")


def test_who_may_start_processes_starts_its_own_interpreter_and_no_other_program(house, call, tier):
    async def scenario():
        permissions = ("system:execute:process",)
        spec = house.write("acme.honest", SOURCE, sandbox=tier, permissions=permissions)
        async with house.opened(spec) as extensions:
            assert (
                await call(extensions, "acme.honest.environment", name="JOBLIB_MULTIPROCESSING")
                == "not there"
            )
            own = await call(extensions, "acme.honest.interpreter")
            assert await call(extensions, "acme.honest.run", program=own) == "42"
            assert await call(extensions, "acme.honest.run", program="/usr/bin/env") == "PermissionError"
            if tier == "full":  # elsewhere processes share no semaphores
                for way in ("fork", "spawn"):
                    assert await call(extensions, "acme.honest.share-out", way=way) == [1, 2, 3]

    asyncio.run(scenario())
