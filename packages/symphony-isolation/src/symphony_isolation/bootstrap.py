"""What a worker process executes: it confines itself, greets the host and serves its extension.

Started as `python -I -m symphony_isolation.bootstrap FD`, where FD is its end of a socket pair. Whatever is
imported here, each worker pays for: no asyncio, no pydantic, no logging.
"""

import faulthandler
import os
import socket
import sys

from symphony_ipc import BlockingConnection, Endpoint
from symphony_sdk.worker import WorkerRuntime

from symphony_isolation.confinement import confine
from symphony_isolation.plan import receive_plan


def main(descriptor: int) -> None:
    """Serve until the host closes the connection; does not return.

    Args:
        descriptor: The worker's end of the socket pair.
    """
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)  # the processes that the extension starts do not speak for it
    plan = receive_plan(sock)
    confine(plan.host, plan.memory, plan.open_files)
    faulthandler.enable(all_threads=False)  # a crash in native code names its Python lines on stderr
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.path.extend(plan.import_path)
    endpoint = Endpoint(plan.extension, plan.token, timeout=plan.timeout)
    connection = BlockingConnection.connect(sock, endpoint)
    connection.serve(WorkerRuntime(connection))
    sys.stdout.flush()
    os._exit(0)  # an interpreter that ends in order waits for threads of the extension that may never end


if __name__ == "__main__":
    main(int(sys.argv[1]))
