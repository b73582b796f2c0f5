"""Many threads of many processes use one store at once."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pit_artifact_store import Store


def test_three_processes_of_eight_threads_store_remove_and_collect_beside_each_other(directory):
    script = Path(__file__).with_name("hammer.py")
    processes = [
        subprocess.Popen(
            [sys.executable, script, directory, str(seed), "10"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for seed in range(3)
    ]
    said = [process.communicate(timeout=100)[0].decode() for process in processes]
    assert [(process.returncode, text) for process, text in zip(processes, said, strict=True)] == [
        (0, "")
    ] * 3
    with Store(directory) as store:
        assert list(store.verify()) == []
        names = {info.ref.name for info in store.find(limit=1000)}
    assert len(names) >= 15


def test_processes_that_make_a_store_at_once_make_one(directory):
    code = "import sys; from pathlib import Path; from pit_artifact_store import Store; Store(Path(sys.argv[1])).close()"
    processes = [subprocess.Popen([sys.executable, "-c", code, directory]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    with Store(directory) as store:
        assert store.get(store.put(b"x").id) == b"x"


def test_threads_that_store_the_same_bytes_at_once_store_one_object(store):
    data = random.Random(3).randbytes(500_000)
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda number: store.put(data, name=str(number), durability="os").id, range(40)))
    assert len(ids) == 1
    assert store.usage().artifacts == 1
    assert len(store.history(ids.pop())) == 40


def test_what_one_process_stores_another_reads_at_once(directory):
    with Store(directory) as one, Store(directory) as other:
        id = one.put(b"told", name="x", durability="os").id
        assert other.get(id) == b"told"
        other.tag(id, "seen")
        assert one.info("seen").ref.id == id
        assert other.put(b"told more", name="x", durability="os").id != id
        assert [info.version for info in one.versions("x")] == [2, 1]


def test_a_process_that_writes_a_little_goes_on_with_the_pack_of_the_one_before(directory):
    for number in range(5):
        with Store(directory) as store:
            store.put(bytes([number]))
    with Store(directory) as store:
        assert store.usage().packs == 1
        assert list(store.verify()) == []
