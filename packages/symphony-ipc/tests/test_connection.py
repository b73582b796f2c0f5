"""The host's connection against real worker processes."""

import asyncio
import os
import signal

import msgspec
import pytest
from symphony_ipc.envelope import TRACEPARENT
from symphony_sdk.errors import (
    DeadlineExceeded,
    ExtensionError,
    PeerGone,
    TransportError,
    WorkflowError,
)
from symphony_sdk.messages import (
    ArtifactData,
    CallOperation,
    Done,
    GetArtifact,
    LogLine,
    OperationResult,
    Progress,
)


def call(operation, **inputs):
    return CallOperation(
        operation, {name: msgspec.Raw(msgspec.msgpack.encode(v)) for name, v in inputs.items()}
    )


def value(raw):
    return msgspec.msgpack.decode(raw)


def test_a_request_is_answered_by_a_worker_process(worker):
    async def main():
        async with worker() as w:
            result = await w.connection.request(call("echo", text="hello"), OperationResult, timeout=30)
            assert value(result.outputs["text"]) == "hello"
            assert 0 < result.seconds <= 30, "the worker knows what is left of the deadline"
            assert w.connection.session.pid == w.process.pid
            assert w.connection.session.peer == "worker"

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, 32 << 10, 64 << 10, (1 << 20) - 1, 1 << 20, 15 << 20])
def test_values_of_every_size_come_back_as_they_were(worker, size):
    async def main():
        data = os.urandom(size)
        async with worker() as w:
            results = await asyncio.gather(
                *(w.connection.request(call("echo", data=data, n=n), OperationResult) for n in range(5))
            )
            assert [value(r.outputs["n"]) for r in results] == [0, 1, 2, 3, 4]
            assert all(value(r.outputs["data"]) == data for r in results)

    asyncio.run(main())


def test_a_thousand_concurrent_requests_each_get_their_own_answer(worker):
    async def main():
        async with worker() as w:
            results = await asyncio.gather(
                *(w.connection.request(call("echo", n=n), OperationResult, timeout=60) for n in range(3000))
            )
            assert [value(r.outputs["n"]) for r in results] == list(range(3000))

    asyncio.run(main())


def test_answers_may_come_out_of_order(worker):
    async def main():
        order = []
        async with worker() as w:

            async def hold(n):
                await w.connection.request(call("hold"), OperationResult)
                order.append(n)

            held = [asyncio.create_task(hold(n)) for n in range(5)]
            await asyncio.sleep(0)
            await w.connection.request(call("release"), OperationResult)
            await asyncio.gather(*held)
        assert order == [4, 3, 2, 1, 0]

    asyncio.run(main())


def test_a_deadline_fails_the_request_and_cancels_the_work(worker, eventually):
    async def main():
        held, tries, timeout = [], 0, 0.05
        async with worker() as w:
            while not held:  # on a busy machine the time is over before the work begins
                tries += 1
                with pytest.raises(DeadlineExceeded, match=r"worker\.call/1"):
                    await w.connection.request(
                        call("hold"), OperationResult, timeout=timeout, on_notify=held.append
                    )
                timeout *= 2
            await eventually(lambda: LogLine("info", f"cancelled {tries}") in w.notifications)
            await eventually(lambda: w.connection.counters.late == tries)
            assert await w.connection.request(call("echo"), OperationResult)

    asyncio.run(main())


def test_cancelling_the_awaiting_task_cancels_the_work(worker, eventually):
    async def main():
        held = asyncio.Event()
        async with worker() as w:
            task = asyncio.create_task(
                w.connection.request(call("hold"), OperationResult, on_notify=lambda message: held.set())
            )
            await held.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await eventually(lambda: w.notifications == [LogLine("info", "cancelled 1")])
            assert w.connection.in_flight == 0 or await eventually(lambda: w.connection.counters.late) is None

    asyncio.run(main())


