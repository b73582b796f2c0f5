import asyncio
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_sdk import Artifact, ArtifactRef, Context, ExtensionError, Rating, operator, scorer
from symphony_sdk.contributions import REASON_LIMIT, OperationSpec, rating_fault
from symphony_sdk.loading import load_extension
from symphony_sdk.manifest import load as load_manifest
from symphony_sdk.testing import ExtensionContract, SampleArtifact, recording_context
from symphony_sdk.values import decode, encode


@scorer("acme.text.length", accepts=("text/",))
def length(ctx: Context, artifact: Artifact, enough: int = 10) -> Rating:
    """Rate how long a text is."""
    characters = len(ctx.artifacts.get(artifact).decode())
    return Rating(min(characters / enough, 1.0), f"{characters} characters")


def test_a_scorer_is_an_operator_that_says_what_it_rates():
    spec = length.spec

    assert (spec.id, spec.kind, spec.scores, spec.title) == (
        "acme.text.length",
        "operator",
        ("text/",),
        "Length",
    )
    assert [port.name for port in spec.inputs] == ["artifact", "enough"]
    assert decode(encode(spec), OperationSpec) == spec


def test_a_scorer_that_says_nothing_rates_every_media_type():
    @scorer("acme.text.any")
    def anything(ctx: Context, artifact: Artifact) -> Rating:
        return Rating(1.0)

    assert anything.spec.scores == ()
    assert decode(encode(anything.spec), OperationSpec).scores == ()


def test_an_operator_is_no_scorer():
    @operator("acme.text.shout")
    def shout(ctx: Context, text: str) -> str:
        return text.upper()

    assert shout.spec.scores is None
    assert decode(encode(shout.spec), OperationSpec).scores is None


def test_a_scorer_is_called_as_a_function_in_a_test():
    ctx = recording_context()
    sample = SampleArtifact(b"hello", "text/plain", name="a.txt", metadata={"of": "test"}, tags=("a",))

    artifact = sample.put(ctx)

    assert length(ctx, artifact) == Rating(0.5, "5 characters")
    assert length(ctx, artifact, enough=5).value == 1.0
    assert (artifact.name, artifact.metadata, artifact.tags) == ("a.txt", {"of": "test"}, ("a",))


def test_a_scorer_may_be_a_coroutine():
    @scorer("acme.text.slow")
    async def slow(ctx: Context, artifact: Artifact) -> Rating:
        await asyncio.sleep(0)
        return Rating(1.0)

    assert slow.spec.scores == ()
    assert asyncio.run(slow(recording_context(), Artifact("b3-1", 0))) == Rating(1.0)


def test_what_an_operator_gives_as_an_artifact_is_one_to_a_scorer():
    assert decode(encode(ArtifactRef("b3-1", 3, "text/plain", "a")), Artifact) == Artifact(
        "b3-1", 3, "text/plain", "a"
    )
    described = Artifact("b3-1", 3, "text/plain", "a", {"of": "test"}, ("one",), 7.0)
    assert decode(encode(described), ArtifactRef) == ArtifactRef("b3-1", 3, "text/plain", "a")


def _no_artifact(ctx: Context) -> Rating: ...
def _other_name(ctx: Context, thing: Artifact) -> Rating: ...
def _other_type(ctx: Context, artifact: str) -> Rating: ...
def _second(ctx: Context, enough: int, artifact: Artifact) -> Rating: ...
def _no_rating(ctx: Context, artifact: Artifact) -> float: ...
def _nothing(ctx: Context, artifact: Artifact) -> None: ...
def _required(ctx: Context, artifact: Artifact, enough: int) -> Rating: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_no_artifact, "takes no artifact"),
        (_other_name, "takes no artifact"),
        (_other_type, "takes no artifact"),
        (_second, "takes no artifact"),
        (_no_rating, "returns no rating"),
        (_nothing, "returns no rating"),
        (_required, "the inputs enough of the scorer 'acme.text.bad' have no default"),
    ],
)
def test_a_function_that_cannot_score_is_refused_with_its_place(function, message):
    with pytest.raises(ExtensionError, match=message) as caught:
        _ = scorer("acme.text.bad")(function).spec

    assert caught.value.code == "SYM-E010"
    assert caught.value.file == __file__
    assert caught.value.line == function.__code__.co_firstlineno


@pytest.mark.parametrize("accepts", ["text/", ("text/", 1), None])
def test_media_types_are_a_tuple_of_texts(accepts):
    with pytest.raises(ExtensionError, match=r"`accepts` of the scorer 'acme\.text\.bad' is") as caught:
        scorer("acme.text.bad", accepts=accepts)(length.function)

    assert caught.value.code == "SYM-E010"


