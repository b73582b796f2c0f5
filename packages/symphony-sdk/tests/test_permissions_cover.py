"""What a permission covers, and that it never covers more than it says."""

import os.path
import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import ManifestError
from symphony_sdk.permissions import Access, Permission, covers, parse

ROOTS = {"project": "/home/ada/flows", "home": "/home/ada", "data": "/var/lib/sym/odd * name?"}

WIDER_AND_NARROWER = [
    ("file:read:${project}/**", "file:read:${project}"),
    ("file:read:${project}/**", "file:read:${project}/**"),
    ("file:read:${project}/**", "file:read:${project}/a/*.py"),
    ("file:read:${project}/**/*.py", "file:read:${project}/a/b/x?.py"),
    ("file:read:${project}/**/a/**", "file:read:${project}/b/**/a/c"),
    ("file:read,write:/a/*", "file:write:/a/b*"),
    ("file:read:/**", "file:read:/"),
    ("file:read:/a/?*", "file:read:/a/?b"),
    ("network:read:*", "network:read:*.example.org:443"),
    ("network:read:*.org", "network:read:*.example.org"),
    ("network:read:example.org", "network:read:example.org:443"),
    ("network:read:example.org:80-90", "network:read:example.org:85"),
    ("network:read:10.0.0.0/8", "network:read:10.1.0.0/16:443"),
    ("network:read:[::/0]:1-65535", "network:read:[2001:db8::/32]:443"),
    ("system:read:environment:HF_*", "system:read:environment:HF_T*"),
    ("system:read,write:clipboard", "system:write:clipboard"),
    ("model:read,execute:**", "model:execute:openai/whisper-*"),
    ("model:execute:openai/*", "model:execute:openai/gpt-2"),
]
NOT_COVERED = [
    ("file:read:${project}/**", "file:write:${project}/x"),
    ("file:read:${project}/**", "file:read:${home}/**"),
    ("file:read:${project}/*", "file:read:${project}/a/b"),
    ("file:read:${project}/*", "file:read:${project}"),
    ("file:read:${project}/*", "file:read:${project}/**"),
    ("file:read:${project}/**/a", "file:read:${project}/**"),
    ("file:read:/a/?", "file:read:/a/*"),
    ("file:read:/a/x", "file:read:/a/?"),
    ("file:read:/a/x", "file:read:/a/X"),
    ("file:read:/**", "file:read:${project}/**"),
    ("network:read:*.example.org", "network:read:example.org"),
    ("network:read:*.example.org", "network:read:*"),
    ("network:read:*.example.org", "network:read:badexample.org"),
    ("network:read:*", "network:read:10.0.0.1"),
    ("network:read:0.0.0.0/0", "network:read:example.org"),
    ("network:read:[::/0]", "network:read:10.0.0.1"),
    ("network:read:10.0.0.0/16", "network:read:10.0.0.0/8"),
    ("network:read:example.org:443", "network:read:example.org"),
    ("network:read:example.org:80-90", "network:read:example.org:85-95"),
    ("system:read:environment:A", "system:read:environment:AB"),
    ("system:read:environment:A", "system:read:environment:A*"),
    ("system:read:environment:A_*", "system:read:clipboard"),
    ("model:execute:openai/*", "model:execute:openai/a/b"),
    ("model:execute:*", "model:execute:openai/a"),
    ("model:read:magika", "file:read:/magika"),
]


@pytest.mark.parametrize(("wider", "narrower"), WIDER_AND_NARROWER)
def test_a_wider_permission_covers_a_narrower_one(wider: str, narrower: str) -> None:
    assert covers(parse(wider), parse(narrower))


@pytest.mark.parametrize(("narrower", "wider"), NOT_COVERED)
def test_a_permission_covers_no_wider_or_other_one(narrower: str, wider: str) -> None:
    assert not covers(parse(narrower), parse(wider))


