"""What the machine offers is tried, not guessed, and nothing runs with less than was wanted."""

import errno
import os
import subprocess
import sys

import pytest
from symphony_isolation.sandbox import (
    Layer,
    LayerRefused,
    SandboxPolicy,
    Tiers,
    choose,
    confinement,
    interpreter,
    kept_trial,
    landlock,
    namespaces,
    probing,
    trial,
)
from symphony_sdk.errors import PermissionDenied


def offering(monkeypatch, *missing):
    """A machine on which some layers do not work."""
    layers = tuple(
        Layer(name, "something", "switched off" if name in missing else "")
        for name in ("namespaces", "file tree", "Landlock", "privileges", "seccomp", "control groups")
    )
    monkeypatch.setattr(probing, "probe", lambda: Tiers(layers))


@pytest.mark.parametrize(
    ("missing", "best"),
    [
        ((), "full"),
        (("control groups",), "full"),
        (("namespaces",), "fallback"),
        (("file tree", "namespaces"), "fallback"),
    ],
)
def test_the_best_tier_is_the_one_whose_layers_all_work(monkeypatch, missing, best):
    offering(monkeypatch, *missing)
    assert choose("auto") == best
    assert choose("fallback") == "fallback"
    assert choose("none") == "none"


@pytest.mark.parametrize(
    ("missing", "wanted", "hint"),
    [
        (("namespaces",), "full", "`fallback`, which works here"),
        (("seccomp",), "full", "symphony doctor"),
        (("seccomp",), "fallback", "symphony doctor"),
        (("Landlock",), "auto", "symphony doctor"),
    ],
)
def test_less_than_was_wanted_is_refused_with_each_layer_that_is_missing(monkeypatch, missing, wanted, hint):
    offering(monkeypatch, *missing)
    with pytest.raises(PermissionDenied, match=f"{missing[0]}: switched off") as caught:
        choose(wanted)
    assert caught.value.code == "SYM-P020"
    assert hint in caught.value.hint


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_each_layer_is_tried_in_a_process_of_its_own():
    tiers = probing.probe()
    assert probing.probe() is tiers
    assert {layer.name for layer in tiers.layers} == set(trial.TRIALS) | {"control groups"}
    for name, reason in probing._tried().items():
        assert next(layer for layer in tiers.layers if layer.name == name).reason == reason


@pytest.fixture
def trials(monkeypatch, tmp_path):
    """Counts trials, which find what is asked for, of hosts that remember; each `probe` is that of a new one."""
    found = dict.fromkeys(trial.TRIALS, "")
    count = []

    class Trials:
        directory = tmp_path / "cache"
        file = directory / "sandbox.json"

        def refuse(self, layer):
            found[layer] = "switched off"

        def of_another_host(self):
            count.clear()
            probing.probe.cache_clear()
            tiers = probing.probe()
            return len(count), tiers.best

    def tried():
        count.append(None)
        return dict(found)

    monkeypatch.setattr(probing, "_tried", tried)
    monkeypatch.setattr(probing, "_kept", None)
    probing.keep_in(Trials.directory)
    yield Trials()
    probing.probe.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_layers_that_all_work_are_tried_once_and_not_by_each_host(trials):
    assert trials.of_another_host() == (1, "full")
    assert trials.of_another_host() == (0, "full")
    probing.try_again()
    assert not trials.file.exists()
    assert trials.of_another_host() == (1, "full")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_that_a_layer_does_not_work_is_never_remembered(trials):
    trials.refuse("namespaces")
    assert trials.of_another_host() == (1, "fallback")
    assert trials.of_another_host() == (1, "fallback")
    assert not trials.file.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 10_000, b'["Linux"]'])
def test_a_memory_that_cannot_be_used_is_none(trials, content):
    trials.directory.mkdir()
    trials.file.write_bytes(content)
    assert trials.of_another_host() == (1, "full")
    assert trials.of_another_host() == (0, "full")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
