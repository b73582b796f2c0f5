"""The page "Decide what extensions may do": its commands say what it says, and its policy is one."""

import os
import subprocess
import sys

import pytest
from symphony_isolation.permissions import load_policy
from symphony_sdk.permissions import parse


@pytest.fixture
def page(pages):
    return pages["how-to/decide-what-extensions-may-do.md"]


def spoken(text):
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def test_the_commands_of_the_page_say_what_it_says(page, tmp_path):
    directories = {f"SYMPHONY_{kind}_DIR": str(tmp_path / kind) for kind in ("DATA", "CACHE", "CONFIG")}
    [block] = [each for each in page.blocks if "permissions request" in each.text]
    for part in block.text.removeprefix("$ ").split("\n$ "):
        command, _, expected = part.partition("\n")
        done = subprocess.run(
            [sys.executable, "-m", "symphony_host", *command.split()[1:]],
            env={**os.environ, **directories, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert spoken(done.stdout) == spoken(expected), command


def test_the_policy_of_the_page_is_one(page, tmp_path):
    [block] = [each for each in page.blocks if each.title == "policy.toml"]
    (tmp_path / "policy.toml").write_text(block.text)
    policy = load_policy(tmp_path / "policy.toml")
    roots = {"home": "/home/ada", "project": "/srv/project"}
    assert policy.denies("acme.text", parse("network:read:10.0.0.1:80"), roots)
    assert policy.denies("acme.text", parse("file:read:/home/ada/.ssh/id"), roots)
    assert policy.allows("symphony.files", parse("file:read:${project}/a"), roots)
    assert not policy.allows("acme.text", parse("file:read:${project}/a"), roots)