@pytest.mark.parametrize(
    ("granted", "path"),
    [
        ("${project}/**", "/home/ada/flows"),
        ("${project}/**", "/home/ada/flows/a/b.py"),
        ("${project}/**", "${project}/a"),
        ("${home}/**", "/home/ada/flows/a"),
        ("${home}/**", "${project}/a"),
        ("/home/ada/*/a", "${project}/a"),
        ("${data}/**", "/var/lib/sym/odd * name?/x"),
        ("/srv/*.txt", "/srv/*.txt"),
        ("/srv/*", "/srv/.hidden"),
        ("/**", "/"),
    ],
)
def test_a_path_below_a_granted_root_is_covered(granted: str, path: str) -> None:
    assert covers(parse(f"file:read:{granted}"), Access("file", "read", path), roots=ROOTS)


@pytest.mark.parametrize(
    ("granted", "path"),
    [
        ("${project}/**", "/home/ada/flows/../secret"),
        ("${project}/**", "/home/ada/flows/.."),
        ("${project}/**", "/home/ada/flows/a/../../x"),
        ("${project}/**", "${project}/../x"),
        ("${project}/**", "/home/ada/flows/./x"),
        ("${project}/**", "/home/ada/flows/.. /x"),
        ("${project}/**", "/home/ada/flows/.../x"),
        ("${project}/**", "/home/ada/flows/..\\x"),
        ("${project}/**", "/home/ada/flows\0/x"),
        ("${project}/**", "/home/ada/flows/x\0"),
        ("${project}/**", "/home/ada/flows//x"),
        ("${project}/**", "/home/ada/flows/"),
        ("${project}/**", "/home/ada/flows2/x"),
        ("${project}/**", "/home/ada/Flows/x"),
        ("${project}/**", "/home/ada/flow\u017f/x"),
        ("${project}/**", "home/ada/flows/x"),
        ("${project}/**", ""),
        ("${project}/**", "${projekt}/x"),
        ("${project}/**", "${project}x"),
        ("${project}/**", "${}/x"),
        ("${project}/caf\u00e9/*", "/home/ada/flows/cafe\u0301/x"),
        ("${data}/**", "/var/lib/sym/odd EVIL nameX/x"),
        ("${data}/*", "/var/lib/sym/odd * name?"),
        ("${cache}/**", "/home/ada/flows/x"),
        ("${cache}/**", "/**"),
        ("/srv/a?c", "/srv/a/c"),
        ("/srv/*", "/srv/a/b"),
    ],
)
def test_a_path_outside_the_grant_is_not_covered(granted: str, path: str) -> None:
    assert not covers(parse(f"file:read:{granted}"), Access("file", "read", path), roots=ROOTS)


@pytest.mark.parametrize("root", ["", "relative", "/a/../b", "${home}", "C:\\Users"])
def test_a_root_that_is_no_plain_absolute_path_covers_nothing(root: str) -> None:
    granted = parse("file:read:${project}/**")
    for path in ("/x", "/a/x", "/b/x", "relative/x", "C:\\Users/x"):
        assert not covers(granted, Access("file", "read", path), roots={"project": root})


