"""How each layer confines a process; what hostile code tries against all of them is in `escapes/`."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from symphony_isolation.sandbox import Limits
from symphony_isolation.sandbox.kernel import NUMBERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux")


def test_only_granted_files_are_there_and_only_its_own_can_be_written(place, tier, user):
    code = """
attempt("read secret", lambda: Path(told["data"], "../secret").read_text())
attempt("list around", lambda: " ".join(os.listdir(Path(told["data"]).parent)))
attempt("read granted", lambda: Path(told["data"], "../granted/text").read_text())
attempt("write granted", lambda: Path(told["data"], "../granted/text").write_text("changed"))
attempt("truncate granted", lambda: os.truncate(told["data"] + "/../granted/text", 0))
attempt("open to truncate", lambda: os.open(told["data"] + "/../granted/text", os.O_RDONLY | os.O_TRUNC))
attempt("remove granted", lambda: os.unlink(told["data"] + "/../granted/text"))
attempt("link secret", lambda: os.link("../secret", "stolen"))
attempt("move out", lambda: (Path("own").write_text("own"), os.rename("own", "../granted/own")))
attempt("symlink", lambda: (os.symlink("../secret", "way"), Path("way").read_text()))
attempt("proc root", lambda: Path(f"/proc/self/root{told['data']}/../secret").read_text())
attempt("passwd", lambda: Path("/etc/shadow").read_text())
attempt("write proc", lambda: Path("/proc/sys/kernel/hostname").write_text("x"))
attempt("device", lambda: os.mknod("device", 0o20600, os.makedev(1, 1)))
attempt("own", lambda: Path("kept").write_text("kept"))
"""
    found = place.run(place.policy(tier), code, user)
    assert found.pop("read granted") == "granted"
    assert found.pop("own") == 4
    assert "secret" not in found.pop("list around")
    assert {name: what for name, what in found.items() if not str(what).isupper()} == {}
    assert (place.granted / "text").read_text() == "granted"
    assert place.secret.read_text() == "secret"
    assert {path.name for path in place.data.iterdir()} <= {"own", "way", "kept"}
    assert list(place.granted.iterdir()) == [place.granted / "text"]


def test_no_other_process_can_be_reached(place, tier, user):
    with subprocess.Popen(["sleep", "60"], user=user or None) as other:
        code = f"""
other = {other.pid}
attempt("kill", lambda: os.kill(other, 9))
attempt("kill host", lambda: os.kill(os.getppid() or 1, 9))
attempt("kill all", lambda: os.kill(-1, 9))
attempt("kill group", lambda: os.killpg(0, 9))
attempt("queue", lambda: system({NUMBERS["rt_sigqueueinfo"]}, other, 9, None))
attempt("pidfd", lambda: os.pidfd_open(other))
attempt("ptrace", lambda: system({NUMBERS["ptrace"]}, 16, other, 0, 0))
attempt("environment", lambda: Path(f"/proc/{{other}}/environ").read_text())
attempt("memory", lambda: Path(f"/proc/{{other}}/mem").read_bytes())
attempt("signal by a lease", lambda: fcntl.fcntl(0, fcntl.F_SETOWN, other))
attempt("limit", lambda: resource.prlimit(other, resource.RLIMIT_NOFILE, (8, 8)))
attempt("nice", lambda: os.setpriority(os.PRIO_PROCESS, other, 19))
"""
        try:
            found = place.run(place.policy(tier), code, user)
            assert {name: what for name, what in found.items() if not str(what).isupper()} == {}
            assert other.poll() is None
            assert os.getpriority(os.PRIO_PROCESS, other.pid) == os.getpriority(os.PRIO_PROCESS, 0)
        finally:
            other.kill()


def test_no_file_is_opened_neither_to_read_nor_to_write(place, tier, user):
    """Landlock asks for no right then, and what is open so can be truncated or asked things."""
    code = """
attempt("open without a mode", lambda: os.open(told["data"] + "/../secret", 3))
attempt("open without a mode to truncate", lambda: os.open(told["data"] + "/../granted/text", 3 | os.O_TRUNC))
"""
    found = place.run(place.policy(tier), code, user)
    assert set(found.values()) <= {"EACCES", "ENOENT"}
    assert (place.granted / "text").read_text() == "granted"


def test_flags_of_others_files_stay_as_they_are(place, tier, user):
    """Some file systems keep flags with a file, as chattr(1) sets them; whoever can read it has the means."""
    code = """
with open(told["data"] + "/../granted/text") as file:
    for name, request in (("flags", 0x40086602), ("attributes", 0x401C5820), ("verity", 0x40806685)):
        attempt(name, lambda: fcntl.ioctl(file, request, bytes([0x40]) + bytes(127)))
