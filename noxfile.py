"""Every check of the project, run by `uv run nox -s NAME`; `uv run nox --list` names them all."""

import functools
import json
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import nox

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
# An interpreter that the machine lacks is skipped, not fetched; where CI is set it fails.
nox.options.download_python = "never"
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
LOCK = ROOT / "requirements.lock"
PYTHONS = ["3.11", "3.12", "3.13"]
MEMBERS = sorted(
    file.parent
    for pattern in ("packages/*/pyproject.toml", "examples/extensions/*/pyproject.toml")
    for file in ROOT.glob(pattern)
)
# What benchmarks compare us with.
PEERS = [
    "anyio",
    "cel-python",
    "cryptography",
    "dask",
    "datasette",
    "diskcache",
    "distributed",
    "dulwich",
    "joblib",
    "langgraph",
    "langgraph-checkpoint-sqlite",
    "llm",
    "nats-py",
    "networkx",
    "pygit2",
    "python-lsp-jsonrpc",
    "ray",
    "stevedore",
    "uvloop",
    "zstandard",
]
# What authors of extensions use, of the date that pyproject.toml names.
LIBRARIES = ["cryptography", "lxml", "magika", "numpy", "pandas", "pillow", "scikit-learn"]
# Nothing of them runs without libraries that only sessions of their own install.
ENGINES = ("symphony-engine-dask", "symphony-engine-ray")
COVERAGE_FLOOR = 80  # per cent of lines and branches, of each package


# Each of the thousands of processes that the tests start would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def let_pyenv_run_every_python() -> None:
    """Choose all of pyenv's versions that are tested: its commands are there for each, and run only chosen ones.

    The one that is chosen already is that of the `uv` that started us.
    """
    if shutil.which("pyenv") is None:
        return
    listing = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False)
    installed = [version for version in listing.stdout.split() if version.rpartition(".")[0] in PYTHONS]
    if installed:
        os.environ["PYENV_VERSION"] = ":".join(installed)


let_pyenv_run_every_python()


def import_names(member: Path) -> list[str]:
    """Return the top-level packages of a member."""
    return sorted(marker.parent.name for marker in member.glob("src/*/py.typed"))


def install(session: nox.Session) -> None:
    """Install the locked libraries, wheels only and checked by hash, then every member in place."""
    # --only-binary: uv would otherwise answer a wheel with a wrong hash by building the source distribution.
    session.run_install(
        "uv", "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:", str(LOCK)
    )
    editables = [argument for member in MEMBERS for argument in ("--editable", str(member))]
    session.run_install("uv", "pip", "install", "--quiet", "--no-deps", *editables)


def resolved_lock(session: nox.Session, pins: Sequence[str] = ()) -> bytes:
    """Resolve what the members ask for, in a copy of their metadata, and return what the lock should be.

    Args:
        session: Runs the commands.
        pins: Versions that are taken where they fit; the newest ones otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for member in (ROOT, *MEMBERS):
            copy = root / member.relative_to(ROOT)
            copy.mkdir(parents=True, exist_ok=True)
            shutil.copy(member / "pyproject.toml", copy)
        settings = root / "pyproject.toml"
        pinned = f"[tool.uv]\nconstraint-dependencies = {list(pins)}\n"
        settings.write_text(settings.read_text("utf-8").replace("[tool.uv]\n", pinned, 1), "utf-8")
        with session.chdir(folder):
            session.run_install("uv", "lock", "--quiet")
            export = ["uv", "export", "--quiet", "--frozen", "--no-emit-workspace", "--all-groups"]
            session.run_install(*export, "--no-header", "--no-annotate", "--output-file", LOCK.name)
        return (root / LOCK.name).read_bytes()


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; a full run on the oldest Python also holds every package to the coverage floor."""
    install(session)
    measured = session.python == PYTHONS[0] and not session.posargs
    options = [f"--cov={member / 'src'}" for member in MEMBERS] + ["--cov-report="] if measured else []
    session.run("pytest", "-n", "2", *options, *session.posargs)
    if measured:
        check_coverage(session, (member for member in MEMBERS if member.name not in ENGINES))