def test_notifications_reach_the_request_that_they_belong_to(worker, eventually):
    async def main():
        heard = []
        async with worker() as w:
            await w.connection.request(call("progress"), OperationResult, on_notify=heard.append)
            assert heard == [Progress(0.0, "step 0"), Progress(0.5, "step 1"), Progress(1.0, "step 2")]
            assert w.notifications == [LogLine("info", "outside of a request")]

    asyncio.run(main())


def test_a_worker_asks_the_host_while_it_answers(worker):
    async def main():
        async def handler(message):
            assert isinstance(message, GetArtifact)
            await asyncio.sleep(0)
            return ArtifactData(data=bytes(message.length), size=message.length)

        async with worker(handler) as w:
            results = await asyncio.gather(
                *(w.connection.request(call("ask"), OperationResult, timeout=60) for _ in range(20))
            )
            assert {r.seconds for r in results} == {float(2 << 20)}

    asyncio.run(main())


def test_a_host_without_a_handler_says_that_it_serves_nothing(worker):
    async def main():
        async with worker() as w:
            with pytest.raises(TransportError) as caught:
                await w.connection.request(call("ask-from-reader"), OperationResult)
            assert caught.value.code == "SYM-T013"

    asyncio.run(main())


def test_an_error_crosses_the_boundary_without_losing_a_field(worker):
    async def main():
        async with worker() as w:
            with pytest.raises(WorkflowError) as caught:
                await w.connection.request(call("workflow-error"), OperationResult)
            error = caught.value
            assert (error.message, error.hint, error.details) == ("no such node", "add it", {"node": 3})
            assert error.place == "f.json:7"
            with pytest.raises(ExtensionError, match="by zero") as caught:
                await w.connection.request(call("bug"), OperationResult)
            assert "ZeroDivisionError" in caught.value.traceback
            assert await w.connection.request(call("echo"), OperationResult), "the connection lives"

    asyncio.run(main())


def test_an_answer_that_is_too_large_becomes_the_error_that_says_so(worker):
    async def main():
        async with worker() as w:
            with pytest.raises(TransportError, match="17,825") as caught:
                await w.connection.request(call("too-large"), ArtifactData)
            assert caught.value.code == "SYM-T005"
            with pytest.raises(TransportError) as caught:
                await w.connection.request(call("echo", data=bytes(17 << 20)), OperationResult)
            assert caught.value.code == "SYM-T005"
            assert await w.connection.request(call("echo"), OperationResult), "the connection lives"

    asyncio.run(main())


def test_a_second_answer_is_refused_where_it_is_given(worker):
    async def main():
        async with worker() as w:
            assert await w.connection.request(call("twice"), OperationResult)
            assert await w.connection.request(call("echo"), OperationResult), "the connection lives"
            assert w.connection.counters.unknown == 0

    asyncio.run(main())


def test_an_unknown_type_is_answered_with_what_is_known(worker):
    class Strange(msgspec.Struct):
        __message_type__ = "strange.thing/9"

    async def main():
        async with worker() as w:
            with pytest.raises(TransportError, match=r"strange\.thing/9.*worker\.call/1") as caught:
                await w.connection.request(Strange(), OperationResult)
            assert caught.value.code == "SYM-T006"
            assert await w.connection.request(call("echo"), OperationResult), "the connection lives"

    asyncio.run(main())


def test_an_answer_of_another_type_fails_its_request_alone(worker):
    async def main():
        async with worker() as w:
            with pytest.raises(TransportError, match=r"worker\.result/1.*worker\.done/1"):
                await w.connection.request(call("echo"), Done)
            assert await w.connection.request(call("echo"), OperationResult)

    asyncio.run(main())


def test_a_killed_worker_fails_its_calls_with_peer_gone(worker):
    async def main():
        held = asyncio.Event()
        async with worker() as w:
            tasks = [
                asyncio.create_task(
                    w.connection.request(call("hold"), OperationResult, on_notify=lambda message: held.set())
                )
                for _ in range(10)
            ]
            await held.wait()
            w.process.send_signal(signal.SIGKILL)
            results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
            assert {type(result) for result in results} == {PeerGone}
            assert isinstance(await w.connection.wait_closed(), PeerGone)
            with pytest.raises(PeerGone):
                await w.connection.request(call("echo"), OperationResult)
            with pytest.raises(PeerGone):
                await w.connection.ping(1)

    asyncio.run(main())


