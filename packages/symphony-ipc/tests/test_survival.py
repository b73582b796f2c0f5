"""Nothing acknowledged is lost and nothing with a key is done twice, wherever a connection or a process ends."""

import asyncio
import os
import signal
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_ipc.envelope import IDEMPOTENCY_KEY
from symphony_ipc.reconnect import Reconnecting
from symphony_sdk.errors import DeadlineExceeded, PeerGone
from symphony_sdk.messages import CallOperation, OperationResult

TO_SERVER, TO_CLIENT = "to the server", "to the client"
KILLS, AT_ONCE = 25, 4  # by process, and processes that are killed side by side


def call(operation, value=None):
    return CallOperation(operation, {"n": msgspec.Raw(msgspec.msgpack.encode(value))})


def value(answer, name="value"):
    return msgspec.msgpack.decode(answer.outputs[name])


class Proxy:
    """Passes bytes between a path and a server; the n-th connection is cut as the n-th of `cuts` says."""

    def __init__(self, target, cuts):
        self.target = target
        self.cuts = iter(cuts)
        self.connections = 0
        self.passed = Counter()
        self.tasks = set()

    @asynccontextmanager
    async def listening(self, path):
        server = await asyncio.start_unix_server(self.connected, path)
        try:
            yield path
        finally:
            server.close()
            await server.wait_closed()
            while self.tasks:
                await asyncio.wait(self.tasks)
            Path(path).unlink(missing_ok=True)  # noqa: ASYNC240 - of a socket

    async def connected(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self.connections += 1
        direction, left = next(self.cuts, (None, 0))
        to_server, to_client = await asyncio.open_unix_connection(self.target)
        pumps = [
            asyncio.create_task(self.pump(*ends, name, left if name == direction else None))
            for name, ends in ((TO_SERVER, (reader, to_client)), (TO_CLIENT, (to_server, writer)))
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.wait(pumps)
        for end in (writer, to_client):
            end.close()  # what was passed arrives
            await asyncio.wait([asyncio.ensure_future(end.wait_closed())])

    async def pump(self, reader, writer, name, left):
        """Pass bytes on until one end ends, or so many were passed."""
        while left is None or left > 0:
            data = await reader.read(65536 if left is None else left)
            if not data:
                return
            self.passed[name] += len(data)
            left = None if left is None else left - len(data)
            writer.write(data)
            await writer.drain()


@pytest.fixture
def counting(fork, folder, connect_to, eventually):
    """A server process that counts what it carries out, and what was counted."""
    path = f"{folder}/server"
    fork("count", path)

    async def counts():
        connection = Reconnecting(path, connect_to)
        answer = value(await connection.request(call("counts"), OperationResult, timeout=20))
        await connection.close()
        return answer

    assert asyncio.run(counts()) == {}, "it listens"
    return path, counts


def test_a_conversation_cut_after_any_of_its_bytes_is_carried_out_once_and_answered(
    counting, folder, connect_to
):
    path, counts = counting

    async def converse(name, cuts):
        proxy = Proxy(path, cuts)
        async with proxy.listening(f"{folder}/{name}") as address:
            connection = Reconnecting(address, connect_to)
            try:
                answer = await connection.request(
                    call(name, name), OperationResult, timeout=60, idempotency_key=name
                )
                assert value(answer, "n") == name
            finally:
                await connection.close()
        return proxy

    async def main():
        whole = (await converse("whole", [])).passed
        assert min(whole.values()) > 60, "a handshake and a request or an answer"
        cuts = [(direction, n) for direction, total in whole.items() for n in range(total + 3)]
        names = [f"cut-{n:03}" for n in range(len(cuts))]
        room = asyncio.Semaphore(32)

        async def one(name, cut):
            async with room:
                proxy = await converse(name, [cut])
            direction, n = cut
            assert proxy.connections == 2 or n >= whole[direction] - 2, (
                "the ids of processes differ in length"
            )

        await asyncio.gather(*(one(name, cut) for name, cut in zip(names, cuts, strict=True)))
        assert await counts() == dict.fromkeys([*names, "whole"], 1)

    asyncio.run(main())


def test_requests_cut_anywhere_are_carried_out_once_with_a_key_and_at_most_once_without(
    counting, folder, connect_to
):
    path, counts = counting
    run = 0

    async def converse(cuts, requests):
        nonlocal run
        run += 1
        proxy = Proxy(path, cuts)
        async with proxy.listening(f"{folder}/{run}") as address:
            connection = Reconnecting(address, connect_to)

            async def ask(n, keyed, size):
                name = f"{run}-{n}"
                try:
                    answer = await connection.request(
                        call(name, "x" * size),
                        OperationResult,
                        timeout=60,
                        idempotency_key=name if keyed else "",
                    )
                except PeerGone as error:
                    return name, error.code
                assert value(answer, "n") == "x" * size
                return name, ""

            try:
                outcomes = await asyncio.gather(*(ask(n, *request) for n, request in enumerate(requests)))
            finally:
                await connection.close()
        counted = await counts()
        for (name, code), (keyed, _) in zip(outcomes, requests, strict=True):
            if keyed:
                assert (code, counted[name]) == ("", 1)
            elif code:
                assert code == "SYM-T046"
                assert counted.get(name, 0) <= 1
            else:
                assert counted[name] == 1

    sizes = st.one_of(st.integers(0, 300), st.integers(60_000, 150_000))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.tuples(st.sampled_from([TO_SERVER, TO_CLIENT]), st.integers(0, 200_000) | st.integers(0, 900)),
            max_size=3,
        ),
        st.lists(st.tuples(st.booleans(), sizes), min_size=1, max_size=6),
    )
    def cut(cuts, requests):
        asyncio.run(converse(cuts, requests))

    cut()


