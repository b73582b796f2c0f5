"""Workers are forked from a zygote: they are like any other, and none outlives it, nor it the host."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_isolation import launcher as launching
from symphony_isolation.interpreter import Interpreter, interpreter_of, own_interpreter
from symphony_isolation.sandbox import probe
from symphony_isolation.sandbox.processes import children_of
from symphony_isolation.way import Way, way_of
from symphony_isolation.zygote.client import Zygote
from symphony_isolation.zygote.messages import Reap
from symphony_sdk.errors import ExtensionError, PeerGone, SymphonyError

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(os, "pidfd_open"), reason="there is no zygote on this system"
)

CURIOUS = """
import gc, os, random, sys
from symphony_sdk import Context, operator, provides_operators

@operator("acme.curious.look")
def look(ctx: Context) -> dict[str, str]:
    return {
        "parent": str(os.getppid()),
        "random": str(random.random()),
        "hash": str(hash("bear")),
        "frozen": str(gc.get_freeze_count()),
        "tmp": os.environ.get("TMPDIR", ""),
        "prefix": sys.prefix,
        "argv": str(sys.argv),
        "blocked": open("/proc/self/status").read().split("SigBlk:")[1].split()[0],
    }

@provides_operators
def symphony_operators():
    yield look
"""


def state_and_parent(pid):
    """The letter of a process's state and its parent, of one moment; raises where there is no such process."""
    state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    return state, int(parent)


def state(pid):
    """The letter of a process's state; empty where there is none."""
    try:
        return state_and_parent(pid)[0]
    except OSError:
        return ""


def parent(pid):
    return state_and_parent(pid)[1]


def inner_pid(pid):
    """Its number in the innermost namespace that it is in."""
    return int(Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].splitlines()[0].split()[-1])


def namespaces_of(pid):
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
    return {str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in kinds}


def kill(pid):
    """Kill a process, unless it has ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_gone(pid):
    """Whether a process has ended, and been reaped unless that is left to who takes orphans in."""
    try:
        state, parent = state_and_parent(pid)
    except OSError:
        return True
    return state == "Z" and parent != os.getpid()


async def zygote_of(extensions):
    return await extensions._launcher._zygote


def test_a_worker_is_a_child_of_a_process_with_one_thread_and_a_clean_environment(house, call, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await call(extensions, "acme.zoo.echo")
            zygote = await zygote_of(extensions)
            assert parent((await extensions.health("acme.zoo")).pid) == zygote.pid
            assert parent(zygote.pid) == os.getpid()
            process = Path(f"/proc/{zygote.pid}")
            assert len(list((process / "task").iterdir())) == 1
            assert b"hunter2" not in (process / "environ").read_bytes()
            assert (process / "cmdline").read_bytes().split(b"\0")[1:3] == [b"-I", b"-S"]
            assert len(list((process / "fd").iterdir())) == 4  # stdin, stdout, stderr and its socket
            assert os.getsid(zygote.pid) == zygote.pid

    asyncio.run(scenario())


def test_a_keeper_is_all_that_the_full_sandbox_of_a_worker_adds(house, call):
    missing = probe().missing("full")
    if missing:
        pytest.skip("; ".join(f"{layer.name}: {layer.reason}" for layer in missing))

    async def scenario():
        async with house.opened(house.write("acme.curious", CURIOUS, tier="full")) as extensions:
            found = await call(extensions, "acme.curious.look")
            keeper = (await extensions.health("acme.curious")).pid
            assert parent(keeper) == (await zygote_of(extensions)).pid
            (worker,) = children_of(keeper)
            assert inner_pid(worker) == 2
            assert found["parent"] == "1"
            assert not namespaces_of(worker) & namespaces_of(os.getpid())

    asyncio.run(scenario())


def test_siblings_share_what_they_must_and_no_more(house, call):
    tmp = house.root / "tmp"
    tmp.mkdir()
    specs = [
        house.write(
            f"acme.curious{number}",
            CURIOUS.replace("acme.curious", f"acme.curious{number}"),
            tier="fallback",
            **changes,
        )
        for number, changes in enumerate(({}, {"roots": {"tmp": str(tmp)}}))
    ]

    async def scenario():
        async with house.opened(*specs) as extensions:
            return [await call(extensions, f"acme.curious{number}.look") for number in range(2)]

    first, second = asyncio.run(scenario())
    assert first["parent"] == second["parent"]
    assert first["random"] != second["random"]
    assert first["hash"] == second["hash"]
    assert int(first["frozen"]) > 1000
    assert (first["tmp"], second["tmp"]) == (os.environ.get("TMPDIR", ""), str(tmp))
    assert first["prefix"] == sys.prefix
    assert first["argv"] == "['']"
    assert int(first["blocked"], 16) == 0


def test_workers_end_with_a_killed_zygote_without_blame_and_are_started_again(house, call, under_way, gone):
    async def scenario():
        async with house.opened(
            house.zoo(), house.write("acme.curious", CURIOUS, tier="fallback")
        ) as extensions:
            await call(extensions, "acme.curious.look")
            task = await under_way(extensions, "acme.zoo.wait")
            pid = (await extensions.health("acme.zoo")).pid
            zygote = await zygote_of(extensions)
            os.kill(zygote.pid, signal.SIGKILL)
            with pytest.raises(PeerGone, match="ended with the process that it was forked from"):
                await task
            assert gone(pid)
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            another = await zygote_of(extensions)
            assert (
                (await call(extensions, "acme.curious.look"))["parent"] == str(another.pid) != str(zygote.pid)
            )
            assert (await extensions.health("acme.zoo")).restarts == 0

    asyncio.run(scenario())


LIAR = """
import ctypes, os
from symphony_sdk import Context, operator, provides_operators

