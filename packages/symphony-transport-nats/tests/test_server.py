"""Servers that are missing, refuse, are killed and come back."""

import asyncio
import contextlib
import os
import random
import signal
import ssl
import subprocess
from pathlib import Path

import pytest
from symphony_sdk.errors import ConfigurationError, PeerGone, TransportError
from symphony_transport_nats import NatsSettings, connect

# A server that is killed while it is greeted: nats-py goes on to its next attempt without closing that connection.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <StreamWriter:ResourceWarning")


def test_a_missing_server_is_said_with_its_address_and_without_its_password():
    async def main():
        settings = NatsSettings(url="nats://me:secret@127.0.0.1:1, nats://127.0.0.1:2")
        with pytest.raises(
            TransportError, match=r"127\.0\.0\.1:1, 127\.0\.0\.1:2 cannot be reached"
        ) as caught:
            await connect(settings, "node")
        assert caught.value.code == "SYM-T056"
        assert "nats-server" in caught.value.hint
        assert "secret" not in str(caught.value)

    asyncio.run(main())


def test_what_is_no_nats_server_is_said():
    async def main():
        async def greet(reader, writer):
            writer.write(b"220 mail.example.org ESMTP\r\n")
            await reader.read()
            writer.close()

        listener = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            with pytest.raises(TransportError) as caught:
                await connect(NatsSettings(url=f"nats://127.0.0.1:{port}"), "node")
        assert caught.value.code == "SYM-T056"

    asyncio.run(main())


def test_one_missing_server_of_two_does_no_harm(server, joined, message, eventually):
    async def main():
        async with (
            joined(server, "one", url=f"nats://127.0.0.1:1, {server.url}") as (one, _),
            joined(server, "two") as (two, node),
        ):
            await two.subscribe("a", "")
            one.publish(message("a"))
            await eventually(lambda: node.messages)

    asyncio.run(main())


@pytest.mark.parametrize(
    "options, right, wrong",
    [
        ("authorization { user: me, password: secret }", {"user": "me", "password": "secret"}, {}),
        ("authorization { user: me, password: secret }", {}, {"user": "me", "password": "guess"}),
        ("authorization { token: secret }", {"token": "secret"}, {"token": "guess"}),
    ],
)
def test_only_the_right_credentials_are_let_in(nats, joined, options, right, wrong):
    async def main():
        server = nats(options)
        with pytest.raises(TransportError, match="refuses this client") as caught:
            async with joined(server, **wrong):
                pass
        assert caught.value.code == "SYM-T057"
        assert "`password`" in caught.value.hint
        if right:
            async with joined(server, **right) as (uplink, _):
                await uplink.subscribe("a", "")

    asyncio.run(main())


def test_an_nkey_is_let_in(nats, joined, tmp_path):
    nkeys = pytest.importorskip("nkeys", reason="an extra; it has no wheel, and the lock takes wheels alone")
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    (tmp_path / "seed").write_bytes(seed)
    public = nkeys.from_seed(bytearray(seed)).public_key.decode()

    async def main():
        server = nats(f"authorization {{ users: [ {{ nkey: {public} }} ] }}")
        async with joined(server, nkey=str(tmp_path / "seed")) as (uplink, _):
            await uplink.subscribe("a", "")

    asyncio.run(main())


def test_nkeys_need_a_library_and_files_that_can_be_read(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="nkeys"):
        NatsSettings(nkey="seed").options()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    for setting in ("nkey", "credentials"):
        with pytest.raises(ConfigurationError, match=r"missing cannot be read: No such file"):
            NatsSettings(**{setting: str(tmp_path / "missing")}).options()
    (tmp_path / "there").touch()
    there = str(tmp_path / "there")
    options = NatsSettings(nkey=there, credentials=there).options()
    assert (options["nkeys_seed"], options["user_credentials"]) == (there, there)


