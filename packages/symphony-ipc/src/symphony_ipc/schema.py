"""The protocol as documents for other tools: a JSON Schema of every message, and an AsyncAPI document.

On the wire all of it is MessagePack; where a JSON Schema says that a text is base64, the wire has plain bytes.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import msgspec
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.messages import MESSAGES

from symphony_ipc.envelope import PROTOCOL_MAX, Envelope
from symphony_ipc.handshake import Hello, Welcome

MESSAGE_MODULES: Final = (
    "symphony_sdk.broker_messages",
    "symphony_sdk.messages",
    "symphony_sdk.model_messages",
    "symphony_sdk.events",
    "symphony_sdk.ports.bus",
    "symphony_ipc.bus.messages",
    "symphony_ipc.editor.calls",
)
"""The modules that register the family's own messages."""

Messages = Mapping[str, type[msgspec.Struct]]

FRAMING: Final[Messages] = {"envelope": Envelope, "hello": Hello, "welcome": Welcome, "error": ErrorPayload}
"""What is on the wire around the messages and before them, by the name that documents give it."""

_MESSAGE_PACK: Final = "application/vnd.msgpack"


def family_messages() -> dict[str, type[msgspec.Struct]]:
    """Every message of the family by wire name, sorted; those of extensions are not among them."""
    for module in MESSAGE_MODULES:
        import_module(module)
    return {name: kind for name, kind in sorted(MESSAGES.items()) if kind.__module__ in MESSAGE_MODULES}


def json_schema(messages: Messages) -> dict[str, Any]:
    """One JSON Schema (2020-12) of all messages.

    It describes an object with one member: the payload of a message under its wire name.

    Args:
        messages: Types by wire name.
    """
    references, definitions = _components(messages, "#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of Symphony",
        "description": "An object with one member: the payload of a message under the message's wire name.",
        "type": "object",
        "properties": references,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "$defs": definitions,
    }


def asyncapi(messages: Messages, version: str) -> dict[str, Any]:
    """The protocol as an AsyncAPI 3.0 document: how two processes greet, ask, answer and publish.

    Args:
        messages: Types by wire name.
        version: Version of the family that the document is of.
    """
    references, schemas = _components({**messages, **FRAMING}, "#/components/schemas/{name}")
    sent = {**messages, **{name: kind for name, kind in FRAMING.items() if kind is not Envelope}}
    envelope = references["envelope"]
    described = {
        _key(name): {
            "name": name,
            "title": kind.__name__,
            "summary": _summary(kind),
            "contentType": _MESSAGE_PACK,
            "headers": envelope,
            "payload": references[name],
        }
        for name, kind in sent.items()
    }
    payloads = [_key(name) for name in messages]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Symphony's message plane",
            "version": version,
            "description": (
                f"Protocol version {PROTOCOL_MAX}. A frame is a length of four bytes, little-endian, and an envelope: "
                "a MessagePack array of the fields that the headers of each message describe, in their order, "
                "the encoded payload as the last."
            ),
        },
        "defaultContentType": _MESSAGE_PACK,
        "channels": {
            "handshake": {
                "address": None,
                "description": "The first exchange on a connection.",
                "messages": _on_channel(["hello", "welcome", "error"]),
            },
            "connection": {
                "address": None,
                "description": "Two processes that shook hands; both ask, tell and answer.",
                "messages": _on_channel([*payloads, "error"]),
            },
            "topic": {
                "address": "{topic}",
                "description": "A topic of the bus.",
                "parameters": {"topic": {"description": "Words joined by dots, such as `run.started`."}},
                "messages": _on_channel(payloads),
            },
            "endpoint": {
                "address": "{endpoint}",
                "description": "An endpoint of the bus, wherever it lives.",
                "parameters": {"endpoint": {"description": "The name that it is registered under."}},
                "messages": _on_channel([*payloads, "error"]),
            },
        },
        "operations": {
            "greet": _operation("handshake", "send", "Say HELLO; WELCOME or ERROR comes back.", ["hello"])
            | {
                "reply": {
                    "channel": _channel("handshake"),
                    "messages": _in("handshake", ["welcome", "error"]),
                }
            },
            "notify": _operation("connection", "send", "Tell the other end.", payloads),
            "request": _operation(
                "connection", "send", "Ask the other end: one answer, or a stream of items.", payloads
            )
            | {
                "reply": {
                    "channel": _channel("connection"),
                    "messages": _in("connection", [*payloads, "error"]),
                }
            },
            "publish": _operation("topic", "send", "Tell all who subscribed.", payloads),
            "subscribe": _operation("topic", "receive", "Get what is published.", payloads),
            "ask": _operation("endpoint", "send", "Ask whoever registered the endpoint.", payloads)
            | {"reply": {"channel": _channel("endpoint"), "messages": _in("endpoint", [*payloads, "error"])}},
        },
        "components": {"schemas": schemas, "messages": described},
    }


def _components(types: Messages, template: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """References to the types by wire name, and the definitions that these lead to."""
    references, definitions = msgspec.json.schema_components(types.values(), ref_template=template)
    return dict(zip(types, references, strict=True)), definitions


def _key(name: str) -> str:
    """A wire name as AsyncAPI lets a component be called."""
    return name.replace("/", "-v")


def _on_channel(keys: list[str]) -> dict[str, Any]:
    return {key: {"$ref": f"#/components/messages/{key}"} for key in keys}


def _channel(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{name}"}


def _in(channel: str, keys: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{key}"} for key in keys]


def _operation(channel: str, action: str, summary: str, keys: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": _channel(channel),
        "summary": summary,
        "messages": _in(channel, keys),
    }


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]
