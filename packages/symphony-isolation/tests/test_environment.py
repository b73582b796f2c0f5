"""Which variables of the host a worker has: those that were granted, in no process but its own, and told to nobody."""

import asyncio
import os
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from symphony_isolation import IsolatedExtensions
from symphony_isolation.audit import AuditLog
from symphony_isolation.environment import ENVIRONMENT_LIMIT, granted_environment
from symphony_isolation.permissions import AdminPolicy, Authority, Declaration, Grants, load_policy
from symphony_isolation.way import Way
from symphony_sdk.errors import PermissionDenied, SymphonyError
from symphony_sdk.permissions import PermissionSet, parse

SECRET = "hunter2-and-more"
SOURCE = """
import os
from symphony_sdk import Context, operator, provides_operators

@operator("acme.vars.all")
def all(ctx: Context) -> dict[str, str]:
    return {name: ascii(value) for name, value in os.environ.items()}

@provides_operators
def operators():
    yield all
"""


@pytest.fixture(params=["warm", "cold"])
def way(request, monkeypatch):
    if request.param == "cold":
        monkeypatch.setattr("symphony_isolation.launcher.way_of", lambda python: Way("cold"))
    return request.param


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    monkeypatch.setenv("ACME_TOKEN", SECRET)
    monkeypatch.setenv("ACME_REGION", "north")
    monkeypatch.setenv("ACMES", "of another name")
    monkeypatch.setenv("OTHER_TOKEN", SECRET)
    monkeypatch.delenv("ACME_NONE", raising=False)


class Seen(NamedTuple):
    """What was seen of a run: variables of the worker; what other processes can read of it; audit records; log lines."""

    variables: dict[str, str]
    readable: bytes
    records: list[tuple[str, str, str]]
    lines: list[str]


def readable_of(pids):
    """What other processes can read of workers, and of the processes that started them, other than this one."""
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids}
    files = [Path(f"/proc/{pid}") for pid in {*pids, *parents} - {os.getpid()}]
    return b"".join((file / name).read_bytes() for file in files for name in ("environ", "cmdline"))


@pytest.fixture
def seen(house, call):
    """Runs an extension that was granted permissions; sees what it has in its environment."""

    def seen(*permissions, deny=(), policy=""):
        texts = (*permissions, *deny)
        declared = PermissionSet(
            tuple(msgspec.structs.replace(parse(text), required=False) for text in texts)
        )
        declaration = Declaration("acme.vars", "1.0", "acme", declared)
        (house.root / "policy.toml").write_text(policy)
        log = AuditLog(house.root / "audit", house.root / "audit.head")
        rules = load_policy(house.root / "policy.toml") if policy else AdminPolicy()
        authority = Authority({"acme.vars": declaration}, Grants(house.root / "grants"), rules, log)
        authority.grant("acme.vars", "always", tuple(map(parse, permissions)))
        if deny:
            authority.deny("acme.vars", "always", tuple(map(parse, deny)))

        async def scenario():
            extensions = IsolatedExtensions(
                [house.write("acme.vars", SOURCE, permissions=texts)],
                cache_dir=house.root / "cache",
                artifacts=lambda: house.store,
                on_log=lambda *line: lines.append(" ".join(line)),
                authority=authority,
                quarantine_dir=house.root / "quarantine",
            )
            try:
                found = await call(extensions, "acme.vars.all")
                return found, readable_of((await extensions.health("acme.vars")).pids.values())
            finally:
                await extensions.stop()

        lines: list[str] = []
        found, readable = asyncio.run(scenario())
        records = [(record.resource, record.decision, record.rule) for record in log.records()]
        return Seen(found, readable, [each for each in records if "environment" in each[0]], lines)

    return seen


def test_what_was_granted_is_there_and_nothing_else_of_the_host(seen, house, way):
    told = seen("system:read:environment:ACME_TOKEN", "system:read:environment:ACME_NONE")
    assert told.variables["ACME_TOKEN"] == ascii(SECRET)
    assert {"ACME_REGION", "ACMES", "OTHER_TOKEN", "ACME_NONE"}.isdisjoint(told.variables)
    assert ("environment:ACME_TOKEN", "allow", "user-allow") in told.records
    assert SECRET.encode() not in told.readable
    assert not [line for line in told.lines if SECRET in line]
    kept = [path for path in house.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == []


def test_what_is_denied_is_left_out_of_what_a_star_stands_for(seen):
    told = seen(
        "system:read:environment:ACME_*",
        deny=("system:read:environment:ACME_TOKEN",),
        policy='deny = ["system:read:environment:ACME_REGION"]',
    )
    assert not [name for name in told.variables if name.startswith("ACME")]
    assert {each for each in told.records if each[1] == "deny"} >= {
        ("environment:ACME_TOKEN", "deny", "user-deny"),
        ("environment:ACME_REGION", "deny", "policy-deny"),
    }
    assert seen("system:read:environment:ACME_*", policy="").variables["ACME_REGION"] == "'north'"


def test_without_a_grant_nothing_is_there(seen):
    assert not [name for name in seen().variables if "ACME" in name or "TOKEN" in name]


def test_bytes_that_are_no_text_arrive_as_they_are(house, call, monkeypatch):
    monkeypatch.setitem(os.environb, b"ACME_BYTES", b"\xff=\n ")
    monkeypatch.setenv("ACME_EMPTY", "")

    async def scenario():
        permissions = ("system:read:environment:ACME_BYTES", "system:read:environment:ACME_EMPTY")
        async with house.opened(house.write("acme.vars", SOURCE, permissions=permissions)) as extensions:
            return await call(extensions, "acme.vars.all")

    found = asyncio.run(scenario())
    assert (found["ACME_BYTES"], found["ACME_EMPTY"]) == (ascii("\udcff=\n "), "''")


def test_more_than_a_worker_takes_is_refused_by_name_and_not_by_value(house, call, monkeypatch):
    monkeypatch.setenv("ACME_TOKEN", SECRET * (ENVIRONMENT_LIMIT // len(SECRET)))
    spec = house.write("acme.vars", SOURCE, permissions=("system:read:environment:ACME_TOKEN",))

    async def scenario():
        async with house.opened(spec) as extensions:
            with pytest.raises(SymphonyError, match="ACME_TOKEN") as caught:
                await call(extensions, "acme.vars.all")
            return str(caught.value)

    assert SECRET not in asyncio.run(scenario())
    with pytest.raises(PermissionDenied) as caught:
        granted_environment(spec)
    assert caught.value.code == "SYM-P012"
    assert SECRET not in repr(caught.value.payload())
    monkeypatch.setenv("ACME_TOKEN", SECRET)
    assert granted_environment(spec) == (f"ACME_TOKEN={SECRET}".encode(),)
