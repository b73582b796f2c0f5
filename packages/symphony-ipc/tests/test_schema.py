"""The protocol as documents: valid ones, in which every reference leads somewhere."""

import json

import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.evolution import example
from symphony_ipc.schema import FRAMING, MESSAGE_MODULES, asyncapi, family_messages, json_schema

FAMILY = family_messages()

# What AsyncAPI 3.0 asks of the parts that the document has; the official parser was run on it by hand.
REFERENCE = {
    "type": "object",
    "required": ["$ref"],
    "properties": {"$ref": {"type": "string", "pattern": "^#/"}},
}
REFERENCES = {"type": "array", "minItems": 1, "items": REFERENCE}
KEY = "^[a-zA-Z0-9._-]+$"
ASYNCAPI = {
    "type": "object",
    "required": ["asyncapi", "info"],
    "additionalProperties": False,
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "additionalProperties": False,
            "properties": {name: {"type": "string"} for name in ("title", "version", "description")},
        },
        "defaultContentType": {"type": "string"},
        "channels": {
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "address": {"type": ["string", "null"]},
                    "description": {"type": "string"},
                    "messages": {
                        "type": "object",
                        "propertyNames": {"pattern": KEY},
                        "additionalProperties": REFERENCE,
                    },
                    "parameters": {
                        "propertyNames": {"pattern": KEY},
                        "additionalProperties": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {"description": {"type": "string"}},
                        },
                    },
                },
            }
        },
        "operations": {
            "additionalProperties": {
                "type": "object",
                "required": ["action", "channel"],
                "additionalProperties": False,
                "properties": {
                    "action": {"enum": ["send", "receive"]},
                    "channel": REFERENCE,
                    "summary": {"type": "string"},
                    "messages": REFERENCES,
                    "reply": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"channel": REFERENCE, "messages": REFERENCES},
                    },
                },
            }
        },
        "components": {
            "additionalProperties": False,
            "properties": {
                "schemas": {"propertyNames": {"pattern": KEY}, "additionalProperties": {"type": "object"}},
                "messages": {
                    "propertyNames": {"pattern": KEY},
                    "additionalProperties": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "title": {"type": "string"},
                            "summary": {"type": "string"},
                            "contentType": {"type": "string"},
                            "headers": REFERENCE,
                            "payload": REFERENCE,
                        },
                    },
                },
            },
        },
    },
}


def references(document):
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def target(document, reference):
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def as_json(kind):
    return json.loads(msgspec.json.encode(msgspec.msgpack.decode(example(kind), type=kind)))


def test_the_json_schema_is_one_and_takes_every_message():
    document = json_schema(FAMILY)
    Draft202012Validator.check_schema(document)
    validator = Draft202012Validator(document)
    assert set(document["properties"]) == set(FAMILY)
    for name, kind in FAMILY.items():
        if "raw" not in str(msgspec.inspect.type_info(kind)).lower():  # such a field holds MessagePack
            validator.validate({name: as_json(kind)})
    validator.validate({"worker.call/1": {"operation": "a.b.c", "inputs": {"x": [1]}}})


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"worker.none/1": {}},
        {"worker.log/1": {"level": "info"}},
        {"worker.log/1": {"level": "info", "text": 1}},
        {"worker.log/1": {"level": "info", "text": ""}, "worker.done/1": {}},
    ],
)
def test_the_json_schema_refuses_what_is_no_message(wrong):
    with pytest.raises(ValidationError):
        Draft202012Validator(json_schema(FAMILY)).validate(wrong)


def test_the_asyncapi_document_has_the_structure_that_is_asked_for():
    document = asyncapi(FAMILY, "1.2.3")
    Draft202012Validator.check_schema(ASYNCAPI)
    Draft202012Validator(ASYNCAPI).validate(document)
    assert document["info"]["version"] == "1.2.3"
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_of_the_documents_leads_somewhere():
    for document in (json_schema(FAMILY), asyncapi(FAMILY, "1")):
        found = set(references(document))
        assert len(found) > len(FAMILY)
        for reference in found:
            assert isinstance(target(document, reference), dict), reference


def test_the_messages_of_an_operation_are_on_its_channel():
    document = asyncapi(FAMILY, "1")
    for operation in document["operations"].values():
        for part in (operation, operation.get("reply", operation)):
            channel = part["channel"]["$ref"]
            assert all(each["$ref"].startswith(f"{channel}/messages/") for each in part["messages"])


def test_the_asyncapi_document_has_every_message_and_all_that_is_around_them():
    document = asyncapi(FAMILY, "1")
    messages = document["components"]["messages"]
    assert {entry["name"] for entry in messages.values()} == {*FAMILY, *FRAMING} - {"envelope"}
    headers = target(document, messages["hello"]["headers"]["$ref"])
    assert [item for item in headers["prefixItems"]]  # noqa: C416 - an array of fields
    assert len(headers["prefixItems"]) == len(Envelope.__struct_fields__)
    assert {kind.value for kind in Kind} == set(document["components"]["schemas"]["Kind"]["enum"])


def test_the_documents_are_the_same_on_every_day():
    assert json.dumps(json_schema(FAMILY)) == json.dumps(json_schema(family_messages()))
    assert list(FAMILY) == sorted(FAMILY)
    assert {kind.__module__ for kind in FAMILY.values()} <= set(MESSAGE_MODULES)
