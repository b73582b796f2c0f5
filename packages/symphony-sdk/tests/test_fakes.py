import asyncio

import msgspec
import pytest
from symphony_sdk import ArtifactRef, Context, Instrument, operator
from symphony_sdk.errors import (
    ArtifactError,
    Cancelled,
    DeadlineExceeded,
    ErrorPayload,
    ExtensionError,
    MalformedMessage,
    PeerGone,
    PortError,
    RunError,
    TransportError,
)
from symphony_sdk.events import RunCancelled, RunCompleted, RunFailed, RunPaused, RunStarted, RunSteered
from symphony_sdk.messages import Done, LogLine, Progress
from symphony_sdk.ports import (
    Account,
    ConductorPort,
    Cursor,
    DataAccessPort,
    Edit,
    ExecutorPort,
    ExtensionPort,
    FailureAdvice,
    NodeCall,
    Page,
    PitPort,
    PlanAdvice,
    PreValidationPort,
    Resources,
    RunRequest,
    TechnicalFault,
    TextEditingPort,
    TransportPort,
    WorkflowEntry,
)
from symphony_sdk.testing import recording_context
from symphony_sdk.testing.fakes import (
    FakeArbitrationEngine,
    FakeConductor,
    FakeDagTracker,
    FakeDataAccess,
    FakeEditor,
    FakeExecutor,
    FakeExtensions,
    FakePit,
    FakePoolManager,
    FakePreValidation,
    FakeTransport,
)
from symphony_sdk.values import decode, encode


def conforms(
    pit: PitPort = FakePit(),
    conductor: ConductorPort = FakeConductor(),
    data: DataAccessPort = FakeDataAccess(),
    editor: TextEditingPort = FakeEditor(),
    executor: ExecutorPort = FakeExecutor({}),
    extensions: ExtensionPort = FakeExtensions(),
    checks: PreValidationPort = FakePreValidation(),
    transport: TransportPort = FakeTransport(),
) -> None:
    """Read by the type checker: every fake is its port."""


@operator("test.extension.add")
def add(ctx: Context, a: int, b: int) -> int:
    ctx.progress(0.5, "half")
    return a + b


@operator("test.extension.later")
async def later(ctx: Context) -> str:
    return ctx.node


class Counter(Instrument):
    id = "test.extension.counter"
    loads = unloads = 0

    def load(self, ctx):
        self.loads += 1

    def infer(self, ctx: Context) -> int:
        return self.loads

    def unload(self):
        self.unloads += 1


def call(operation, **inputs):
    return NodeCall("run", "node", operation, {name: encode(value) for name, value in inputs.items()})


def test_extensions_run_operations_through_their_ports():
    async def main():
        counter = Counter()
        extensions = FakeExtensions(add, later, counter)
        told = []
        result = await extensions.call(call("test.extension.add", a=1, b=2), told.append)
        assert decode(bytes(result.outputs["result"])) == 3
        assert told == [Progress(0.5, "half")]
        assert (
            decode(bytes((await extensions.call(call("test.extension.later"))).outputs["result"])) == "node"
        )
        for _ in range(2):
            result = await extensions.call(call("test.extension.counter"))
            assert decode(bytes(result.outputs["result"])) == 1
        assert (await extensions.health("test.extension")).alive
        assert [info.state for info in await extensions.extensions()] == ["active"]
        await extensions.deactivate("test.extension")
        assert counter.unloads == 1
        with pytest.raises(ExtensionError, match="no extension brings"):
            await extensions.call(call("test.extension.zzz"))
        with pytest.raises(MalformedMessage):
            await extensions.call(call("test.extension.add", a="x", b=2))
        with pytest.raises(ExtensionError, match="there is no extension"):
            await extensions.activate("other.extension")

    asyncio.run(main())


