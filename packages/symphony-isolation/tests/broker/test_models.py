"""The models of one extension as another one uses them: in their own worker, for one call, and never in a ring."""

import asyncio
import os
import signal
from functools import partial

import pytest
from symphony_isolation.audit import AuditLog
from symphony_isolation.permissions import AdminPolicy, Authority, Declaration, Grants
from symphony_isolation.process_lane import CALLS_PER_CORE, usable_cores
from symphony_isolation.sandbox import choose
from symphony_isolation.way import Way
from symphony_sdk.errors import AccessFailed, ModelFailed, PermissionDenied, SymphonyError
from symphony_sdk.permissions import PermissionSet
from symphony_sdk.ports import Lineage, NodeCall
from symphony_sdk.values import decode, encode

VISION = """
import os
from typing import TypedDict
from symphony_sdk import ArtifactRef, Context, Instrument, operator, provides_instruments, provides_operators

class Size(TypedDict):
    bytes: int
    names: list[str]

class Upper(Instrument):
    '''Shouts.'''
    id = "acme.vision.upper"
    version = 3
    def infer(self, ctx: Context, text: str, times: int = 1) -> str:
        return text.upper() * times

class Measure(Instrument):
    id = "acme.vision.measure"
    def infer(self, ctx: Context, data: ArtifactRef) -> Size:
        return {"bytes": len(ctx.artifacts.get(data)), "names": [data.name, ctx.run, ctx.node]}

class Draw(Instrument):
    id = "acme.vision.draw"
    def infer(self, ctx: Context, text: str) -> ArtifactRef:
        return ctx.artifacts.put(text.encode(), name="drawn.txt")

class Slow(Instrument):
    id = "acme.vision.slow"
    def infer(self, ctx: Context, text: str) -> str:
        ctx.progress(0.9, f"drawing {text}")
        ctx.log.info(f"begun {text}")
        ctx._cancelled.wait()
        ctx.log.info(f"cancelled {text}")
        return text

class Breaks(Instrument):
    id = "acme.vision.break"
    def infer(self, ctx: Context, how: str) -> None:
        if how == "die":
            os._exit(3)
        raise LookupError("the weights are gone")

@operator("acme.vision.plain")
def plain(ctx: Context) -> None:
    pass

@provides_operators
def operators():
    yield plain

@provides_instruments
def instruments():
    yield from (Upper(), Measure(), Draw(), Slow(), Breaks())
"""

USER = """
import os
import threading
from typing import Any
import msgspec
from symphony_sdk import ArtifactRef, Context, hookimpl, operator, provides_operators
from symphony_sdk.errors import SymphonyError
from symphony_sdk.model_messages import ModelRan, RunModel
from symphony_sdk.values import encode

@hookimpl
def symphony_activate(ctx: Context) -> None:
    try:
        ctx.models.run("acme.vision.upper", text="x")
    except SymphonyError as error:
        ctx.log.info(f"{error.code} in a hook")

@operator("acme.user.ask", idempotent=False)
def ask(ctx: Context, model: str, inputs: dict[str, Any]) -> Any:
    ctx.progress(0.0)
    return dict(ctx.models.run(model, **inputs))

@operator("acme.user.tell")
def tell(ctx: Context, model: str, inputs: dict[str, Any]) -> Any:
    ctx.progress(0.25, "asking")
    ctx.models.run(model, **inputs)

@operator("acme.user.ask-again")
def ask_again(ctx: Context, model: str, inputs: dict[str, Any]) -> Any:
    return dict(ctx.models.run(model, **inputs))

@operator("acme.user.look")
def look(ctx: Context, model: str) -> dict[str, Any]:
    info = ctx.models.describe(model)
    ports = {port.name: port.schema["type"] for port in (*info.inputs, *info.outputs)}
    return {"info": [info.name, info.extension, info.title, info.description, info.version], "ports": ports}

@operator("acme.user.names")
def names(ctx: Context, pattern: str) -> list[str]:
    return list(ctx.models.list(pattern))

@operator("acme.user.measure")
def measure(ctx: Context, text: str) -> list[Any]:
    drawn = ctx.models.run("acme.vision.draw", text=text)
    assert isinstance(drawn["result"], ArtifactRef)
    ref = drawn.read("result", ArtifactRef)
    size = ctx.models.run("acme.vision.measure", data=ref)
    return [size["bytes"], size.read("names", list[str])]

@operator("acme.user.later")
async def later(ctx: Context) -> None:
    ctx.models.run("acme.vision.upper", text="x")

@operator("acme.user.leave")
def leave(ctx: Context) -> None:
    def work():
        while not os.path.exists("over"):
            ctx._cancelled.wait(0.005)
        try:
            ctx.models.run("acme.vision.upper", text="x")
        except SymphonyError as error:
            ctx.log.info(f"{error.code} when it was over")
    threading.Thread(target=work).start()

@operator("acme.user.many")
def many(ctx: Context, count: int) -> list[str]:
    given = []
    def work(number):
        given.append(ctx.models.run("acme.vision.upper", text=f"a{number}")["result"])
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(given)

@operator("acme.user.flood")
def flood(ctx: Context, count: int) -> list[str]:
    models, codes, done = ctx.models, [], threading.Event()
    def work():
        message = RunModel("acme.vision.slow", {"text": msgspec.Raw(encode("flood"))}, models._call.number)
        try:
            models._channel.request(message, ModelRan)
        except SymphonyError as error:
            codes.append(error.code)
            if codes.count("SYM-E035") == count:
                done.set()
    for _ in range(count + 8):
        threading.Thread(target=work, daemon=True).start()
    done.wait(30)
    return codes

@provides_operators
def operators():
    yield from (ask, ask_again, tell, look, names, measure, later, leave, many, flood)
"""

