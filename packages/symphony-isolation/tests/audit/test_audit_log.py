"""The audit log: appended by several processes, killed, cut, changed, rotated."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_isolation.audit import AuditEvent, AuditLog, AuditRecord, Verdict, line_of, verify
from symphony_isolation.audit.head import Head, read_head, write_head
from symphony_isolation.audit.record import record_of
from symphony_sdk.errors import PermissionDenied

EVENT = AuditEvent("acme.text", "file", "read", "/data/a", "allow", "user-allow", "1.0", 7)
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))


class Place:
    """A log of its own and its head."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "audit"
        self.head = root / "host" / "audit.head"
        self.now = 1000.0

    def log(self, **changes: int) -> AuditLog:
        return AuditLog(self.directory, self.head, clock=lambda: self.now, **changes)

    def fill(self, count: int, **changes: int) -> AuditLog:
        log = self.log(**changes)
        for number in range(count):
            log.append(msgspec.structs.replace(EVENT, resource=f"/data/{number}"))
        return log

    def verify(self) -> Verdict:
        return verify(self.directory, self.head)

    @property
    def files(self) -> list[Path]:
        return sorted(self.directory.glob("*.jsonl"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_each_record_names_the_line_before_it_and_the_log_is_sound(place: Place) -> None:
    log = place.fill(3)
    first, second, third = log.records()
    assert (first.seq, second.seq, third.seq) == (1, 2, 3)
    assert (first.prev, first.resource, first.pid, first.ts) == ("0" * 64, "/data/0", 7, 1000.0)
    assert place.verify() == Verdict(3, 1, 3, unfinished=False)


def test_a_log_that_was_never_written_is_sound_and_empty(place: Place) -> None:
    assert place.verify() == Verdict(0, 1, 0, unfinished=False)
    assert list(place.log().records()) == []


def test_log_and_head_are_for_this_user_alone(place: Place) -> None:
    place.fill(1)
    modes = {path.stat().st_mode & 0o777 for path in (place.files[0], place.head)}
    assert modes == {0o600}
    assert place.directory.stat().st_mode & 0o777 == 0o700


def test_what_repeats_is_counted_and_told_when_the_time_is_over(place: Place) -> None:
    log = place.log()
    for _ in range(1000):
        log.append(EVENT)
    assert [record.count for record in log.records()] == [1]
    place.now += 11
    log.append(msgspec.structs.replace(EVENT, resource="/other"))
    assert [(record.resource, record.count) for record in log.records()] == [
        ("/data/a", 1),
        ("/data/a", 999),
        ("/other", 1),
    ]


def test_what_is_counted_is_written_at_the_end(place: Place) -> None:
    log = place.log()
    refused = AuditEvent("acme.text", "syscall", "execute", "socket", "deny", "sandbox")
    log.append(refused, count=3)
    log.append(refused, count=4)
    log.flush()
    log.flush()
    assert [(each.type, each.resource, each.rule, each.count) for each in log.records()] == [
        ("syscall", "socket", "sandbox", 3),
        ("syscall", "socket", "sandbox", 4),
    ]


def test_one_extension_cannot_flood_the_log_and_others_are_still_recorded(place: Place) -> None:
    log = place.fill(5000)
    log.append(msgspec.structs.replace(EVENT, extension="acme.other"))
    log.flush()
    records = list(log.records())
    assert len(records) == 500 + 1 + 1 + 1  # one by one, the rest as such, the other one, the rest in numbers
    assert sum(record.count for record in records) == 5001
    assert [each.count for each in records if each.extension == "acme.other"] == [1]
    assert place.verify().records == len(records)


def test_a_log_of_many_files_is_one_chain_and_forgets_the_oldest(place: Place) -> None:
    place.fill(60, file_size=2000, files=3)
    assert len(place.files) == 3
    verdict = place.verify()
    assert verdict.first > 1
    assert verdict.last == 60
    first = next(place.log().records())
    assert first.seq == verdict.first


def test_a_file_that_was_about_to_be_deleted_is_no_part_of_the_log(place: Place) -> None:
    log = place.fill(30, file_size=2000, files=2)
    (place.directory / "audit-000000000001.jsonl").write_bytes(b"anything\n")
    assert place.verify().last == 30
    place.now += 11
    for number in range(30):
        log.append(msgspec.structs.replace(EVENT, resource=f"/more/{number}"))
    assert len(place.files) == 2
    assert place.verify().last == 60


def test_texts_that_could_fool_a_terminal_or_break_a_line_are_escaped(place: Place) -> None:
    nasty = "a\nb\x1b[31m\x7f\u202egnp.exe\ud800\u2028" + "é"
    place.log().append(msgspec.structs.replace(EVENT, resource=nasty))
    raw = place.files[0].read_bytes()
    assert raw.isascii()
    assert raw.decode("ascii").removesuffix("\n").isprintable()
    assert next(place.log().records()).resource == nasty


@pytest.mark.parametrize("resource", ["x" * 10**6, "\U0001f600" * 10**5])
def test_a_long_resource_is_cut(place: Place, resource: str) -> None:
    log = place.log()
    log.append(msgspec.structs.replace(EVENT, resource=resource))
    log.append(EVENT)
    assert next(log.records()).resource == resource[:4096]
    assert place.verify().records == 2


def test_several_processes_append_to_one_chain(place: Place) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from symphony_isolation.audit import AuditEvent, AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]), Path(sys.argv[2]), file_size=5000)\n"
        "for number in range(100):\n"
        "    log.append(AuditEvent('acme.text', 'file', 'read', f'/{sys.argv[3]}/{number}', 'allow', 'user-allow'))\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(place.directory), str(place.head), name])
        for name in ("a", "b")
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    resources = [record.resource for record in place.log().records()]
    assert place.verify() == Verdict(200, 1, 200, unfinished=False)
    assert sorted(resources) == sorted(f"/{name}/{number}" for name in "ab" for number in range(100))