def test_the_executor_gives_each_call_one_final_event():
    async def main():
        async def never():
            await asyncio.Event().wait()

        def fail():
            raise ValueError("no")

        executor = FakeExecutor({"a.b.ok": lambda x: {"y": x}, "a.b.never": never, "a.b.fail": fail})
        await executor.start()
        assert executor.can_place(Resources(cpu=1))
        assert not executor.can_place(Resources(cpu=99))
        events = []
        enough = asyncio.Event()

        def take(event):
            events.append(event)
            if len(events) == 5:
                enough.set()

        executor.submit([call("a.b.ok", x=1), call("a.b.never"), call("a.b.fail")], take)
        await asyncio.wait_for(enough.wait(), 20)
        executor.cancel("run")
        await executor.stop()
        final = {event.call.operation: event for event in events if event.kind in ("completed", "failed")}
        assert decode(final["a.b.ok"].outputs["y"]) == 1
        assert final["a.b.never"].error.code == Cancelled.default_code
        assert final["a.b.fail"].retryable
        assert len(events) == 6

    asyncio.run(main())


def test_fakes_of_what_runs_calls_run_no_chains_and_give_links_back():
    async def main():
        for fake in (FakeExecutor({"a.b.ok": dict}), FakeExtensions(add)):
            assert not fake.chains("a.b.ok", "a.b.ok")
            events = []
            fake.submit([msgspec.structs.replace(call("a.b.ok"), takes={"x": "y"})], events.append)
            assert [event.kind for event in events] == ["returned"]

    asyncio.run(main())


async def kinds(tracker, run, after=0):
    return [type(event) async for event in tracker.events(run, after)]


def test_the_tracker_runs_its_function_and_tells_what_happened():
    async def main():
        tracker = FakeDagTracker(lambda request: {"out": request.labels["x"]})
        run = await tracker.start(RunRequest({"id": "w"}, labels={"x": "1"}))
        assert await kinds(tracker, run) == [RunStarted, RunCompleted]
        assert decode((await tracker.outputs(run))["out"]) == "1"
        assert (await tracker.status(run)).state == "completed"
        with pytest.raises(RunError, match="is completed"):
            await tracker.resume(run)
        with pytest.raises(RunError, match="has ended"):
            await tracker.cancel(run)
        with pytest.raises(RunError, match="no run"):
            await tracker.status("nothing")

    asyncio.run(main())


def test_a_held_run_waits_until_it_is_resumed_or_cancelled():
    async def main():
        tracker = FakeDagTracker(held=True)
        first = await tracker.start(RunRequest({}))
        assert await kinds(tracker, first) == [RunStarted, RunPaused]
        await tracker.resume(first)
        assert (await kinds(tracker, first))[-1] is RunCompleted
        second = await tracker.start(RunRequest({}))
        await tracker.cancel(second)
        assert (await kinds(tracker, second, after=2)) == [RunSteered, RunCancelled]
        assert [status.run for status in await tracker.runs()] == [second, first]

    asyncio.run(main())


def test_a_run_whose_function_fails_has_failed():
    async def main():
        tracker = FakeDagTracker(lambda request: 1 / 0)
        run = await tracker.start(RunRequest({}))
        assert await kinds(tracker, run) == [RunStarted, RunFailed]
        assert (await tracker.status(run)).error.code == "SYM-E014"
        with pytest.raises(RunError):
            await tracker.outputs(run)

    asyncio.run(main())


def test_the_pool_leases_what_is_in_memory_and_each_lease_ends_once():
    async def main():
        pool = FakePoolManager({"m": object()})
        with pytest.raises(PortError, match="not in memory"):
            pool.acquire("m")
        lease = await pool.load("m")
        lease.release()
        with pytest.raises(PortError, match="released before"):
            lease.release()
        await pool.unload("m")
        with pytest.raises(PortError):
            await pool.load("other")

    asyncio.run(main())