@given(st.floats() | st.integers(-3, 3))
def test_every_number_from_0_to_1_is_a_rating_and_no_other(value):
    kept = not rating_fault(Rating(value))

    assert kept == (not math.isnan(value) and 0 <= value <= 1)


def test_a_reason_is_a_line_and_no_book():
    assert rating_fault(Rating(1.0, "r" * REASON_LIMIT)) == ""
    assert (
        rating_fault(Rating(1.0, "r" * (REASON_LIMIT + 1)))
        == "its reason has 1,001 characters; 1,000 are allowed"
    )


@pytest.mark.parametrize("given", [Rating("good"), Rating(True), "good", 0.5, None, Rating(1.0, 2)])
def test_what_is_no_rating_does_not_leave_the_worker(given):
    with pytest.raises(ExtensionError, match=r"'acme\.text\.length' returned what its annotation"):
        length.signature.encode(given)


SCORERS = """
from symphony_sdk import Artifact, Context, Rating, operator, provides_scorers, scorer

@scorer("{id}", accepts=("text/",))
def length(ctx: Context, artifact: Artifact) -> Rating:
    "Rate."
    return Rating({value})

@operator("acme.text.shout")
def shout(ctx: Context, text: str) -> str:
    "Shout."
    return text

def plain(ctx: Context, artifact: Artifact) -> Rating:
    return Rating(1.0)

@provides_scorers
def scorers():
    {body}
"""


def made(make_module, body, id="acme.text.length", value=0.5):
    return load_extension(
        "acme.text", make_module("acme_scorers", SCORERS.format(id=id, body=body, value=value))
    )


def test_a_scorer_that_an_extension_contributes_is_one_of_its_operations(make_module):
    contributions = made(make_module, "yield length")

    assert list(contributions.operations) == ["acme.text.length"]
    assert contributions.operations["acme.text.length"].spec.scores == ("text/",)
    assert contributions.hooks == ("symphony_scorers",)


@pytest.mark.parametrize(
    ("body", "code", "hint"),
    [
        ("yield plain", "SYM-E018", "Decorate the function with @scorer."),
        ("yield shout", "SYM-E018", "Decorate the function with @scorer."),
        ("return 3", "SYM-E018", "Yield or return an iterable of Scorer."),
        ("yield from (length, length)", "SYM-E017", "Give each operation an id of its own."),
    ],
)
def test_what_is_no_scorer_is_refused(make_module, body, code, hint):
    with pytest.raises(ExtensionError) as caught:
        made(make_module, body)

    assert (caught.value.code, caught.value.hint) == (code, hint)


def test_a_scorer_keeps_to_the_namespace_of_its_extension(make_module):
    with pytest.raises(ExtensionError, match="outside of its own namespace"):
        made(make_module, "yield length", id="other.text.length")


def run_example(make_module, tmp_path, artifact, **source):
    module = make_module("acme_scorers", SCORERS.format(id="acme.text.length", body="yield length", **source))
    (tmp_path / "symphony.toml").write_text(
        f'schema = 1\n[extension]\nid = "acme.text"\nkind = "operator"\nmodule = "{module}"\n'
    )
    case = SimpleNamespace(
        examples={"acme.text.length": {"artifact": artifact}},
        load=lambda: load_extension("acme.text", module),
        _context=recording_context,
        manifest=load_manifest(tmp_path / "symphony.toml"),
    )
    ExtensionContract.test_each_example_runs(case)
    ExtensionContract.test_it_contributes_what_its_kind_promises(case)


def test_the_contract_of_extensions_runs_a_scorer_on_a_sample(make_module, tmp_path):
    run_example(make_module, tmp_path, SampleArtifact(b"hello", "text/plain"), value=0.5)


@pytest.mark.parametrize(
    ("value", "media_type", "message"),
    [
        ("float('nan')", "text/plain", "its value is nan, and not from 0 to 1"),
        (1.5, "text/plain", "its value is 1.5, and not from 0 to 1"),
        (0.5, "image/png", "acme.text.length is not asked about image/png"),
    ],
)
def test_the_contract_refuses_a_score_that_could_not_be_kept(
    make_module, tmp_path, value, media_type, message
):
    with pytest.raises(AssertionError, match=message):
        run_example(make_module, tmp_path, SampleArtifact(b"hello", media_type), value=value)
