"""Real libraries do real work in the sandbox, and come to the same result as without it.

`uv run nox -s libraries` installs them and runs this. What they need is told in docs/how-to/use-python-libraries.md.
"""

import os
import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is tested on Linux"),
]
PAGE = Path(__file__).parents[4] / "docs/how-to/use-python-libraries.md"
UNCONFINED = "unconfined"


def test_a_library_does_in_the_sandbox_what_it_does_without(hosted, tier, user, library):
    expected = dict(hosted(UNCONFINED, os.geteuid())["found"][library])
    if library == "joblib" and tier == "fallback":  # which has no semaphores between processes
        expected["processes"] = "its own"
    assert expected
    assert hosted(tier, user)["found"][library] == expected


def test_what_a_library_is_refused_is_told_in_a_few_lines(hosted, tier, user):
    """The tracker that joblib starts beside its processes finds no libraries, and joblib goes on without it."""
    lines = [text for id, _, text in hosted(tier, user)["log"] if id != "acme.joblib"]
    assert not [text for text in lines if "Traceback" in text], lines
    assert len(lines) <= 12, lines


def test_the_versions_of_the_table_are_those_that_were_tried(hosted):
    if not PAGE.exists():
        pytest.skip("only in the workspace")
    hosted(UNCONFINED, os.geteuid())  # skips where not all are installed
    told = re.findall(r"^\| `([\w-]+)` \| ([\d.]+) \|", PAGE.read_text(), re.MULTILINE)
    assert len(told) >= 8
    assert dict(told) == {name: version(name) for name, _ in told}
