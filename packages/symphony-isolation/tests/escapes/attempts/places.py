"""Where attempts are tried: a process that nothing confines, and one that confines itself as a worker does."""

import json
import os
import sys

import msgspec
from symphony_isolation.sandbox import Limits, SandboxPolicy
from symphony_isolation.sandbox.interpreter import readable_by

from attempts.runners import Program, Start
from attempts.world import World

REMAIN = {
    "full": {"locks a file that it may read"},
    "fallback": {
        "locks a file that it may read",
        "learns where a link leads",
        "learns that a file exists and its size",
        "learns that a process is there",
        "learns which sockets there are",
    },
}
"""The attempts that succeed in a tier; none is of high severity."""


def plain(world: World) -> Start:
    """A process that nothing confines."""
    return lambda attempt: Program([sys.executable, "-m", "attempts.program"], variables(world))


def variables(world: World) -> dict[str, str]:
    """The environment of the host, and where the hostile code is."""
    return {**os.environ, "PYTHONPATH": world.code}


def confined(world: World, tier: str) -> Start:
    """A process of the user of the world that confines itself as a worker does."""
    partly = (
        (world.partly,) if tier == "full" else ()
    )  # nothing that holds something hidden is granted as one
    policy = SandboxPolicy(
        tier,  # type: ignore[arg-type]
        read=(*readable_by(sys.executable), world.granted, world.code, world.site, *partly),
        write=(world.data,),
        private_tmp=1 << 20,
        hidden=(f"{world.partly}/hidden",),
        limits=Limits(processes=1),
    )
    told = json.dumps({"policy": msgspec.to_builtins(policy), "user": world.user})
    command = [sys.executable, "-m", "attempts.program", told]
    return lambda attempt: Program(command, {"PYTHONPATH": world.code}, policy)