def test_a_server_killed_a_hundred_times_loses_and_repeats_nothing_it_acknowledged(fork, folder, connect_to):
    async def survive(number):
        random = Random(number)
        path, file = f"{folder}/s{number}", folder / f"journal-{number}"
        file.touch()
        pid = fork("journal", path, file)
        lost = []
        connection = Reconnecting(
            path, connect_to, on_state=lambda state, reason: lost.append(reason) if reason else None
        )
        acknowledged = {}
        progress = asyncio.Event()
        numbers = iter(range(1_000_000))
        killed_all = False

        async def ask():
            while not killed_all:
                n = next(numbers)
                answer = await connection.request(
                    call("square", n), OperationResult, timeout=60, idempotency_key=f"key-{n}"
                )
                acknowledged[n] = value(answer)
                progress.set()

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        try:
            for kill in range(KILLS):
                if kill % 3:  # else it may be before it listens or while hands are shaken
                    goal = len(acknowledged) + random.randrange(1, 12)
                    while len(acknowledged) < goal:
                        progress.clear()
                        await asyncio.wait_for(progress.wait(), 30)
                for _ in range(random.randrange(20)):
                    await asyncio.sleep(0)
                os.kill(pid, signal.SIGKILL)
                pid = fork("journal", path, file)
            killed_all = True
            await asyncio.gather(*asking)
        finally:
            await connection.close()
            await asyncio.gather(*asking, return_exceptions=True)
        carried_out = Counter(line.split()[0] for line in file.read_text().splitlines())
        assert set(carried_out) == {f"key-{n}" for n in acknowledged}
        assert set(carried_out.values()) == {1}
        assert all(answer == n * n for n, answer in acknowledged.items())
        assert len(lost) > KILLS // 3

    async def main():
        await asyncio.gather(*(survive(number) for number in range(AT_ONCE)))

    asyncio.run(main())


