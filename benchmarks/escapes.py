"""What a hostile extension gets out of sandboxes: `python benchmarks/escapes.py`.

The attempts of `packages/symphony-isolation/tests/escapes`, each with its effect as the host sees it, in a process
that nothing confines, in a worker of each tier, and in the sandboxes of others with the same grants: bubblewrap
(Debian: `bubblewrap`) and @anthropic-ai/sandbox-runtime (npm: `srt`, which needs `bubblewrap`, `socat` and `ripgrep`).
What asks the host of a worker is not tried where there is none. Run as root; it fills and forks.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "packages/symphony-isolation/tests/escapes"))

from attempts import ATTEMPTS, Attempt, honest
from attempts.places import plain
from attempts.runners import Outcome, Program, Runner, Start, Workers, survey
from attempts.world import World
from symphony_isolation.sandbox import probe
from symphony_isolation.sandbox.interpreter import readable_by

PATIENCE = 0.1
GRACE = 20.0
"""Seconds until a worker that is above its limits counts as one that nobody ends."""

NOT_ASKING = [attempt for attempt in ATTEMPTS.values() if not attempt.asks]


def readable(world: World) -> tuple[str, ...]:
    """What an extension in a worker reads, too."""
    return (*readable_by(sys.executable), world.granted, world.partly, world.code)


def variables(world: World) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": world.data, "PYTHONPATH": world.code}


def bubblewrap(program: str, world: World) -> Start:
    command = [program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for path in map(Path, readable(world)):
        if path.is_symlink() and path.parent == Path("/"):  # as /lib is, on most systems
            command += ["--symlink", str(path.readlink()), str(path)]
        else:
            command += ["--ro-bind", str(path), str(path)]
    if Path("/bin").is_symlink():
        command += ["--symlink", str(Path("/bin").readlink()), "/bin"]
    command += ["--bind", world.data, world.data, "--tmpfs", f"{world.partly}/hidden"]
    command += ["--chdir", world.data, sys.executable, "-m", "attempts.program"]
    return lambda attempt: Program(command, variables(world))


def sandbox_runtime(program: str, world: World) -> Start:
    own = str(Path(program).resolve().parent.parent)  # it runs helpers of its own inside
    settings = {
        "network": {"allowedDomains": [], "deniedDomains": []},
        "filesystem": {
            "denyRead": ["/", f"{world.partly}/hidden"],
            "allowRead": [*readable(world), world.data, own],
            "allowWrite": [world.data],
            "denyWrite": [],
        },
    }
    file = Path(world.root, "settings.json")
    file.write_text(json.dumps(settings))
    words = (program, "--settings", str(file), sys.executable, "-m", "attempts.program")
    return lambda attempt: Program(words, variables(world))


@contextmanager
def place(name: str, program: str | None, world: World) -> Iterator[Start]:
    if name == "no sandbox":
        yield plain(world)
    elif name.startswith("tier "):
        with closing(Workers(world, name.removeprefix("tier "))) as workers:  # type: ignore[arg-type]
            yield workers.start
    else:
        assert program is not None
        yield (bubblewrap if name == "bubblewrap" else sandbox_runtime)(program, world)


def honest_work(world: World, runner: Runner) -> int:
    """How much of it comes out right."""
    done = 0
    for name in honest.WORK:
        world.prepare(name)
        done += runner.ask(name, world.facts(name)) == "done"
        runner.looked()
    return done


def tried(name: str, program: str | None, chosen: list[Attempt]) -> tuple[dict[str, Outcome], int]:
    """What came of the attempts in one place, and how much honest work was done there."""
    ours = name.startswith("tier ")
    with closing(World([*ATTEMPTS, *honest.WORK])) as world, place(name, program, world) as start:
        runner = start(None)
        refused = getattr(runner, "refused", "")
        if refused:
            raise RuntimeError(refused.strip().splitlines()[-1])
        done = honest_work(world, runner)
        runner.end()
        patience = 2.0 if name == "no sandbox" else 0.0 if ours else PATIENCE
        return survey(world, chosen, start, patience=patience, grace=GRACE if ours else 0.5), done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--srt", default=shutil.which("srt"), help="the command of @anthropic-ai/sandbox-runtime"
    )
    parser.add_argument("--only", action="append", help="one of the places")
    options = parser.parse_args()
    places = {
        "no sandbox": sys.executable,
        "tier full": sys.executable if not probe().missing("full") else None,
        "tier fallback": sys.executable if not probe().missing("fallback") else None,
        "bubblewrap": shutil.which("bwrap"),
        "sandbox-runtime": options.srt,
    }
    print(
        f"{len(ATTEMPTS)} attempts, {len(NOT_ASKING)} where no host can be asked; load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'':18}{'tried':>7}{'high':>7}{'low':>7}{'honest work':>14}{'seconds':>9}")
    names: dict[str, list[str]] = {}
    for name, program in places.items():
        if options.only and name not in options.only:
            continue
        if program is None:
            print(f"{name:18}{'is not installed, or not possible here':>40}")
            continue
        chosen = NOT_ASKING if name in ("bubblewrap", "sandbox-runtime") else list(ATTEMPTS.values())
        began = time.monotonic()
        try:
            outcomes, done = tried(name, program, chosen)
        except RuntimeError as error:
            print(f"{name:18}does not start: {error}")
            continue
        out = [ATTEMPTS[one] for one, outcome in outcomes.items() if outcome.escaped]
        high, low = (sum(one.severity == of for one in out) for of in ("high", "low"))
        work = f"{done} of {len(honest.WORK)}"
        print(
            f"{name:18}{len(outcomes):7}{high:7}{low:7}{work:>14}{time.monotonic() - began:9.0f}", flush=True
        )
        names[name] = [f"{one.kind}: {one.name}{'' if one.severity == 'high' else ' (low)'}" for one in out]
    for name, found in names.items():
        if name != "no sandbox" and found:
            print(f"\n{name}")
            print("\n".join(f"  {one}" for one in found))


if __name__ == "__main__":
    main()