def test_a_stopped_worker_misses_its_deadline_and_answers_after_it_goes_on(worker, eventually):
    async def main():
        async with worker() as w:
            await w.connection.ping(20)
            w.process.send_signal(signal.SIGSTOP)
            try:
                with pytest.raises(DeadlineExceeded):
                    await w.connection.request(call("echo"), OperationResult, timeout=0.05)
                with pytest.raises(DeadlineExceeded, match="PING"):
                    await w.connection.ping(0.05)
            finally:
                w.process.send_signal(signal.SIGCONT)
            assert await w.connection.request(call("echo"), OperationResult, timeout=20)
            assert w.connection.counters.late == 2, "the answer and the PONG"
            assert w.connection.counters.unknown == 0

    asyncio.run(main())


def test_a_stopped_worker_takes_bounded_memory_and_loses_nothing(worker):
    async def main():
        data = bytes(4 << 20)
        async with worker() as w:
            await w.connection.ping(20)
            w.process.send_signal(signal.SIGSTOP)
            tasks = [
                asyncio.create_task(w.connection.request(call("echo", data=data), OperationResult))
                for _ in range(40)
            ]
            for _ in range(200):
                await asyncio.sleep(0)
            assert w.connection._transport.get_write_buffer_size() < 9 << 20, (
                "at most two requests are buffered"
            )
            for task in tasks[20:]:
                task.cancel()
            w.process.send_signal(signal.SIGCONT)
            results = await asyncio.gather(*tasks[:20])
            assert all(value(result.outputs["data"]) == data for result in results)

    asyncio.run(main())


def test_a_ping_is_answered_while_the_worker_holds_requests(worker):
    async def main():
        async with worker() as w:
            held = asyncio.create_task(w.connection.request(call("hold"), OperationResult))
            assert 0 < await w.connection.ping(20) < 20
            await w.connection.request(call("release"), OperationResult)
            assert await held

    asyncio.run(main())


def test_closing_fails_what_is_under_way_and_the_worker_learns_it(worker):
    async def main():
        async with worker() as w:
            held = asyncio.create_task(w.connection.request(call("hold"), OperationResult))
            await w.connection.ping(20)
            await w.connection.close()
            with pytest.raises(TransportError) as caught:
                await held
            assert caught.value.code == "SYM-T009"
            assert await w.connection.wait_closed() is None
            out, _ = await asyncio.to_thread(w.process.communicate, timeout=20)
            assert out == "closed: 'host' closed the connection\n"
            assert w.process.returncode == 0

    asyncio.run(main())


def test_a_worker_may_close_the_connection_itself(worker):
    async def main():
        async with worker() as w:
            with pytest.raises(PeerGone):
                await w.connection.request(call("exit"), OperationResult)
            out, _ = await asyncio.to_thread(w.process.communicate, timeout=20)
            assert out == "closed: None\n"

    asyncio.run(main())


def test_the_handler_sees_the_trace_context_of_the_one_who_asked(raw):
    async def main():
        seen = []

        async def handler(message):
            seen.append(TRACEPARENT.get())
            return Done()

        from symphony_ipc.envelope import Envelope, Kind
        from symphony_ipc.payload import encode_payload

        async with raw(handler) as (connection, peer):
            request = Envelope(
                Kind.REQUEST, 1, "worker.done/1", traceparent="00-ab-cd-01", payload=encode_payload(Done())
            )
            await peer.send(request)
            assert (await peer.receive()).kind is Kind.RESPONSE
            TRACEPARENT.set("00-ef-01-01")
            task = asyncio.create_task(connection.request(Done(), Done))
            assert (await peer.receive()).traceparent == "00-ef-01-01"
            task.cancel()
        assert seen == ["00-ab-cd-01"]

    asyncio.run(main())
