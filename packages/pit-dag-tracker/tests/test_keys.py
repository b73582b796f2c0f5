"""What is known of an operation, where it may run models of other extensions."""

import msgspec
import pytest
from pit_dag_tracker.keys import known_operations
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.ports import ExtensionInfo
from symphony_workflow.model import CachePolicy

ASK = "acme.user.ask"


def extension(id: str, *operations: OperationSpec, permissions: tuple[str, ...] = ()) -> ExtensionInfo:
    return ExtensionInfo(
        id, "1", "operator", "active", operations, fingerprint=f"of {id}", permissions=permissions
    )


def model(id: str, **changes) -> OperationSpec:
    return OperationSpec(id, "instrument", **changes)


def known(*infos: ExtensionInfo):
    operations = {spec.id: spec for info in infos for spec in info.operations}
    return known_operations([(ASK, CachePolicy())], operations, infos)[ASK]


def user(*permissions: str, **changes) -> ExtensionInfo:
    return extension("acme.user", OperationSpec(ASK, "operator", **changes), permissions=permissions)


def test_an_operation_that_may_run_no_models_is_known_by_its_own_extension_alone():
    alone = known(user())
    assert (alone.fingerprint, alone.models) == ("of acme.user", "")
    assert alone.pure
    others = extension("acme.vision", model("acme.vision.caption"))
    assert known(user("model:read:**"), others) == alone
    assert known(user("model:execute:acme.audio.*"), others) == alone


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": "other"}, {"version": "2"}, {"operations": (model("acme.vision.caption", version=2),)}],
)
def test_what_a_model_is_counts_for_those_that_may_run_it(change):
    caller = user("model:execute:acme.vision.*")
    vision = extension("acme.vision", model("acme.vision.caption"))
    before = known(caller, vision)
    assert before.models
    assert before.pure
    assert known(caller, vision) == before
    assert known(caller, msgspec.structs.replace(vision, **change)).models != before.models


def test_the_models_that_a_model_may_run_count_too_also_in_a_ring():
    caller = user("model:execute:acme.vision.*")
    vision = extension("acme.vision", model("acme.vision.caption"), permissions=("model:execute:**",))
    words = extension("acme.words", model("acme.words.embed"), permissions=("model:execute:**",))
    before = known(caller, vision, words)
    assert known(caller, vision, msgspec.structs.replace(words, fingerprint="other")).models != before.models


def test_a_model_that_depends_on_more_than_its_inputs_is_not_hidden_by_its_caller():
    vision = extension("acme.vision", model("acme.vision.caption"), permissions=("file:read:/**",))
    assert not known(user("model:execute:**"), vision).pure
    assert known(user("model:execute:**", pure=True), vision).pure
    says = extension("acme.vision", model("acme.vision.caption", pure=True), permissions=("file:read:/**",))
    assert known(user("model:execute:**"), says).pure
    assert not known(user("model:execute:**", pure=False), says).pure
