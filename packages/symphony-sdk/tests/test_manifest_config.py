"""Settings: what the schema of a manifest accepts, and the error that names each one that is wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import ConfigurationError, ManifestError
from symphony_sdk.manifest import Manifest, parse

HEAD = 'schema = 1\nextension = { id = "acme.text", kind = "operator", module = "m" }\n'
SETTINGS = """\
[config]
required = ["token"]
[config.properties]
token = { type = "string", format = "secret", minLength = 3, description = "Ask your admin." }
language = { type = "string", enum = ["en", "de"], default = "en" }
depth = { type = "integer", minimum = 1, maximum = 9, default = 3 }
ratio = { type = "number", default = 0.5, enum = [0, 0.5, 1] }
fast = { type = "boolean" }
name = { type = "string", pattern = "^[a-z]+$", maxLength = 5 }
tags = { type = "array", items = { type = "string", minLength = 2 }, default = ["ab"] }
grid = { type = "array", items = { type = "array", items = { type = "integer" } } }
"""


@pytest.fixture
def manifest() -> Manifest:
    return parse(HEAD + SETTINGS)


def test_defaults_are_given_where_the_user_says_nothing(manifest: Manifest) -> None:
    defaults = {"language": "en", "depth": 3, "ratio": 0.5, "tags": ["ab"]}
    assert manifest.config_defaults() == defaults
    assert manifest.validate_config({"token": "abc", "depth": 4}) == {**defaults, "token": "abc", "depth": 4}


def test_the_caller_owns_what_it_gets(manifest: Manifest) -> None:
    manifest.config_defaults()["tags"].append("x")
    given_tags = ["cd"]
    merged = manifest.validate_config({"token": "abc", "tags": given_tags})
    merged["tags"].append("x")
    assert manifest.config_defaults()["tags"] == ["ab"]
    assert given_tags == ["cd"]


@pytest.mark.parametrize(
    ("name", "value", "path", "message"),
    [
        ("lang", "en", "lang", "unknown setting"),
        ("language", "fr", "language", "expected one of 'en', 'de', found 'fr'"),
        ("language", 3, "language", "expected a string, found 3"),
        ("depth", 0, "depth", "expected at least 1, found 0"),
        ("depth", 10, "depth", "expected at most 9, found 10"),
        ("depth", True, "depth", "expected an integer, found True"),
        ("depth", 1.0, "depth", "expected an integer, found 1.0"),
        ("ratio", float("nan"), "ratio", "expected a number, found nan"),
        ("ratio", float("inf"), "ratio", "expected a number, found inf"),
        ("ratio", True, "ratio", "expected a number, found True"),
        ("fast", 1, "fast", "expected a boolean, found 1"),
        ("fast", None, "fast", "expected a boolean, found None"),
        ("name", "Ada", "name", "expected text that matches '^[a-z]+$', found 'Ada'"),
        ("name", "abcdef", "name", "expected at most 5 characters, found 6"),
        ("tags", "ab", "tags", "expected an array, found 'ab'"),
        ("tags", ["ab", "c"], "tags[1]", "expected at least 2 characters, found 1"),
        ("grid", [[1], [2, "x"]], "grid[1][1]", "expected an integer, found 'x'"),
        ("token", "ab", "token", "expected at least 3 characters, found 2"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(
    manifest: Manifest, name: str, value: object, path: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        manifest.validate_config({"token": "abc", name: value})
    [fault] = caught.value.details["faults"]
    assert (fault["path"], fault["message"]) == (path, message)
    assert f"{path}: {message}" in caught.value.message
    assert caught.value.code == "SYM-C001"


def test_all_wrong_settings_are_named_at_once(manifest: Manifest) -> None:
    with pytest.raises(ConfigurationError) as caught:
        manifest.validate_config({"depth": 0, "lang": "en"})
    assert [fault["path"] for fault in caught.value.details["faults"]] == ["depth", "lang", "token"]
    assert caught.value.message.startswith("the settings of acme.text are wrong:\n  depth: expected")


def test_an_unknown_setting_is_answered_with_the_nearest_one(manifest: Manifest) -> None:
    with pytest.raises(ConfigurationError) as caught:
        manifest.validate_config({"token": "abc", "dept": 1})
    assert caught.value.hint == "Did you mean `depth`?"
    with pytest.raises(ConfigurationError) as caught:
        parse(HEAD).validate_config({"x": 1})
    assert caught.value.hint == "Its settings: none."


def test_a_missing_setting_is_answered_with_its_description(manifest: Manifest) -> None:
    with pytest.raises(ConfigurationError, match="token: is required and not set") as caught:
        manifest.validate_config({})
    assert caught.value.hint == "Ask your admin."


def test_a_wrong_secret_is_not_shown(manifest: Manifest) -> None:
    with pytest.raises(ConfigurationError) as caught:
        manifest.validate_config({"token": 12345678})
    assert "12345678" not in str(caught.value.payload())
    assert "found a secret" in caught.value.message


def test_a_pattern_made_to_take_for_ever_does_not() -> None:
    evil = parse(HEAD + '[config.properties.x]\ntype = "string"\npattern = "^(a+)+$"\n')
    with pytest.raises(ConfigurationError, match="expected text that matches"):
        evil.validate_config({"x": "a" * 100_000 + "!"})


_anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["token", "language", "depth", "ratio", "fast", "name", "tags", "grid"]), _anything
    )
)
def test_what_is_accepted_is_accepted_again_and_unchanged(values: dict[str, object]) -> None:
    manifest = parse(HEAD + SETTINGS)
    try:
        merged = manifest.validate_config(values)
    except ConfigurationError as error:
        assert error.details["faults"]
    else:
        assert manifest.validate_config(merged) == merged
        assert {name: merged[name] for name in values} == values


@settings(deadline=None)
@given(
    st.sampled_from(["boolean", "integer", "number", "string"]),
    st.one_of(st.booleans(), st.integers(), st.text("ab")),
)
def test_a_default_is_accepted_in_a_manifest_exactly_if_a_user_could_set_it(kind: str, value: object) -> None:
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    free = parse(HEAD + f'[config.properties.x]\ntype = "{kind}"\n')
    try:
        free.validate_config({"x": value})
    except ConfigurationError:
        with pytest.raises(ManifestError, match=r"config\.properties\.x\.default"):
            parse(HEAD + f'[config.properties.x]\ntype = "{kind}"\ndefault = {shown}\n')
    else:
        typed = parse(HEAD + f'[config.properties.x]\ntype = "{kind}"\ndefault = {shown}\n')
        assert typed.config_defaults() == {"x": value}
