"""A store in a bucket beside obstore alone: the same bytes to and from the same S3 server, in the same run.

    uv run --group test benchmarks/artifact_tier.py [--megabytes 128] [--rounds 3]

The server is moto's, in a process of its own on this machine, over real sockets; so what a network takes is not in it,
and all that the store adds shows. Ours backs up (each copy is read back and compared), offloads, reads an artifact of
each kind from the tier by ranges (authenticated and checked against its id; the cache is empty), and recalls (hashed,
compared and synced). Obstore beside it puts and gets one object for each pack, of the same size, and for each artifact
as many bytes out of the middle of such an object, and checks nothing; `put + get` is what a verified copy takes at the
least. moto takes longer for a range the larger the object is; `get 1 MiB` is what it takes for the block that ours
fetches at the least.

Medians of the rounds; a ratio below 1 is ours ahead.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import boto3
import obstore
from obstore.store import from_url
from pit_artifact_store import Store
from symphony_tier_objects import ObjectTier

SIZES = {"10 KB": 10_000, "1 MB": 1_000_000, "16 MB": 16_000_000}
READS = 10


def serve():
    """moto's server in a process of its own, and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            # It tells each request: somebody has to read that, or it waits for ever.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, found[0]
    raise SystemExit("moto's server did not start")


def main(megabytes: int, rounds: int) -> None:
    server, endpoint = serve()
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    took: dict[str, list[float]] = defaultdict(list)
    try:
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="artifacts")
        for number in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                os.environ["SYMPHONY_CONFIG_DIR"] = folder
                run(Path(folder), number, megabytes, took)
    finally:
        server.terminate()
        server.wait()
    median = {name: statistics.median(values) for name, values in took.items()}
    print(
        f"{megabytes} MB in packs, {rounds} rounds, {os.cpu_count()} cores; durability of the recall: synced"
    )
    for ours, peer in (
        ("back-up", "put + get"),
        ("offload", ""),
        ("recall", "get"),
        ("read 10 KB", "get 1 MiB"),
        *((f"read {kind}", f"get {kind}") for kind in SIZES),
    ):
        unit = 1000
        line = f"{ours:12} {median[ours] * unit:9.1f} ms"
        if peer:
            line += f"   obstore {peer:12} {median[peer] * unit:9.1f} ms   ratio {median[ours] / median[peer]:5.2f}"
        print(line)


def run(folder: Path, number: int, megabytes: int, took: dict[str, list[float]]) -> None:
    url = f"s3://artifacts/ours-{number}"
    bare = from_url(f"s3://artifacts/bare-{number}", client_options={"allow_http": True, "timeout": "300s"})

    def timed(name, use, *given, **options):
        begin = time.perf_counter()
        result = use(*given, **options)
        took[name].append(time.perf_counter() - begin)
        return result

    with Store(folder / "store", lambda: ObjectTier(url)) as store:
        ids = {
            kind: [store.put(os.urandom(size), durability="os").id for _ in range(READS)]
            for kind, size in SIZES.items()
        }
        while store.usage().stored < megabytes * 1_000_000:
            store.put(os.urandom(1_000_000), durability="os")
        packs = [path.stat().st_size for path in (folder / "store" / "packs").glob("*.pack")]
        contents = [os.urandom(size) for size in packs]

        def put_and_get():
            for index, data in enumerate(contents):
                obstore.put(bare, f"packs/{index}", data, mode="create")
                assert len(obstore.get(bare, f"packs/{index}").bytes()) == len(data)

        assert timed("back-up", store.back_up).faults == ()
        timed("put + get", put_and_get)
        assert timed("offload", store.offload, age=0).packs == len(packs)
        for kind, size in SIZES.items():
            for id in ids[kind]:
                store._remote._blocks.clear()
                assert len(timed(f"read {kind}", store.get, id)) == size
                for name, length in ((kind, size), ("1 MiB", 1 << 20)):
                    got = timed(
                        f"get {name}", obstore.get_range, bare, "packs/0", start=packs[0] // 2, length=length
                    )
                    assert len(got) == length
        assert timed("recall", store.recall).packs == len(packs)
        timed(
            "get", lambda: [len(obstore.get(bare, f"packs/{index}").bytes()) for index in range(len(packs))]
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    main(given.megabytes, given.rounds)
