"""A host in small: calls `work` of each extension in a worker of its own, and prints what each gave.

Started as `python hosted.py TIER FOLDER NAME...`, as any user. With the tier `unconfined` there is no worker: the
extension is imported, and its operation called.
"""

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path

from symphony_isolation import IsolatedExtensions, WorkerLimits, WorkerSpec
from symphony_sdk.errors import SymphonyError
from symphony_sdk.ports import NodeCall
from symphony_sdk.testing import recording_context
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import decode

EXTENSIONS = str(Path(__file__).with_name("extensions"))
DECLARED = {"joblib": ("system:execute:process",)}
LIMITS = WorkerLimits(memory=512 << 20, cpu=1.0, processes=8, threads=256, disk=4 << 30, load_timeout=60.0)
"""Those of an extension whose manifest says nothing, but for the time to load: the machine may be busy."""


def called(folder, names):
    """What the operations give in this process, which nothing confines."""
    sys.path.append(EXTENSIONS)
    found = {}
    for name in names:
        own = folder / name
        own.mkdir()
        os.chdir(own)
        found[name] = importlib.import_module(f"acme_{name}").work(recording_context())
    return {"found": found, "log": []}


async def called_in_workers(tier, folder, names):
    """What they give in workers, and what those said."""
    log = []
    extensions = IsolatedExtensions(
        [spec(tier, folder, name) for name in names],
        cache_dir=folder.parent
        / f"cache-{os.geteuid()}",  # of both tiers: to list them takes as long as to call them
        artifacts=FakeArtifactStore,
        on_log=lambda *line: log.append(line),
    )
    room = asyncio.Semaphore(2)

    async def given(name):
        async with room:
            try:
                result = await extensions.call(NodeCall("run", "node", f"acme.{name}.work", {}))
            except SymphonyError as error:
                return {"error": f"{error.code} {error}"}
            return decode(bytes(result.outputs["result"]), dict)

    try:
        found = dict(zip(names, await asyncio.gather(*map(given, names)), strict=True))
    finally:
        await extensions.stop()
    return {"found": found, "log": log}


def spec(tier, folder, name):
    return WorkerSpec(
        id=f"acme.{name}",
        version="1.0",
        kind="operator",
        module=f"acme_{name}",
        data_dir=str(folder / name),
        fingerprint="1",
        permissions=DECLARED.get(name, ()),
        roots={"tmp": "/tmp"},
        limits=LIMITS,
        import_path=(EXTENSIONS,),
        sandbox=tier,
    )


def main(tier, folder, *names):
    Path(folder).mkdir()
    if tier == "unconfined":
        print(json.dumps(called(Path(folder), names)))
    else:
        print(json.dumps(asyncio.run(called_in_workers(tier, Path(folder), names))))


if __name__ == "__main__":
    main(*sys.argv[1:])
