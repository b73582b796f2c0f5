"""A process that speaks JSON-RPC on its standard input and output, as an editor does."""

from typing import Any

import msgspec
from symphony_ipc.jsonrpc import BlockingJsonRpc, Method, rpc_error
from symphony_ipc.pipes import take_stdio
from symphony_sdk.errors import PortError


class Text(msgspec.Struct):
    text: str


class Count(msgspec.Struct):
    count: int


def main() -> None:
    def many(params: Count) -> int:
        for number in range(params.count):
            peer.notify("item", Text(f"{number}" * 100))
        return params.count

    def refuse(_: None) -> None:
        raise PortError("no such buffer", hint="Open it first.", details={"buffer": "b1"})

    def refuse_with_number(_: None) -> None:
        raise rpc_error(404, "missing view", {"view": "v1"})

    def defect(_: None) -> None:
        raise ZeroDivisionError("a defect")

    def ask_back(params: Text) -> str:
        peer.ask("width", params, lambda answer: peer.notify("width_is", str(bytes(answer), "ascii")))  # type: ignore[arg-type]
        return "asked"

    methods: dict[str, Method] = {
        "echo": Method(Text, lambda params: params.text),
        "print": Method(Text, lambda params: print(params.text, flush=True)),
        "many": Method(Count, many),
        "refuse": Method(None, refuse),
        "refuse_with_number": Method(None, refuse_with_number),
        "defect": Method(None, defect),
        "not_json": Method(None, lambda _: object()),
        "ask_back": Method(Text, ask_back),
        "faults": Method(None, lambda _: peer.faults),
        "stop": Method(None, lambda _: peer.close()),
    }
    table: dict[str, Any] = methods
    peer = BlockingJsonRpc(table, *take_stdio())
    peer.serve()


if __name__ == "__main__":
    main()
