"""What the user is shown: risk, words, and reasons that cannot deceive."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_isolation.permissions import Declaration, make_request, permission_text
from symphony_isolation.permissions.risk import risk_of
from symphony_isolation.permissions.shown_text import shown
from symphony_sdk.permissions import PermissionSet, parse


@pytest.mark.parametrize(
    ("text", "risk"),
    [
        ("file:read:${data}/**", "low"),
        ("file:write:${cache}/x", "low"),
        ("file:read:${project}/**", "medium"),
        ("file:write:${project}/**", "medium"),
        ("file:read:/usr/share/dict/words", "medium"),
        ("file:read:/**", "high"),
        ("file:read:/*/x", "high"),
        ("file:read:${home}/**", "high"),
        ("file:write:/etc/hosts", "high"),
        ("file:execute:/usr/bin/git", "high"),
        ("network:read:api.example.org:443", "medium"),
        ("network:read:*", "high"),
        ("network:read:*.example.org", "high"),
        ("network:read:10.0.0.0/8", "high"),
        ("network:write:127.0.0.1:80", "high"),
        ("system:execute:process", "high"),
        ("system:read:camera", "high"),
        ("system:read:environment:LANG", "medium"),
        ("system:read:environment:AWS_*", "high"),
        ("system:execute:gpu", "low"),
        ("model:execute:magika", "low"),
        ("model:write:magika", "medium"),
    ],
)
def test_the_risk_tells_what_can_be_lost(text: str, risk: str) -> None:
    assert risk_of(parse(text)) == risk


def test_the_riskiest_permission_is_asked_for_first_and_says_where_it_reaches() -> None:
    permissions = tuple(
        parse(text, reason=f"for {text}") for text in ("model:execute:magika", "file:read:${home}/**")
    )
    declaration = Declaration("acme.text", "1.0", "acme", PermissionSet(permissions, {"home": "/home/ada"}))
    request = make_request(declaration, permissions, None)
    assert [(item.risk, item.text) for item in request.items] == [
        ("high", "read everything in /home/ada"),
        ("low", "run the models magika"),
    ]
    assert request.verified is False
    assert request.choices == ("once", "session", "until-version", "always", "deny")


def test_a_permission_is_told_in_words() -> None:
    assert permission_text(parse("file:read:/**"), {}) == "read everything in /"
    assert permission_text(parse("file:write:${project}/a"), {}) == "change and delete ${project}/a"
    assert permission_text(parse("network:read:example.org:443"), {}) == "connect to example.org:443"
    assert permission_text(parse("system:execute:gpu"), {}) == "use of the system: gpu"


def test_a_reason_that_turns_the_line_around_or_moves_the_cursor_is_shown_plainly() -> None:
    assert shown("reads\x1b[2J \u202efiles\u200b\nonly") == "reads[2J files only"
    assert len(shown("x" * 1000)) == 300
    assert shown("a   b\t\tc") == "a b c"


@given(st.text(st.characters()))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_is_shown_is_invisible_or_longer_than_a_few_lines(text: str) -> None:
    found = shown(text)
    assert len(found) <= 300
    assert all(unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for each in found)