@pytest.mark.parametrize(
    ("granted", "endpoint", "allowed"),
    [
        ("api.example.org:443", "api.example.org:443", True),
        ("api.example.org:443", "API.Example.ORG.:443", True),
        ("api.example.org:443", "api.example.org:80", False),
        ("api.example.org:443", "api.example.org", False),
        ("api.example.org", "api.example.org:1-65535", False),
        ("*.example.org", "a.b.example.org:1", True),
        ("*.example.org", "example.org:1", False),
        ("*.example.org", "*.example.org:1", False),
        ("*.example.org", "evil.org:443#.example.org:1", False),
        ("*.example.org", "a\0.example.org:1", False),
        ("*.example.org", "a.example.org..:1", False),
        ("*", "127.0.0.1:80", False),
        ("*", "2130706433:80", False),
        ("*", "0x7f.1:80", False),
        ("*", "\u212aelvin.org:80", False),
        ("*", ":80", False),
        ("127.0.0.0/8", "127.0.0.1:80", True),
        ("127.0.0.0/8", "[::ffff:127.0.0.1]:80", True),
        ("127.0.0.0/8", "127.0.0.0/9:80", False),
        ("127.0.0.0/8", "localhost:80", False),
        ("[::/0]", "[::ffff:127.0.0.1]:80", False),
        ("[::/0]", "[2001:DB8::1]:80", True),
        ("[::/0]", "[fe80::1%eth0]:80", False),
        ("[::/0]", "[nonsense]:80", False),
        ("[::/0]", "::1:80", False),
    ],
)
def test_a_connection_is_covered_by_what_its_host_and_port_mean(
    granted: str, endpoint: str, allowed: bool
) -> None:
    assert covers(parse(f"network:read:{granted}"), Access("network", "read", endpoint)) is allowed


@pytest.mark.parametrize(
    ("granted", "access", "allowed"),
    [
        ("system:read:environment:HF_*", Access("system", "read", "environment:HF_TOKEN"), True),
        ("system:read:environment:HF_*", Access("system", "read", "environment:HF_*"), False),
        ("system:read:environment:HF_*", Access("system", "read", "environment:HOME"), False),
        ("system:read:environment:HF_*", Access("system", "read", "environment:HF_A\0"), False),
        ("system:read:clipboard", Access("system", "read", "clipboard"), True),
        ("system:read:clipboard", Access("system", "write", "clipboard"), False),
        ("system:read:clipboard", Access("system", "read", "nonsense"), False),
        ("model:execute:**", Access("model", "execute", "openai/whisper-1"), True),
        ("model:execute:**", Access("model", "execute", "../secret"), False),
        ("model:execute:**", Access("model", "execute", "*"), False),
        ("model:execute:**", Access("model", "execute", ""), False),
        ("model:execute:openai/*", Access("model", "execute", "openai/whisper"), True),
        ("model:execute:openai/*", Access("file", "execute", "openai/whisper"), False),
    ],
)
def test_an_access_to_a_feature_or_model_is_covered_by_its_name(
    granted: str, access: Access, allowed: bool
) -> None:
    assert covers(parse(granted), access) is allowed


# -- properties: patterns over a tiny alphabet, so that they meet often ------------------------------

_segment = st.text("ab*?", min_size=1, max_size=4).filter(lambda text: "**" not in text)


@st.composite
def patterns(draw: st.DrawFn) -> Permission:
    root = draw(st.sampled_from(["", "${project}", "${home}"]))
    names = draw(st.lists(st.one_of(_segment, st.just("**")), min_size=1, max_size=5))
    kept = [name for at, name in enumerate(names) if not (name == "**" and names[at - 1 : at] == ["**"])]
    return Permission("file", ("read",), "/".join([root, *kept]))


_names = st.lists(st.text("ab", min_size=1, max_size=4), min_size=0, max_size=5)


def _narrowed(draw: st.DrawFn, permission: Permission) -> Permission:
    """A permission made from another by filling in some of its wildcards: one that it covers."""
    filled = []
    root, *names = permission.resource.split("/")
    for name in names:
        if name == "**":
            filled += draw(st.one_of(st.just(["**"]), _names, _names.map(lambda more: ["*", *more])))
        else:
            filled.append(
                re.sub(
                    r"[*?]",
                    lambda wildcard: draw(st.sampled_from([wildcard[0], "a", "b"])),
                    name,
                )
            )
    try:
        return Permission("file", ("read",), "/".join([root, *filled]) or "/")
    except ManifestError:  # `**/**`, or `*` beside `*`: not in the grammar
        assume(False)
        raise


@st.composite
def chains(draw: st.DrawFn) -> tuple[Permission, Permission, Permission]:
    widest = draw(patterns())
    middle = _narrowed(draw, widest)
    return widest, middle, _narrowed(draw, middle)


