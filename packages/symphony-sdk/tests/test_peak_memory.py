"""The highest memory of a call, from what the kernel says of a process."""

from symphony_sdk.worker import peak_memory
from symphony_sdk.worker.peak_memory import PeakMemory


def write(directory, **fields):
    (directory / "status").write_text("".join(f"{name}:\t{kib} kB\n" for name, kib in fields.items()))


def long(monkeypatch):
    """Make every call worth a look, and every mark stale."""
    monkeypatch.setattr(peak_memory, "WORTH_A_LOOK", -1.0)
    monkeypatch.setattr(peak_memory, "_STALE", -1.0)


def test_the_mark_of_the_kernel_is_taken_back_before_a_call_and_read_after_it(tmp_path, monkeypatch):
    long(monkeypatch)
    write(tmp_path, VmHWM=100, VmRSS=50)
    (tmp_path / "clear_refs").write_text("")
    memory = PeakMemory(str(tmp_path))
    span = memory.begin()
    assert (tmp_path / "clear_refs").read_text() == "5"
    write(tmp_path, VmHWM=300, VmRSS=60)
    assert memory.end(span) == 300 << 10


def test_a_call_that_goes_on_keeps_its_peak_when_another_one_begins(tmp_path, monkeypatch):
    long(monkeypatch)
    write(tmp_path, VmHWM=100)
    (tmp_path / "clear_refs").write_text("")
    memory = PeakMemory(str(tmp_path))
    first = memory.begin()
    write(tmp_path, VmHWM=900)
    second = memory.begin()
    write(tmp_path, VmHWM=200)
    assert memory.end(second) == 200 << 10
    assert memory.end(first) == 900 << 10


def test_a_short_call_is_told_the_latest_that_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(peak_memory, "WORTH_A_LOOK", 60.0)
    write(tmp_path, VmHWM=100)
    (tmp_path / "clear_refs").write_text("")
    memory = PeakMemory(str(tmp_path))
    span = memory.begin()
    write(tmp_path, VmHWM=900)
    assert memory.end(span) == 100 << 10


def test_where_the_mark_cannot_be_taken_back_what_is_there_at_the_end_counts(tmp_path, monkeypatch):
    long(monkeypatch)
    write(tmp_path, VmHWM=900, VmRSS=100)
    memory = PeakMemory(str(tmp_path))
    assert memory.end(memory.begin()) == 100 << 10


def test_without_a_kernel_that_says_it_nothing_is_known(tmp_path, monkeypatch):
    long(monkeypatch)
    memory = PeakMemory(str(tmp_path / "nowhere"))
    assert memory.end(memory.begin()) == 0
