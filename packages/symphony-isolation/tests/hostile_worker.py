"""A program in the place of a worker that breaks the protocol in the way that MODE says."""

import os
import socket
import sys
import threading

import msgspec
from symphony_ipc import BlockingConnection, Endpoint
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import encode
from symphony_isolation.plan import receive_plan
from symphony_sdk.contributions import OperationSpec, PortSpec
from symphony_sdk.errors import SymphonyError
from symphony_sdk.messages import (
    CallOperation,
    Done,
    ExtensionLoaded,
    GetArtifact,
    LifecycleStep,
    LoadExtension,
    LogLine,
    OperationResult,
    PutArtifact,
    message_type,
)
from symphony_sdk.values import encode as value

MODE = globals()["MODE"]
RESULT = OperationResult({"result": msgspec.Raw(value("done"))})


class Hostile:
    """Answers as a worker does, until an operation is called."""

    def request(self, call) -> None:
        message = call.decode()
        if isinstance(message, LoadExtension):
            port = PortSpec("result", {"type": "string"})
            id = "acme.zoo.echo" if MODE == "poses" else "acme.hostile.go"
            call.respond(ExtensionLoaded((OperationSpec(id, "operator", (), (port,)),)))
        elif isinstance(message, LifecycleStep):
            call.respond(Done())
        elif isinstance(message, CallOperation):
            threading.Thread(target=self.misbehave, args=(call,), daemon=True).start()

    def cancel(self, id: int) -> None:
        pass

    def closed(self, reason: SymphonyError | None) -> None:
        if MODE == "lingers":
            threading.Event().wait()

    def misbehave(self, call) -> None:
        match MODE:
            case "garbage":
                sock.sendall(os.urandom(1 << 16))
            case "huge":
                sock.sendall(b"\xff\xff\xff\xff" + b"\x00" * 1024)
            case "wrong-ids":
                for id in range(1000, 2000):
                    sock.sendall(encode(response(id))[0])
                call.respond(RESULT)
            case "twice":
                call.respond(RESULT)
                for _ in range(100):
                    sock.sendall(encode(response(call.id))[0])
            case "wrong-type":
                call.respond(Done())
            case "undecodable":
                sock.sendall(encode(response(call.id, b"\xc1"))[0])
            case "silent":
                pass
            case "flood":
                frame = encode(notification(0, LogLine("info", "noise")))[0] * 100
                for _ in range(1000):
                    sock.sendall(frame)
                call.respond(RESULT)
            case "asks-too-much":
                for id in range(1, 5000):
                    sock.sendall(encode(request(id, GetArtifact("nothing")))[0])
            case "lies-about-its-node":
                call.respond(refused(PutArtifact(b"x", run="run", node="another")))
            case "hoards":
                part = PutArtifact(b"", last=False)
                for upload in range(300):
                    answer = refused(msgspec.structs.replace(part, upload=upload))
                    if answer is not None:
                        call.respond(answer)
                        return
            case "greedy":
                call.respond(refused(GetArtifact("x", length=1 << 40)))
            case "meddles":
                call.respond(refused(LoadExtension("a", "1", "a")))
            case "closes" | "lingers":
                connection.close()


def refused(message):
    try:
        connection.request(message, Done)
    except SymphonyError as error:
        return (
            OperationResult({"result": msgspec.Raw(value(error.code))}) if error.code != "SYM-T002" else None
        )


def response(id: int, payload: bytes | None = None) -> Envelope:
    payload = msgspec.msgpack.encode(RESULT) if payload is None else payload
    return Envelope(Kind.RESPONSE, id, message_type(OperationResult), payload=memoryview(payload))


def notification(id: int, message) -> Envelope:
    return Envelope(
        Kind.NOTIFY, id, message_type(message), payload=memoryview(msgspec.msgpack.encode(message))
    )


def request(id: int, message) -> Envelope:
    return Envelope(
        Kind.REQUEST, id, message_type(message), payload=memoryview(msgspec.msgpack.encode(message))
    )


sock = socket.socket(fileno=int(sys.argv[-1]))
plan = receive_plan(sock)
if MODE == "mute":
    threading.Event().wait()
if MODE == "stranger":
    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    threading.Event().wait()
token = b"guess" if MODE == "guesses" else plan.token
connection = BlockingConnection.connect(sock, Endpoint("hostile", token))
connection.serve(Hostile())
