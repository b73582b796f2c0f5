"""A process that is killed loses nothing that it said was stored, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest
from pit_artifact_store import Store

ROUNDS = 60


@pytest.mark.parametrize("seed", [1, 2])
def test_writers_killed_at_any_point_lose_no_acknowledged_artifact(directory, seed):
    script = Path(__file__).with_name("crash_rounds.py")
    ran = subprocess.run(
        [sys.executable, script, directory, str(ROUNDS // 2), str(seed * 1000)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    said = ran.stdout.split()
    doubtful = {line[1:] for line in said if line[0] == "?"}  # its removal had begun
    stored = {line[1:] for line in said if line[0] == "+"} - doubtful
    removed = {line[1:] for line in said if line[0] == "-"}
    assert len(stored) > ROUNDS
    with Store(directory) as store:
        assert list(store.verify()) == []
        there = {info.ref.id for info in store.find(limit=1_000_000)}
        assert stored <= there
        assert not removed & there
        with store._index.reading() as rows:
            known = {id.hex() for _, id in rows.objects_after(-1, 1_000_000)}
    files = {path.parent.name + path.name for path in (directory / "objects").rglob("*") if path.is_file()}
    assert files <= known
    assert {"b3-" + id for id in known} == there
    assert list((directory / "staging").iterdir()) == []


def test_the_litter_of_a_living_process_is_left_alone(directory):
    with Store(directory) as first:
        staged = Path(first._staging.write(memoryview(b"half"), sync=False))
        with Store(directory) as second:
            second.put(b"x")
            assert staged.exists()
        staged.unlink()
