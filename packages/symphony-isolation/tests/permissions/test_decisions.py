"""Who decides: the order of the rules, the administrator's file, the gate."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_isolation.audit import AuditEvent
from symphony_isolation.permissions import (
    AdminPolicy,
    Decision,
    Declaration,
    Gate,
    Grants,
    decide,
    decide_for,
    load_policy,
)
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import Access, Permission, PermissionSet, parse

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
HOSTS = ("a.example.org", "b.example.org", "c.example.net")
PATTERNS = (*HOSTS, "*.example.org", "*")


class Recorded:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def append(self, event: AuditEvent, *, count: int = 1) -> None:
        self.events.append(event)


def declared(*texts: str, optional: Sequence[str] = (), version: str = "1.0") -> Declaration:
    permissions = tuple(map(parse, texts)) + tuple(parse(text, required=False) for text in optional)
    roots = {"project": "/srv/project", "home": "/home/ada", "data": "/var/acme"}
    return Declaration("acme.text", version, "acme-text", PermissionSet(permissions, roots))


def net(patterns: Sequence[str]) -> tuple[Permission, ...]:
    return tuple(parse(f"network:read:{pattern}") for pattern in patterns)


@pytest.mark.parametrize("facts", list(itertools.product([False, True], repeat=6)))
def test_the_first_rule_that_applies_decides(facts: tuple[bool, ...]) -> None:
    named, policy_denies, user_denies, policy_allows, user_allows, askable = facts
    found = decide(
        declared=named,
        policy_denies=policy_denies,
        user_denies=user_denies,
        policy_allows=policy_allows,
        user_allows=user_allows,
        askable=askable,
    )
    order = [
        (not named, Decision("deny", "undeclared")),
        (policy_denies, Decision("deny", "policy-deny")),
        (user_denies, Decision("deny", "user-deny")),
        (policy_allows, Decision("allow", "policy-allow")),
        (user_allows, Decision("allow", "user-allow")),
        (askable, Decision("ask", "ask")),
        (True, Decision("deny", "default")),
    ]
    assert found == next(decision for applies, decision in order if applies)


def matches(pattern: str, host: str) -> bool:
    """The oracle's own matching: the few patterns here are simple."""
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


@given(
    manifest=st.lists(st.sampled_from(PATTERNS), max_size=3),
    user_denies=st.lists(st.sampled_from(PATTERNS), max_size=2),
    user_allows=st.lists(st.sampled_from(PATTERNS), max_size=3),
    policy_denies=st.lists(st.sampled_from(PATTERNS), max_size=2),
    policy_allows=st.lists(st.sampled_from(PATTERNS), max_size=2),
    host=st.sampled_from(HOSTS),
)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_grants_and_policy_together_decide_as_an_oracle_does(
    tmp_path_factory: pytest.TempPathFactory,
    manifest: list[str],
    user_denies: list[str],
    user_allows: list[str],
    policy_denies: list[str],
    policy_allows: list[str],
    host: str,
) -> None:
    root = tmp_path_factory.mktemp("decide")
    (root / "policy.toml").write_text(
        f"allow = {[f'network:read:{each}' for each in policy_allows]}\n"
        f"deny = {[f'network:read:{each}' for each in policy_denies]}\n"
    )
    declaration = declared(*(f"network:read:{pattern}" for pattern in manifest))
    grants = Grants(root / "grants")
    grants.grant(declaration, net([each for each in user_allows if each not in user_denies]), "once")
    grants.deny(declaration, net(user_denies), "once")
    access = Access("network", "read", f"{host}:443")
    found = decide_for(declaration, access, grants, load_policy(root / "policy.toml"))

    def among(patterns: Sequence[str]) -> bool:
        return any(matches(pattern, host) for pattern in patterns)

    if not among(manifest):
        expected = "undeclared"
    elif among(policy_denies):
        expected = "policy-deny"
    elif among(user_denies):
        expected = "user-deny"
    elif among(policy_allows):
        expected = "policy-allow"
    elif among([each for each in user_allows if each not in user_denies]):
        expected = "user-allow"
    else:
        expected = "ask"
    assert found.rule == expected
    assert found.allowed == expected.endswith("allow")