def test_a_client_killed_a_hundred_times_has_each_request_carried_out_once(
    fork, folder, listen_at, eventually
):
    async def survive(number):
        random = Random(number)
        path, file = f"{folder}/c{number}", folder / f"answers-{number}"
        file.touch()
        counts = Counter()
        unanswered = 0
        begun = asyncio.Event()

        async def handler(message):
            n = msgspec.msgpack.decode(message.inputs["n"])
            assert IDEMPOTENCY_KEY.get() == f"key-{n}"
            counts[n] += 1
            begun.set()
            for _ in range(random.randrange(20)):
                await asyncio.sleep(0)
            return OperationResult({"value": msgspec.Raw(msgspec.msgpack.encode(n * n))})

        def answers():
            return [tuple(map(int, line.split())) for line in file.read_text().splitlines()]

        async with listen_at(path, handler):
            for _ in range(KILLS):
                pid = fork("client", path, file, 1_000_000)
                goal = len(counts) + random.randrange(1, 8)
                while len(counts) < goal:
                    begun.clear()
                    await asyncio.wait_for(begun.wait(), 30)
                for _ in range(random.randrange(20)):
                    await asyncio.sleep(0)
                os.kill(pid, signal.SIGKILL)
                unanswered += len(counts) - len(answers())
            assert unanswered > KILLS, "several requests were under way when it was killed"
            total = max(counts) + 10  # more than the killed one may have asked for and was not seen yet
            fork("client", path, file, total)  # asks again for what it was killed over
            await eventually(lambda: len(answers()) == total)
        assert sorted(answers()) == [(n, n * n) for n in range(total)]
        assert counts == dict.fromkeys(range(total), 1)

    async def main():
        await asyncio.gather(*(survive(number) for number in range(AT_ONCE)))

    asyncio.run(main())


def test_a_server_that_hangs_costs_a_deadline_and_its_late_answer_is_ignored(fork, folder, connect_to):
    path = f"{folder}/hangs"
    pid = fork("count", path)
    connections = []

    async def connect(address):
        connections.append(await connect_to(address))
        return connections[-1]

    async def main():
        connection = Reconnecting(path, connect)
        await connection.request(call("before"), OperationResult, timeout=20)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(DeadlineExceeded):
                await connection.request(call("late"), OperationResult, timeout=0.05, idempotency_key="k")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert await connection.request(call("after"), OperationResult, timeout=20)
        assert [c.counters.late for c in connections] == [1], "it was late, over the one connection there was"
        await connection.close()

    asyncio.run(main())


def test_work_whose_client_died_is_ended_unless_it_has_a_key(listen_at, folder, connect_to):
    async def main():
        begun, ended, release = asyncio.Queue(), asyncio.Queue(), asyncio.Event()

        async def handler(message):
            begun.put_nowait(message.operation)
            try:
                await release.wait()
            except asyncio.CancelledError:
                ended.put_nowait(f"{message.operation} was cancelled")
                raise
            ended.put_nowait(f"{message.operation} was done")
            return OperationResult(seconds=7.0)

        path = f"{folder}/s"
        async with asyncio.timeout(20), listen_at(path, handler):
            dying = await connect_to(path)
            tasks = [
                asyncio.create_task(dying.request(call("without"), OperationResult)),
                asyncio.create_task(dying.request(call("with"), OperationResult, idempotency_key="k")),
            ]
            assert {await begun.get(), await begun.get()} == {"without", "with"}
            dying._transport.abort()
            assert await ended.get() == "without was cancelled"
            again = await connect_to(path)
            answer = asyncio.create_task(again.request(call("with"), OperationResult, idempotency_key="k"))
            await again.ping(20)
            release.set()
            assert (await answer).seconds == 7.0
            assert await ended.get() == "with was done"
            assert begun.empty(), "who asked again joined it"
            assert {type(e) for e in await asyncio.gather(*tasks, return_exceptions=True)} == {PeerGone}
            await again.close()

    asyncio.run(main())
