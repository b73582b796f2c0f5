"""A worker process for the tests: `worker_process.py FD TOKEN` serves what its operations are called."""

import socket
import sys
import threading

from symphony_ipc import BlockingConnection, Endpoint, IncomingCall
from symphony_sdk.errors import Cancelled, WorkflowError
from symphony_sdk.messages import (
    ArtifactData,
    CallOperation,
    GetArtifact,
    LogLine,
    OperationResult,
    Progress,
)


class Worker:
    """Answers on this thread what it can, and on others what would keep the reader waiting."""

    def __init__(self, connection: BlockingConnection) -> None:
        self.connection = connection
        self.held: dict[int, IncomingCall] = {}

    def request(self, call: IncomingCall) -> None:
        message = call.decode()
        assert isinstance(message, CallOperation)
        match message.operation:
            case "echo":
                call.respond(OperationResult(outputs=message.inputs, seconds=call.remaining or 0.0))
            case "hold":
                self.held[call.id] = call
                call.notify(Progress(0.0, "held"))
            case "release":
                for held in reversed(list(self.held.values())):
                    held.respond(OperationResult(seconds=float(held.id)))
                self.held.clear()
                call.respond(OperationResult())
            case "progress":
                for step in range(3):
                    call.notify(Progress(step / 2, f"step {step}"))
                self.connection.notify(LogLine("info", "outside of a request"))
                call.respond(OperationResult())
            case "ask":
                threading.Thread(target=self.ask, args=(call,)).start()
            case "ask-from-reader":
                self.connection.request(GetArtifact("a"), ArtifactData)
            case "too-large":
                call.respond(ArtifactData(data=bytes(17 << 20), size=1))
            case "twice":
                call.respond(OperationResult())
                call.respond(OperationResult())
            case "workflow-error":
                raise WorkflowError("no such node", hint="add it", details={"node": 3}, file="f.json", line=7)
            case "bug":
                raise ZeroDivisionError("by zero")
            case "exit":
                self.connection.close()

    def ask(self, call: IncomingCall) -> None:
        data = self.connection.request(GetArtifact("a", length=2 << 20), ArtifactData, 10)
        call.respond(OperationResult(seconds=float(len(data.data))))

    def cancel(self, call_id: int) -> None:
        call = self.held.pop(call_id)
        self.connection.notify(LogLine("info", f"cancelled {call_id}"))
        call.fail(Cancelled("as asked"))

    def closed(self, reason: object) -> None:
        assert "asyncio" not in sys.modules
        print(f"closed: {reason}", flush=True)


if __name__ == "__main__":
    sock = socket.socket(fileno=int(sys.argv[1]))
    connection = BlockingConnection.connect(sock, Endpoint("worker", sys.argv[2].encode()))
    connection.serve(Worker(connection))
