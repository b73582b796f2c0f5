"""The extensions together: what is known of them, and who answers for which operation."""

import asyncio
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_isolation import WorkerSpec
from symphony_isolation.contributions_cache import ContributionsCache
from symphony_sdk.contributions import AddonSpec, OperationSpec, PortSpec
from symphony_sdk.errors import ExtensionError
from symphony_sdk.messages import ExtensionLoaded
from symphony_sdk.ports import ExtensionInfo

COUNTED = """
from pathlib import Path
from symphony_sdk import Context, operator, provides_operators

with Path("started").open("a") as file:
    file.write("x")

@operator("acme.one.own")
def own(ctx: Context) -> str:
    return __name__

@provides_operators
def symphony_operators():
    yield own
"""


def starts(house, id: str) -> int:
    path = house.root / "data" / id / "started"
    return len(path.read_text()) if path.exists() else 0


def test_contributions_are_learned_once_and_then_known_without_a_worker(house, call):
    spec = house.write("acme.one", COUNTED)

    async def look(*specs):
        async with house.opened(*specs) as extensions:
            return await extensions.operations(), await extensions.extensions()

    first = asyncio.run(look(spec))
    assert starts(house, "acme.one") == 1
    assert asyncio.run(look(spec)) == first
    assert starts(house, "acme.one") == 1
    asyncio.run(look(msgspec.structs.replace(spec, fingerprint="2")))
    assert starts(house, "acme.one") == 2
    asyncio.run(look(msgspec.structs.replace(spec, fingerprint="2", version="1.1")))
    assert starts(house, "acme.one") == 3


def test_a_damaged_cache_is_learned_anew(house):
    spec = house.write("acme.one", COUNTED)

    async def look():
        async with house.opened(spec) as extensions:
            return await extensions.operations()

    first = asyncio.run(look())
    path = house.root / "cache" / "acme.one.json"
    for damage in (b"", b"\xff\xfe", b"[" * 100_000, path.read_bytes()[:-20]):
        path.write_bytes(damage)
        assert asyncio.run(look()) == first
    assert starts(house, "acme.one") == 5
    json.loads(path.read_bytes())


def test_a_cache_that_cannot_be_written_is_said_and_harms_nothing(house):
    (house.root / "cache").write_text("a file is in the way")

    async def look():
        async with house.opened(house.zoo()) as extensions:
            return await extensions.operations()

    assert "acme.zoo.echo" in asyncio.run(look())
    assert any("cannot be remembered" in text for text in house.texts("warning"))


def test_unknown_names_are_answered_with_the_nearest(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(ExtensionError, match="no extension brings") as caught:
                await call(extensions, "acme.zoo.ecco")
            assert (caught.value.code, caught.value.hint) == ("SYM-E013", "Did you mean 'acme.zoo.echo'?")
            with pytest.raises(ExtensionError) as caught:
                await call(extensions, "qqqqq.wwwww.zzzzz")
            assert "symphony list" in caught.value.hint
            with pytest.raises(ExtensionError) as caught:
                await extensions.health("acme.zo")
            assert (caught.value.code, caught.value.hint) == ("SYM-E033", "Did you mean 'acme.zoo'?")
            with pytest.raises(ExtensionError) as caught:
                await extensions.deactivate("qqqqq")
            assert "symphony list" in caught.value.hint

    asyncio.run(scenario())


def test_extensions_that_cannot_be_used_are_listed_with_their_reason(house):
    disabled = ExtensionInfo("acme.off", "1.0", "operator", "disabled", reason="the user said so")
    failed = ExtensionInfo("acme.bad", "1.0", "operator", "failed", reason="no manifest")

    async def scenario():
        async with house.opened(house.zoo(), unusable=(disabled, failed)) as extensions:
            infos = await extensions.extensions()
            assert [info.id for info in infos] == ["acme.bad", "acme.off", "acme.zoo"]
            assert infos[:2] == [failed, disabled]
            for id, reason in (("acme.off", "the user said so"), ("acme.bad", "no manifest")):
                with pytest.raises(ExtensionError, match=reason) as caught:
                    await extensions.activate(id)
                assert caught.value.code == "SYM-E034"

    asyncio.run(scenario())


def test_the_life_of_an_extension_is_told_by_its_state(house, monkeypatch):
    monkeypatch.setattr("symphony_isolation.process_lane.PING_TIMEOUT", 30.0)

    async def scenario():
        async with house.opened(house.zoo()) as extensions:

            async def state():
                return (await extensions.extensions())[0].state

            states = [await state()]
            await extensions.activate("acme.zoo")
            await extensions.activate("acme.zoo")
            states.append(await state())
            health = await extensions.health("acme.zoo")
            assert health.alive
            assert health.answered is not None
            await extensions.deactivate("acme.zoo")
            states.append(await state())
            return states

    assert asyncio.run(scenario()) == ["resolved", "active", "unloaded"]
    assert house.notes() == ["load", "activate {}", "deactivate", "unload"]


def test_a_hook_that_fails_is_a_reason_at_the_start_and_a_line_at_the_end(house):
    source = """
from symphony_sdk import Context, hookimpl

@hookimpl
def symphony_{step}(ctx: Context) -> None:
    raise ValueError("{step} is broken")
"""

    async def scenario(step):
        spec = house.write(f"acme.{step}", source.format(step=step))
        async with house.opened(spec) as extensions:
            await extensions.activate(spec.id)

    for step in ("load", "activate"):
        with pytest.raises(ExtensionError, match=f"{step} is broken"):
            asyncio.run(scenario(step))
    for step in ("deactivate", "unload"):
        asyncio.run(scenario(step))
        assert any(f"{step} is broken" in text for text in house.texts("error"))


texts = st.text(max_size=20)
ports = st.builds(PortSpec, texts, st.dictionaries(texts, texts | st.integers(), max_size=3), st.booleans())
operations = st.builds(
    OperationSpec,
    texts,
    st.sampled_from(["operator", "instrument"]),
    st.lists(ports, max_size=3).map(tuple),
    st.lists(ports, max_size=3).map(tuple),
    texts,
)
loaded = st.builds(
    ExtensionLoaded,
    st.lists(operations, max_size=3).map(tuple),
    st.lists(st.builds(AddonSpec, texts, texts, texts), max_size=2).map(tuple),
    st.lists(texts, max_size=3).map(tuple),
)


@given(loaded, texts, texts)
def test_what_was_remembered_is_given_back_for_the_same_content_alone(tmp_path_factory, known, one, other):
    cache = ContributionsCache(tmp_path_factory.mktemp("cache"))

    def spec(fingerprint):
        return WorkerSpec(
            id="acme.text", version="1", kind="operator", module="m", data_dir="", fingerprint=fingerprint
        )

    assert cache.get(spec(one)) is None
    cache.put(spec(one), known)
    assert cache.get(spec(one)) == known
    assert cache.get(spec(other)) == (known if one == other else None)
