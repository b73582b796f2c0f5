"""A process that is killed loses nothing that it said was stored, and leaves nothing to be repaired."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from pit_artifact_store import Store

ROUNDS = 40


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
    said = [line.split() for line in ran.stdout.splitlines()]
    doubtful = {words[1] for words in said if words[0] == "?"}  # its removal had begun
    stored = {words[1]: words[2:] for words in said if words[0] == "+"}
    removed = {words[1] for words in said if words[0] == "-"}
    assert len(stored) > ROUNDS
    for lose_the_index in (False, True):
        if lose_the_index:
            for path in directory.glob("index.db*"):
                path.unlink()
        with Store(directory) as store:
            assert list(store.verify()) == []
            there = {info.ref.id for info in store.find(limit=1_000_000)}
            assert stored.keys() - doubtful <= there
            assert not removed & there
            for id in there & stored.keys():
                seed_of, size = map(int, stored[id])
                assert store.get(id) == random.Random(seed_of).randbytes(size)


def test_what_a_killed_process_wrote_and_did_not_commit_is_given_back_by_a_collection(directory):
    code = (
        "import os, sys, signal; from pathlib import Path; from pit_artifact_store import Store\n"
        "store = Store(Path(sys.argv[1])); store.put(b'kept')\n"
        "def parts():\n"
        "    for _ in range(30): yield os.urandom(1 << 20)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.put_stream(parts())"
    )
    killed = subprocess.run([sys.executable, "-c", code, directory], timeout=60)
    assert killed.returncode == -9
    with Store(directory) as store:
        assert store.usage().artifacts == 1
        assert store.usage().stored > 10 << 20
        assert store.collect(grace=0).freed > 10 << 20
        assert store.usage().stored < 1 << 20
        assert store.get(store.find()[0].ref.id) == b"kept"


@pytest.mark.parametrize("in_between", ["nothing", "close", "collect"])
def test_an_index_that_a_crash_of_the_machine_set_back_is_brought_up_to_the_packs(directory, in_between):
    """The packs were synced, and the commits of the index were not: SQLite goes back to an earlier one."""
    with Store(directory) as store:
        store.put(b"first", name="x", durability="sync")
    earlier = (directory / "index.db").read_bytes()
    store = Store(directory)
    second = store.put(b"second", name="x", durability="sync").id
    store.tag(second, "tagged")
    if in_between == "close":
        store.close()
        store = Store(directory)
    elif in_between == "collect":
        store.remove(store.put(os.urandom(100_000)).id)
        store.collect(grace=0)
    third = store.put(b"third", name="x", durability="sync").id
    store.close()
    for path in directory.glob("index.db*"):
        path.unlink()
    (directory / "index.db").write_bytes(earlier)
    with Store(directory) as store:
        assert [info.ref.id for info in store.versions("x")][:2] == [third, second]
        assert (store.get("tagged"), store.get(third)) == (b"second", b"third")
        assert store.verify() == []
        assert store.put(b"fourth", name="x").id
    with Store(directory) as store:
        assert [info.version for info in store.versions("x")] == [4, 3, 2, 1]