def test_the_arbiter_grants_only_what_there_is():
    arbiter = FakeArbitrationEngine({"gpu": 1})
    with arbiter.admit("run", "gpu"):
        assert arbiter.decisions == [("run", "gpu", 1.0)]
    with pytest.raises(PortError):
        arbiter.admit("run", "gpu", 2)


def test_the_stale_manager_remembers_holds():
    stale = FakePit().stale
    stale.hold("a", "mine")
    assert stale.holds == {"a": "mine"}
    stale.release("a")
    assert asyncio.run(stale.sweep()).removed == ()


def test_the_conductor_says_what_it_was_told():
    async def main():
        conductor = FakeConductor(PlanAdvice("ray"), FailureAdvice("skip"))
        assert (await conductor.plan({}, ())).executor == "ray"
        assert (await conductor.on_failure(call("a.b.c"), ErrorPayload("SYM-R001", "x"))).action == "skip"
        assert len(conductor.asked) == 2

    asyncio.run(main())


def test_the_stores_search_page_and_undo():
    async def main():
        data = FakeDataAccess()
        for name in "abc":
            await data.accounts.put(Account(id=name, name=name.upper()))
        found, cursor = await data.accounts.query({}, Page(limit=2))
        assert [account.id for account in found] == ["a", "b"]
        found, cursor = await data.accounts.query({}, Page(limit=2, cursor=cursor))
        assert ([account.id for account in found], cursor) == (["c"], "")
        assert (await data.accounts.query({"name": "B"}))[0][0].id == "b"
        with pytest.raises(ZeroDivisionError):
            async with data.accounts.transaction():
                await data.accounts.delete("a")
                raise ZeroDivisionError
        assert (await data.accounts.get("a")).id == "a"
        with pytest.raises(PortError):
            await data.accounts.delete("zzz")

    asyncio.run(main())


def test_a_change_of_an_old_revision_is_refused():
    async def main():
        workflows = FakeDataAccess().workflows
        first = await workflows.put(WorkflowEntry("w", "p", "W", 0, {}))
        assert first.revision == 1
        assert (await workflows.put(first)).revision == 2
        with pytest.raises(PortError, match="has revision 2, not 1"):
            await workflows.put(first)

    asyncio.run(main())


def test_technical_faults_are_those_that_were_given():
    fault = TechnicalFault("name", "too long")
    checks = FakePreValidation({"a": [fault]})
    assert checks.account(Account("a", "A")) == [fault]
    assert checks.account(Account("b", "B")) == ()


def test_the_editor_edits_undoes_and_moves_late_edits(tmp_path):
    async def main():
        editor = FakeEditor()
        file = tmp_path / "a.txt"
        file.write_text("hello")
        buffer = await editor.open(str(file))
        updates = editor.updates(buffer.id)
        next_update = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0)
        first = await editor.edit(buffer.id, [Edit(0, 0, ">> ")], 0)
        assert first.dirty
        assert (await next_update).edits == (Edit(0, 0, ">> "),)
        await editor.edit(buffer.id, [Edit(5, 5, "!")], 0)
        assert await editor.text(buffer.id) == ">> hello!"
        await editor.undo(buffer.id)
        assert await editor.text(buffer.id) == ">> hello"
        await editor.redo(buffer.id)
        await editor.set_cursors(buffer.id, [Cursor(0, 2)])
        assert not (await editor.save(buffer.id)).dirty
        assert file.read_text() == ">> hello!"
        with pytest.raises(PortError, match="outside"):
            await editor.edit(buffer.id, [Edit(50, 60, "x")], first.revision + 3)
        await editor.close(buffer.id)
        with pytest.raises(PortError, match="not open"):
            await editor.text(buffer.id)
        with pytest.raises(PortError, match="cannot be read"):
            await editor.open(str(tmp_path / "nothing"))
        with pytest.raises(PortError, match="has no file"):
            await editor.save((await editor.open()).id)

    asyncio.run(main())


