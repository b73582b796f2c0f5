"""Artifacts in a bucket of a real S3 server, through the command line; and whoever moves them killed at any point."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pit_artifact_store import Store
from symphony_host.cli.root import run
from symphony_tier_objects import ObjectTier

ROUNDS = 15
TEXT = "\n".join(f"line {number} of what nobody else may read" for number in range(3000)).encode()


@pytest.fixture
def server():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="somebody",
        aws_secret_access_key="secret",
    ).create_bucket(Bucket="artifacts")
    yield f"http://{host}:{port}"
    urlopen(
        Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    ).close()  # all servers share what they have
    server.stop()


@pytest.fixture
def machine(tmp_path, server, monkeypatch, capsysbinary):
    """Makes machines by name: `symphony artifacts ...` with directories of its own, and a bucket as its tier."""

    def make(name, tier="s3://artifacts/folder"):
        home = tmp_path / name
        environment = {
            **{f"SYMPHONY_{kind}_DIR": str(home / kind.lower()) for kind in ("DATA", "CACHE", "CONFIG")},
            "SYMPHONY_EXTENSIONS__SYMPHONY_ARTIFACT_STORE__TIER": tier,
            "AWS_ENDPOINT_URL": server,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }
        home.mkdir()

        def artifacts(*arguments, code=0, **changed):
            with monkeypatch.context() as patch:
                for variable, value in {**environment, **changed}.items():
                    patch.setenv(variable, value)
                patch.chdir(home)
                returned = run(["artifacts", *arguments])
            out, err = capsysbinary.readouterr()
            assert returned == code, out + err
            return out if code == 0 else out + err

        return artifacts

    return make


def test_a_store_goes_to_a_bucket_is_read_from_there_and_comes_back_on_another_machine(machine, tmp_path):
    here = machine("here")
    (tmp_path / "here/report.txt").write_bytes(TEXT)
    [info] = json.loads(here("put", "report.txt", "--json"))
    id = info["ref"]["id"]
    here("tag", id, "final")
    assert here("tier", "back-up").startswith(b"1 pack copied to the tier, ")
    assert b"1 pack in the tier alone now" in here("tier", "offload", "--age", "0d")
    assert not [*(tmp_path / "here/data").rglob("*.pack")]
    assert here("get", "final") == TEXT
    assert here("fsck") == b"every artifact is whole\n"
    status = json.loads(here("tier", "status", "--json"))
    assert (status["url"], status["offloaded_packs"], status["missing"]) == ("s3://artifacts/folder", 1, [])

    there = machine("there", tier="")
    assert b"SYM-A051" in there("tier", "status", code=1)
    master, taken = tmp_path / "here/config/artifact-master.key", tmp_path / "taken away"
    master.rename(taken)
    assert b"SYM-A033" in there("tier", "restore", "s3://artifacts/folder", code=1)
    with (tmp_path / "there/config/artifact-master.key").open("a") as file:
        file.write(taken.read_text())
    told = there("tier", "restore", "s3://artifacts/folder").decode()
    assert "1 pack restored" in told
    assert 'tier = "s3://artifacts/folder"' in told
    assert there("get", "final") == TEXT
    assert there("fsck") == b"every artifact is whole\n"
    assert b"SYM-A054" in there("tier", "restore", "s3://artifacts/folder", code=1)

    taken.rename(master)
    assert b"1 pack back on this machine" in here("tier", "recall")
    assert here("get", id, AWS_ENDPOINT_URL="http://127.0.0.1:9") == TEXT


def test_a_bucket_that_nobody_answers_for_is_named_with_the_artifact_and_what_to_do(machine, tmp_path):
    symphony = machine("here")
    (tmp_path / "here/report.txt").write_bytes(TEXT)
    [info] = json.loads(symphony("put", "report.txt", "--json"))
    symphony("tier", "offload", "--age", "0d")
    gone = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    error = symphony("get", info["ref"]["id"], code=1, **gone).decode()
    assert "SYM-A050" in error
    assert info["ref"]["id"] in " ".join(error.split())
    assert "s3://artifacts/folder" in error
    assert "do it again" in error
    status = symphony("tier", "status", code=3, **gone).decode()
    assert "SYM-A050" in status
    assert "there alone" in status
    (tmp_path / "here/other.txt").write_bytes(b"other")
    symphony("put", "other.txt", **gone)
    assert symphony("get", info["ref"]["id"]) == TEXT


@pytest.mark.parametrize("seed", [1, 2])
def test_whoever_moves_packs_is_killed_at_any_point_and_nothing_is_lost(tmp_path, seed):
    directory, url = tmp_path / "store", f"file://{tmp_path}/tier"
    (tmp_path / "tier").mkdir()
    script = Path(__file__).with_name("tier_rounds.py")
    ran = subprocess.run(
        [sys.executable, script, directory, url, str(ROUNDS), str(seed * 1000)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    said = [line.split() for line in ran.stdout.splitlines()]
    assert [words for words in said if words[0] == "!"] == []
    assert {words[1] for words in said if words[0] == "m"} == {"back_up", "offload", "recall", "collect"}
    doubtful = {words[1] for words in said if words[0] == "?"}
    removed = {words[1] for words in said if words[0] == "-"}
    stored = {words[1]: (int(words[2]), int(words[3])) for words in said if words[0] == "+"}

    def expect_all(store):
        there = {info.ref.id for info in store.find(limit=1_000_000)}
        assert stored.keys() - doubtful <= there
        assert not removed & there
        assert store.verify() == []
        for id in there & stored.keys():
            seed_of, size = stored[id]
            assert store.get(id) == random.Random(seed_of).randbytes(size)

    with Store(directory, lambda: ObjectTier(url)) as store:
        expect_all(store)
    for path in directory.glob("index.db*"):
        path.unlink()
    with Store(directory, lambda: ObjectTier(url)) as store:
        expect_all(store)
        assert store.offload(age=0).faults == ()
        assert store.tier().unknown == 0
        expect_all(store)
        assert store.recall().faults == ()
    with Store(directory) as store:
        expect_all(store)
        store.close()
    with Store(tmp_path / "new", lambda: ObjectTier(url)) as store:
        assert store.rebuild().faults == ()
        expect_all(store)


def test_a_restoration_that_is_killed_at_any_point_is_gone_on_with(tmp_path):
    url = f"file://{tmp_path}/tier"
    (tmp_path / "tier").mkdir()
    with Store(tmp_path / "old", lambda: ObjectTier(url)) as store:
        kept = {}
        for _ in range(6):
            data = os.urandom(700_000)
            kept[store.put(data).id] = data
            store.offload(age=0)
    code = (
        "import sys; from pathlib import Path; from pit_artifact_store import Store\n"
        "from symphony_tier_objects import ObjectTier\n"
        "from pit_artifact_store.tiering import rebuilding\n"
        "say = lambda *_: print(flush=True)\n"
        "for owner, name in ((rebuilding, 'fetch'), (rebuilding, 'check_frames'), (rebuilding, 'take_over'),\n"
        "                    (rebuilding.Stubs, 'put'), (Path, 'unlink'), (Path, 'replace')):\n"
        "    def told(*given, do=getattr(owner, name), **named):\n"
        "        say(); result = do(*given, **named); say(); return result\n"
        "    setattr(owner, name, told)\n"
        "with Store(Path(sys.argv[1]), lambda: ObjectTier(sys.argv[2])) as store:\n"
        "    store.find() or store.rebuild()  # it may have been killed when all was done\n"
    )
    steps = 0
    while True:
        steps += 3
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "new"), url], stdout=subprocess.PIPE
        ) as process:
            for _ in range(steps):
                if not process.stdout.readline():
                    break
            else:
                process.send_signal(signal.SIGKILL)
            process.stdout.read()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert steps > 12
    with Store(tmp_path / "new", lambda: ObjectTier(url)) as store:
        assert store.verify() == []
        assert {info.ref.id: store.get(info.ref.id) for info in store.find()} == kept
        assert store.back_up().packs == 0
