"""What the kernel is told of what was granted: which trees, which never, and that the sandbox holds it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_isolation.permissions import compile_policy, compiling
from symphony_isolation.permissions.compiling import tree_of
from symphony_isolation.spec import WorkerLimits, WorkerSpec
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import parse

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
Contained = Literal["full", "fallback"]


class Home:
    """A user's directories: a project, what the host keeps, and an extension with its own part of that."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.project = self.root / "project"
        self.kept = self.root / "kept"
        self.data = self.kept / "extensions" / "acme.text"
        for folder in (self.project / "src", self.data, self.kept / "grants", self.root / "other"):
            folder.mkdir(parents=True)
        for file in ("project/src/a.py", "kept/grants/g.json", "kept/extensions/acme.text/own", "other/o"):
            (self.root / file).write_text(file)

    def spec(self, *permissions: str, **changes: Any) -> WorkerSpec:
        values: dict[str, Any] = {
            "id": "acme.text",
            "version": "1.0",
            "kind": "operator",
            "module": "acme_text",
            "data_dir": str(self.data),
            "fingerprint": "1",
            "permissions": permissions,
            "roots": {
                "project": str(self.project),
                "home": str(self.root),
                "data": str(self.data),
                "cache": str(self.kept / "cache" / "acme.text"),
                "tmp": "/tmp",
            },
            "hidden": (str(self.kept),),
        }
        return WorkerSpec(**(values | changes))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def any_number_of_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files the machine has beside the user's directories."""
    monkeypatch.setattr(compiling, "MOST_TREES", 1 << 20)


def extra(home: Home, *permissions: str, tier: Contained = "full", **changes: Any) -> list[str]:
    """The readable trees that the permissions add."""
    bare = compile_policy(home.spec(**changes), tier)
    return [
        path
        for path in compile_policy(home.spec(*permissions, **changes), tier).read
        if path not in bare.read
    ]


def test_without_a_permission_it_reads_its_interpreter_and_writes_its_own_directory(home: Home) -> None:
    policy = compile_policy(home.spec(), "full")
    assert policy.write == (str(home.data),)
    assert (policy.execute, policy.hidden, policy.limits.processes) == ((), (), 1)
    assert not any(path.startswith(str(home.root)) for path in policy.read)


def test_a_pattern_becomes_the_tree_that_its_plain_beginning_names(home: Home) -> None:
    (home.project / "link").symlink_to(home.root / "other")
    assert extra(home, "file:read:${project}/**") == [str(home.project)]
    assert extra(home, "file:read:${project}/src/*.py") == [str(home.project / "src")]
    assert extra(home, "file:read:${project}/src/a.py") == [str(home.project / "src" / "a.py")]
    assert extra(home, "file:read:${project}/link/**") == [str(home.root / "other")]
    assert extra(home, "file:read:${project}/s?c/a.py") == [str(home.project)]
    assert extra(home, "file:read:${tmp}/**") == []


def test_what_may_be_written_and_executed_is_told_apart(home: Home) -> None:
    policy = compile_policy(
        home.spec("file:write:${project}/**", "file:execute:/usr/bin/env", limits=WorkerLimits(processes=4)),
        "full",
    )
    assert str(home.project) in policy.write
    assert str(home.project) not in policy.read
    assert policy.execute == (os.path.realpath("/usr/bin/env"),)
    assert policy.limits.processes == 4
    started = compile_policy(home.spec("system:execute:process", limits=WorkerLimits(processes=4)), "full")
    assert started.limits.processes == 4
    assert started.execute == (os.path.realpath(sys.executable),)


def test_a_variable_whose_directory_has_a_star_in_its_name_is_taken_as_it_is() -> None:
    permission = parse("file:read:${project}/src/*.py")
    assert tree_of(permission, {"project": "/srv/a*b"}) == "/srv/a*b/src"
    assert tree_of(permission, {}) is None