ALL = ("model:read,execute:acme.vision.*",)


@pytest.fixture
def studio(house):
    """Opens the extension with models and one that uses them, with these permissions."""

    def studio(*permissions, tier="none", others=(), **changes):
        made = {"sandbox": tier}
        user = house.write("acme.user", USER, permissions=permissions, **made | changes)
        return house.opened(house.write("acme.vision", VISION, kind="instrument", **made), user, *others)

    return studio


@pytest.fixture
def ask(call):
    """Has `acme.user` run a model, and gives its outputs."""

    async def ask(extensions, model, *, timeout=None, **inputs):
        return await call(extensions, "acme.user.ask", model=model, inputs=inputs, timeout=timeout)

    return ask


@pytest.mark.parametrize(
    ("tier", "kind"), [("full", "warm"), ("fallback", "warm"), ("none", "warm"), ("fallback", "cold")]
)
def test_a_model_runs_in_its_own_worker_however_workers_are_started(
    studio, house, ask, call, monkeypatch, tier, kind
):
    try:
        choose(tier)
    except PermissionDenied as error:
        pytest.skip(str(error))
    monkeypatch.setattr("symphony_isolation.launcher.way_of", lambda python: Way(kind))

    async def scenario():
        async with studio(*ALL, tier=tier) as extensions:
            assert await ask(extensions, "acme.vision.upper", text="hi", times=2) == {"result": "HIHI"}
            assert await call(extensions, "acme.user.measure", text="abc") == [
                3,
                ["drawn.txt", "run", "node"],
            ]

    asyncio.run(scenario())
    (stored,) = house.store.find()
    assert stored.lineage == Lineage("run", "node", "acme.vision", version="1.0")


def test_models_are_described_and_listed_to_those_who_may_look_at_them(studio, call):
    async def scenario():
        async with studio("model:read:acme.vision.*") as extensions:
            look = await call(extensions, "acme.user.look", model="acme.vision.upper")
            assert look["info"] == ["acme.vision.upper", "acme.vision", "Upper", "Shouts.", 3]
            assert look["ports"] == {"text": "string", "times": "integer", "result": "string"}
            names = partial(call, extensions, "acme.user.names")
            assert await names(pattern="**") == [
                f"acme.vision.{name}" for name in ("break", "draw", "measure", "slow", "upper")
            ]
            assert await names(pattern="acme.vision.?????") == ["acme.vision.break", "acme.vision.upper"]
            assert await names(pattern="acme.audio.*") == []
            with pytest.raises(SymphonyError) as caught:
                await names(pattern="a b")
            assert caught.value.code == "SYM-M006"
        async with studio("model:read:*.upper", "model:execute:**") as extensions:
            assert await call(extensions, "acme.user.names", pattern="**") == ["acme.vision.upper"]

    asyncio.run(scenario())