def test_two_ends_of_a_connection_ask_each_other_until_it_closes():
    async def main():
        transport = FakeTransport()
        accepted = []

        async def count():
            for step in range(3):
                yield Progress(float(step))

        async def answer(message):
            return count() if message == LogLine("info", "count") else Progress(1.0)

        async def hang(message):
            await asyncio.Event().wait()

        listener = await transport.listen("here", accepted.append, token=b"t", handler=answer)
        with pytest.raises(TransportError, match="taken"):
            await transport.listen("here", accepted.append)
        with pytest.raises(TransportError, match="refused"):
            await transport.connect("here")
        ours = await transport.connect("here", token=b"t", handler=hang)
        assert (await ours.request(Done(), Progress)).fraction == 1.0
        with pytest.raises(MalformedMessage):
            await ours.request(Done(), Done)
        with pytest.raises(DeadlineExceeded):
            await accepted[0].request(Done(), Done, timeout=0.01)
        assert await ours.ping(1.0) == 0.0
        asked = ours.stream(LogLine("info", "count"), Progress, timeout=20)
        assert [step.fraction async for step in asked] == [0.0, 1.0, 2.0]
        with pytest.raises(MalformedMessage):
            await anext(ours.stream(LogLine("info", "count"), Done))
        with pytest.raises(TransportError) as caught:
            await anext(ours.stream(Done(), Progress))
        assert caught.value.code == "SYM-T016"
        with pytest.raises(DeadlineExceeded):
            await anext(accepted[0].stream(Done(), Progress, timeout=0.01))
        ours.notify(Done())
        assert accepted[0].notified == [Done()]
        assert ours.is_open
        await ours.close()
        assert not ours.is_open
        with pytest.raises(TransportError, match="is closed"):
            ours.notify(Done())
        assert isinstance(await accepted[0].wait_closed(), PeerGone)
        with pytest.raises(PeerGone):
            await accepted[0].request(Done(), Progress)
        await listener.close()
        with pytest.raises(TransportError, match="nobody listens"):
            await transport.connect("here")

    asyncio.run(main())


def test_a_recording_context_keeps_what_an_operation_says(symphony_context):
    symphony_context.progress(2.0, "more than all")
    for level in ("debug", "info", "warning", "error"):
        getattr(symphony_context.log, level)("line")
    ref = symphony_context.artifacts.put(b"x", name="x.bin")
    assert isinstance(ref, ArtifactRef)
    assert symphony_context.artifacts.get(ref) == b"x"
    assert symphony_context.progressed == [Progress(1.0, "more than all")]
    assert [level for level, _ in symphony_context.lines] == ["debug", "info", "warning", "error"]
    with pytest.raises(ArtifactError):
        symphony_context.artifacts.get("nothing")
    symphony_context.cancel()
    with pytest.raises(Cancelled):
        symphony_context.progress(0.1)


def test_a_context_opens_only_what_is_declared(tmp_path):
    context = recording_context(permissions=[f"file:read:{tmp_path}/**"])
    (tmp_path / "a.txt").write_text("ä")
    assert context.files.read_bytes(tmp_path / "a.txt") == "ä".encode()
    with context.files.open(tmp_path / "a.txt", "r") as stream:
        assert stream.read() == "ä"
    for write in (context.files.write_text, context.files.write_bytes):
        with pytest.raises(Exception, match="write") as caught:
            write(tmp_path / "a.txt", "b")
        assert caught.value.code.startswith("SYM-P")
    free = recording_context(permissions=[f"file:read,write:{tmp_path}/**"])
    free.files.write_text(tmp_path / "b.txt", "b")
    free.files.write_bytes(tmp_path / "c.txt", b"c")
    assert (tmp_path / "b.txt").read_text() == "b"


def test_the_pit_fixture_has_all_five(symphony_pit):
    for part in ("pool", "tracker", "artifacts", "arbitration", "stale"):
        assert getattr(symphony_pit, part) is not None
