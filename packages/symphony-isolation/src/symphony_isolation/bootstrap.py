"""What a worker process executes: it confines itself, greets the host and serves its extension.

Started as `python -I -m symphony_isolation.bootstrap FD FD`: its ends of the channel, and of the socket on which it
gets descriptors. Whatever is imported here, each worker pays for: no asyncio, no pydantic, no logging.
"""

import faulthandler
import os
import socket
import sys
import time
from collections.abc import Iterable
from functools import partial

from symphony_ipc import BlockingConnection, Endpoint
from symphony_sdk.worker import EVERYTHING, Descriptors, HostNetwork, WorkerRuntime

from symphony_isolation.hosted_sockets import host_sockets
from symphony_isolation.plan import receive_plan
from symphony_isolation.proxy_listener import prepare_proxy, proxy_port
from symphony_isolation.sandbox.confinement import REFUSED, LayerRefused, die_with, enter

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes lets another one run: the thread that reads must take a CANCEL, and
answers must leave, while Python's own 5 ms would delay each by as much."""

_WITHOUT_PROCESSES = "JOBLIB_MULTIPROCESSING", "0"
"""Tells joblib, and so scikit-learn, to do without processes; else it fails where it is asked for several jobs."""


def main(channel: int, descriptors: int, reports: int, *, contained: bool = False) -> None:
    """Serve until the host closes the connection; does not return.

    Args:
        channel: The worker's end of the socket pair.
        descriptors: Its end of the one that descriptors come over.
        reports: Its end of the one on which the host gets what refused system calls are read from.
        contained: Whether it is in new namespaces, and so ends with its keeper.
    """
    sock, beside = socket.socket(fileno=channel), socket.socket(fileno=descriptors)
    for one in (sock, beside):
        one.set_inheritable(False)  # the processes that the extension starts do not speak for it
    plan = receive_plan(sock)
    if not contained:
        die_with(plan.parent)
    set_variables(plan.environment)
    try:
        listener = enter(
            plan.sandbox,
            keep=(channel, descriptors, reports),
            contained=contained,
            report=True,
            in_network=partial(prepare_proxy, beside),
        )
    except LayerRefused as error:
        print(error.strerror, file=sys.stderr, flush=True)
        os._exit(REFUSED)
    with socket.socket(fileno=reports) as handed:
        if listener >= 0:
            socket.send_fds(handed, [b"\0"], [listener])
            os.close(listener)
    seen = plan.sandbox
    if seen.tier != "none" and not seen.starts_processes:
        os.environ.setdefault(*_WITHOUT_PROCESSES)
    faulthandler.enable(all_threads=False)  # a crash in native code names its Python lines on stderr
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.setswitchinterval(SWITCH_INTERVAL)
    sys.path.extend(plan.import_path)
    endpoint = Endpoint(plan.extension, plan.token, timeout=plan.timeout)
    connection = BlockingConnection.connect(sock, endpoint)
    free = seen.tier == "none" or sys.platform == "win32"
    read, write = (EVERYTHING, EVERYTHING) if free else ((*seen.read, *seen.execute), seen.write)
    passed = Descriptors(beside)
    if plan.connects and not free:
        host_sockets(HostNetwork(connection, passed), proxy_port() if seen.proxy else 0)
    runtime = WorkerRuntime(connection, passed, read=read, write=write, hidden=seen.hidden)
    connection.serve(runtime, runtime.notified)
    sys.stdout.flush()
    os._exit(0)  # an interpreter that ends in order waits for threads of the extension that may never end


def set_variables(variables: Iterable[bytes]) -> None:
    """Set variables of the environment, the time zone among them.

    Args:
        variables: Each as `NAME=value`.
    """
    for variable in variables:
        name, _, value = os.fsdecode(variable).partition("=")
        os.environ[name] = value
    if sys.platform != "win32":
        time.tzset()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
