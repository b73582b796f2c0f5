"""The sandboxes of macOS and Windows as text and structures, and who runs in them; nothing here is confined by them."""

import asyncio
import ctypes
import functools
import json
import re
import subprocess
import sys
import types
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_isolation import WorkerSpec
from symphony_isolation.permissions import compile_policy
from symphony_isolation.sandbox import (
    Layer,
    Tiers,
    backend,
    choose,
    enclosure,
    job_object,
    probing,
    seatbelt,
    unenforced,
)
from symphony_isolation.sandbox.policy import Limits, SandboxPolicy
from symphony_sdk.errors import ExtensionError, PermissionDenied
from symphony_sdk.permissions import Access, PermissionSet

PYTHON = "/opt/python/bin/python3.11"
OF_LINUX = {
    f"symphony_isolation.sandbox.{name}"
    for name in ("denials", "kernel", "landlock", "namespaces", "privileges", "seccomp", "tree", "trial")
}
"""What calls the kernel, or filters calls of it."""


@pytest.fixture
def on(monkeypatch):
    """Makes this process believe that it is on a platform."""
    forget = probing.probe.cache_clear

    def on(platform):
        monkeypatch.setattr(sys, "platform", platform)
        forget()

    yield on
    forget()


@pytest.fixture
def sandbox_exec(tmp_path, monkeypatch):
    """A program in the place of macOS's, which keeps the profile and executes the rest; gives where it keeps it."""
    program, kept = tmp_path / "sandbox-exec", tmp_path / "profile"
    program.write_text(f'#!/bin/sh\nprintf %s "$2" > "{kept}"\nshift 2\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(seatbelt, "PROGRAM", str(program))
    return kept


# -- who runs there ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "refused"),
    [
        ("darwin", {"symphony_isolation.sandbox.denials"}),
        (
            "win32",
            OF_LINUX
            | {"symphony_isolation.sandbox.process_limits"}
            | {f"symphony_isolation.zygote.{name}" for name in ("main", "warm_up")},
        ),
    ],
)
def test_all_but_what_calls_the_kernel_can_be_imported_where_linux_is_not(platform, refused):
    program = Path(__file__).with_name("foreign_platform.py")
    done = subprocess.run([sys.executable, program, platform], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert set(told["refused"]) == refused, told["refused"]
    assert {"symphony_isolation.supervisor", "symphony_isolation.bootstrap"} <= set(told["imported"])


@pytest.mark.parametrize(("platform", "name"), [("darwin", "Seatbelt"), ("win32", "job object")])
def test_an_unverified_sandbox_is_never_chosen_by_itself(on, sandbox_exec, platform, name):
    on(platform)
    assert (backend(), probing.probe().best) == (name, "unverified")
    with pytest.raises(PermissionDenied, match=f"the only sandbox here is {name}, and nobody") as caught:
        choose("auto")
    assert caught.value.code == "SYM-P022"
    assert "`trusted`" in caught.value.hint
    assert 'sandbox = "unverified"' in caught.value.hint
    assert caught.value.details["unenforced"] == list(unenforced("unverified"))
    assert (choose("unverified"), choose("none")) == ("unverified", "none")


@pytest.mark.parametrize("wanted", ["full", "fallback"])
def test_a_sandbox_of_linux_is_refused_where_linux_is_not(on, sandbox_exec, wanted):
    on("darwin")
    with pytest.raises(PermissionDenied, match="Landlock: not on darwin") as caught:
        choose(wanted)
    assert caught.value.code == "SYM-P020"


@pytest.mark.parametrize(
    ("platform", "missing"),
    [("darwin", "Seatbelt: /nowhere is missing"), ("sunos", "Landlock: not on sunos")],
)
@pytest.mark.parametrize("wanted", ["auto", "unverified"])
def test_where_there_is_none_at_all_nothing_runs(on, monkeypatch, platform, missing, wanted):
    monkeypatch.setattr(seatbelt, "PROGRAM", "/nowhere")
    on(platform)
    with pytest.raises(PermissionDenied, match=missing) as caught:
        choose(wanted)
    assert caught.value.code == "SYM-P020"


@pytest.mark.parametrize("missing", [(), ("namespaces",), ("Landlock",)])
def test_on_linux_the_unverified_one_is_the_best_verified_one_or_none(on, monkeypatch, missing):
    on("linux")
    names = ("namespaces", "file tree", "Landlock", "privileges", "seccomp")
    tiers = Tiers(tuple(Layer(name, "something", "off" * (name in missing)) for name in names))
    monkeypatch.setattr(probing, "probe", lambda: tiers)
    if "Landlock" in missing:
        with pytest.raises(PermissionDenied, match="Landlock: off"):
            choose("unverified")
    else:
        assert choose("unverified") == choose("auto") == tiers.best
    assert (backend(), unenforced("unverified")) == ("", ())


def test_what_is_not_enforced_is_told_of_the_unverified_tier_alone(on):
    on("win32")
    told = unenforced("unverified")
    assert any(line.startswith("files: ") for line in told)
    assert any(line.startswith("network: ") for line in told)
    assert unenforced("none") == unenforced("full") == ()
    on("darwin")
    assert any(line.startswith("memory: ") for line in unenforced("unverified"))


def test_on_macos_a_worker_is_started_cold_through_the_program_of_the_sandbox(house, call, on, sandbox_exec):
    granted = house.root / "granted"
    granted.mkdir()
    spec = house.zoo(sandbox="unverified", permissions=(f"file:read:{granted}/**",))
    on("darwin")

    async def scenario():
        async with house.opened(spec) as extensions:
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            assert len((await extensions.health("acme.zoo")).pids) == 1

    asyncio.run(scenario())
    text = sandbox_exec.read_text()
    for tree, operation, allowed in (
        (granted, "file-read-data", True),
        (granted, "file-write-data", False),
        (spec.data_dir, "file-write-data", True),
        (house.root.parent / "other", "file-read-data", False),
        (Path(sys.executable).resolve(), "process-exec", True),
    ):
        assert allows(text, operation, str(tree)) is allowed


def test_an_extension_that_is_not_trusted_does_not_start_in_an_unverified_sandbox(
    house, call, on, sandbox_exec
):
    on("darwin")

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(PermissionDenied, match="do not trust") as caught:
                await extensions.activate("acme.zoo")
            assert caught.value.code == "SYM-P022"
            (info,) = await extensions.extensions()
            assert (info.state, info.error.code) == ("failed", "SYM-P022")

    asyncio.run(scenario())
    assert not sandbox_exec.exists()


def test_on_windows_a_worker_is_put_into_its_job_before_it_hears_what_to_do(house, call, monkeypatch):
    kernel32 = FakeKernel32()
    monkeypatch.setattr(enclosure, "sys", types.SimpleNamespace(platform="win32"))
    monkeypatch.setattr(job_object, "load_kernel32", lambda: kernel32, raising=False)

    async def scenario():
        async with house.opened(house.zoo(sandbox="none")) as extensions:
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            health = await extensions.health("acme.zoo")
            assert kernel32.opened[-1:] == list(health.pids.values())

    asyncio.run(scenario())
    begin = kernel32.told.index("AssignProcessToJobObject")
    assert set(kernel32.told[:begin]) == {"CreateJobObjectW", "SetInformationJobObject", "OpenProcess"}
    assert kernel32.told[-2:] == ["TerminateJobObject", "CloseHandle"]


def test_on_windows_a_job_that_is_refused_keeps_its_worker_from_starting(house, monkeypatch):
    monkeypatch.setattr(enclosure, "sys", types.SimpleNamespace(platform="win32"))
    monkeypatch.setattr(
        job_object, "load_kernel32", lambda: FakeKernel32("SetInformationJobObject"), raising=False
    )

    async def scenario():
        async with house.opened(house.zoo(sandbox="none")) as extensions:
            with pytest.raises(PermissionDenied, match="SetInformationJobObject") as caught:
                await extensions.activate("acme.zoo")
            assert caught.value.code == "SYM-P021"

    asyncio.run(scenario())


def test_on_windows_no_worker_is_started_so_far(house, on, monkeypatch):
    monkeypatch.setattr(enclosure, "enclosure_of", lambda policy, id: enclosure.Enclosure(policy, id))
    monkeypatch.setattr("symphony_isolation.process.enclosure_of", enclosure.enclosure_of)
    on("win32")

    async def scenario():
        async with house.opened(house.zoo(sandbox="unverified")) as extensions:
            with pytest.raises(ExtensionError, match="on Windows") as caught:
                await extensions.activate("acme.zoo")
            assert caught.value.code == "SYM-E044"

    asyncio.run(scenario())


# -- macOS ---------------------------------------------------------------------------------------------

TOKEN = re.compile(r'\(|\)|"(?:[^"\\]|\\.)*"|[^\s()"]+')


@functools.lru_cache(maxsize=8)
def read_rules(text):
    """The expressions of a profile as nested lists, strings without their quotes behind a mark."""
    stack = [[]]
    for token in TOKEN.findall(text):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        elif token.startswith('"'):
            stack[-1].append(("text", re.sub(r"\\(.)", r"\1", token[1:-1])))
        else:
            stack[-1].append(token)
    assert len(stack) == 1
    return stack[0]


def allows(text, operation, path):
    """What Seatbelt decides: the last rule that fits counts."""
    allowed = None
    for rule in read_rules(text):
        if rule[0] not in ("allow", "deny"):
            continue
        name, filters = rule[1], rule[2:]
        if (
            name != "default"
            and name != operation
            and not (name.endswith("*") and operation.startswith(name[:-1]))
        ):
            continue
        if not filters or any(fits(one, path) for one in filters):
            allowed = rule[0] == "allow"
    return allowed


def fits(condition, path):
    kind, value = condition
    if kind == "target":
        return False
    root = value[1]
    return path == root or (kind == "subpath" and PurePosixPath(root) in PurePosixPath(path).parents)


names = st.text(
    st.characters(codec="utf-8", exclude_characters="/", categories=["L", "N", "P", "S"]), min_size=1
)
paths = st.lists(names.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
roots = st.lists(paths, max_size=3).map(tuple)


def below(path, tree):
    return path == tree or path.startswith(tree + "/")


@given(
    read=roots,
    write=roots,
    execute=roots,
    other=paths,
    name=names.filter(lambda name: name not in (".", "..")),
    data=st.data(),
)
def test_a_profile_allows_what_the_policy_lists_and_nothing_else(read, write, execute, other, name, data):
    text = seatbelt.profile(SandboxPolicy("unverified", read, write, execute), PYTHON)
    root = data.draw(st.sampled_from([*read, *write, *execute, other]))
    path = data.draw(st.sampled_from([root, f"{root}/{name}", f"{root}{name}", other]))
    system = any(below(path, tree) for tree in (*seatbelt._SYSTEM, PYTHON))
    listed = [below(path, tree) for tree in (*read, *write, *execute)]
    assert allows(text, "file-read-data", path) == (any(listed) or system or path.startswith("/dev/"))
    assert allows(text, "file-write-data", path) == any(below(path, tree) for tree in write)
    assert allows(text, "process-exec", path) == (
        any(below(path, tree) for tree in execute) or path == PYTHON
    )
    assert allows(text, "network-outbound", path) is False
    assert allows(text, "mach-lookup", path) is False


def test_a_profile_reads_like_this():
    policy = SandboxPolicy("unverified", read=("/opt/acme",), write=("/srv/acme/data",))
    assert seatbelt.profile(policy, PYTHON).splitlines() == [
        "(version 1)",
        "(deny default)",
        "(allow process-info* (target same-sandbox))",
        "(allow signal (target same-sandbox))",
        "(allow sysctl-read)",
        "(allow file-read*",
        '    (subpath "/Library/Apple/System/Library")',
        '    (subpath "/System/Library")',
        '    (subpath "/System/Volumes/Preboot/Cryptexes")',
        '    (subpath "/opt/acme")',
        f'    (subpath "{PYTHON}")',
        '    (subpath "/private/var/db/dyld")',
        '    (subpath "/private/var/db/timezone")',
        '    (subpath "/srv/acme/data")',
        '    (subpath "/usr/lib")',
        '    (subpath "/usr/share/zoneinfo")',
        '    (literal "/dev/null")',
        '    (literal "/dev/random")',
        '    (literal "/dev/urandom")',
        '    (literal "/dev/zero"))',
        "(allow file-read-metadata",
        '    (literal "/")',
        '    (literal "/Library")',
        '    (literal "/Library/Apple")',
        '    (literal "/Library/Apple/System")',
        '    (literal "/System")',
        '    (literal "/System/Volumes")',
        '    (literal "/System/Volumes/Preboot")',
        '    (literal "/opt")',
        '    (literal "/opt/python")',
        '    (literal "/opt/python/bin")',
        '    (literal "/private")',
        '    (literal "/private/var")',
        '    (literal "/private/var/db")',
        '    (literal "/srv")',
        '    (literal "/srv/acme")',
        '    (literal "/usr")',
        '    (literal "/usr/share"))',
        "(allow file-write*",
        '    (subpath "/srv/acme/data")',
        '    (literal "/dev/null"))',
        "(allow process-exec",
        f'    (literal "{PYTHON}"))',
        "(allow file-map-executable",
        '    (subpath "/Library/Apple/System/Library")',
        '    (subpath "/System/Library")',
        '    (subpath "/System/Volumes/Preboot/Cryptexes")',
        '    (subpath "/opt/acme")',
        f'    (subpath "{PYTHON}")',
        '    (subpath "/private/var/db/dyld")',
        '    (subpath "/private/var/db/timezone")',
        '    (subpath "/srv/acme/data")',
        '    (subpath "/usr/lib")',
        '    (subpath "/usr/share/zoneinfo"))',
    ]


folders = st.sampled_from(["/srv/a", "/srv/a/b", "/srv/a/b/c", "/srv/ab", "/srv/d", "/data/x"])
grants = st.lists(
    st.builds(
        lambda scopes, folder, end: f"file:{','.join(scopes)}:{folder}{end}",
        st.sampled_from([("read",), ("write",), ("read", "write"), ("execute",)]),
        folders,
        st.sampled_from(["", "/**", "/*", "/*.py", "/sub/**"]),
    ),
    max_size=4,
).map(tuple)


@given(
    permissions=grants,
    path=st.builds(
        lambda folder, end: folder + end, folders, st.sampled_from(["", "/x.py", "/x", "/sub/x", "/x/y.py"])
    ),
)
def test_a_profile_opens_all_that_the_permission_checker_allows_and_no_tree_that_it_knows_nothing_of(
    permissions, path
):
    """Of a pattern, Seatbelt knows the tree that its plain beginning names; within that, `ctx.files` checks."""
    spec = WorkerSpec(
        id="acme.text",
        version="1.0",
        kind="operator",
        module="acme_text",
        data_dir="/srv/own",
        fingerprint="1",
        permissions=permissions,
    )
    granted = PermissionSet.parse(permissions)
    policy = compile_policy(spec, "unverified")
    text = seatbelt.profile(policy, PYTHON)
    for scope, operation in (
        ("read", "file-read-data"),
        ("write", "file-write-data"),
        ("execute", "process-exec"),
    ):
        allowed = allows(text, operation, path)
        assert allowed or not granted.covers(Access("file", scope, path))
        implied = (
            ("read", "write", "execute") if scope == "read" else (scope,)
        )  # who writes a file may read it
        plain = [
            each.resource.partition("*")[0].rstrip("/") for each in granted if set(each.scope) & set(implied)
        ]
        assert allowed == any(below(path, tree) for tree in plain)


def test_a_profile_names_links_and_where_they_lead(tmp_path):
    (tmp_path / "true").mkdir()
    (tmp_path / "link").symlink_to("true")
    _, _, text, *_ = seatbelt.command(SandboxPolicy("unverified", read=(str(tmp_path / "link"),)), [PYTHON])
    assert allows(text, "file-read-data", str(tmp_path / "true" / "x"))
    assert allows(text, "file-read-metadata", str(tmp_path / "link"))
    assert not allows(text, "file-read-data", str(tmp_path / "other"))


def test_the_interpreter_of_a_framework_may_execute_the_program_in_its_place():
    version = "/Library/Frameworks/Python.framework/Versions/3.13"
    text = seatbelt.profile(SandboxPolicy("unverified"), f"{version}/bin/python3.13")
    assert allows(text, "process-exec", f"{version}/Resources/Python.app/Contents/MacOS/Python")
    assert not allows(text, "process-exec", f"{version}/bin/pip")


def test_only_who_may_start_processes_may_fork():
    assert "process-fork" not in seatbelt.profile(SandboxPolicy("unverified"), PYTHON)
    several = SandboxPolicy("unverified", limits=Limits(processes=4))
    assert "(allow process-fork)" in seatbelt.profile(several, PYTHON)


@pytest.mark.parametrize("path", ["relative", "", "/line\nbreak", "/bidi\u202e", "/nul\0"])
def test_a_path_that_no_profile_can_name_is_refused(path):
    with pytest.raises(PermissionDenied, match="profile of Seatbelt") as caught:
        seatbelt.profile(SandboxPolicy("unverified", read=(path,)), PYTHON)
    assert caught.value.code == "SYM-P023"


def test_a_path_cannot_end_its_string_and_add_a_rule():
    path = '/a") (allow network*) (allow file-read* (subpath "/'
    text = seatbelt.profile(SandboxPolicy("unverified", read=(path,)), PYTHON)
    assert allows(text, "network-outbound", "") is False
    assert allows(text, "file-read-data", "/etc/passwd") is False
    assert allows(text, "file-read-data", path) is True


def test_the_command_line_of_macos_begins_with_its_sandbox():
    arguments = [PYTHON, "-I", "-m", "symphony_isolation.bootstrap", "3"]
    program, flag, text, *rest = seatbelt.command(SandboxPolicy("unverified"), arguments)
    assert (program, flag, rest) == ("/usr/bin/sandbox-exec", "-p", arguments)
    assert text.startswith("(version 1)\n(deny default)\n")


# -- Windows -------------------------------------------------------------------------------------------


class FakeKernel32:
    """Remembers what it was told, and refuses one function."""

    def __init__(self, refused=""):
        self.refused = refused
        self.told = []
        self.set = {}
        self.opened = []

    def __getattr__(self, function):
        def call(*arguments):
            self.told.append(function)
            if function == "SetInformationJobObject":
                _, kind, data, size = arguments
                self.set[kind] = ctypes.string_at(data, size)
            if function == "OpenProcess":
                self.opened.append(arguments[2])
            return 0 if function == self.refused else 7

        return call


def test_the_structures_have_the_sizes_that_windows_documents():
    sizes = {
        job_object.BasicLimits: 64,
        job_object.IoCounters: 48,
        job_object.ExtendedLimits: 144,
        job_object.CpuRate: 8,
        job_object.UiRestrictions: 4,
    }
    assert {kind: ctypes.sizeof(kind) for kind in sizes} == sizes


@given(
    memory=st.integers(0, 1 << 40),
    cpu=st.floats(0, 64),
    processes=st.integers(0, 1000),
    cores=st.integers(1, 128),
)
def test_a_job_says_what_the_limits_say(memory, cpu, processes, cores):
    made = dict(job_object.structures(Limits(memory=memory, cpu=cpu, processes=processes), cores))
    extended = made[job_object.EXTENDED_LIMITS]
    basic = extended.BasicLimitInformation
    assert basic.ActiveProcessLimit == max(1, processes)
    assert basic.LimitFlags & 0x2408 == 0x2408
    assert basic.LimitFlags & 0x1800 == 0  # no process may break away
    assert (basic.LimitFlags & 0x200 != 0, extended.JobMemoryLimit) == (memory > 0, memory)
    assert made[job_object.UI_RESTRICTIONS].UIRestrictionsClass == 0xFF
    if cpu:
        rate = made[job_object.CPU_RATE]
        assert rate.ControlFlags == 5
        assert 1 <= rate.CpuRate <= 10_000
        assert rate.CpuRate in (1, 10_000) or abs(rate.CpuRate / 10_000 - cpu / cores) <= 0.0000511
    else:
        assert job_object.CPU_RATE not in made


def test_a_process_is_put_into_a_job_that_was_set_before():
    kernel32 = FakeKernel32()
    job = job_object.JobObject(Limits(memory=1 << 29, cpu=0.5), kernel32)
    job.attach(42)
    assert job.violation() is None
    job.kill()
    job.close()
    job.kill()
    job.close()  # its handle may be another one's by now
    assert kernel32.told == [
        "CreateJobObjectW",
        *["SetInformationJobObject"] * 3,
        "OpenProcess",
        "AssignProcessToJobObject",
        "CloseHandle",
        "TerminateJobObject",
        "CloseHandle",
    ]
    read = job_object.ExtendedLimits.from_buffer_copy(kernel32.set[job_object.EXTENDED_LIMITS])
    assert read.JobMemoryLimit == 1 << 29


@pytest.mark.parametrize("refused", ["CreateJobObjectW", "SetInformationJobObject"])
def test_a_job_that_cannot_be_set_up_is_none(refused):
    kernel32 = FakeKernel32(refused)
    with pytest.raises(OSError, match=refused):
        job_object.JobObject(Limits(), kernel32)
    assert refused == "CreateJobObjectW" or kernel32.told[-1] == "CloseHandle"


@pytest.mark.parametrize("refused", ["OpenProcess", "AssignProcessToJobObject"])
def test_a_process_that_cannot_be_put_into_its_job_is_told(refused):
    kernel32 = FakeKernel32(refused)
    job = job_object.JobObject(Limits(), kernel32)
    with pytest.raises(OSError, match=refused):
        job.attach(42)
    assert kernel32.told.count("CloseHandle") == (refused == "AssignProcessToJobObject")
