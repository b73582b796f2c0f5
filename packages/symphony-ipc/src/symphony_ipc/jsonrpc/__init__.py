"""JSON-RPC with one message a line, as xi's front ends speak it with their editor.

It is JSON-RPC 2.0 but for three things: the member `jsonrpc` is not sent, and ignored where it comes in; both
ends may ask; there are no batches. A line that is no message, an unknown method or an empty line never ends
the conversation: what can be answered is answered with an error, and all of it is counted.
"""

from symphony_ipc.jsonrpc.blocking import BlockingJsonRpc
from symphony_ipc.jsonrpc.dialogue import Dialogue, Faults, Method, Methods
from symphony_ipc.jsonrpc.failures import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    SERVER_ERROR,
    rpc_error,
)
from symphony_ipc.jsonrpc.lines import LINE_LIMIT, LineReader
from symphony_ipc.jsonrpc.peer import JsonRpcPeer

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "LINE_LIMIT",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "SERVER_ERROR",
    "BlockingJsonRpc",
    "Dialogue",
    "Faults",
    "JsonRpcPeer",
    "LineReader",
    "Method",
    "Methods",
    "rpc_error",
]