@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
def call_oneself_so(argument):
    return ctypes.CDLL(None).prctl(15, NAME)  # PR_SET_NAME, as a keeper tells how what it kept has ended

@operator("acme.liar.name")
def name(ctx: Context) -> None:  # the name of a process is that of its first thread, which is another one
    ctypes.pythonapi.Py_AddPendingCall(call_oneself_so, None)

@operator("acme.liar.end")
def end(ctx: Context) -> None:
    with open("/proc/self/comm", "rb") as file:
        assert file.read() == NAME + b"\\n"
    os._exit(7)

@provides_operators
def symphony_operators():
    yield name
    yield end
"""


@pytest.mark.parametrize("tier", ["fallback", "full"])
@pytest.mark.parametrize("name", [b"ended 0", b"ended x", b"\xff"])
def test_nothing_that_an_extension_calls_itself_is_believed_or_harms_others(house, call, tier, name):
    async def scenario():
        liar = house.write("acme.liar", f"NAME = {name}{LIAR}", tier=tier)
        async with house.opened(house.zoo(), liar) as extensions:
            await extensions.activate("acme.zoo")
            before = (await extensions.health("acme.zoo")).pid
            await call(extensions, "acme.liar.name")
            with pytest.raises(PeerGone, match="code 7"):
                await call(extensions, "acme.liar.end")
            assert (await extensions.health("acme.zoo")).pid == before
            assert (await extensions.health("acme.zoo")).restarts == 0

    if tier == "full" and probe().missing("full"):
        pytest.skip("this machine has no full sandbox")
    asyncio.run(scenario())


def test_without_a_zygote_that_lives_workers_are_started_cold(house, call, gone):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            for _ in range(launching.ZYGOTES):
                await call(extensions, "acme.zoo.echo")
                pid = (await extensions.health("acme.zoo")).pid
                os.kill((await zygote_of(extensions)).pid, signal.SIGKILL)
                assert await asyncio.to_thread(gone, pid)
                await extensions.deactivate("acme.zoo")
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert parent((await extensions.health("acme.zoo")).pid) == os.getpid()

    asyncio.run(scenario())
    assert any("came to its end 3 times" in text for text in house.texts("warning"))


def test_a_zygote_that_does_not_start_is_done_without_and_its_last_words_are_told(house, call, monkeypatch):
    empty = Interpreter(sys.executable, sys.prefix, (), needs_code=False)
    monkeypatch.setattr(launching, "own_interpreter", lambda: empty)

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"

    asyncio.run(scenario())
    assert any("No module named 'symphony_isolation'" in text for text in house.texts("warning"))


def test_a_zygote_that_does_not_answer_is_ended_and_done_without(house, call, gone, monkeypatch):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await extensions.activate("acme.zoo")
            await extensions.deactivate("acme.zoo")
            zygote = await zygote_of(extensions)
            monkeypatch.setattr("symphony_isolation.zygote.client.ANSWER_TIMEOUT", 0.2)
            os.kill(zygote.pid, signal.SIGSTOP)
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert not zygote.alive
            assert state(zygote.pid) == ""

    asyncio.run(scenario())
    assert any("did not answer within 0.2 s" in text for text in house.texts("warning"))


def test_what_the_kernel_refuses_the_zygote_is_told_with_its_number():
    async def scenario():
        zygote = await Zygote.start(own_interpreter(), {})
        try:
            with pytest.raises(OSError, match="No child processes") as caught:
                await zygote._ask(Reap(1))
            assert caught.value.errno == errno.ECHILD
            assert await zygote.reap(1) is None
        finally:
            zygote.close()
        with pytest.raises(ConnectionError, match="is gone"):
            await zygote.fork("/", {}, ())

    asyncio.run(scenario())


def test_a_worker_that_cannot_be_where_it_should_says_so(house):
    (house.root / "data").mkdir()
    (house.root / "data" / "acme.zoo").symlink_to("/proc/self/fd/0")

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(ExtensionError) as caught:
                await extensions.activate("acme.zoo")
            assert caught.value.code == "SYM-E030"

    asyncio.run(scenario())


def test_the_zygote_and_its_workers_die_with_the_host(house, gone):
    host = f"""
    import asyncio, sys
    from pathlib import Path
    from symphony_isolation import IsolatedExtensions, WorkerSpec
    import msgspec
    spec = msgspec.json.decode(sys.argv[1], type=WorkerSpec)
    async def main():
        extensions = IsolatedExtensions([spec], cache_dir=Path({str(house.root / "cache")!r}),
                                        artifacts=None, on_log=lambda *line: None)
        await extensions.activate(spec.id)
        print((await extensions.health(spec.id)).pid, (await extensions._launcher._zygote).pid, flush=True)
        await asyncio.Event().wait()
    asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(host), msgspec.json.encode(house.zoo()).decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        worker, zygote = map(int, process.stdout.readline().split())
        assert parent(worker) == zygote
        process.kill()
    assert gone(worker)
    assert gone(zygote)


