"""The worker's end, in this process: threads, locks and a peer that says what it likes."""

import socket
import subprocess
import sys
import threading

import pytest
from symphony_ipc.blocking import BlockingConnection
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import FrameReader, encode
from symphony_ipc.handshake import Endpoint, Session
from symphony_ipc.payload import decode_error, encode_payload, error_envelope
from symphony_ipc.window import WINDOW_BYTES, WINDOW_REQUESTS, Window
from symphony_sdk.errors import DeadlineExceeded, MalformedMessage, PeerGone, SymphonyError, TransportError
from symphony_sdk.messages import ArtifactData, Done, GetArtifact, LogLine

DONE = encode_payload(Done())


class Recorder:
    """Keeps what comes in, and answers when it is told to."""

    def __init__(self):
        self.calls = []
        self.cancelled = []
        self.came = threading.Condition()
        self.ended = threading.Event()
        self.reason = None

    def request(self, call):
        with self.came:
            self.calls.append(call)
            self.came.notify_all()

    def cancel(self, call_id):
        with self.came:
            self.cancelled.append(call_id)
            self.came.notify_all()

    def closed(self, reason):
        self.reason = reason
        self.ended.set()

    def wait_for(self, condition):
        with self.came:
            assert self.came.wait_for(condition, 20)


class Peer:
    def __init__(self, sock):
        self.sock = sock
        self.reader = FrameReader()
        self.envelopes = []

    def send(self, *envelopes):
        for envelope in envelopes:
            self.sock.sendall(b"".join(encode(envelope)))

    def receive(self):
        while not self.envelopes:
            count = self.sock.recv_into(self.reader.get_buffer())
            if not count:
                return None
            self.envelopes += self.reader.received(count)
        return self.envelopes.pop(0)