@pytest.mark.parametrize("changed", ["_BOOT", "_LIMITS", "_STATUS", "_SETTINGS"])
def test_other_surroundings_are_tried_anew(trials, monkeypatch, tmp_path, changed):
    (tmp_path / "other").write_text("other")
    other = {"_STATUS": ("Pid",), "_SETTINGS": (str(tmp_path / "other"),), "_BOOT": str(tmp_path / "other")}
    assert trials.of_another_host() == (1, "full")
    monkeypatch.setattr(kept_trial, changed, other.get(changed, str(tmp_path)))
    assert trials.of_another_host() == (1, "full")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_where_nothing_can_be_written_layers_are_tried_each_time(trials):
    trials.directory.write_text("no directory")
    assert trials.of_another_host() == (1, "full")
    assert trials.of_another_host() == (1, "full")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("''", ""),
        ("'it leaks'", "it leaks"),
        ("1 / 0", "ZeroDivisionError"),
        ("os.open('/nowhere', 0)", "No such file"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("os._exit(3)", "exit code 3"),
    ],
)
def test_a_layer_that_does_not_hold_is_reported_with_the_reason(what, reason):
    code = f"import os; from symphony_isolation.sandbox.trial import attempt; print(attempt(lambda: {what}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert reason in done.stdout
    assert bool(done.stdout.strip()) == bool(reason)


@pytest.mark.parametrize(
    ("layer", "attempt", "number", "reason"),
    [
        (landlock, landlock.abi, errno.ENOSYS, "older than 5.13"),
        (landlock, landlock.abi, errno.EOPNOTSUPP, "`lsm=`"),
        (landlock, landlock.abi, errno.ENOMEM, "memory"),
        (namespaces, namespaces.unshare, errno.EPERM, "AppArmor"),
        (namespaces, namespaces.clone, errno.ENOSPC, "`user.max_user_namespaces`"),
        (namespaces, namespaces.clone, errno.ENOMEM, "memory"),
    ],
)
def test_a_layer_that_the_kernel_refuses_is_reported_with_what_keeps_it(
    monkeypatch, layer, attempt, number, reason
):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(layer, "syscall", refuse)
    with pytest.raises(OSError, match=reason) as caught:
        attempt()
    assert caught.value.errno == number


def test_a_machine_where_nothing_can_be_tried_offers_nothing(monkeypatch):
    monkeypatch.setattr(probing.sys, "executable", "/nowhere/python")
    reasons = probing._tried()
    assert all("could not be tried" in reasons[name] for name in trial.TRIALS)


def test_a_layer_that_is_refused_is_named():
    with (
        pytest.raises(LayerRefused, match="Landlock: switched off") as caught,
        confinement._layer("Landlock"),
    ):
        raise OSError(95, "switched off")
    assert (caught.value.layer, caught.value.errno) == ("Landlock", 95)


def test_an_unknown_machine_is_refused(place):
    code = "found['x'] = 1"
    policy = SandboxPolicy("fallback", read=("/",))
    lie = "kernel.MACHINE = 'vax'\n"
    with place.start(policy, code, before=f"from symphony_isolation.sandbox import kernel\n{lie}") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == confinement.REFUSED
    assert "seccomp: the system calls of vax are not known" in errors


def test_an_interpreter_reads_its_own_trees_and_those_that_are_installed_to_be_edited(tmp_path):
    (tmp_path / "base" / "bin").mkdir(parents=True)
    (tmp_path / "base" / "lib").mkdir()
    environment = tmp_path / "environment"
    packages = environment / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    (environment / "bin").mkdir()
    (tmp_path / "source").mkdir()
    (packages / "edited.pth").write_text(f"{tmp_path / 'source'}\nimport os\n/nowhere\n")
    (environment / "pyvenv.cfg").write_text(f"home = {tmp_path / 'base' / 'bin'}\nversion = 3.12\n")
    python = environment / "bin" / "python"
    (tmp_path / "base" / "bin" / "python3.12").write_text("")
    python.symlink_to(tmp_path / "base" / "bin" / "python3.12")
    found = set(interpreter.readable_by(str(python)))
    assert {str(tmp_path / "source"), str(environment / "lib"), str(tmp_path / "base" / "lib")} <= found
    assert not found & {str(environment), str(tmp_path), "/nowhere", "/", "/home", "/etc"}
