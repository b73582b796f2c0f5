"""Sets of permissions: covering, updates that widen, and the check with its error."""

import os
import subprocess
import sys
import tomllib

import msgspec
import pytest
from symphony_sdk.errors import ErrorPayload, PermissionDenied
from symphony_sdk.permissions import Access, Permission, PermissionSet, parse

ROOTS = {"project": "/home/ada/flows", "home": "/home/ada"}


def _set(*texts: str) -> PermissionSet:
    return PermissionSet.parse(texts, roots=ROOTS)


def test_each_scope_may_be_covered_by_another_permission() -> None:
    permissions = _set("file:read:${project}/**", "file:write:${project}/out/**")
    assert permissions.covers(parse("file:read,write:${project}/out/x"))
    assert not permissions.covers(parse("file:read,write:${project}/x"))
    assert permissions.covers(Access("file", "write", "/home/ada/flows/out/x"))


def test_nothing_declared_is_nothing_allowed() -> None:
    assert not PermissionSet().covers(Access("system", "execute", "gpu"))


def test_required_and_optional_are_told_apart() -> None:
    required, optional = parse("file:read:/a"), parse("file:read:/b", required=False)
    permissions = PermissionSet((required, optional), ROOTS)
    assert permissions.required == PermissionSet((required,), ROOTS)
    assert permissions.optional == PermissionSet((optional,), ROOTS)


def test_an_update_that_asks_for_the_same_or_less_widens_nothing() -> None:
    old = _set("file:read,write:${project}/**", "network:read:*.example.org")
    new = _set("network:read:api.example.org:443", "file:read:${project}/src/**")
    assert new.widens(old) == []


def test_an_update_widens_by_exactly_the_scopes_that_are_new() -> None:
    old = _set("file:read:${project}/**")
    new = _set("file:read,write:${project}/out", "network:read:example.org", "file:read:${project}/a")
    assert list(map(str, new.widens(old))) == ["file:write:${project}/out", "network:read:example.org"]


def test_an_optional_permission_that_becomes_required_widens_and_the_other_way_round_does_not() -> None:
    required = PermissionSet((parse("system:execute:gpu"),))
    optional = PermissionSet((parse("system:execute:gpu", required=False),))
    assert required.widens(optional) == [parse("system:execute:gpu")]
    assert optional.widens(required) == []


def test_a_covered_access_passes_the_check() -> None:
    permissions = _set("file:read:${project}/**")
    permissions.check(Access("file", "read", "/home/ada/flows/x"), extension="acme.text")
    assert permissions.covers(Access("file", "read", "/home/ada/flows/x"))


@pytest.mark.parametrize(
    ("access", "what", "resource"),
    [
        (
            Access("file", "write", "/home/ada/flows/a/x"),
            "may not write '/home/ada/flows/a/x'",
            "${project}/a/x",
        ),
        (Access("file", "read", "/home/ada/flows"), "may not read", "${project}"),
        (Access("file", "read", "/home/ada/y"), "may not read '/home/ada/y'", "${home}/y"),
        (Access("file", "write", "${project}/b"), "may not write '${project}/b'", "${project}/b"),
        (Access("file", "execute", "/usr/bin/git"), "may not run '/usr/bin/git'", "/usr/bin/git"),
        (Access("file", "write", '/srv/*"x"'), "may not write", '/srv/?"x"'),
        (
            Access("network", "read", "Example.org:443"),
            "may not connect to 'Example.org:443'",
            "example.org:443",
        ),
        (Access("network", "write", "[::1]:80"), "may not listen on", "[::1]:80"),
        (Access("system", "read", "environment:HOME"), "may not read the system's", "environment:HOME"),
        (Access("model", "execute", "openai/x"), "may not run the model 'openai/x'", "openai/x"),
    ],
)
def test_a_refusal_says_what_was_tried_and_the_lines_that_allow_it(
    access: Access, what: str, resource: str
) -> None:
    permissions = _set("file:read:${project}/a/**", "file:write:${tmp}/**")
    with pytest.raises(PermissionDenied) as caught:
        permissions.check(access, extension="acme.text")
    error = caught.value
    assert error.code == "SYM-P001"
    assert error.message.startswith(f"acme.text {what}")
    assert error.details["declared"] == ["file:read:${project}/a/**", "file:write:${tmp}/**"]
    declaration = tomllib.loads(error.details["declaration"])["permissions"]["required"][0]
    assert declaration["resource"] == resource
    assert error.details["declaration"] in error.hint
    allowed = Permission(declaration["type"], tuple(declaration["scope"]), declaration["resource"])
    PermissionSet((allowed,), ROOTS).check(access)


def test_a_refusal_names_only_what_is_declared_of_that_type() -> None:
    with pytest.raises(PermissionDenied, match="it declares only file:read:/a"):
        _set("file:read:/a", "system:execute:gpu").check(Access("file", "read", "/b"))
    with pytest.raises(PermissionDenied, match="it declares no network permission"):
        _set("file:read:/a").check(Access("network", "read", "example.org:443"))


@pytest.mark.parametrize(
    "access",
    [
        Access("file", "read", "/a/../b"),
        Access("file", "read", "relative"),
        Access("file", "write", "/x" * 2049),
        Access("file", "read", "/home/ada/flows/x\0"),
        Access("network", "read", "2130706433:80"),
        Access("network", "execute", "example.org:80"),
        Access("system", "read", "nonsense"),
        Access("nonsense", "read", "x"),  # type: ignore[arg-type] # what a hostile worker could send
    ],
)
def test_no_lines_are_offered_for_what_no_permission_can_allow(access: Access) -> None:
    with pytest.raises(PermissionDenied) as caught:
        _set("file:read:/**").check(access)
    assert caught.value.details["declaration"] == ""
    assert "No permission can allow this" in caught.value.hint


@pytest.mark.parametrize("resource", ["/odd/\udcff", "/x" * 2**20])
def test_a_refusal_of_any_name_crosses_a_boundary(resource: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        _set("file:read:/a").check(Access("file", "read", resource))
    payload = caught.value.payload()
    encoded = msgspec.msgpack.encode(payload)
    assert len(encoded) < 20_000
    assert msgspec.msgpack.decode(encoded, type=ErrorPayload) == payload


def test_a_file_name_that_is_not_utf8_is_covered_like_any_other() -> None:
    assert _set("file:read:${project}/*").covers(Access("file", "read", "/home/ada/flows/\udcff"))


def test_permissions_and_records_import_nothing_heavy() -> None:
    code = (
        "import sys, symphony_sdk.permissions, symphony_sdk.manifest_record\n"
        "heavy = {'pydantic', 'tomllib', 'packaging', 'ipaddress', 'httpx', 'networkx'} & sys.modules.keys()\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    # coverage's own start in child processes imports some of what must not be imported
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
