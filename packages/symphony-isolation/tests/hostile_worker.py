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
from symphony_sdk.errors import ErrorPayload, SymphonyError
from symphony_sdk.messages import (
    CallOperations,
    Done,
    ExtensionLoaded,
    GetArtifact,
    LifecycleStep,
    LoadExtension,
    LogLine,
    OperationResult,
    OperationResults,
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
            schema = {"type": "string"}
            if MODE == "loads-a-lot":
                schema["enum"] = [{}] * 900_000
            port = PortSpec("result", schema)
            id = "acme.zoo.echo" if MODE == "poses" else "acme.hostile.go"
            call.respond(ExtensionLoaded((OperationSpec(id, "operator", (), (port,), chains=True),)))
        elif isinstance(message, LifecycleStep):
            call.respond(Done())
        elif isinstance(message, CallOperations):
            number = min(message.calls)
            threading.Thread(target=self.misbehave, args=(call, number), daemon=True).start()

    def cancel(self, id: int) -> None:
        pass

    def closed(self, reason: SymphonyError | None) -> None:
        if MODE == "lingers":
            threading.Event().wait()

    def misbehave(self, call, number) -> None:
        def done(result=RESULT) -> None:
            call.respond(OperationResults({number: result}))

        match MODE:
            case "garbage":
                sock.sendall(os.urandom(1 << 16))
            case "huge":
                sock.sendall(b"\xff\xff\xff\xff" + b"\x00" * 1024)
            case "wrong-ids":
                for id in range(1000, 2000):
                    sock.sendall(encode(response(id))[0])
                done()
            case "items-of-nothing":
                for kind in (Kind.PONG, Kind.ITEM):
                    send_many(encode(Envelope(kind, 77))[0], 500)
                done()
            case "answers-a-request-twice":
                done()
                sock.sendall(encode(response(call.id))[0] * 2)
            case "answers-a-request-often":
                done()
                send_many(encode(response(call.id))[0], 1000)
            case "answers-a-call-twice":
                call.send_item(OperationResults({number: RESULT}))
                call.respond(OperationResults({number: RESULT}))
            case "answers-a-call-in-two-ways":
                call.respond(OperationResults({number: RESULT}, {number: ErrorPayload("ACME-001", "no")}))
            case "answers-another-call":
                call.respond(OperationResults({number: RESULT, number + 1: RESULT}))
            case "gives-a-call-back":
                call.respond(OperationResults(returned=(number,)))
            case "overtakes":
                call.send_item(OperationResults({number + 1: RESULT}))
            case "fails-before-its-turn":
                call.send_item(OperationResults(errors={number + 1: ErrorPayload("ACME-001", "no")}))
            case "owes":
                call.respond(OperationResults())
            case "errs-at-length":
                details = {"x": [{}] * (15 << 20)}
                call.respond(OperationResults({}, {number: ErrorPayload("ACME-001", "no", "", details)}))
            case "errs-deeply":
                deep = b"\x91" * 200_000 + b"\xc0"
                around = msgspec.msgpack.encode(
                    {"errors": {number: {"code": "A-1", "message": "", "details": {"x": 0}}}}
                )
                sock.sendall(encode(response(call.id, around[:-1] + deep))[0])
                sock.sendall(encode(response(call.id, around[:-1] + deep))[1])
            case "results-deeply":
                deep = b"\x91" * 1_000_000 + b"\xc0"
                around = msgspec.msgpack.encode({"results": {number: {"outputs": {"result": 0}}}})
                for part in encode(response(call.id, around[:-1] + deep)):
                    sock.sendall(part)
            case "trickles":
                frame = b"".join(encode(response(call.id, b"\x00" * (8 << 20))))
                sock.sendall(frame[:64])
                for byte in frame[64:2000]:
                    sock.sendall(bytes([byte]))
            case "pings":
                send_many(encode(Envelope(Kind.PING, 1))[0], 10_000_000)
            case "babbles":
                for kind in (Kind.CREDIT, Kind.CANCEL):
                    send_many(encode(Envelope(kind, 77, credit=1))[0], 5000)
                done()
            case "noise" | "noise-on-stderr":
                while True:
                    os.write(1 if MODE == "noise" else 2, b"\x1b[2J" * 4096)
            case "wrong-type":
                call.respond(Done())
            case "undecodable":
                sock.sendall(encode(response(call.id, b"\xc1"))[0])
            case "refuses":
                call.fail(SymphonyError("no", code="ACME-001"))
            case "silent":
                pass
            case "flood":
                send_many(encode(notification(0, LogLine("info", "noise")))[0], 10_000_000)
            case "long-lines":
                while True:
                    connection.notify(LogLine("info", "noise" * 200_000))
            case "asks-too-much":
                for id in range(1, 5000):
                    sock.sendall(encode(request(id, GetArtifact("nothing")))[0])
            case "lies-about-its-node":
                done(refused(PutArtifact(b"x", run="run", node="another")))
            case "hoards":
                part = PutArtifact(b"", last=False)
                for upload in range(300):
                    answer = refused(msgspec.structs.replace(part, upload=upload))
                    if answer is not None:
                        done(answer)
                        return
            case "abuses":
                while True:
                    refused(GetArtifact("x", length=1 << 40))
            case "greedy":
                done(refused(GetArtifact("x", length=1 << 40)))
            case "meddles":
                done(refused(LoadExtension("a", "1", "a")))
            case "closes" | "lingers":
                connection.close()


def send_many(frame: bytes, count: int) -> None:
    """Send a frame many times; in parts that a PONG of the other thread comes before or after, not within."""
    for _ in range(count // 100):
        sock.sendall(frame * 100)


def refused(message):
    try:
        connection.request(message, Done)
    except SymphonyError as error:
        return (
            OperationResult({"result": msgspec.Raw(value(error.code))}) if error.code != "SYM-T002" else None
        )


def response(id: int, payload: bytes | None = None) -> Envelope:
    payload = msgspec.msgpack.encode(OperationResults()) if payload is None else payload
    return Envelope(Kind.RESPONSE, id, message_type(OperationResults), payload=memoryview(payload))


def notification(id: int, message) -> Envelope:
    return Envelope(
        Kind.NOTIFY, id, message_type(message), payload=memoryview(msgspec.msgpack.encode(message))
    )


def request(id: int, message) -> Envelope:
    return Envelope(
        Kind.REQUEST, id, message_type(message), payload=memoryview(msgspec.msgpack.encode(message))
    )


sock = socket.socket(fileno=int(sys.argv[4]))
plan = receive_plan(sock)
if MODE == "mute":
    threading.Event().wait()
if MODE == "stranger":
    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    threading.Event().wait()
token = b"guess" if MODE == "guesses" else plan.token
connection = BlockingConnection.connect(sock, Endpoint("hostile", token))
connection.serve(Hostile())