@pytest.fixture
def served():
    """A connection that a thread serves, its recorder, and the raw peer."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    found = []
    accepting = threading.Thread(
        target=lambda: found.append(BlockingConnection.accept(ours, Endpoint("host", b"t", timeout=30)))
    )
    accepting.start()
    connecting = BlockingConnection.connect(theirs.dup(), Endpoint("raw", b"t", timeout=30))
    accepting.join()
    connecting._sock.close()
    theirs.settimeout(20)
    connection, recorder = found[0], Recorder()
    thread = threading.Thread(target=connection.serve, args=(recorder,))
    thread.start()
    with theirs:
        yield connection, recorder, Peer(theirs)
    connection.close()
    thread.join(20)
    assert recorder.ended.is_set()


def in_thread(function, *arguments):
    """Runs a function on a thread; the result or the error is in the list once it has ended."""
    outcome = []

    def run():
        try:
            outcome.append(function(*arguments))
        except SymphonyError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_a_call_carries_what_the_caller_said(served):
    _, recorder, peer = served
    peer.send(
        Envelope(Kind.REQUEST, 5, "worker.done/1", 30.0, "00-ab-cd-01", "key", {"a": "b"}, payload=DONE),
        Envelope(Kind.REQUEST, 6, "worker.done/1", payload=DONE),
    )
    recorder.wait_for(lambda: len(recorder.calls) == 2)
    call, bare = recorder.calls
    assert (call.id, call.type, bytes(call.payload)) == (5, "worker.done/1", bytes(DONE))
    assert (call.traceparent, call.idempotency_key, call.meta) == ("00-ab-cd-01", "key", {"a": "b"})
    assert 0 < call.remaining <= 30
    assert call.decode() == Done()
    assert (bare.remaining, bare.deadline, bare.meta) == (None, None, {})
    call.notify(LogLine("info", "x"))
    call.respond(Done())
    assert [(peer.receive().kind), peer.receive().kind] == [Kind.NOTIFY, Kind.RESPONSE]
    with pytest.raises(TransportError) as caught:
        call.fail(TransportError("again"))
    assert caught.value.code == "SYM-T014"


def test_a_payload_stays_what_it_was_while_more_comes_in(served):
    _, recorder, peer = served
    texts = [str(n) * (n * 997) for n in range(100)]
    for number, text in enumerate(texts, 1):
        payload = encode_payload(LogLine("info", text))
        peer.send(Envelope(Kind.REQUEST, number, "worker.log/1", payload=payload))
    recorder.wait_for(lambda: len(recorder.calls) == len(texts))
    assert [call.decode().text for call in recorder.calls] == texts


def test_ping_and_cancel_are_taken_while_a_call_is_under_way(served):
    _, recorder, peer = served
    peer.send(Envelope(Kind.REQUEST, 1, "worker.done/1", payload=DONE), Envelope(Kind.PING, 9))
    assert (peer.receive().kind) is Kind.PONG
    peer.send(Envelope(Kind.CANCEL, 1), Envelope(Kind.CANCEL, 77))
    recorder.wait_for(lambda: recorder.cancelled == [1])


def test_a_ping_is_answered_next_while_a_thread_is_stuck_in_sending(served):
    connection, recorder, peer = served
    peer.send(Envelope(Kind.REQUEST, 1, "worker.done/1", payload=DONE))
    recorder.wait_for(lambda: recorder.calls)
    big = ArtifactData(data=bytes(8 << 20), size=1)
    threads = [in_thread(recorder.calls[0].respond, big)[0]]
    peer.sock.recv(1, socket.MSG_PEEK)  # its first bytes are there: the sender holds the lock
    threads += [in_thread(connection.notify, LogLine("info", "x"))[0] for _ in range(3)]
    peer.send(*(Envelope(Kind.PING, 7) for _ in range(100)))
    peer.send(Envelope(Kind.REQUEST, 2, "worker.done/1", payload=DONE))
    recorder.wait_for(lambda: len(recorder.calls) == 2)
    kinds = [peer.receive().kind for _ in range(4)]
    assert kinds[0] is Kind.RESPONSE
    assert Kind.PONG in kinds, "it does not wait for all who wait"
    for thread in threads:
        thread.join(20)
    recorder.calls[1].respond(Done())
    pongs = 0
    while (envelope := peer.receive()).kind is not Kind.RESPONSE:
        pongs += envelope.kind is Kind.PONG
    assert pongs <= 16, "a peer that reads nothing is owed a bounded number of them"


def test_many_threads_ask_at_once_and_each_gets_its_own_answer(served):
    connection, _, peer = served
    asked = [in_thread(connection.request, GetArtifact(str(n)), ArtifactData, 20) for n in range(50)]
    requests = [peer.receive() for _ in asked]
    for request in reversed(requests):
        payload = encode_payload(ArtifactData(data=bytes(request.payload), size=1))
        peer.send(Envelope(Kind.RESPONSE, request.id, "artifact.data/1", payload=payload))
    for number, (thread, outcome) in enumerate(asked):
        thread.join(20)
        assert outcome[0].data == bytes(encode_payload(GetArtifact(str(number))))


def test_an_error_of_the_host_is_raised_where_it_was_asked(served):
    connection, _, peer = served
    thread, outcome = in_thread(connection.request, Done(), Done, 20)
    request = peer.receive()
    from symphony_ipc.payload import encode_error

    error = SymphonyError("no", details={"bad": object()}, traceback="\ud800" * 10_000)
    peer.sock.sendall(b"".join(encode_error(request.id, error)))
    thread.join(20)
    assert outcome[0].message == "no"
    assert outcome[0].details == {"shortened": True}
    assert len(outcome[0].traceback) >= 4096


def test_a_deadline_of_the_worker_cancels_at_the_host_and_the_late_answer_is_counted(served):
    connection, _, peer = served
    thread, outcome = in_thread(connection.request, Done(), Done, 0.02)
    request = peer.receive()
    assert 0 <= request.deadline <= 0.02
    assert peer.receive() == Envelope(Kind.CANCEL, request.id)
    thread.join(20)
    assert isinstance(outcome[0], DeadlineExceeded)
    peer.send(Envelope(Kind.RESPONSE, request.id, "worker.done/1", payload=DONE))
    peer.send(
        Envelope(Kind.RESPONSE, 1234), Envelope(Kind.NOTIFY), Envelope(Kind.PONG), Envelope(Kind.PING, 1)
    )
    assert peer.receive().kind is Kind.PONG
    assert connection.ignored == 4


def test_a_thread_waits_while_the_window_is_full(served):
    connection, _, peer = served
    connection._asking._bytes = WINDOW_BYTES
    with pytest.raises(DeadlineExceeded):
        connection.request(Done(), Done, 0.01)
    thread, outcome = in_thread(connection.request, Done(), Done, None)
    with connection._lock:
        connection._asking._bytes = 0
        connection._window_moved.notify_all()
    request = peer.receive()
    peer.send(Envelope(Kind.RESPONSE, request.id, "worker.done/1", payload=DONE))
    thread.join(20)
    assert outcome == [Done()]


def test_a_request_that_is_too_large_leaves_the_window_as_it_was(served):
    connection, _, _ = served
    with pytest.raises(TransportError) as caught:
        connection.request(ArtifactData(bytes(17 << 20), 1), Done)
    assert caught.value.code == "SYM-T005"
    assert (connection._asking._requests, connection._asking._bytes) == (0, 0)


def test_a_malformed_frame_ends_the_connection_and_says_why(served):
    connection, recorder, peer = served
    thread, outcome = in_thread(connection.request, Done(), Done, 20)
    peer.receive()
    peer.sock.sendall(b"\xff\xff\xff\xff")
    last = peer.receive()
    assert (last.kind, last.id, decode_error(last.payload).code) == (Kind.ERROR, 0, "SYM-T002")
    assert peer.receive() is None
    thread.join(20)
    assert isinstance(outcome[0], MalformedMessage)
    assert recorder.ended.wait(20)
    assert isinstance(recorder.reason, MalformedMessage)
    with pytest.raises(MalformedMessage):
        connection.notify(Done())


@pytest.mark.parametrize("breach", ["handshake", "twice", "window"])
def test_a_breach_of_the_protocol_ends_the_connection(served, breach):
    _, recorder, peer = served
    request = Envelope(Kind.REQUEST, 1, "worker.done/1", payload=DONE)
    match breach:
        case "handshake":
            peer.send(Envelope(Kind.WELCOME))
        case "twice":
            peer.send(request, request)
        case "window":
            frames = b"".join(
                b"".join(encode(Envelope(Kind.REQUEST, n, "worker.done/1", payload=DONE)))
                for n in range(1, WINDOW_REQUESTS + 2)
            )
            peer.sock.sendall(frames)
    assert recorder.ended.wait(20)
    assert isinstance(recorder.reason, MalformedMessage)


def test_the_reason_that_the_host_states_reaches_the_handler(served):
    _, recorder, peer = served
    from symphony_ipc.payload import encode_error

    peer.sock.sendall(b"".join(encode_error(0, TransportError("enough", code="SYM-T009"))))
    assert recorder.ended.wait(20)
    assert isinstance(recorder.reason, PeerGone)
    assert "enough" in recorder.reason.message


def test_answers_after_the_end_go_nowhere_and_requests_fail(served):
    connection, recorder, peer = served
    peer.send(Envelope(Kind.REQUEST, 1, "worker.done/1", payload=DONE))
    recorder.wait_for(lambda: recorder.calls)
    waiting, outcome = in_thread(connection.request, Done(), Done, 20)
    peer.receive()
    peer.sock.close()
    assert recorder.ended.wait(20)
    waiting.join(20)
    assert isinstance(outcome[0], PeerGone)
    recorder.calls[0].respond(Done())
    recorder.calls[0].fail(TransportError("x"))
    with pytest.raises(PeerGone):
        recorder.calls[0].notify(Done())
    with pytest.raises(PeerGone):
        connection.request(Done(), Done, 20)


def test_a_sender_notices_that_the_peer_is_gone_without_a_reader():
    ours, theirs = socket.socketpair()
    connection = BlockingConnection(ours, Session("p", 1, 1, 1 << 20, "s"))
    theirs.close()
    with pytest.raises(PeerGone, match="'p' closed the connection"):
        connection.notify(Done())
    connection.close()
    assert ours.fileno() == -1


def test_a_worker_needs_neither_asyncio_nor_pydantic():
    code = "import sys, symphony_ipc.blocking as b; b.BlockingConnection; print({*sys.modules} & {'asyncio', 'pydantic', 'ssl'})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_a_window_counts_requests_and_bytes():
    window = Window()
    assert not window.take(WINDOW_BYTES + 1)
    assert window.take(WINDOW_BYTES)
    assert not window.take(1)
    window.release(WINDOW_BYTES)
    for _ in range(WINDOW_REQUESTS):
        assert window.take(1)
    assert not window.take(0)
    window.release(1)
    assert window.take(0)


def stream_request(number, credit):
    return Envelope(Kind.REQUEST, number, "worker.done/1", credit=credit, payload=DONE)


def item(number, text):
    return Envelope(Kind.ITEM, number, "worker.log/1", payload=encode_payload(LogLine("info", text)))


def test_a_stream_is_sent_as_the_credit_allows(served):
    _, recorder, peer = served
    peer.send(stream_request(1, 2))
    recorder.wait_for(lambda: recorder.calls)
    call = recorder.calls[0]

    def answer():
        for n in range(5):
            call.send_item(LogLine("info", str(n)))
        call.end()

    thread, outcome = in_thread(answer)
    came = [peer.receive(), peer.receive()]
    peer.send(Envelope(Kind.PING, 1))
    assert peer.receive().kind is Kind.PONG, "no third item without credit"
    peer.send(Envelope(Kind.CREDIT, 77, credit=9), Envelope(Kind.CREDIT, 1, credit=2))
    came += [peer.receive(), peer.receive()]
    peer.send(Envelope(Kind.CREDIT, 1, credit=2))
    came.append(peer.receive())
    assert [(one.kind, one.id, one.type) for one in came] == [(Kind.ITEM, 1, "worker.log/1")] * 5
    assert peer.receive() == Envelope(Kind.RESPONSE, 1)
    thread.join(20)
    assert outcome == [None]
    with pytest.raises(TransportError) as caught:
        call.send_item(LogLine("info", "late"))
    assert caught.value.code == "SYM-T014"


@pytest.mark.parametrize("way", ["cancel", "close", "answer"])
def test_a_thread_that_waits_for_credit_is_freed(served, way):
    connection, recorder, peer = served
    peer.send(stream_request(1, 1))
    recorder.wait_for(lambda: recorder.calls)
    call = recorder.calls[0]
    call.send_item(LogLine("info", "first"))
    thread, outcome = in_thread(call.send_item, LogLine("info", "second"))
    assert peer.receive().kind is Kind.ITEM
    if way == "cancel":
        peer.send(Envelope(Kind.CANCEL, 1))
    elif way == "close":
        connection.close()
    else:
        call.fail(TransportError("enough"))
    thread.join(20)
    expected = {"cancel": "SYM-R003", "close": "SYM-T009", "answer": "SYM-T014"}
    assert outcome[0].code == expected[way]
    if way == "cancel":
        assert call.cancelled
        recorder.wait_for(lambda: recorder.cancelled == [1])
        call.end()
        assert peer.receive().kind is Kind.RESPONSE


def test_an_item_for_who_wants_a_single_answer_is_refused(served):
    _, recorder, peer = served
    peer.send(stream_request(1, 0), Envelope(Kind.REQUEST, 2, "worker.done/1", to="acme.x", payload=DONE))
    recorder.wait_for(lambda: len(recorder.calls) == 2)
    assert [call.to for call in recorder.calls] == ["", "acme.x"]
    with pytest.raises(TransportError) as caught:
        recorder.calls[0].send_item(Done())
    assert caught.value.code == "SYM-T015"


@pytest.mark.parametrize("window", [1, 2, 5, 100])
def test_a_worker_iterates_over_a_stream_of_the_host(served, window):
    connection, _, peer = served
    thread, outcome = in_thread(
        lambda: [one.text for one in connection.stream(Done(), LogLine, window=window)]
    )
    request = peer.receive()
    assert request.credit == window
    credit = window
    for n in range(50):
        while not credit:
            more = peer.receive()
            assert (more.kind, more.id) == (Kind.CREDIT, request.id)
            credit += more.credit
        credit -= 1
        peer.send(item(request.id, str(n)))
    peer.send(Envelope(Kind.RESPONSE, request.id))
    thread.join(20)
    assert outcome == [[str(n) for n in range(50)]]
    assert (connection._asking._requests, connection._asked) == (0, {})


def test_a_worker_that_leaves_a_stream_cancels_it(served):
    connection, _, peer = served

    def take():
        stream = connection.stream(Done(), LogLine)
        first = next(stream)
        stream.close()
        return first

    thread, outcome = in_thread(take)
    request = peer.receive()
    peer.send(item(request.id, "first"))
    assert peer.receive() == Envelope(Kind.CANCEL, request.id)
    thread.join(20)
    assert outcome == [LogLine("info", "first")]
    peer.send(item(request.id, "late"), Envelope(Kind.RESPONSE, request.id), Envelope(Kind.PING, 1))
    assert peer.receive().kind is Kind.PONG
    assert connection.ignored == 2
    assert connection._asking._requests == 0


@pytest.mark.parametrize("way", ["error", "deadline", "gone", "single"])
def test_how_a_stream_of_the_host_ends_is_raised_after_its_items(served, way):
    connection, _, peer = served
    came = []
    timeout = 0.2 if way == "deadline" else None

    def take():
        for one in connection.stream(Done(), LogLine, timeout=timeout):
            came.append(one.text)  # noqa: PERF401 - what came before the error is kept

    thread, outcome = in_thread(take)
    request = peer.receive()
    while way == "deadline":
        peer.send(item(request.id, "first"))
        assert peer.receive() == Envelope(Kind.CANCEL, request.id)
        thread.join(20)
        if came:
            break
        timeout *= 2  # on a busy machine the time was over before it came
        thread, outcome = in_thread(take)
        request = peer.receive()
    if way in ("error", "gone"):
        peer.send(item(request.id, "first"))
    match way:
        case "error":
            peer.send(Envelope(Kind.ERROR, request.id, payload=error_envelope(MalformedMessage("x")).payload))
        case "gone":
            peer.sock.close()
        case "single":
            peer.send(Envelope(Kind.RESPONSE, request.id, "worker.done/1", payload=DONE))
    thread.join(20)
    assert came == ([] if way == "single" else ["first"])
    codes = {"error": "SYM-T002", "deadline": "SYM-T004", "gone": "SYM-T003", "single": "SYM-T016"}
    assert outcome[0].code == codes[way]


def test_a_host_that_ignores_credit_is_cut_off(served):
    connection, recorder, peer = served
    thread, _ = in_thread(connection.request, Done(), Done)
    request = peer.receive()
    peer.send(item(request.id, "unwanted"))
    assert recorder.ended.wait(20)
    assert "credit" in str(recorder.reason)
    thread.join(20)


def test_a_deadline_holds_while_another_thread_is_stuck_in_sending(served):
    connection, recorder, peer = served
    peer.send(Envelope(Kind.REQUEST, 1, "worker.done/1", payload=DONE))
    recorder.wait_for(lambda: recorder.calls)
    thread, _ = in_thread(recorder.calls[0].respond, ArtifactData(data=bytes(8 << 20), size=1))
    peer.sock.recv(1, socket.MSG_PEEK)  # its first bytes are there: the sender holds the lock
    with pytest.raises(DeadlineExceeded):
        connection.request(Done(), Done, 0.02)
    assert connection._asking._requests == 0
    assert peer.receive().kind is Kind.RESPONSE
    thread.join(20)


def test_notifications_of_the_host_reach_who_listens():
    ours, theirs = socket.socketpair()
    heard, recorder = [], Recorder()
    connection = BlockingConnection(ours, Session("p", 1, 1, 1 << 20, "s"))
    thread = threading.Thread(target=connection.serve, args=(recorder, heard.append))
    thread.start()
    peer = Peer(theirs)
    log = encode_payload(LogLine("info", "x"))
    peer.send(
        Envelope(Kind.NOTIFY, 0, "worker.log/1", payload=log),
        Envelope(Kind.NOTIFY, 5, "worker.log/1", payload=log),
        Envelope(Kind.NOTIFY, 0, "from.the-future/1", payload=log),
        Envelope(Kind.PUBLISH, 0, "worker.log/1", to="a", payload=log),
    )
    theirs.close()
    thread.join(20)
    assert heard == [LogLine("info", "x")]
    assert connection.ignored == 3
    assert isinstance(recorder.reason, PeerGone)
