"""The text of permissions: what is one, what is none, and that print and parse are inverse."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import ManifestError
from symphony_sdk.permissions import FEATURES, VARIABLES, Access, Permission, parse

GOOD = [
    "file:read:${project}",
    "file:read,write:${project}/**",
    "file:read:/",
    "file:read:/**",
    "file:execute:/usr/bin/git",
    "file:read:${home}/*.cfg",
    "file:read:${data}/a?c/**/x.json",
    "file:read:${cache}/name with spaces/ünïcode",
    "file:write:${tmp}/...hidden",
    "file:read:/srv/[a]",
    "network:read:api.example.org:443",
    "network:read:api.example.org",
    "network:read:*.example.org:8000-8080",
    "network:read:*",
    "network:read:*:443",
    "network:write:127.0.0.1:8000",
    "network:read:10.0.0.0/8",
    "network:read:10.0.0.0/8:443",
    "network:read:[::1]:443",
    "network:read:[2001:db8::/32]:443",
    "network:read:[2001:db8::]",
    "network:read:xn--mnchen-3ya.de:443",
    "network:read:localhost:8000",
    "system:read:environment:ACME_TOKEN",
    "system:read:environment:ACME_*",
    "system:execute:process",
    "system:read,write:clipboard",
    "system:execute:gpu",
    "model:execute:magika",
    "model:read,execute:openai/whisper-*",
    "model:write:**",
    "model:execute:llama3.1:8b",
]

BAD = [
    ("", "type", "is no permission"),
    ("file", "type", "is no permission"),
    ("file:read", "type", "is no permission"),
    ("flie:read:/x", "type", "'flie' is no type"),
    ("File:read:/x", "type", "is no type"),
    ("file:raed:/x", "scope", "'raed' is no scope"),
    ("file::/x", "scope", "'' is no scope"),
    ("file:read, write:/x", "scope", "' write' is no scope"),
    ("network:execute:example.org", "scope", "the network has no scope 'execute'"),
    ("system:write:gpu", "scope", "'gpu' has no scope 'write'"),
    ("system:read:process", "scope", "has no scope 'read'"),
    ("system:write:environment:X", "scope", "has no scope 'write'"),
    ("file:read:", "resource", "is relative"),
    ("file:read:src/**", "resource", "is relative"),
    ("file:read:~/x", "resource", "is relative"),
    ("file:read:C:/x", "resource", "is relative"),
    ("file:read:${projekt}/**", "resource", "unknown variable"),
    ("file:read:${}/x", "resource", "unknown variable"),
    ("file:read:${project}x", "resource", "is relative"),
    ("file:read:${project}/${home}", "resource", "not at its start"),
    ("file:read:/a/${home}", "resource", "not at its start"),
    ("file:read:${project}/../x", "resource", "lead out of its root"),
    ("file:read:${project}/..", "resource", "lead out of its root"),
    ("file:read:${project}/./x", "resource", "lead out of its root"),
    ("file:read:${project}/.../x", "resource", "lead out of its root"),
    ("file:read:${project}/a./x", "resource", "trailing dot"),
    ("file:read:${project}/a /x", "resource", "trailing dot or space"),
    ("file:read:${project}/", "resource", "empty name"),
    ("file:read:${project}//x", "resource", "empty name"),
    ("file:read:/x/", "resource", "empty name"),
    ("file:read://x", "resource", "empty name"),
    ("file:read:${project}/a**", "resource", "stands alone"),
    ("file:read:${project}/**/**", "resource", "the same as"),
    ("file:read:${project}\\x", "resource", "backslash"),
    ("file:read:/x\0", "resource", "invisible character U+0000"),
    ("file:read:/x\u202egpj", "resource", "invisible character U+202E"),
    ("file:read:/x\n", "resource", "invisible character U+000A"),
    ("network:read:", "resource", "host name"),
    ("network:read:https://example.org", "resource", "port"),
    ("network:read:example.org/path", "resource", "not an address"),
    ("network:read:example.org:", "resource", "port ''"),
    ("network:read:example.org:0", "resource", "port '0'"),
    ("network:read:example.org:65536", "resource", "port '65536'"),
    ("network:read:example.org:90-80", "resource", "port '90-80'"),
    ("network:read:example.org:http", "resource", "port 'http'"),
    ("network:read:example.org.", "resource", "host name"),
    ("network:read:Example.org", "resource", "upper case"),
    ("network:read:münchen.de", "resource", "not ASCII"),
    ("network:read:a.*.org", "resource", "host name"),
    ("network:read:api*.org", "resource", "host name"),
    ("network:read:-x.org", "resource", "host name"),
    (f"network:read:{'a' * 64}.org", "resource", "host name"),
    (f"network:read:{'a.' * 130}org", "resource", "host name"),
    ("network:read:127.1", "resource", "not an address"),
    ("network:read:2130706433", "resource", "not an address"),
    ("network:read:0x7f.1", "resource", "not an address"),
    ("network:read:a.0x7f", "resource", "not an address"),
    ("network:read:10.0.0.1/8", "resource", "host bits set"),
    ("network:read:10.0.0.0/33", "resource", "not an address"),
    ("network:read:::1", "resource", "host name"),
    ("network:read:[::1", "resource", "not an IPv6 address"),
    ("network:read:[::1]443", "resource", "not an IPv6 address"),
    ("network:read:[example.org]:443", "resource", "no IPv6 address"),
    ("network:read:[::ffff:10.0.0.1]:443", "resource", "depends on where"),
    ("network:read:[fe80::1%eth0]:443", "resource", "depends on where"),
    ("system:read:clipbaord", "resource", "no feature"),
    ("system:read:environment", "resource", "does not name"),
    ("system:read:environment:", "resource", "does not name"),
    ("system:read:environment:*", "resource", "does not name"),
    ("system:read:environment:A-B", "resource", "does not name"),
    ("system:read:clipboard:", "resource", "takes no name"),
    ("model:execute:", "resource", "empty name"),
    ("model:execute:a//b", "resource", "empty name"),
    ("model:execute:/a", "resource", "empty name"),
    ("model:execute:../a", "resource", "lead out"),
    (f"model:execute:{'a' * 1025}", "resource", "has 1025 characters"),
    ("model:execute:a b", "resource", "no model name has"),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_permission_prints_as_it_was_written(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(("text", "part", "message"), BAD)
def test_a_malformed_permission_is_refused_with_the_part_that_is_wrong(
    text: str, part: str, message: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text)
    assert caught.value.code == "SYM-M006"
    assert caught.value.details["part"] == part
    assert message in caught.value.message
    assert caught.value.hint


def test_scopes_are_kept_in_one_order_and_once() -> None:
    assert str(parse("file:write,read,write:/x")) == "file:read,write:/x"
    assert parse("file:write,read:/x") == parse("file:read,write:/x")


def test_a_misspelt_type_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ManifestError) as caught:
        parse("netwrk:read:example.org")
    assert caught.value.hint == "Did you mean `network`?"


def test_a_permission_without_scopes_is_refused() -> None:
    with pytest.raises(ManifestError, match="scope is empty"):
        Permission("file", (), "/x")


def test_an_access_prints_like_a_permission_of_one_scope() -> None:
    assert str(Access("file", "read", "/x")) == "file:read:/x"


def test_reason_and_requirement_are_kept_beside_the_text() -> None:
    permission = parse("file:read:/x", reason="why", required=False)
    assert (permission.reason, permission.required) == ("why", False)


def test_a_malformed_permission_in_an_index_is_refused_when_it_is_decoded() -> None:
    with pytest.raises(ManifestError, match="lead out"):
        msgspec.json.decode(b'{"type":"file","scope":["read"],"resource":"/a/../b"}', type=Permission)


_name = st.text("abcXYZ019_-é[]$", min_size=1, max_size=6)
_glob = st.one_of(
    _name, st.just("*"), st.builds("{}*{}".format, _name, _name), st.builds("?{}".format, _name)
)
_label = st.from_regex(r"[a-z]([a-z0-9-]{0,5}[a-z])?", fullmatch=True)


@st.composite
def _path(draw: st.DrawFn) -> str:
    root = draw(st.sampled_from(["", *(f"${{{name}}}" for name in VARIABLES)]))
    names = draw(st.lists(_glob, min_size=0 if root else 1, max_size=4))
    if draw(st.booleans()):
        names.insert(draw(st.integers(0, len(names))), "**")
    return "/".join([root, *names])


@st.composite
def _endpoint(draw: st.DrawFn) -> str:
    name = st.lists(_label, min_size=1, max_size=3).map(".".join)
    host = draw(
        st.one_of(
            name,
            name.map("*.{}".format),
            st.just("*"),
            st.ip_addresses(v=4).map(str),
            st.integers(0, 32).map("0.0.0.0/{}".format),
            st.ip_addresses(v=6).filter(lambda ip: ip.ipv4_mapped is None).map("[{}]".format),
        )
    )
    low = draw(st.integers(1, 65535))
    return host + draw(st.sampled_from(["", f":{low}", f":{low}-65535"]))


@st.composite
def permissions(draw: st.DrawFn) -> Permission:
    kind = draw(st.sampled_from(["file", "network", "system", "model"]))
    scopes: tuple[str, ...] = ("read", "write", "execute")
    if kind == "file":
        resource = draw(_path())
    elif kind == "network":
        resource, scopes = draw(_endpoint()), ("read", "write")
    elif kind == "system":
        resource = draw(st.sampled_from(sorted(FEATURES)))
        scopes = FEATURES[resource]
        if resource == "environment":
            resource += ":" + draw(st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}\*?", fullmatch=True))
    else:
        resource = "/".join(
            draw(st.lists(st.from_regex(r"[a-z][a-z0-9.*?-]?[a-z]", fullmatch=True), min_size=1))
        )
    scope = draw(st.lists(st.sampled_from(scopes), min_size=1, unique=True))
    return Permission(kind, tuple(scope), resource, draw(st.text(max_size=5)), draw(st.booleans()))


@settings(deadline=None)
@given(permissions())
def test_print_and_parse_are_inverse(permission: Permission) -> None:
    read = parse(str(permission), reason=permission.reason, required=permission.required)
    assert read == permission


@settings(deadline=None)
@given(permissions())
def test_a_permission_survives_the_index(permission: Permission) -> None:
    assert msgspec.json.decode(msgspec.json.encode(permission), type=Permission) == permission


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_permission_or_is_refused_as_malformed(text: str) -> None:
    try:
        permission = parse(text)
    except ManifestError as error:
        assert error.code == "SYM-M006"
    else:
        assert parse(str(permission)) == permission


@settings(deadline=None)
@given(
    st.sampled_from(["file:read:", "network:read:", "system:read:", "model:read:"]),
    st.text("/.*?:[]-a1${}", max_size=12),
)
def test_any_resource_is_one_or_is_refused_as_malformed(start: str, resource: str) -> None:
    try:
        permission = parse(start + resource)
    except ManifestError as error:
        assert error.code == "SYM-M006"
    else:
        assert permission.resource == resource