def _matches(permission: Permission, path: str) -> bool:
    """Whether a path is of a pattern, by a regular expression: an oracle that shares no code."""
    expression = ""
    for name in permission.resource.split("/")[1:]:
        if name == "**":
            expression += r"(?:/[^/]+)*"
        elif name:
            expression += "/" + re.escape(name).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return re.fullmatch(expression, path.removesuffix("/")) is not None


@settings(deadline=None)
@given(patterns())
def test_a_permission_covers_itself(permission: Permission) -> None:
    assert covers(permission, permission)


@settings(deadline=None)
@given(chains())
def test_covering_is_transitive(chain: tuple[Permission, Permission, Permission]) -> None:
    widest, middle, narrowest = chain
    assert covers(widest, middle)
    assert covers(middle, narrowest)
    assert covers(widest, narrowest)


@settings(deadline=None)
@given(patterns(), patterns(), patterns())
def test_covering_is_transitive_for_any_three(a: Permission, b: Permission, c: Permission) -> None:
    assert not (covers(a, b) and covers(b, c)) or covers(a, c)


@settings(deadline=None)
@given(patterns(), _names)
def test_an_access_is_covered_exactly_if_its_path_is_of_the_pattern(
    permission: Permission, names: list[str]
) -> None:
    below = "/" + "/".join(names)
    variable = permission.resource.split("/")[0]
    access = Access("file", "read", variable + below.rstrip("/") or "/")
    assert covers(permission, access) == _matches(permission, below)


@settings(deadline=None)
@given(chains(), _names)
def test_whoever_covers_a_pattern_covers_every_path_of_it(
    chain: tuple[Permission, Permission, Permission], names: list[str]
) -> None:
    wider, _, narrower = chain
    below = "/" + "/".join(names)
    assert not _matches(narrower, below) or _matches(wider, below)


_hostile = st.lists(
    st.sampled_from(
        [
            "home",
            "ada",
            "flows",
            "flows2",
            "..",
            ".",
            "",
            "...",
            ".. ",
            "\0",
            "a",
            "\\",
            "FLOWS",
            "flow\u017f",
            "${project}",
        ]
    ),
    max_size=8,
).map("/".join)


@settings(deadline=None)
@given(st.one_of(_hostile, _hostile.map("/home/ada/flows/{}".format), st.text()))
@example("/home/ada/flows/../../../etc/passwd")
@example("${project}/")
def test_no_path_that_means_something_outside_the_root_is_covered(path: str) -> None:
    granted = parse("file:read:${project}/**")
    if covers(granted, Access("file", "read", path), roots=ROOTS):
        absolute = re.sub(r"^\$\{project\}", ROOTS["project"], path)
        meant = os.path.normpath(absolute)
        assert meant == absolute or path == "${project}/", "the root itself may be written with its slash"
        assert os.path.commonpath([meant, ROOTS["project"]]) == ROOTS["project"]
        assert "\0" not in path
        assert "\\" not in path


@settings(deadline=None)
@given(st.sampled_from(["file", "network", "system", "model"]), st.text())
def test_any_access_is_answered(kind: str, resource: str) -> None:
    everything = {
        "file": "file:read:/**",
        "network": "network:read:*",
        "system": "system:read:environment:A*",
        "model": "model:read:**",
    }
    assert covers(parse(everything[kind]), Access(kind, "read", resource)) in {True, False}


@settings(deadline=None)
@given(st.text("ab.*-:0/[]", max_size=16), st.text("ab.*-:0/[]", max_size=16))
def test_covering_networks_is_reflexive_and_antisymmetric_in_what_it_lets_through(
    one: str, other: str
) -> None:
    try:
        first, second = parse(f"network:read:{one}"), parse(f"network:read:{other}")
    except ManifestError:
        return
    assert covers(first, first)
    access = Access("network", "read", "a.b:80")
    if covers(first, second) and covers(second, access):
        assert covers(first, access)
