"""What a manifest takes from its base, and what it never does."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from symphony_sdk.errors import ManifestError
from symphony_sdk.manifest import load_document, parse, resolve

CHILD = """\
schema = 1
[extension]
id = "acme.text"
module = "acme_text"
inherits = "acme.base"
[resources]
cpu = 2.0
"""
BASE = """\
schema = 1
[extension]
id = "acme.base"
kind = "operator"
module = "acme_base"
runs = "host"
[requires]
symphony = ">=1.0"
after = ["acme.metrics"]
[[permissions.required]]
type = "file"
scope = ["read"]
resource = "/**"
reason = "reads all"
[resources]
memory = "1 GiB"
cpu = 1.0
[config.properties.language]
type = "string"
default = "en"
[marketplace]
keywords = ["acme"]
screenshots = ["base.png"]
[templates]
files = ["base.json"]
"""


def _lookup(**texts: str) -> Any:
    documents = {f"acme.{name}": tomllib.loads(text) for name, text in texts.items()}
    return documents.__getitem__


def test_a_child_takes_what_it_does_not_say_itself() -> None:
    manifest = parse(CHILD, lookup=_lookup(base=BASE))
    assert manifest.extension.kind == "operator"
    assert manifest.requires.symphony == ">=1.0"
    assert (manifest.resources.memory, manifest.resources.cpu) == (2**30, 2.0)
    assert manifest.config_defaults() == {"language": "en"}
    assert manifest.marketplace.keywords == ("acme",)


def test_identity_code_trust_permissions_and_files_are_never_inherited() -> None:
    manifest = parse(CHILD, lookup=_lookup(base=BASE))
    assert (manifest.extension.id, manifest.extension.module) == ("acme.text", "acme_text")
    assert manifest.extension.runs == "worker"
    assert manifest.permissions.all() == ()
    assert manifest.marketplace.screenshots == ()
    assert manifest.templates.files == ()


def test_a_child_without_a_module_does_not_get_that_of_its_base() -> None:
    with pytest.raises(ManifestError, match=r"extension\.module: is missing"):
        parse(CHILD.replace('module = "acme_text"\n', ""), lookup=_lookup(base=BASE))


def test_arrays_are_replaced_and_not_joined() -> None:
    child = CHILD + '[requires]\nafter = ["acme.other"]\n'
    assert parse(child, lookup=_lookup(base=BASE)).requires.after == ("acme.other",)


def test_the_nearest_ancestor_wins() -> None:
    middle = (
        'schema = 1\n[extension]\nid = "acme.mid"\ninherits = "acme.base"\n[resources]\nmemory = "2 GiB"\n'
    )
    child = CHILD.replace("acme.base", "acme.mid")
    manifest = parse(child, lookup=_lookup(base=BASE, mid=middle))
    assert (manifest.resources.memory, manifest.extension.kind) == (2**31, "operator")


def test_documents_are_not_changed() -> None:
    child, base = tomllib.loads(CHILD), tomllib.loads(BASE)
    resolve(child, {"acme.base": base}.__getitem__)
    assert (child, base) == (tomllib.loads(CHILD), tomllib.loads(BASE))


def test_a_document_without_a_base_is_itself() -> None:
    document = tomllib.loads(BASE)
    assert resolve(document, _lookup()) == document


@pytest.mark.parametrize("document", [{"extension": 3}, {}, {"extension": {"inherits": 3}}])
def test_a_malformed_document_is_left_to_validation(document: Mapping[str, Any]) -> None:
    assert resolve(document, _lookup()) == document


def test_a_malformed_base_is_left_to_validation() -> None:
    base = {"marketplace": 3, "extension": []}
    resolved = resolve(tomllib.loads(CHILD), {"acme.base": base}.__getitem__)
    assert resolved["marketplace"] == 3
    assert resolved["extension"]["id"] == "acme.text"


def test_an_unknown_base_is_told_with_the_chain_and_its_place() -> None:
    with pytest.raises(ManifestError) as caught:
        parse(CHILD, file="symphony.toml")
    error = caught.value
    assert error.code == "SYM-M005"
    assert "acme.text -> acme.base" in error.message
    assert error.place == "symphony.toml:5:1"


def test_a_cycle_is_told_with_the_chain() -> None:
    base = BASE.replace('kind = "operator"', 'inherits = "acme.text"')
    with pytest.raises(ManifestError) as caught:
        parse(CHILD, lookup=_lookup(base=base, text=CHILD))
    assert caught.value.code == "SYM-M005"
    assert caught.value.details["chain"] == ["acme.text", "acme.base", "acme.text"]


def test_an_extension_that_inherits_from_itself_is_a_cycle() -> None:
    with pytest.raises(ManifestError, match=r"acme\.text -> acme\.text"):
        parse(CHILD.replace("acme.base", "acme.text"), lookup=_lookup(text=CHILD))


def test_an_inherited_fault_names_the_base_and_points_to_the_line_that_inherits() -> None:
    base = BASE.replace('type = "string"', 'type = "sting"').replace("cpu = 1.0", "gpu = -1")
    with pytest.raises(ManifestError) as caught:
        parse(CHILD, file="symphony.toml", lookup=_lookup(base=base))
    assert {(row["path"], row["line"]) for row in caught.value.details["faults"]} == {
        ("config.properties.language.type", 5),
        ("resources.gpu", 5),
    }
    assert all("(inherited from acme.base)" in row["message"] for row in caught.value.details["faults"])


def test_a_base_that_is_not_toml_is_told_in_its_own_file(tmp_path: Path) -> None:
    base = tmp_path / "symphony.toml"
    base.write_text("schema = 1\n[extension\n")
    with pytest.raises(ManifestError) as caught:
        parse(CHILD, lookup=lambda _: load_document(base))
    assert (caught.value.code, caught.value.place) == ("SYM-M003", f"{base}:2:11")