def test_what_is_not_declared_is_neither_run_nor_told(studio, house, ask, call):
    async def scenario():
        async with studio("model:execute:acme.audio.*") as extensions:
            for work in (
                ask(extensions, "acme.vision.upper", text="x"),
                ask(extensions, "acme.vision.none"),
                call(extensions, "acme.user.look", model="acme.audio.hear"),
            ):
                with pytest.raises(PermissionDenied) as caught:
                    await work
                assert caught.value.code == "SYM-P001"
                assert caught.value.details["extension"] == "acme.user"
            assert await call(extensions, "acme.user.names", pattern="**") == []
            with pytest.raises(AccessFailed) as unknown:
                await ask(extensions, "acme.audio.upper")
            assert "vision" not in str(unknown.value) + unknown.value.hint
            assert not (await extensions.health("acme.vision")).alive

    asyncio.run(scenario())


def test_failures_say_which_model_of_which_extension_failed_and_why(studio, ask):
    async def scenario():
        async with studio("model:execute:**") as extensions:

            async def failed(model, **inputs):
                with pytest.raises(ModelFailed) as caught:
                    await ask(extensions, model, **inputs)
                assert caught.value.message.startswith(f"the model {model!r} of 'acme.vision' failed: ")
                assert caught.value.details["model_extension"] == "acme.vision"
                assert caught.value.details["extension"] == "acme.user"
                return caught.value

            error = await failed("acme.vision.break", how="raise")
            assert error.details["code"] == "SYM-E014"
            assert "LookupError: the weights are gone" in error.message
            assert "raise LookupError" in error.traceback
            error = await failed("acme.vision.upper", words="x")
            assert error.details["code"] == "SYM-T002"
            assert "do not fit its ports" in error.message
            assert error.hint == "Its inputs are text, times."
            before = (await extensions.health("acme.user")).pid
            error = await failed("acme.vision.break", how="die")
            assert error.details["code"] == "SYM-T003"
            assert (await ask(extensions, "acme.vision.upper", text="again")) == {"result": "AGAIN"}
            assert (await extensions.health("acme.user")).pid == before
            for name in ("acme.vision.uper", "acme.vision.plain"):  # the latter is an operator
                with pytest.raises(AccessFailed, match=name) as caught:
                    await ask(extensions, name)
                assert caught.value.code == "SYM-P042"
                assert caught.value.hint.startswith("Did you mean 'acme.vision.")
            with pytest.raises(AccessFailed) as caught:
                await ask(extensions, "whisper")
            assert "symphony list --operations" in caught.value.hint

    asyncio.run(scenario())


def test_another_attempt_is_worth_it_where_it_is_for_the_model(studio, recorder):
    def request(operation, node, model, **inputs):
        values = {"model": encode(model), "inputs": encode(inputs)}
        return NodeCall("run", node, f"acme.user.{operation}", values)

    async def scenario():
        async with studio(*ALL) as extensions:
            seen = recorder()
            batch = [
                request("ask-again", "raises", "acme.vision.break", how="raise"),
                request("ask-again", "wrong", "acme.vision.upper", words="x"),
                request("ask", "once", "acme.vision.break", how="raise"),
            ]
            extensions.submit(batch, seen)
            return {node: event.retryable for node, event in (await seen.finals(3)).items()}

    assert asyncio.run(scenario()) == {"raises": True, "wrong": False, "once": False}


