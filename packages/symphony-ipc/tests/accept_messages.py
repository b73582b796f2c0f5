"""Keeps what is released of the protocol: one file for each message type beside this script, in `released/`.

    uv run python packages/symphony-ipc/tests/accept_messages.py

It adds what is new and refuses what would break a peer of an earlier release. Until a message was released,
delete its file to begin anew.
"""

import json
import sys
from pathlib import Path

from symphony_ipc.evolution import description, example, incompatibilities
from symphony_ipc.schema import FRAMING, family_messages

RELEASED = Path(__file__).with_name("released")


def main() -> int:
    refused = False
    for name, kind in {**family_messages(), **FRAMING}.items():
        file = RELEASED / f"{name.replace('/', '-')}.json"
        now, encoded = description(kind), example(kind).hex()
        before = json.loads(file.read_text("utf-8")) if file.exists() else {**now, "bytes": []}
        for problem in incompatibilities(before, now):
            print(f"{name}: {problem}: make it a new version of the message", file=sys.stderr)
            refused = True
        if not refused:
            samples = list(dict.fromkeys([*before["bytes"], encoded]))
            file.write_text(json.dumps({**now, "bytes": samples}, indent=1) + "\n", "utf-8")
    return int(refused)


if __name__ == "__main__":
    sys.exit(main())
