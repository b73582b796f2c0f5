"""The editor's messages: those of xi's front-end protocol, in JSON, and those of `TextEditingPort`, in MessagePack.

The first are what an editor process and its front end say to each other over `symphony_ipc.jsonrpc`: they keep
xi's names and shapes as its code has them, not as its documents do. The second let an editor live behind a
connection or the bus.
"""

from symphony_ipc.editor import announcements, calls, commands, edits, updates
from symphony_ipc.editor.announcements import TO_FRONT_END
from symphony_ipc.editor.commands import TO_CORE, Edit
from symphony_ipc.editor.edits import EDITS, PLAIN_EDITS, EditCommand, Plain

__all__ = [
    "EDITS",
    "PLAIN_EDITS",
    "TO_CORE",
    "TO_FRONT_END",
    "Edit",
    "EditCommand",
    "Plain",
    "announcements",
    "calls",
    "commands",
    "edits",
    "updates",
]
