"""Feeds hostile workflow files to the reader in little memory, and prints the code and the faults of each as JSON."""

import json
import resource

from symphony_sdk.errors import WorkflowError
from symphony_workflow import loads

ROOM = 2 << 30
MANY = 30_000


def file(**parts: str) -> str:
    return (
        "{"
        + ", ".join(['"schema": 2, "id": "x"', *(f'"{name}": {text}' for name, text in parts.items())])
        + "}"
    )


def table(value: str, many: int = MANY) -> str:
    return "{" + ",".join(f'"k{number}": {value}' for number in range(many)) + "}"


FILES = {
    "a million unknown keys": file(nodes="{}", x=table("0", 1_000_000)),
    "nodes of no kind": file(nodes=table("{}")),
    "nodes of a misspelt kind": file(nodes=table('{"kind": "operater"}')),
    "edges without ends": file(nodes="{}", edges="[" + ",".join(["{}"] * MANY) + "]"),
    "workflows without nodes": file(nodes="{}", workflows=table("{}")),
    "a kind of a million letters": file(nodes='{"a": {"kind": "' + "o" * 1_000_000 + '"}}'),
    "a kind of a million items": file(nodes='{"a": {"kind": [' + ",".join("0" * 1_000_000) + "]}}"),
    "nothing but brackets": file(
        nodes='{"a": {"kind": "operator", "uses": "a.b.c", "params": {"p": ' + "[" * 1_000_000
    ),
    "a number of a million digits": file(nodes="{}", x="9" * 1_000_000),
    "one key thousands of times": file(nodes="{}", x="{" + ",".join(['"a": 0'] * MANY) + "}"),
    "values that nest too deep": file(nodes="{}", x="[" * 900 + "]" * 900),
}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    said = {}
    for name, text in FILES.items():
        try:
            loads(text)
            said[name] = ["read", 0]
        except WorkflowError as error:
            said[name] = [error.code, len(error.details.get("faults", ()))]
            assert len(error.message) < 10_000
    print(json.dumps(said))