"""
    assert set(place.run(place.policy(tier), code, user).values()) == {"EPERM"}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the instruction of i386")
def test_calls_of_another_architecture_end_the_process(place, tier):
    code = """
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid of i386); int 0x80; ret
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
"""
    with place.start(place.policy(tier), code) as process:
        process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGSYS, -signal.SIGSEGV)  # SIGSEGV where the kernel has no i386


def test_numpy_computes(place, tier):
    pytest.importorskip("numpy")
    code = "import numpy; found['sum'] = float((numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum())"
    assert place.run(place.policy(tier), code) == {"sum": 300.0**3}


def test_a_granted_program_runs_and_another_one_does_not(place, tier, user):
    code = """
ran = subprocess.run(["/usr/bin/env", "true"], capture_output=True)
found["granted"] = ran.returncode
attempt("other", lambda: subprocess.run(["/usr/bin/id"], capture_output=True).returncode)
child = subprocess.Popen(["/usr/bin/env", "-i", "/usr/bin/env"], stdout=subprocess.PIPE, text=True)
found["output"] = child.communicate()[0]
"""
    programs = tuple(str(Path(name).resolve()) for name in ("/usr/bin/env", "/usr/bin/true", "/bin/true"))
    policy = place.policy(tier, execute=programs, limits=Limits(processes=4))
    assert place.run(policy, code, user) == {"granted": 0, "other": "EACCES", "output": ""}


@pytest.mark.parametrize(
    "ending", ["os._exit(5)", "os.abort()", "ctypes.string_at(0)", "os.kill(os.getpid(), 15)"]
)
@pytest.mark.parametrize("processes", [1, 4])
def test_the_outer_process_ends_as_the_inner_one_does(place, tier, ending, processes):
    with place.start(place.policy(tier, limits=Limits(processes=processes)), ending) as process:
        process.communicate(timeout=60)
    expected = {"os._exit(5)": 5, "os.abort()": -6, "ctypes.string_at(0)": -11}.get(ending, -15)
    assert process.returncode == expected


def test_who_is_said_to_be_contained_and_is_not_is_refused_the_sandbox(place):
    code = """
import sys
from symphony_isolation.sandbox import LayerRefused, SandboxPolicy, enter
try:
    enter(SandboxPolicy("full"), keep=(), contained=True)
except LayerRefused as error:
    sys.exit(f"{error.layer}: {error.errno}")
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"namespaces: {errno.ESRCH}\n")


def test_in_the_full_sandbox_nothing_else_can_even_be_seen(place, user):
    code = """
found["processes"] = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
attempt("secret", lambda: os.stat(told["data"] + "/../secret"))
attempt("etc", lambda: os.stat("/etc/passwd"))
found["devices"] = sorted(os.listdir("/dev"))
found["name"] = socket.gethostname()
found["interfaces"] = Path("/proc/net/dev").read_text().count(":")
Path("/tmp/kept").write_text("x")
attempt("fill", lambda: Path("/tmp/full").write_bytes(bytes(2 << 20)))
"""
    found = place.run(place.policy("full"), code, user)
    assert found["processes"] == [1, 2]
    assert (found["secret"], found["etc"], found["fill"]) == ("ENOENT", "ENOENT", "ENOSPC")
    assert set(found["devices"]) == {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "fd",
        "stdin",
        "stdout",
        "stderr",
        "shm",
    }
    assert found["name"] == "extension"
    assert found["interfaces"] == 1
    assert not Path("/tmp/kept").exists()


def test_a_grant_of_everything_shows_everything_and_changes_nothing(place, tier):
    code = """
found["secret"] = Path(told["data"], "../secret").read_text()
attempt("write", lambda: Path(told["data"], "../secret").write_text("changed"))
attempt("other processes", lambda: Path("/proc/%d/environ" % HOST).read_text())
Path("kept").write_text("kept")
""".replace("HOST", str(os.getpid()))
    policy = place.policy(tier, read=("/",))
    found = place.run(policy, code)
    assert found["secret"] == "secret"
    assert found["write"] in ("EROFS", "EACCES")
    assert found["other processes"] in ("ENOENT", "EACCES", "EPERM")
    assert place.secret.read_text() == "secret"
    assert (place.data / "kept").read_text() == "kept"


def test_links_on_the_way_to_what_is_granted_lead_there(place, tier):
    (place.root / "real").mkdir()
    (place.root / "real" / "file").write_text("found")
    (place.root / "way").symlink_to("real")
    (place.root / "loop").symlink_to("loop")
    policy = place.policy(tier)
    granted = (str(place.root / "way" / "file"), str(place.root / "loop" / "x"), str(place.root / "nowhere"))
    policy = place.policy(tier, read=(*policy.read, *granted))
    code = 'found["file"] = Path(told["data"], "../way/file").read_text()'
    assert place.run(policy, code) == {"file": "found"}


def test_a_sandbox_of_tier_none_only_limits(place):
    code = """
found["secret"] = Path(told["data"], "../secret").read_text()
found["files"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
found["gains"] = [line for line in Path("/proc/self/status").read_text().splitlines() if "NoNewPrivs" in line][0][-1]
"""
    found = place.run(place.policy("none", limits=Limits(open_files=77)), code)
    assert found == {"secret": "secret", "files": 77, "gains": "1"}