def test_a_model_ends_with_the_call_that_waits_for_it(studio, house, ask, under_way):
    slow = {"model": "acme.vision.slow"}

    async def scenario():
        async with studio(*ALL, workers=1) as extensions:
            task = await under_way(extensions, "acme.user.ask", **slow, inputs={"text": "first"})
            await house.heard("begun first")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await house.heard("cancelled first")
            timeout = 0.3
            while "begun second" not in house.texts():  # on a busy machine a call is late before it begins
                with pytest.raises(SymphonyError) as late:
                    await ask(extensions, "acme.vision.slow", text="second", timeout=timeout)
                assert late.value.code == "SYM-T004"
                assert "acme.user.ask" in late.value.message
                timeout *= 2
            await house.heard("cancelled second")
            pids = [(await extensions.health(id)).pid for id in ("acme.user", "acme.vision")]
            task = await under_way(extensions, "acme.user.ask", **slow, inputs={"text": "third"})
            await house.heard("begun third")
            os.kill(pids[0], signal.SIGKILL)
            with pytest.raises(SymphonyError) as gone:
                await task
            assert gone.value.code == "SYM-T003"
            await house.heard("cancelled third")
            assert (await ask(extensions, "acme.vision.upper", text="ok")) == {"result": "OK"}
            assert (await extensions.health("acme.vision")).pid == pids[1]
            assert (await extensions.health("acme.user")).pid != pids[0]

    asyncio.run(scenario())


def test_a_call_tells_what_its_model_does_and_is_stopped_by_force_without_its_worker(
    studio, house, recorder, monkeypatch
):
    monkeypatch.setattr("symphony_isolation.call.PROGRESS_INTERVAL", 0.0)

    async def scenario():
        async with studio(*ALL, workers=1) as extensions:
            await extensions.activate("acme.vision")
            before = (await extensions.health("acme.vision")).pid
            seen = recorder()
            values = {"model": encode("acme.vision.slow"), "inputs": encode({"text": "forced"})}
            extensions.submit([NodeCall("run", "node", "acme.user.tell", values)], seen)
            await seen.until(lambda: len(seen.of("progressed")) == 2)
            told = [(event.call.node, event.fraction, event.text) for event in seen.of("progressed")]
            assert told == [("node", 0.25, "asking"), ("node", 0.25, "drawing forced")]
            extensions.cancel("run", force=True)
            (event,) = (await seen.finals(1)).values()
            assert event.error is not None
            assert event.error.code == "SYM-R003"
            await house.heard("cancelled forced")
            assert (await extensions.health("acme.vision")).pid == before

    asyncio.run(scenario())


def test_a_model_is_run_for_a_call_and_by_a_thread_that_may_wait(studio, house, call):
    async def scenario():
        async with studio(*ALL) as extensions:
            with pytest.raises(AccessFailed) as caught:
                await call(extensions, "acme.user.later")
            assert caught.value.code == "SYM-P045"
            await house.heard("SYM-P044 in a hook")
            await call(extensions, "acme.user.leave")
            (house.root / "data" / "acme.user" / "over").touch()
            await house.heard("SYM-P044 when it was over")

    asyncio.run(scenario())


def test_models_are_run_in_turn_and_a_worker_that_takes_none_is_refused(studio, call):
    async def scenario():
        async with studio(*ALL) as extensions:
            assert await call(extensions, "acme.user.many", count=40) == sorted(f"A{n}" for n in range(40))
            assert await call(extensions, "acme.user.flood", count=5) == ["SYM-E035"] * 5
            with pytest.raises(SymphonyError):  # it goes on asking, and is ended
                await call(extensions, "acme.user.flood", count=101)
            health = await extensions.health("acme.user")
            assert [exit.cause for exit in health.exits] == ["permission"]
            assert (await extensions.health("acme.vision")).exits == ()

    asyncio.run(scenario())


LINK = """
from pathlib import Path
import threading
from symphony_sdk import Context, Instrument, operator, provides_instruments, provides_operators

class Pass(Instrument):
    id = "{own}.pass"
    def infer(self, ctx: Context, on: list[str]) -> list[str]:
        return pass_on(ctx, on)

class Plain(Instrument):
    id = "{own}.plain"
    def infer(self, ctx: Context) -> str:
        return "{own}"

@operator("{own}.begin")
def begin(ctx: Context, on: list[str]) -> list[str]:
    return pass_on(ctx, on)

@operator("{own}.together")
def together(ctx: Context, model: str) -> str:
    ctx.progress(0.0)
    while not Path("go").exists():
        threading.Event().wait(0.005)
    return ctx.models.run(model)["result"]

def pass_on(ctx, on):
    if not on:
        return ["{own}"]
    return ["{own}", *ctx.models.run(on[0] + ".pass", on=on[1:])["result"]]

@provides_operators
def operators():
    yield from (begin, together)

@provides_instruments
def instruments():
    yield from (Pass(), Plain())
"""


