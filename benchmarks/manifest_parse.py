"""Reading a typical `symphony.toml`: ours (parse, check, all sections) against tomllib alone, the floor.

Also the warm path: the same manifest as a record out of the host's JSON index, and one permission check.
Run with `uv run python benchmarks/manifest_parse.py`; prints medians in microseconds and ratios.
"""

import itertools
import statistics
import timeit
import tomllib
from collections.abc import Callable

import msgspec
from symphony_sdk.manifest import parse
from symphony_sdk.manifest_record import ManifestRecord
from symphony_sdk.permissions import Access, PermissionSet

TYPICAL = """\
schema = 1
[extension]
id = "acme.text"
kind = "operator"
module = "acme_text.plugin"
runs = "worker"
[requires]
symphony = ">=1.0,<2"
extensions = [{ id = "acme.base", version = ">=1.2" }, { id = "acme.ocr", version = "*", optional = true }]
after = ["acme.metrics"]
[[permissions.required]]
type = "file"
scope = ["read"]
resource = "${project}/**"
reason = "reads the files that it measures"
[[permissions.optional]]
type = "network"
scope = ["read"]
resource = "api.example.org:443"
reason = "looks up licences"
[resources]
memory = "512 MiB"
cpu = 1.0
gpu = 0
processes = 8
load_timeout = "10 s"
[config.properties.language]
type = "string"
title = "Language"
enum = ["en", "de"]
default = "en"
[config.properties.depth]
type = "integer"
minimum = 1
default = 3
[marketplace]
categories = ["text"]
keywords = ["words", "count"]
"""


def microseconds(work: Callable[[], object], *, number: int) -> float:
    """Median of 31 repetitions, each the mean of `number` calls."""
    return statistics.median(timeit.repeat(work, number=number, repeat=31)) / number * 1e6


def main() -> None:
    """Print a line a figure."""
    broken = TYPICAL.replace("cpu = 1.0", "cup = 1.0").replace('"operator"', '"oprator"')
    manifest = parse(TYPICAL)
    entry = msgspec.json.encode(manifest.to_index())
    decoder = msgspec.json.Decoder(ManifestRecord)
    granted = PermissionSet(manifest.permissions.all(), roots={"project": "/home/ada/flows"})
    accesses = itertools.cycle(
        [Access("file", "read", f"/home/ada/flows/src/package_{n}/module.py") for n in range(10_000)]
    )

    def refused() -> object:
        try:
            return parse(broken)
        except Exception as error:  # noqa: BLE001 - the time to tell the faults is what is measured
            return error

    floor = microseconds(lambda: tomllib.loads(TYPICAL), number=50)
    rows = {
        "tomllib alone (floor)": floor,
        "parse": microseconds(lambda: parse(TYPICAL), number=50),
        "parse with two faults": microseconds(refused, number=20),
        "record from the JSON index": microseconds(lambda: decoder.decode(entry), number=500),
        "one permission check": microseconds(lambda: granted.check(next(accesses)), number=500),
    }
    for name, value in rows.items():
        print(f"{name:28} {value:9.1f} us   {value / floor:6.3f} x floor")


if __name__ == "__main__":
    main()
