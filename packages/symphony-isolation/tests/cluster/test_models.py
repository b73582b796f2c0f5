"""Models on a cluster: they run on the machine of the call, and what they store is the call's."""

import asyncio

from symphony_sdk.ports import Lineage
from symphony_sdk.values import decode, encode

VISION = """
from symphony_sdk import ArtifactRef, Context, Instrument, provides_instruments

class Draw(Instrument):
    id = "acme.vision.draw"
    def infer(self, ctx: Context, text: str) -> ArtifactRef:
        return ctx.artifacts.put(text.encode(), name="drawn.txt")

@provides_instruments
def instruments():
    yield Draw()
"""

USER = """
from symphony_sdk import ArtifactRef, Context, operator, provides_operators
from symphony_sdk.errors import PermissionDenied

@operator("acme.user.ask")
def ask(ctx: Context, text: str) -> ArtifactRef:
    return ctx.models.run("acme.vision.draw", text=text).read("result", ArtifactRef)

@operator("acme.user.pry")
def pry(ctx: Context) -> str:
    try:
        ctx.models.describe("acme.vision.draw")
    except PermissionDenied as error:
        return error.code

@provides_operators
def operators():
    yield from (ask, pry)
"""


def test_a_model_runs_on_the_machine_of_the_call(house, fleet, recorder, node_call):
    vision = house.write("acme.vision", VISION, kind="instrument", sandbox="fallback")
    user = house.write("acme.user", USER, permissions=("model:execute:acme.vision.*",), sandbox="fallback")

    async def scenario():
        async with fleet(vision, user, machines=1) as its:
            seen = recorder()
            calls = [node_call("acme.user.ask", "draws", text="abc"), node_call("acme.user.pry", "pries")]
            its.fleet.submit(calls, seen)
            ended = {event.call.node: event for event in await seen.ended(2)}
            assert not (await its.extensions.health("acme.vision")).alive
            return ended

    ended = asyncio.run(scenario())
    assert {event.kind for event in ended.values()} == {"completed"}, [
        event.error for event in ended.values()
    ]
    assert ended["pries"].outputs["result"] == encode("SYM-P001")
    ref = decode(ended["draws"].outputs["result"])
    assert house.store.get(ref["id"]) == b"abc"
    lineage = house.store.info(ref["id"]).lineage
    assert lineage == Lineage("run", "draws", "acme.vision", version="1.0")
