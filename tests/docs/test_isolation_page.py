"""The page "Isolation": what it says was tried is what the tests of the sandbox try, and what remains is named."""

import subprocess
import sys
from pathlib import Path

import pytest

ESCAPES = Path(__file__).parents[2] / "packages/symphony-isolation/tests/escapes"
TABLE = """
from attempts import TABLES
from attempts.places import REMAIN

print("| attempts of the kind | tried | get through in `full` | in `fallback` |")
print("|---|---|---|---|")
for table in TABLES:
    through = [
        ", ".join(one.name for one in table.attempts if one.name in REMAIN[tier]) or "none"
        for tier in ("full", "fallback")
    ]
    print(f"| {table.kind} | {len(table.attempts)} | {' | '.join(through)} |")
print(f"| all | {sum(len(table.attempts) for table in TABLES)} | {len(REMAIN['full'])} | {len(REMAIN['fallback'])} |")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the attempts are those of Linux")
def test_the_page_names_the_attempts_that_get_through_and_how_many_were_tried(pages):
    command = [sys.executable, "-c", TABLE]
    table = subprocess.run(
        command, cwd=ESCAPES, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert table in pages["explanation/isolation.md"].text