def test_threads_append_to_one_chain(place: Place) -> None:
    log = place.log()

    def work(name: str) -> None:
        for number in range(50):
            log.append(msgspec.structs.replace(EVENT, resource=f"/{name}/{number}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert place.verify().records == 200


def test_hosts_that_are_killed_while_they_write_leave_a_sound_log(place: Place) -> None:
    code = (
        "import sys, itertools; from pathlib import Path\n"
        "from symphony_isolation.audit import AuditEvent, AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]), Path(sys.argv[2]), file_size=100000)\n"
        "log._within_budget = lambda extension, now: True\n"
        "for number in itertools.count():\n"
        "    log.append(AuditEvent('acme.text', 'file', 'read', f'/{number}/' + 'x' * (number % 4096), 'allow', 'r'))\n"
        "    if number == 20: print('ready', flush=True)\n"
    )
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(place.directory), str(place.head)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        process.stdout.close()
        place.verify()
    log = place.log()
    log.append(EVENT)
    assert place.verify().unfinished is False
    assert len(list(log.records())) == place.verify().records


def test_a_line_that_was_left_unfinished_is_told_and_completed(place: Place) -> None:
    log = place.fill(5)
    whole = place.files[0].read_bytes()
    begin = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(begin, len(whole)):
        place.files[0].write_bytes(whole[:cut])
        assert place.verify() == Verdict(5, 1, 5, unfinished=True)
    log.append(EVENT)
    assert place.verify() == Verdict(6, 1, 6, unfinished=False)
    assert place.files[0].read_bytes().startswith(whole)


def test_a_head_whose_newest_place_was_torn_is_that_of_the_record_before(tmp_path: Path) -> None:
    path = tmp_path / "head"
    write_head(path, Head(seq=1, line=b"one"))
    write_head(path, Head(seq=2, line=b"two"))
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert read_head(path) == Head(seq=1, line=b"one")


def refused(place: Place) -> str:
    with pytest.raises(PermissionDenied) as caught:
        place.verify()
    assert caught.value.code == "SYM-P041"
    return str(caught.value)


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_change_of_any_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    place = Place(tmp_path_factory.mktemp("log"))
    place.fill(6, file_size=700)
    files = place.files
    assert len(files) > 1
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    refused(place)


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_lines_that_are_dropped_added_swapped_or_cut_off_are_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = Place(tmp_path_factory.mktemp("log"))
    place.fill(6)
    lines = place.files[0].read_bytes().splitlines(keepends=True)
    how = data.draw(st.sampled_from(["drop", "cut", "repeat", "swap", "forge", "blank"]))
    at = data.draw(st.integers(0, 4))
    if how == "drop":
        del lines[at]
    elif how == "cut":
        last = data.draw(st.integers(0, len(lines[at]) - 1))
        lines[at:] = [lines[at][:last]]
    elif how == "repeat":
        lines.insert(at, lines[at])
    elif how == "swap":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    elif how == "blank":
        lines.insert(at, b"\n")
    else:
        last_record = record_of(lines[-1][:-1])
        from symphony_isolation.audit.record import digest_of

        forged = msgspec.structs.replace(last_record, seq=7, prev=digest_of(lines[-1][:-1]))
        lines.append(line_of(forged) + b"\n")
    place.files[0].write_bytes(b"".join(lines))
    refused(place)


def test_a_log_without_its_head_and_a_head_without_its_log_are_found(place: Place) -> None:
    place.fill(3)
    content = place.files[0].read_bytes()
    place.files[0].unlink()
    assert "records from 1 to 3 are gone" in refused(place)
    place.files or (place.directory / "audit-000000000001.jsonl").write_bytes(content)
    assert place.verify().records == 3
    place.head.unlink()
    assert "its head is gone" in refused(place)
    with pytest.raises(PermissionDenied, match="its head is gone"):
        place.log().append(EVENT)


def test_a_damaged_head_is_told(place: Place) -> None:
    place.fill(2)
    place.head.write_bytes(b"nonsense" * 100)
    assert "the head of the audit log is damaged" in refused(place)
    with pytest.raises(PermissionDenied, match="damaged"):
        place.log().append(EVENT)


def test_a_cut_log_is_not_written_to(place: Place) -> None:
    log = place.fill(5)
    content = place.files[0].read_bytes()
    place.files[0].write_bytes(content[: len(content) // 2])
    with pytest.raises(PermissionDenied) as caught:
        log.append(EVENT)
    assert caught.value.code == "SYM-P041"


def test_a_log_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    with pytest.raises(PermissionDenied) as caught:
        AuditLog(tmp_path / "audit", tmp_path / "head").append(EVENT)
    assert caught.value.code == "SYM-P040"


def test_a_line_without_a_record_is_told_where_it_is_listed(place: Place) -> None:
    log = place.fill(2)
    lines = place.files[0].read_bytes().splitlines(keepends=True)
    place.files[0].write_bytes(lines[0] + b"[" * 100_000 + b"\n")
    with pytest.raises(PermissionDenied) as caught:
        list(log.records())
    assert (caught.value.code, caught.value.line) == ("SYM-P041", 2)


@given(
    st.builds(
        AuditRecord,
        seq=st.integers(1, 2**60),
        ts=st.floats(0, 2**33),
        extension=st.text(),
        version=st.text(),
        resource=st.text(st.characters()),
        pid=st.integers(0, 2**31),
        count=st.integers(1, 2**60),
    )
)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_record_is_one_line_that_gives_it_back(record: AuditRecord) -> None:
    line = line_of(record)
    assert b"\n" not in line
    assert record_of(line) == record
    assert json.loads(line)["seq"] == record.seq