# -- the way that is taken ------------------------------------------------------------------------------


def environment_at(root, *pth):
    """A virtual environment that finds what this one finds, and these lines of `.pth` files."""
    site = root / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    site.mkdir(parents=True)
    (root / "bin").mkdir()
    python = root / "bin" / "python"
    python.symlink_to(Path(sys.executable).resolve())
    (root / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    (site / "all.pth").write_text("\n".join(own_interpreter().directories))
    for number, line in enumerate(pth):
        (site / f"{number}.pth").write_text(line)
    return str(python)


def test_an_environment_of_ones_own_is_started_cold_and_runs_no_code_of_it(house, call):
    touched = house.root / "touched"
    python = environment_at(
        house.root / "environment", f"import pathlib; pathlib.Path({str(touched)!r}).touch()"
    )
    spec = house.write("acme.curious", CURIOUS, python=python, tier="fallback")
    assert way_of(python) == Way("cold", "it has an environment of its own")

    async def scenario():
        async with house.opened(spec) as extensions:
            return await call(extensions, "acme.curious.look")

    found = asyncio.run(scenario())
    assert (found["parent"], found["prefix"]) == (str(os.getpid()), str(house.root / "environment"))
    assert not touched.exists()


def test_directories_of_pth_files_are_found_by_reading_them(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    python = environment_at(
        tmp_path / "environment",
        f"# a comment\n\n{tmp_path / 'a'}\n/nowhere\n{tmp_path / 'b'}\n",
        "import sys; sys.path.append('/')",
    )
    found = interpreter_of(python)
    site = next((tmp_path / "environment").glob("lib/*/site-packages"))
    added = (str(tmp_path / "a"), str(tmp_path / "b"))
    assert found == Interpreter(
        python,
        str(tmp_path / "environment"),
        (str(site), *added, *own_interpreter().directories),
        needs_code=False,
    )
    assert interpreter_of("/nowhere/bin/python") is None


def test_an_environment_whose_packages_only_code_finds_is_left_to_its_code(tmp_path, monkeypatch):
    python = environment_at(tmp_path, "import __editable___acme_finder; __editable___acme_finder.install()")
    found = interpreter_of(python)
    assert found.needs_code
    monkeypatch.setattr("symphony_isolation.way.own_interpreter", lambda: found)
    assert way_of(sys.executable).kind == "cold"


def test_a_pth_file_that_cannot_be_read_is_left_out(tmp_path):
    python = environment_at(tmp_path)
    next(tmp_path.glob("lib/*/site-packages")).joinpath("bad.pth").write_bytes(b"\xff\xfe\xff")
    assert interpreter_of(python).directories[1:] == own_interpreter().directories


def test_where_there_is_no_pidfd_workers_are_started_cold(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    assert way_of(sys.executable).kind == "cold"


# -- whatever happens -----------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(["call", "start", "end", "end", "end", "turns", "cancel", "kill", "kill-zygote", "stop"]),
    min_size=6,
    max_size=12,
)


@settings(deadline=None, max_examples=int(os.environ.get("FUZZ_EXAMPLES", "10")))
@given(running=st.booleans(), steps=STEPS)
def test_after_any_starts_kills_and_cancellations_no_process_is_left(
    tmp_path_factory, running, steps, house_in, node_call
):
    house = house_in(tmp_path_factory.mktemp("storm"))
    workers, zygotes = set(), set()
    launch = launching.Launcher.launch

    async def launched(self, *args):
        child = await launch(self, *args)
        workers.add(child.pid)
        zygotes.update({child.parent} - {os.getpid()})
        return child

    async def scenario():
        tasks = []
        async with house.opened(house.zoo(workers=2)) as extensions:
            if running:
                await extensions.activate("acme.zoo")
            for step in steps:
                match step:
                    case "call":
                        tasks.append(
                            asyncio.create_task(extensions.call(node_call("acme.zoo.echo", text="bear")))
                        )
                    case "start":
                        tasks.append(asyncio.create_task(extensions.activate("acme.zoo")))
                    case "cancel" if tasks:
                        tasks[-1].cancel()
                    case "kill":
                        for pid in (await extensions.health("acme.zoo")).pids.values():
                            kill(pid)
                    case "kill-zygote":
                        for pid in zygotes:
                            kill(pid)
                    case "stop":
                        tasks.append(asyncio.create_task(extensions.deactivate("acme.zoo")))
                    case "turns":
                        for _ in range(5):
                            await asyncio.sleep(0)
                    case "end" if tasks:
                        await asyncio.wait(tasks)
        return await asyncio.gather(*tasks, return_exceptions=True)

    launching.Launcher.launch = launched
    try:
        results = asyncio.run(scenario())
    finally:
        launching.Launcher.launch = launch
    assert [
        result
        for result in results
        if isinstance(result, Exception) and not isinstance(result, SymphonyError)
    ] == []
    assert [pid for pid in workers | zygotes if not is_gone(pid)] == []


REFUSED_NAMESPACES = """
import os, socket
from symphony_isolation.sandbox import namespaces
from symphony_isolation.zygote import main
from symphony_isolation.zygote.messages import Fork

def refused(*arguments, **named):
    raise OSError(28, "no namespace is left")

def worker(*numbers, contained):
    os.write(2, f"as a worker of its own: {not contained}".encode())
    os._exit(0)

main.be_worker = worker
namespaces.keep_first = refused
CHANGE
keepers = set()
read, write = os.pipe()
ours, theirs = socket.socketpair()
pid = main._fork(Fork(b"/", (), True), [write, write, theirs.detach()], ours, keepers)
os.close(write)
status = main._reap(pid, keepers)
print(status, os.read(read, 100).decode(), end="")
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("namespaces.clone = os.fork", "121 namespaces: no namespace is left\n"),
        ("namespaces.clone = refused", "0 as a worker of its own: True"),  # which is to try for itself
    ],
)
def test_a_worker_that_cannot_be_put_into_namespaces_says_so_and_runs_nothing(change, told):
    code = REFUSED_NAMESPACES.replace("CHANGE", change)
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (told, "")