def check_coverage(session: nox.Session, members: Iterable[Path]) -> None:
    """Fail if one package is below the floor: a well-tested sibling must not hide it."""
    report = Path(session.create_tmp(), "coverage.json")
    session.run("coverage", "json", "--quiet", "-o", str(report))
    files = json.loads(report.read_text())["files"]
    low = []
    for member in members:
        inside = [entry["summary"] for path, entry in files.items() if (ROOT / path).is_relative_to(member)]
        total = sum(entry["num_statements"] + entry["num_branches"] for entry in inside)
        covered = sum(entry["covered_lines"] + entry["covered_branches"] for entry in inside)
        percent = 100 * covered / total if total else 100.0
        session.log(f"{percent:5.1f} %  {member.name}")
        if percent < COVERAGE_FLOOR:
            low.append(member.name)
    if low:
        session.error(f"covered less than {COVERAGE_FLOOR} %: {', '.join(low)}; see `coverage report -m`")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and who imports whom."""
    install(session)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of every package's source, strictly."""
    install(session)
    session.run(
        "mypy", *(str(package.parent) for member in MEMBERS for package in member.glob("src/*/py.typed"))
    )
    transports = ROOT / "packages/symphony-transports/src/symphony_transports"
    session.run("mypy", "--platform", "win32", str(transports / "named_pipe.py"), str(transports / "plugins"))
    isolation = ROOT / "packages/symphony-isolation/src/symphony_isolation"
    as_on = ("mypy", "--follow-imports", "silent", "--platform")
    sandbox = (str(isolation / "sandbox" / f"{name}.py") for name in ("enclosure", "job_object", "probing"))
    session.run(*as_on, "win32", *sandbox, str(isolation / "file_lock.py"), str(isolation / "launcher.py"))
    linux = "bpf|denials|kernel|landlock|namespaces|privileges|seccomp|tree|trial|watchdog|zygote/main"
    session.run(*as_on, "darwin", "--exclude", f"/({linux})\\.py$", str(isolation))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a broken link or an unknown name fails."""
    install(session)
    session.run("zensical", "build", "--clean", "--strict")


@nox.session
def bench(session: nox.Session) -> None:
    """Run every benchmark, or those named: `nox -s bench -- manifest_parse`."""
    install(session)
    session.run_install("uv", "pip", "install", "--quiet", *PEERS)  # of the date that pyproject.toml names
    for script in sorted(ROOT.glob("benchmarks/*.py")):
        if not session.posargs or script.stem in session.posargs:
            session.log(f"== {script.stem}")
            session.run("python", str(script))


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed a million hostile frames, or FUZZ_CASES, to what reads them; FUZZ_SEED draws others.

    Then try the properties of workflows, permissions and what is resolved with 10,000 examples each, or
    FUZZ_EXAMPLES, and those of runs with a tenth of that, each of which is a whole run.
    """
    install(session)
    cases = os.environ.get("FUZZ_CASES", "1000000")
    session.run("python", "packages/symphony-ipc/tests/fuzz_frames.py", env={"FUZZ_CASES": cases})
    examples = os.environ.get("FUZZ_EXAMPLES", "10000")
    options = ["-n", "2", "-m", "hypothesis", "--timeout", "0"]
    decided = [f"packages/symphony-isolation/tests/{name}" for name in ("permissions", "audit")]
    places = ["packages/symphony-workflow", *decided, "packages/symphony-host/tests/test_resolver.py"]
    session.run("pytest", *options, *places, env={"FUZZ_EXAMPLES": examples})
    runs = {"FUZZ_EXAMPLES": str(max(20, int(examples) // 10))}
    session.run("pytest", *options, "packages/pit-dag-tracker", env=runs)


@nox.session
def escapes(session: nox.Session) -> None:
    """Try all that an extension must not be able to do, where nothing confines it and in each tier of the sandbox."""
    install(session)
    session.run("pytest", "packages/symphony-isolation/tests/escapes/all_escapes.py", *session.posargs)


@nox.session
def cwl(session: nox.Session) -> None:
    """Let CWL's own checker look at the CWL that is written."""
    install(session)
    session.run_install("uv", "pip", "install", "--quiet", "--only-binary", ":all:", "cwltool")
    session.run("cwltool", "--version")  # or the test would be skipped, and the session green
    session.run("pytest", "packages/symphony-workflow-formats/tests/test_cwl.py", "-k", "cwltool")


@nox.session
def dask(session: nox.Session) -> None:
    """Run nodes on real Dask clusters on this computer."""
    test_engine(session, "dask", "distributed", "-k", "not ray")


@nox.session
def ray(session: nox.Session) -> None:
    """Run nodes on real Ray clusters on this computer."""
    test_engine(session, "ray", "ray", "-k", "not dask")


def test_engine(session: nox.Session, engine: str, library: str, *choice: str) -> None:
    """Run the tests of an executor with its library, and hold its package to the coverage floor."""
    install(session)
    member = ROOT / f"packages/symphony-engine-{engine}"
    # --compile-bytecode: Ray gives its processes 15 s, which a slow machine needs for compiling their modules.
    options = ("--quiet", "--compile-bytecode", "--only-binary", ":all:")
    session.run_install("uv", "pip", "install", *options, "--editable", f"{member}[{engine}]")
    session.run("python", "-c", f"import {library}")  # or the tests would be skipped, and the session green
    tests = (str(member), "tests/end_to_end/test_clusters.py", *choice)
    if session.posargs:
        session.run("pytest", *tests, *session.posargs)
        return
    session.run("pytest", f"--cov={member / 'src'}", "--cov-report=", *tests)
    check_coverage(session, [member])


@nox.session(python=PYTHONS[0])
def libraries(session: nox.Session) -> None:
    """Let real libraries work in the sandbox, as root and as an ordinary user."""
    install(session)
    session.run_install("uv", "pip", "install", "--quiet", "--only-binary", ":all:", *LIBRARIES)
    session.run(
        "python", "-c", "import cryptography, lxml, magika, pandas, PIL, sklearn"
    )  # or it would be skipped
    session.run("pytest", "packages/symphony-isolation/tests/libraries", *session.posargs)


@nox.session
def kernels(session: nox.Session) -> None:
    """Run the tests of the sandbox on other kernels, in virtual machines: for the night. Needs Debian and qemu.

    Arguments are those of packages/symphony-isolation/tests/kernels/run.py.
    """
    constraints = wheels() / "constraints.txt"
    # --compile-bytecode: an emulated processor is slow.
    options = ("--quiet", "--no-sources", "--compile-bytecode", "--constraint", str(constraints))
    session.install(*options, "symphony-isolation", "--group", "test")
    session.run("python", "packages/symphony-isolation/tests/kernels/run.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demo as a newcomer does."""
    install(session)
    session.run("symphony", "demo")


@functools.cache
def wheels() -> Path:
    """Build every member's wheel, and constraints that allow these and the locked versions alone."""
    folder = ROOT / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(
        ["uv", "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(folder)], check=True
    )
    # By file: a stranger's project of the same name on a registry is never taken for a sibling.
    built = [f"{wheel.name.split('-')[0]} @ {wheel.as_uri()}\n" for wheel in sorted(folder.glob("*.whl"))]
    (folder / "constraints.txt").write_text("".join(built) + LOCK.read_text())
    return folder


@nox.session(reuse_venv=False)
@nox.parametrize("member", [nox.param(member, id=member.name) for member in MEMBERS])
def alone(session: nox.Session, member: Path) -> None:
    """Run one package's tests from a copy, on its built wheel and what that wheel declares.

    In the workspace every sibling is at hand whatever a package declares: a missing dependency, or a range
    that the sibling does not meet, shows only here.
    """
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]["name"]
    constraints = wheels() / "constraints.txt"
    session.install("--quiet", "--no-sources", "--constraint", str(constraints), project, "--group", "test")
    for name in import_names(member):
        session.run("python", "-I", "-c", f"import {name}")
    if not any(member.glob("tests/**/test_*.py")):
        return
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder / "tests", ignore_errors=True)
    shutil.copytree(member / "tests", folder / "tests")
    shutil.copy(member / "README.md", folder)  # its examples are tested
    shutil.copy(ROOT / "conftest.py", folder)
    session.chdir(folder)
    session.run(
        "pytest", "-n", "2", "-c", str(ROOT / "pyproject.toml"), "--rootdir", ".", "tests", *session.posargs
    )


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Renew requirements.lock: after a change of dependencies or of `exclude-newer` in pyproject.toml."""
    LOCK.write_bytes(resolved_lock(session))


@nox.session(venv_backend="none")
def lock_check(session: nox.Session) -> None:
    """Fail unless requirements.lock is what pyproject.toml resolves to, byte for byte.

    Its own versions are kept where they fit: what was released since is for `nox -s lock`.
    """
    written = LOCK.read_bytes()
    pins = [line.removesuffix(" \\") for line in written.decode().splitlines() if line[:1].isalnum()]
    if written != resolved_lock(session, pins):
        session.error("requirements.lock is not what pyproject.toml asks for: run `uv run nox -s lock`")