@pytest.fixture
def ring(house):
    """Opens extensions that all may run the models of each other."""

    def ring(*ids):
        return house.opened(
            *(
                house.write(
                    id, LINK.format(own=id), permissions=("model:execute:**",), sandbox="none", workers=1
                )
                for id in ids
            )
        )

    return ring


def test_models_may_run_models_but_in_no_ring_and_not_for_ever(ring, call):
    ids = [f"acme.{letter}" for letter in "abcde"]

    async def scenario():
        async with ring(*ids) as extensions:

            async def begin(*on):
                return await call(extensions, "acme.a.begin", on=list(on))

            async def refused(*on):
                with pytest.raises(SymphonyError) as caught:
                    await begin(*on)
                error, codes = caught.value, [caught.value.code]
                details = error.details
                while "cause" in details:
                    codes.append(details["code"])
                    details = details["cause"]
                return codes, error.message, details

            assert await begin("acme.b", "acme.c", "acme.d") == ids[:4]
            codes, message, details = await refused("acme.a")
            assert codes == ["SYM-P043"]
            assert "acme.a -> acme.a" in message
            codes, message, details = await refused("acme.b", "acme.a")
            assert codes == ["SYM-E045", "SYM-P043"]
            assert "acme.a -> acme.b -> acme.a" in message
            assert details["callers"] == ["acme.a", "acme.b"]
            codes, message, details = await refused(*ids[1:])
            assert codes == ["SYM-E045"] * 3 + ["SYM-P043"]
            assert details["callers"] == ids[:4]
            assert await begin("acme.b") == ids[:2]

    asyncio.run(scenario())


def test_extensions_that_are_full_of_calls_which_wait_for_each_other_go_on(ring, house, recorder):
    """All places of either are taken by calls that wait for a model of the other."""
    full = CALLS_PER_CORE * usable_cores()

    async def scenario():
        async with ring("acme.a", "acme.b") as extensions:
            seen = recorder()
            pairs = (("acme.a", "acme.b"), ("acme.b", "acme.a"))
            batch = [
                NodeCall("run", f"{own}{number}", f"{own}.together", {"model": encode(f"{other}.plain")})
                for own, other in pairs
                for number in range(2 * full)
            ]
            extensions.submit(batch, seen)
            await seen.until(lambda: len(seen.of("progressed")) >= 2 * full)
            for own, _ in pairs:
                (house.root / "data" / own / "go").touch()
            return await seen.finals(len(batch))

    for node, event in asyncio.run(scenario()).items():
        assert event.kind == "completed", event.error
        assert decode(event.outputs["result"]) == ("acme.b" if node.startswith("acme.a") else "acme.a")


def test_each_use_of_a_model_is_decided_and_recorded(house, ask, call):
    permissions = ("model:read:acme.vision.*", "model:execute:acme.vision.upper")
    user = house.write("acme.user", USER, permissions=permissions, sandbox="none")
    vision = house.write("acme.vision", VISION, kind="instrument", sandbox="none")
    declarations = {
        spec.id: Declaration(spec.id, "1.0", "acme", PermissionSet.parse(spec.permissions))
        for spec in (user, vision)
    }
    log = AuditLog(house.root / "audit", house.root / "audit.head")
    authority = Authority(declarations, Grants(house.root / "grants"), AdminPolicy(), log)
    authority.grant("acme.user", "always")

    async def scenario():
        async with house.opened(vision, user, authority=authority) as extensions:
            assert await ask(extensions, "acme.vision.upper", text="a") == {"result": "A"}
            with pytest.raises(PermissionDenied):
                await ask(extensions, "acme.vision.draw", text="a")
            await call(extensions, "acme.user.names", pattern="acme.vision.d*")

    before = len(list(log.records()))
    asyncio.run(scenario())
    used = [
        (record.scope, record.resource, record.decision, record.rule)
        for record in list(log.records())[before:]
        if record.resource.count("*") == 0
    ]
    granted = ("execute", "acme.vision.upper", "allow", "user-allow")
    assert used[-3:] == [
        granted,
        ("execute", "acme.vision.draw", "deny", "undeclared"),
        ("read", "acme.vision.draw", "allow", "user-allow"),
    ]