@pytest.fixture
def certificate(tmp_path) -> Path:
    """A certificate of 127.0.0.1 that signs itself, in PEM, beside its key."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return tmp_path / "cert.pem"


def test_a_server_with_tls_is_trusted_by_its_authority_alone(
    nats, joined, certificate, message, eventually, caplog
):
    async def main():
        key = certificate.with_name("key.pem")
        server = nats(
            f'tls {{ cert_file: "{certificate}", key_file: "{key}", ca_file: "{certificate}", verify: true }}'
        )
        tls = {"tls_ca": str(certificate), "tls_certificate": str(certificate), "tls_key": str(key)}
        async with joined(server, **tls) as (one, _), joined(server, **tls) as (two, node):
            await two.subscribe("a", "")
            one.publish(message("a"))
            await eventually(lambda: node.messages)
        with pytest.raises(TransportError) as caught:
            async with joined(server):
                pass
        assert caught.value.code == "SYM-T056"

    asyncio.run(main())


def test_tls_files_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "no.pem").write_text("no certificate")
    for settings in (
        NatsSettings(tls_ca=str(tmp_path / "missing.pem")),
        NatsSettings(tls_ca=str(tmp_path / "no.pem")),
        NatsSettings(tls_certificate=str(tmp_path / "no.pem")),
    ):
        with pytest.raises(ConfigurationError, match=r"\.pem") as caught:
            settings.options()
        assert isinstance(caught.value.__cause__, OSError | ssl.SSLError)


def test_subscriptions_live_again_and_requests_fail_cleanly_when_the_server_was_killed(
    nats, joined, message, ask, eventually
):
    async def main():
        server = nats()
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.subscribe("a", "")
            await two.subscribe("a", "g")
            await two.register("slow", "")
            answers, _ = ask(one, "slow")
            await eventually(lambda: node.calls)
            server.kill()
            await eventually(lambda: answers.ended)
            assert answers.error.code == "SYM-T003"
            late, _ = ask(one, "slow", deadline=20.0)
            assert late.error.code == "SYM-T056"
            one.publish(message("a", "while it was away"))
            subscribing = asyncio.create_task(two.subscribe("b", ""))
            server.start()
            await subscribing
            await eventually(lambda: one.counters.reconnects == two.counters.reconnects == 1)
            one.publish(message("b"))
            one.publish(message("a", "back"))
            await eventually(lambda: [each.group for each in node.messages if each.to == "a"].count("g") >= 1)
            await eventually(lambda: "back" in node.texts)
            assert any(each.to == "b" for each in node.messages)
            answers, _ = ask(one, "slow")
            await eventually(lambda: len(node.calls) == 2)
            node.calls[1].respond(b"done")
            await eventually(lambda: answers.ended)
            assert answers.texts == ["done"]

    asyncio.run(main())


def test_what_needs_a_server_that_stays_away_fails_after_a_while(nats, joined, message, monkeypatch):
    monkeypatch.setattr("symphony_transport_nats.server.PATIENCE", 0.3)

    async def main():
        server = nats()
        async with joined(server) as (uplink, _):
            server.kill()
            for asked in (
                uplink.subscribe("a", ""),
                uplink.register("a", ""),
                uplink.endpoints(">"),
                uplink.deliver(message("a")),
            ):
                with pytest.raises(TransportError, match="cannot be reached") as caught:
                    await asked
                assert caught.value.code == "SYM-T056"
        with pytest.raises(PeerGone, match="is closed"):
            await uplink.subscribe("a", "")

    asyncio.run(main())


class Relay:
    """The way to a server, which can be cut for one node while the others stay where they are.

    NATS gives a message to who is subscribed when it arrives. Were the server killed, the node that has kept messages
    could be back with them before the one that is to get them.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._port = 0
        self._listener: asyncio.Server
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._server)
        self._writers += [writer, back]
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
        writer.close()


