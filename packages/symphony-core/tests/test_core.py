import asyncio
import logging
from typing import Any

import pytest
from symphony_core import SymphonyCore, bind_inputs
from symphony_sdk import Context, operator
from symphony_sdk.errors import RunError, WorkflowError
from symphony_sdk.events import RunCompleted, RunPaused, RunResumed, RunStarted, RunSteered
from symphony_sdk.ports import ExtensionInfo, PlanAdvice
from symphony_sdk.testing.fakes import FakeConductor, FakeDagTracker, FakeExecutor, FakeExtensions, FakePit
from symphony_sdk.values import decode
from symphony_workflow import WorkflowBuilder, from_document


@operator("acme.text.shout")
def shout(ctx: Context, text: str, times: int = 1) -> str:
    """Shout."""
    return text.upper() * times


def workflow(uses="acme.text.shout"):
    wf = WorkflowBuilder("loud")
    node = wf.operator("shout", uses=uses, text=wf.input("text", str))
    wf.output("loud", node.out.result)
    return wf.build()


def core_with(tracker=None, **parts):
    return SymphonyCore(
        pit=FakePit(tracker=tracker or FakeDagTracker()),
        extensions=FakeExtensions(shout, extension="acme.text"),
        executors=parts.pop("executors", {"local": FakeExecutor({}), "far": FakeExecutor({})}),
        **parts,
    )


def test_a_workflow_is_started_with_its_document_and_encoded_inputs():
    async def main():
        tracker = FakeDagTracker(lambda request: {"loud": decode(request.inputs["text"]).upper()})
        core = core_with(tracker)
        run = await core.start(workflow(), {"text": "hey"}, labels={"by": "me"})
        request = tracker.requests[run]
        assert from_document(request.workflow) == workflow()
        assert request.executor == "local"
        assert request.labels == {"by": "me"}
        kinds = [type(event) async for event in core.events(run)]
        assert kinds == [RunStarted, RunCompleted]
        outcome = await core.outcome(run)
        assert outcome.status.state == "completed"
        assert decode(outcome.outputs["loud"]) == "HEY"
        assert [status.run for status in await core.runs()] == [run]
        await core.close()

    asyncio.run(main())


def test_what_no_executor_could_ever_run_is_a_fault_before_anything_starts():
    async def main():
        wf = WorkflowBuilder("loud")
        inner = wf.workflow("inner")
        inner.operator("huge", uses="acme.text.shout", text="a").resources(cpu=1e6)
        wf.operator("small", uses="acme.text.shout", text="a").resources(cpu=1)
        wf.node("all", uses=inner)
        core = core_with()
        (finding,) = [each for each in await core.validate(wf.draft()) if each.code == "SYM-W027"]
        assert (finding.severity, finding.workflow, finding.node) == ("error", "inner", "huge")
        with pytest.raises(WorkflowError, match="more cores, memory, devices or else than any executor has"):
            await core.start(wf.draft(), {})
        await core.close()

    asyncio.run(main())


def test_a_workflow_with_faults_is_refused_with_all_of_them_and_nothing_starts():
    async def main():
        tracker = FakeDagTracker()
        core = core_with(tracker)
        with pytest.raises(WorkflowError, match=r"acme\.text\.shuot") as caught:
            await core.start(workflow("acme.text.shuot"), {"text": "hey"})
        assert caught.value.code == "SYM-W001"
        assert caught.value.details["findings"]
        assert tracker.requests == {}
        assert [finding.node for finding in await core.validate(workflow("acme.text.shuot"))] == ["shout"]
        assert await core.validate(workflow()) == []

    asyncio.run(main())


def test_an_operation_of_an_unusable_extension_is_explained_with_its_reason():
    class Disabled(FakeExtensions):
        async def extensions(self):
            return [ExtensionInfo("acme.text", "1", "operator", "disabled", reason="switched off: too loud")]

        async def operations(self):
            return {}

    async def main():
        core = SymphonyCore(pit=FakePit(), extensions=Disabled(), executors={})
        [finding] = await core.validate(workflow())
        assert finding.code == "SYM-W013"
        assert finding.hint.startswith("The extension acme.text is disabled: switched off: too loud.")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ({}, ["the input 'text' (string) is missing"]),
        ({"text": 3}, ["the input 'text' must be string"]),
        ({"txet": "a"}, ["no input 'txet': did you mean 'text'?", "'text' (string) is missing"]),
        ({"zzz": "a", "text": "b"}, ["no input 'zzz': it has text"]),
    ],
)
def test_inputs_that_do_not_fit_are_refused_all_at_once(given, texts):
    with pytest.raises(WorkflowError) as caught:
        bind_inputs(workflow(), given)
    assert caught.value.code == "SYM-W070"
    assert len(caught.value.details["faults"]) == len(texts)
    for text in texts:
        assert text in caught.value.message