def test_a_policy_can_be_for_some_extensions_and_for_whole_types(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(
        'deny = ["network"]\n'
        '[extensions."acme.*"]\nallow = ["system", "file:read:${project}/**"]\n'
        '[extensions."evil.*"]\ndeny = ["file"]\n'
    )
    policy = load_policy(tmp_path / "policy.toml")
    roots = {"project": "/srv/project"}
    by_address = Access("network", "read", "10.0.0.1:443")
    assert policy.denies("acme.text", by_address, roots)
    assert policy.denies("evil.text", parse("file:read:/x"), roots)
    assert not policy.denies("acme.text", parse("file:read:/x"), roots)
    assert policy.allows("acme.text", Access("file", "read", "/srv/project/a"), roots)
    assert policy.allows("acme.text", parse("system:execute:gpu"), roots)
    assert not policy.allows("evil.text", parse("system:execute:gpu"), roots)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deny = [", "not TOML"),
        ("denied = []", "`denied`"),
        ("deny = 'network'", "expected a list"),
        ("deny = ['netwrk:read:*']", "no type of permission"),
        ("[extensions.'a.*']\nforbid = []", "extensions.a.*: `forbid`"),
        ("extensions = 3", "no table"),
        ("[extensions]\n'a.*' = 3", "no table"),
        (None, "cannot be read"),
    ],
)
def test_a_broken_policy_allows_nothing_and_says_why(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "policy.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PermissionDenied) as caught:
        load_policy(path)
    assert caught.value.code == "SYM-P007"
    assert said in caught.value.message
    assert caught.value.file == str(path)


def test_without_a_file_there_is_no_policy() -> None:
    assert load_policy(None) == AdminPolicy()


# -- the gate -------------------------------------------------------------------------------------------


def test_the_gate_records_each_decision_with_the_rule_that_made_it(tmp_path: Path) -> None:
    declaration = declared("file:read:${project}/**", optional=["network:read:example.org"])
    grants, audit = Grants(tmp_path), Recorded()
    grants.grant(declaration, (parse("file:read:${project}/**"),), "session")
    gate = Gate(declaration, grants, AdminPolicy(), audit)
    assert gate.check(Access("file", "read", "/srv/project/a"), pid=9) == Decision("allow", "user-allow")
    assert gate.check(Access("network", "read", "example.org:443")) == Decision("ask", "ask")
    assert gate.check(Access("file", "write", "/srv/project/a")) == Decision("deny", "undeclared")
    assert audit.events[0] == AuditEvent(
        "acme.text", "file", "read", "/srv/project/a", "allow", "user-allow", "1.0", 9
    )
    assert [(each.decision, each.rule) for each in audit.events[1:]] == [
        ("ask", "ask"),
        ("deny", "undeclared"),
    ]


def test_the_gate_sees_what_another_process_grants_and_revokes_meanwhile(tmp_path: Path) -> None:
    declaration = declared(optional=["network:read:example.org"])
    here, other = Grants(tmp_path), Grants(tmp_path)
    gate = Gate(declaration, here, AdminPolicy(), Recorded())
    access = Access("network", "read", "example.org:443")
    assert gate.check(access).outcome == "ask"
    other.grant(declaration, net(["example.org"]), "always")
    assert gate.check(access).allowed
    other.revoke("acme.text")
    assert gate.check(access).outcome == "ask"


def test_the_gate_asks_whom_it_was_told_to_ask_and_decides_again(tmp_path: Path) -> None:
    declaration = declared(optional=["network:read:example.org", "network:read:example.net"])
    grants = Grants(tmp_path)
    asked: list[str] = []

    def ask(who: Declaration, access: Access) -> bool:
        asked.append(access.resource)
        if access.resource.startswith("example.org"):
            grants.grant(who, net(["example.org"]), "once")
        return True

    gate = Gate(declaration, grants, AdminPolicy(), Recorded(), ask=ask)
    assert gate.check(Access("network", "read", "example.org:443")).allowed
    assert gate.check(Access("network", "read", "example.org:443")).allowed
    assert gate.check(Access("network", "read", "example.net:443")) == Decision("ask", "ask")
    assert asked == ["example.org:443", "example.net:443"]


def test_a_refusal_says_who_denied_and_what_to_do(tmp_path: Path) -> None:
    declaration = declared("file:read:/a/**", "file:read:/b/**", "file:read:/c/**")
    (tmp_path / "policy.toml").write_text('deny = ["file:read:/a/**"]')
    grants = Grants(tmp_path / "grants")
    grants.deny(declaration, (parse("file:read:/b/**"),), "always")
    gate = Gate(declaration, grants, load_policy(tmp_path / "policy.toml"), Recorded())
    codes, hints = [], []
    for path in ("/a/x", "/b/x", "/c/x", "/d/x", "/c/\ud800"):
        with pytest.raises(PermissionDenied) as caught:
            gate.require(Access("file", "read", path))
        codes.append(caught.value.code)
        hints.append(caught.value.hint)
    assert codes == ["SYM-P004", "SYM-P005", "SYM-P003", "SYM-P001", "SYM-P003"]
    assert "symphony permissions grant acme.text --optional" in hints[2]
    assert "[[permissions.required]]" in hints[3]


def test_in_audit_only_what_nobody_denied_is_allowed_and_recorded(tmp_path: Path) -> None:
    declaration = declared("file:read:/a/**")
    grants, audit = Grants(tmp_path), Recorded()
    grants.deny(declaration, (parse("file:read:/a/secret"),), "always")
    gate = Gate(declaration, grants, AdminPolicy(), audit, audit_only=True)
    assert gate.check(Access("network", "read", "example.org:443")) == Decision("allow", "audit-only")
    assert gate.check(Access("file", "read", "/a/x")).allowed
    assert gate.check(Access("file", "read", "/a/secret")) == Decision("deny", "user-deny")
    assert [(each.decision, each.rule) for each in audit.events] == [
        ("would-deny", "audit-only"),
        ("would-ask", "audit-only"),
        ("deny", "user-deny"),
    ]


def test_what_cannot_be_recorded_is_not_allowed(tmp_path: Path) -> None:
    class Full:
        def append(self, event: AuditEvent, *, count: int = 1) -> None:
            raise PermissionDenied("the audit log cannot be written", code="SYM-P040")

    declaration = declared("file:read:/a/**")
    grants = Grants(tmp_path)
    grants.grant(declaration, declaration.permissions.permissions, "once")
    with pytest.raises(PermissionDenied) as caught:
        Gate(declaration, grants, AdminPolicy(), Full()).check(Access("file", "read", "/a/x"))
    assert caught.value.code == "SYM-P040"


def test_what_the_host_keeps_is_reached_by_nobody_whatever_is_granted(tmp_path: Path) -> None:
    declaration = declared("file:read,write:/**")
    grants = Grants(tmp_path)
    grants.grant(declaration, declaration.permissions.permissions, "once")
    for audit_only in (False, True):
        gate = Gate(declaration, grants, AdminPolicy(), Recorded(), audit_only=audit_only, hidden=["/var"])
        assert gate.check(Access("file", "write", "/var/grants/acme.json")) == Decision("deny", "protected")
        assert gate.check(Access("file", "read", "/var/acme/own")).allowed
        assert gate.check(Access("file", "read", "${data}/own")).rule != "protected"
        assert gate.check(Access("file", "read", "/srv/x")).allowed
    with pytest.raises(PermissionDenied) as caught:
        gate.require(Access("file", "read", "/var/grants/acme.json"))
    assert caught.value.code == "SYM-P011"