def test_the_oldest_messages_are_dropped_and_told_when_too_many_wait_for_the_server(
    server, joined, message, eventually
):
    async def main():
        way = Relay(server.port)
        await way.open()
        async with joined(server, "one", url=way.url) as (one, _), joined(server, "two") as (two, node):
            await two.subscribe("flood.>", "")
            way.cut()
            await eventually(lambda: not one._server.is_connected)
            for number in range(3000):
                one.publish(message("flood.small", str(number)))
            await way.open()
            await eventually(lambda: "2999" in node.texts)
            received = len(node.texts)
            assert node.texts == [str(number) for number in range(3000 - received, 3000)]
            assert received >= 1024
            await eventually(lambda: node.losses)
            assert node.losses == [("flood.small", "", 3000 - received)]
            assert one.counters.dropped == 3000 - received
            one.publish(message("flood.large", "x" * 900_000))
            await eventually(lambda: node.messages[-1].to == "flood.large")
        way.cut()

    asyncio.run(main())


def test_no_kept_message_is_lost_when_the_server_is_killed_at_any_moment(nats, joined, message, eventually):
    """Twenty rounds of kill -9 amid deliveries: whatever was acknowledged arrives."""

    async def main():
        server = nats()
        acknowledged: set[str] = set()
        random.seed(7)
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.subscribe("d.>", "", "survivor")
            taken: set[str] = set()

            def take_all() -> None:
                while node.kept:
                    _, envelope, done = node.kept.pop(0)
                    taken.add(bytes(envelope.payload).decode())
                    done()

            for round_number in range(20):
                killed = asyncio.Event()

                async def deliver(start: int, round_number=round_number, killed=killed) -> None:
                    number = start
                    while not killed.is_set():
                        text = f"{round_number} {number}"
                        try:
                            await one.deliver(message("d.x", text, key=text))
                        except TransportError:
                            continue  # again with the same key
                        acknowledged.add(text)
                        number += 8

                workers = [asyncio.create_task(deliver(n)) for n in range(8)]
                before = len(acknowledged)
                wanted = before + random.randrange(1, 60)
                await eventually(lambda wanted=wanted: len(acknowledged) >= wanted)
                take_all()
                server.kill()
                server.start()
                killed.set()
                await asyncio.gather(*workers)
            while not acknowledged <= taken:
                await eventually(lambda: node.kept)
                take_all()
            assert len(acknowledged) >= 20

    asyncio.run(main())


def test_a_request_fails_when_the_process_that_works_on_it_is_killed(
    server, joined, process, ask, eventually, quick
):
    async def main():
        async with joined(server, "one") as (one, _), process(server, "answer", "doomed") as worker:
            answers, _ = ask(one, "doomed", "work")
            assert await worker.line() == "work"
            early, _ = ask(one, "doomed", "just before")
            assert await worker.line() == "just before"
            await eventually(lambda: all(each.control for each in one._asking._asked.values()))
            soon, _ = ask(one, "doomed", "unseen")
            await worker.kill()
            await eventually(lambda: answers.ended and early.ended and soon.ended)
            assert {each.error.code for each in (answers, early, soon)} <= {"SYM-T003", "SYM-T022"}
            assert answers.error.code == early.error.code == "SYM-T003"

    asyncio.run(main())


def test_a_request_outlives_a_pause_of_the_process_that_works_on_it(
    server, joined, process, ask, eventually, quick
):
    async def main():
        async with joined(server, "one") as (one, _), process(server, "answer", "paused") as worker:
            answers, asked = ask(one, "paused", "work")
            assert await worker.line() == "work"
            await eventually(lambda: all(each.control for each in one._asking._asked.values()))
            await worker.signal(signal.SIGSTOP)
            await eventually(lambda: all(each.silent >= 3 for each in one._asking._asked.values()))
            await worker.signal(signal.SIGCONT)
            await eventually(lambda: all(each.silent < 3 for each in one._asking._asked.values()))
            assert not answers.all
            asked.cancel()
            assert await worker.line() == "cancelled"

    asyncio.run(main())


def test_a_node_in_another_process_answers(server, joined, process, ask, eventually):
    async def main():
        async with joined(server, "one") as (one, _), process(server, "echo", "echo"):
            asked = [ask(one, "echo", str(number))[0] for number in range(300)]
            await eventually(lambda: all(answers.ended for answers in asked))
            assert [answers.texts for answers in asked] == [[str(number)] for number in range(300)]

    asyncio.run(main())