def test_an_input_with_a_default_may_be_left_out():
    wf = WorkflowBuilder("quiet")
    node = wf.operator("shout", uses="acme.text.shout", text=wf.input("text", str, default="hush"))
    wf.output("loud", node.out.result)
    assert bind_inputs(wf.build(), {}) == {}
    assert decode(bind_inputs(wf.build(), {"text": "x"})["text"]) == "x"


def test_an_unknown_executor_is_refused_and_those_there_are_are_named():
    async def main():
        with pytest.raises(RunError, match="there is no executor 'moon'") as caught:
            await core_with().start(workflow(), {"text": "a"}, executor="moon")
        assert "far, local" in caught.value.hint

    asyncio.run(main())


@pytest.mark.parametrize(("asked", "used"), [("", "far"), ("local", "local")])
def test_the_conductor_chooses_the_executor_unless_the_user_did(asked, used):
    async def main():
        tracker = FakeDagTracker()
        core = core_with(tracker, conductor=FakeConductor(PlanAdvice("far")))
        run = await core.start(workflow(), {"text": "a"}, executor=asked)
        assert tracker.requests[run].executor == used

    asyncio.run(main())


def test_a_conductor_that_fails_keeps_no_run_from_starting(caplog):
    class Broken(FakeConductor):
        async def plan(self, workflow: dict[str, Any], executors: tuple[str, ...]) -> PlanAdvice:
            raise ZeroDivisionError

    async def main():
        tracker = FakeDagTracker()
        core = core_with(tracker, conductor=Broken())
        run = await core.start(workflow(), {"text": "a"})
        assert tracker.requests[run].executor == "local"

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "gave no advice" in caplog.text


def test_a_run_can_be_paused_resumed_and_cancelled():
    async def main():
        core = core_with(FakeDagTracker(held=True))
        run = await core.start(workflow(), {"text": "a"})
        await core.pause(run, actor="ada")
        assert (await core.outcome(run)).outputs == {}
        await core.resume(run, actor="ada")
        kinds = [type(event) async for event in core.events(run)]
        assert kinds == [RunStarted, RunPaused, RunSteered, RunResumed, RunCompleted]
        other = await core.start(workflow(), {"text": "a"})
        await core.cancel(other)
        assert (await core.outcome(other)).status.state == "cancelled"
        with pytest.raises(RunError):
            await core.resume("nothing")

    asyncio.run(main())


def test_every_command_goes_to_the_tracker_with_its_actor():
    async def main():
        tracker = FakeDagTracker(lambda request: {"loud": decode(request.inputs["text"])}, asks="shout")
        core = core_with(tracker)
        run = await core.start(workflow(), {"text": "a"}, actor="ada")
        assert (await core.outcome(run)).status.state == "waiting"
        await core.answer(run, "shout", True, by="bob", comment="fine")
        await core.retry(run, "shout", actor="ada")
        await core.skip(run, "shout", actor="ada")
        other = await core.rerun(run, inputs={"text": "b"}, actor="eve")
        await core.answer(other, "shout", False, by="bob")
        assert decode((await core.outcome(other)).outputs["loud"]) == "b"
        assert (await core.outcome(other)).status.origin == run
        told = [(entry.command, entry.actor, entry.node) for entry in await core.history()]
        assert told == [
            ("start", "ada", ""),
            ("approve", "bob", "shout"),
            ("retry", "ada", "shout"),
            ("skip", "ada", "shout"),
            ("rerun", "eve", ""),
            ("reject", "bob", "shout"),
        ]
        assert [entry.command for entry in await core.history(other, after=5)] == ["reject"]
        await core.close()

    asyncio.run(main())


def test_observers_see_each_event_once_and_one_that_fails_harms_no_other(caplog):
    async def main():
        seen = []
        done = asyncio.Event()

        def broken(event):
            raise ZeroDivisionError

        def observer(event):
            seen.append(type(event))
            if isinstance(event, RunCompleted):
                done.set()

        core = core_with(FakeDagTracker(held=True), observers=[broken, observer])
        run = await core.start(workflow(), {"text": "a"})
        while RunPaused not in seen:  # noqa: ASYNC110 - the watcher is a task of this loop
            await asyncio.sleep(0)
        await core.resume(run)
        await asyncio.wait_for(done.wait(), 20)
        assert seen == [RunStarted, RunPaused, RunSteered, RunResumed, RunCompleted]
        await core.close()

    asyncio.run(main())
    assert "an observer failed at event 1" in caplog.text


def test_closing_ends_observers_that_still_wait():
    async def main():
        class Endless(FakeDagTracker):
            async def events(self, run, after=0):
                await asyncio.Event().wait()
                yield

        core = core_with(Endless(), observers=[print])
        await core.start(workflow(), {"text": "a"})
        await asyncio.wait_for(core.close(), 20)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
