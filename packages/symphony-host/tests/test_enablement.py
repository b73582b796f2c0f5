import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_host.enablement import Enablement


@pytest.fixture
def enablement(tmp_path):
    return Enablement(tmp_path / "data" / "disabled")


def test_nothing_is_disabled_at_first(enablement):
    assert enablement.disabled() == {}


def test_a_disabled_extension_stays_disabled_with_its_reason_until_it_is_enabled(enablement, tmp_path):
    enablement.disable("acme.text", "too slow")
    enablement.disable("acme.ocr")
    again = Enablement(tmp_path / "data" / "disabled")
    assert again.disabled() == {"acme.ocr": "", "acme.text": "too slow"}
    assert again.enable("acme.text") is True
    assert enablement.disabled() == {"acme.ocr": ""}


def test_enabling_what_is_not_disabled_says_so(enablement):
    assert enablement.enable("acme.text") is False


def test_disabling_twice_keeps_the_newer_reason(enablement):
    enablement.disable("acme.text", "one")
    enablement.disable("acme.text", "two")
    assert enablement.disabled() == {"acme.text": "two"}


def test_a_damaged_reason_leaves_the_extension_disabled(enablement, tmp_path):
    enablement.disable("acme.text", "x")
    (tmp_path / "data" / "disabled" / "acme.text").write_bytes(b"\xff\xfe")
    assert enablement.disabled() == {"acme.text": ""}


def test_a_write_that_was_cut_off_disables_nothing(enablement, tmp_path):
    enablement.disable("acme.text")
    (tmp_path / "data" / "disabled" / ".tmp123").write_text("half")
    assert enablement.disabled() == {"acme.text": ""}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.text(max_size=20))
def test_any_id_of_a_broken_extension_can_be_disabled_and_enabled(enablement, extension, reason):
    reason = reason.encode("ascii", "ignore").decode().strip()
    enablement.disable(extension, reason)
    assert extension in enablement.disabled()
    assert enablement.enable(extension)
    assert enablement.disabled() == {}


def test_commands_at_the_same_time_lose_nothing(tmp_path):
    code = (
        "import pathlib, sys; from symphony_host.enablement import Enablement\n"
        "e = Enablement(pathlib.Path(sys.argv[1]))\n"
        "[e.disable(f'p{sys.argv[2]}.e{n}', 'why') for n in range(20)]"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path / "disabled", str(number)])
        for number in range(3)
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    expected = {f"p{p}.e{n}": "why" for p in range(3) for n in range(20)}
    assert Enablement(tmp_path / "disabled").disabled() == expected


def test_a_killed_command_leaves_a_whole_reason_or_none(tmp_path):
    code = (
        "import itertools, pathlib, sys; from symphony_host.enablement import Enablement\n"
        "e = Enablement(pathlib.Path(sys.argv[1]))\n"
        "for n in itertools.count():\n"
        "    e.disable('acme.text', 'ab'[n % 2] * 100_000)\n"
        "    print(n, flush=True)"
    )
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "off"], stdout=subprocess.PIPE)
        for _ in range(3):
            assert process.stdout.readline()
        process.kill()
        process.communicate()
        (reason,) = Enablement(tmp_path / "off").disabled().values()
        assert reason in ("a" * 100_000, "b" * 100_000)
