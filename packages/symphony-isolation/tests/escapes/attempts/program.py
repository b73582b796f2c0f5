"""A hostile program: carries out the attempts that it is told on stdin, one a line, and answers on stdout.

Each attempt gets a process of its own, which stays until the host has looked; where processes cannot be made, as in a
sandbox that was entered before, all are carried out by this one. Arguments: a file of JSON with `policy` and `user`
where the program is to confine itself as a worker of Symphony does, else nothing.
"""

import json
import os
import select
import signal
import sys
from contextlib import suppress

from attempts import honest
from attempts.attacker import At, attack
from attempts.native import call

SECONDS = 8.0


def main() -> None:
    told = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    if told:
        confine(told)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if told:
            said = answer(request)
            print(json.dumps(said), flush=True)
        else:
            in_a_process_of_its_own(request)
    os._exit(0)


def answer(request) -> str:
    if request["name"] in honest.WORK:
        return honest.work(request["name"], request["facts"])
    return attack(request["name"], At(request["facts"]))


def confine(told) -> None:
    """Enter the sandbox of Symphony."""
    import msgspec
    from symphony_isolation.sandbox import landlock, namespaces, privileges, seccomp, tree  # noqa: F401
    from symphony_isolation.sandbox.confinement import REFUSED, LayerRefused, enter
    from symphony_isolation.sandbox.policy import SandboxPolicy

    if told["user"]:  # who may not be able to read the interpreter: all is imported by now
        os.setgroups([])
        os.setresgid(told["user"], told["user"], told["user"])
        os.setresuid(told["user"], told["user"], told["user"])
        call("prctl", 4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as it is after an execution
    try:
        enter(msgspec.convert(told["policy"], SandboxPolicy), keep=())
    except LayerRefused as error:
        print(error.strerror, file=sys.stderr, flush=True)
        os._exit(REFUSED)


def in_a_process_of_its_own(request) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        os.write(writing, json.dumps(answer(request)).encode()[:60_000])
        os.close(writing)
        signal.pause()
        os._exit(0)
    os.close(writing)
    said = b""
    while select.select([reading], [], [], SECONDS)[0] and (part := os.read(reading, 65536)):
        said += part
        if part.endswith(b'"'):
            break
    os.close(reading)
    with suppress(ValueError):
        said = json.loads(said)
    print(json.dumps(said if isinstance(said, str) else ""), flush=True)
    sys.stdin.readline()  # the host has looked
    for end in (os.killpg, os.kill):
        with suppress(OSError):
            end(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(json.dumps("over"), flush=True)


if __name__ == "__main__":
    main()