def test_who_may_connect_reads_the_certificates_that_the_user_names_and_nothing_beside_them(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = home.root / "known"
    known.mkdir()
    for name in ("0a1b2c3d.0", "0a1b2c3d.r1", "key.pem", "0a1b2c3d"):
        (known / name).write_text("")
    (home.root / "link.pem").symlink_to(home.project / "src/a.py")
    monkeypatch.setenv("SSL_CERT_FILE", str(home.root / "link.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", f"{known}:{home.root}/nowhere")
    monkeypatch.setenv("CURL_CA_BUNDLE", str(home.kept / "grants/g.json"))  # Symphony's own stays hidden
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    assert extra(home, "network:read:example.org") == [
        str(home.project / "src/a.py"),
        str(known / "0a1b2c3d.0"),
        str(known / "0a1b2c3d.r1"),
    ]
    assert extra(home, "network:write:example.org:80", "system:execute:process") == []


@pytest.mark.parametrize("tier", ["full", "fallback"])
@pytest.mark.parametrize("scope", ["write", "execute"])
def test_nobody_writes_or_executes_everything(home: Home, tier: Contained, scope: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        compile_policy(home.spec(f"file:{scope}:/**"), tier)
    assert caught.value.code == "SYM-P011"


@pytest.mark.parametrize("below", ["", "/grants/**", "/extensions/acme.other/**"])
def test_what_the_host_keeps_is_opened_to_nobody(home: Home, below: str) -> None:
    (home.root / "way").symlink_to(home.kept)
    for path in (f"{home.kept}{below}", f"{home.root}/way{below}"):
        with pytest.raises(PermissionDenied) as caught:
            compile_policy(home.spec(f"file:read:{path}"), "full")
        assert caught.value.code == "SYM-P011"


def test_its_own_directories_in_there_are_its_own(home: Home) -> None:
    assert extra(home, "file:read:${data}/**", "file:read:${cache}/**") == [
        str(home.data),
        str(home.kept / "cache" / "acme.text"),
    ]


def test_all_there_is_never_is_the_root_itself(home: Home, any_number_of_trees: None) -> None:
    for tier in ("full", "fallback"):
        trees = extra(home, "file:read:/**", tier=tier)
        assert "/" not in trees
        assert not {"/proc", "/dev", "/sys", "/run"} & set(trees)
        assert any(str(home.project).startswith(tree) for tree in trees)


def test_in_a_tree_of_its_own_what_is_hidden_is_covered(home: Home) -> None:
    policy = compile_policy(home.spec("file:read:${home}/**"), "full")
    assert str(home.root) in policy.read
    assert policy.hidden == (str(home.kept),)


def test_what_would_become_too_many_trees_is_left_to_the_broker(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "MOST_TREES", 2)
    assert len(extra(home, "file:read:${home}/**", tier="fallback")) == 2
    (home.root / "third").mkdir()
    assert extra(home, "file:read:${home}/**", tier="fallback") == []


def test_elsewhere_the_neighbours_of_what_is_hidden_are_named_one_by_one(home: Home) -> None:
    assert extra(home, "file:read:${home}/**", tier="fallback") == [
        str(home.root / "other"),
        str(home.project),
    ]


@given(
    names=st.lists(st.sampled_from(["a", "b", "*", "**", "?x", "c.py"]), min_size=1, max_size=4),
    scope=st.sampled_from(["read", "write", "execute"]),
    tier=st.sampled_from(["full", "fallback"]),
)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_tree_is_wider_than_the_plain_beginning_or_holds_what_is_hidden(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], scope: str, tier: Contained
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    pattern = "/".join(
        name for at, name in enumerate(names) if at == 0 or (name, names[at - 1]) != ("**", "**")
    )
    bare = compile_policy(home.spec(), tier)
    policy = compile_policy(home.spec(f"file:{scope}:${{home}}/{pattern}"), tier)
    plain = []
    for name in names:
        if "*" in name or "?" in name:
            break
        plain.append(name)
    beginning = "/".join([str(home.root), *plain])
    added = {*policy.read, *policy.write, *policy.execute} - {*bare.read, *bare.write}
    for tree in added:
        assert tree == beginning or tree.startswith(f"{beginning}/")
        assert not tree.startswith(f"{home.kept}/")
        if tier == "fallback":
            assert not str(home.kept).startswith(f"{tree}/")
        else:
            assert policy.hidden or not str(home.kept).startswith(f"{tree}/")


PROBE = """
import json, os, sys
policy, path, attempts = json.load(sys.stdin)
sys.path[:0] = path
import msgspec
from symphony_isolation.sandbox.policy import SandboxPolicy
from symphony_isolation.sandbox.confinement import enter
policy = msgspec.convert(policy, SandboxPolicy)
enter(policy, keep=())
def can(path, mode):
    try:
        with open(path, mode) as stream:
            return stream.read(40) if mode == "r" else "written"
    except OSError as error:
        return type(error).__name__
print(json.dumps({path: can(path, mode) for path, mode in attempts}))
"""


def inside(home: Home, tier: Contained, attempts: list[tuple[str, str]], *permissions: str) -> dict[str, str]:
    """What a process in the sandbox of these permissions gets of files."""
    import msgspec

    policy = msgspec.to_builtins(compile_policy(home.spec(*permissions), tier))
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=json.dumps([policy, sys.path, attempts]),
        capture_output=True,
        text=True,
        check=False,
        cwd=home.data,
    )
    if "LayerRefused" in done.stderr:
        pytest.skip(f"this machine has no tier {tier!r}: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is that of Linux")
@pytest.mark.parametrize("tier", ["full", "fallback"])
@pytest.mark.parametrize("permission", ["file:read:/**", "file:read:${home}/**"])
def test_a_worker_that_may_read_everything_cannot_read_what_the_host_keeps(
    home: Home, tier: Contained, permission: str, any_number_of_trees: None
) -> None:
    seen, secret, own = home.project / "src" / "a.py", home.kept / "grants" / "g.json", home.data / "own"
    found = inside(
        home, tier, [(str(seen), "r"), (str(secret), "r"), (str(own), "r"), (str(seen), "a")], permission
    )
    assert found[str(own)] == "kept/extensions/acme.text/own"
    assert found[str(secret)] in ("FileNotFoundError", "PermissionError")
    assert found[str(seen)] in ("OSError", "PermissionError")  # the later of the two attempts: to write
    assert inside(home, tier, [(str(seen), "r")], permission)[str(seen)] == "project/src/a.py"
    assert seen.read_text() == "project/src/a.py"


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is that of Linux")
@pytest.mark.parametrize("tier", ["full", "fallback"])
def test_a_worker_writes_where_it_was_granted_and_nowhere_else(home: Home, tier: Contained) -> None:
    new, forged = home.project / "new", home.kept / "grants" / "forged.json"
    found = inside(
        home,
        tier,
        [(str(new), "w"), (str(forged), "w"), (str(home.data / "x"), "w")],
        "file:write:${home}/**",
    )
    assert found[str(new)] == "written"
    assert found[str(home.data / "x")] == "written"
    assert not forged.exists()
    assert new.exists()
    assert (home.data / "x").exists()
