"""The record of a manifest in the host's index: complete, JSON-able, and the same when read back."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import ConfigurationError
from symphony_sdk.manifest import Manifest, parse
from symphony_sdk.manifest_record import ManifestRecord
from symphony_sdk.permissions import Access

FULL = """\
schema = 1
[extension]
id = "acme.text"
kind = "operator"
module = "acme_text.plugin"
runs = "host"
[requires]
symphony = ">=1.0,<2"
extensions = [{ id = "acme.base", version = ">=1.2" }, { id = "acme.ocr", optional = true }]
after = ["acme.metrics"]
[[permissions.required]]
type = "file"
scope = ["write", "read"]
resource = "${project}/**"
reason = "reads the files that it measures"
[[permissions.optional]]
type = "network"
scope = ["read"]
resource = "api.example.org:443"
reason = "looks up licences"
[resources]
memory = "1.5 GiB"
cpu = 0.5
gpu = 1
processes = 16
load_timeout = "2 min"
workers = 2
[config]
title = "Text"
required = ["token"]
[config.properties.token]
type = "string"
format = "secret"
[config.properties.depth]
type = "integer"
minimum = 1
default = 3
[templates]
files = ["templates/tidy.json"]
[marketplace]
categories = ["text"]
keywords = ["words"]
screenshots = ["a.png"]
pricing = "paid"
homepage = "https://example.org"
"""


def test_the_index_holds_all_that_a_manifest_says() -> None:
    index = json.loads(json.dumps(parse(FULL).to_index()))
    assert index == {
        "id": "acme.text",
        "kind": "operator",
        "module": "acme_text.plugin",
        "runs": "host",
        "inherits": "",
        "requires": {
            "symphony": ">=1.0,<2",
            "extensions": [
                {"id": "acme.base", "version": ">=1.2", "optional": False},
                {"id": "acme.ocr", "version": "*", "optional": True},
            ],
            "after": ["acme.metrics"],
        },
        "permissions": [
            {
                "type": "file",
                "scope": ["read", "write"],
                "resource": "${project}/**",
                "reason": "reads the files that it measures",
            },
            {
                "type": "network",
                "scope": ["read"],
                "resource": "api.example.org:443",
                "reason": "looks up licences",
                "required": False,
            },
        ],
        "resources": {
            "memory": 3 * 2**29,
            "cpu": 0.5,
            "gpu": 1.0,
            "processes": 16,
            "load_timeout": 120.0,
            "workers": 2,
            "threads": 256,
            "disk": 4 << 30,
        },
        "config": {
            "type": "object",
            "title": "Text",
            "required": ["token"],
            "properties": {
                "token": {"type": "string", "format": "secret"},
                "depth": {"type": "integer", "minimum": 1, "default": 3},
            },
            "additionalProperties": False,
        },
        "marketplace": {
            "categories": ["text"],
            "keywords": ["words"],
            "screenshots": ["a.png"],
            "pricing": "paid",
            "homepage": "https://example.org",
        },
        "templates": ["templates/tidy.json"],
    }


def test_a_record_read_back_is_the_same() -> None:
    manifest = parse(FULL)
    assert ManifestRecord.from_index(json.loads(json.dumps(manifest.to_index()))) == manifest.record()


def test_a_record_checks_settings_as_its_manifest_does() -> None:
    manifest = parse(FULL)
    record = ManifestRecord.from_index(manifest.to_index())
    assert record.config_defaults() == manifest.config_defaults() == {"depth": 3}
    assert record.validate_config({"token": "x"}) == {"token": "x", "depth": 3}
    with pytest.raises(ConfigurationError, match=r"acme\.text"):
        record.validate_config({})


def test_a_record_and_its_manifest_have_the_same_permissions() -> None:
    manifest = parse(FULL)
    roots = {"project": "/home/ada/flows"}
    permissions = manifest.record().permission_set(roots)
    assert permissions == manifest.permission_set(roots)
    assert [str(each) for each in permissions] == [
        "file:read,write:${project}/**",
        "network:read:api.example.org:443",
    ]
    assert permissions.covers(Access("file", "write", "/home/ada/flows/x"))


def test_the_least_manifest_has_every_default() -> None:
    record = parse('schema = 1\nextension = { id = "a.b", kind = "addon", module = "m" }').record()
    assert (record.runs, record.inherits, record.permissions) == ("worker", "", ())
    assert record.resources.memory == 512 * 2**20
    assert record.config == {"type": "object", "properties": {}, "additionalProperties": False}


def test_an_entry_of_another_shape_is_refused() -> None:
    index = parse(FULL).to_index()
    del index["kind"]
    with pytest.raises(msgspec.ValidationError, match="kind"):
        ManifestRecord.from_index(index)


def test_every_field_of_the_manifest_is_described_with_an_example() -> None:
    schema = Manifest.model_json_schema()
    sections = {name: each for name, each in schema["$defs"].items() if "properties" in each}
    assert {"ExtensionSection", "Setting", "DeclaredPermission", "ResourcesSection"} <= sections.keys()
    for name, section in sections.items():
        for key, field in section["properties"].items():
            assert field.get("description", "").endswith("."), (name, key)
            assert field.get("examples"), (name, key)
    for key, field in schema["properties"].items():
        assert field["description"], key


_names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
_ids = st.tuples(_names, _names).map(".".join)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "schema": st.just(1),
            "extension": st.fixed_dictionaries(
                {"id": _ids, "kind": st.sampled_from(["operator", "pit", "ui"]), "module": st.just("m.n")},
                optional={"runs": st.sampled_from(["worker", "host"])},
            ),
        },
        optional={
            "requires": st.fixed_dictionaries(
                {}, optional={"symphony": st.sampled_from(["*", ">=1", "~=1.2"])}
            ),
            "resources": st.fixed_dictionaries(
                {},
                optional={
                    "memory": st.integers(2**20, 2**50),
                    "cpu": st.floats(0.001, 4096),
                    "gpu": st.integers(0, 9),
                    "processes": st.integers(1, 99),
                    "load_timeout": st.floats(0.001, 3600),
                    "workers": st.integers(1, 9),
                },
            ),
            "marketplace": st.fixed_dictionaries({"categories": st.lists(_names)}),
        },
    )
)
def test_any_manifest_survives_the_index(document: dict[str, object]) -> None:
    manifest = Manifest.model_validate(document)
    assert (
        ManifestRecord.from_index(msgspec.json.decode(msgspec.json.encode(manifest.to_index())))
        == manifest.record()
    )
