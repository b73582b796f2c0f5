from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_host import directories
from symphony_host.configuration import load_settings
from symphony_host.directories import user_directory
from symphony_sdk.errors import ConfigurationError

CONFIG = """[config.properties.min_length]
type = "integer"
default = 1
minimum = 1
[config.properties.language]
type = "string"
default = "en"
[config.properties.strip]
type = "boolean"
default = false
[config.properties.words]
type = "array"
items = { type = "string" }
default = []
"""


@pytest.fixture
def file(tmp_path):
    directory = tmp_path / "config"
    directory.mkdir()
    return directory / "config.toml"


@pytest.fixture
def record(site):
    site.add("text-tools", more=CONFIG)
    return site.discover()["acme.text-tools"]


def refused(**options):
    with pytest.raises(ConfigurationError) as raised:
        load_settings(**options)
    return raised.value


def test_without_anything_the_defaults_hold(tmp_path):
    settings = load_settings()
    assert settings.data_dir == tmp_path / "data"
    assert settings.cache_dir == tmp_path / "cache"
    assert settings[2:9] == ("warning", "local", "", "auto", False, (), ())
    assert settings.file is None


def test_each_layer_wins_over_the_one_before(file, monkeypatch):
    file.write_text(
        'log_level = "info"\nexecutor = "ray"\ntrusted = ["a.a"]\nstrict = true\ndata_dir = "here"\n'
    )
    monkeypatch.delenv("SYMPHONY_DATA_DIR")
    monkeypatch.setenv("SYMPHONY_EXECUTOR", "dask")
    monkeypatch.setenv("SYMPHONY_STRICT", "no")
    monkeypatch.setenv("SYMPHONY_TEMPLATE_FOLDERS", "one, /two")
    settings = load_settings(overrides=["log-level=debug", "denied=acme.*, b.b"])
    assert settings.template_folders == (Path.cwd() / "one", Path("/two"))
    assert (settings.log_level, settings.executor, settings.strict) == ("debug", "dask", False)
    assert (settings.trusted, settings.denied) == (("a.a",), ("acme.*", "b.b"))
    assert settings.data_dir == file.parent / "here"
    assert settings.file == file


def test_every_wrong_setting_is_told_with_its_place(file, monkeypatch):
    file.write_text('log_level = "loud"\n\n  executer = "ray"\ntrusted = [1]\nextensions.acme = 1\n')
    monkeypatch.setenv("SYMPHONY_STRICT", "perhaps")
    monkeypatch.setenv("SYMPHONY_LOGLEVEL", "info")
    error = refused(overrides=["nonsense", "executor=", "log_level=debgu"])
    assert error.code == "SYM-C001"
    lines = error.message.splitlines()[1:]
    assert [line.strip() for line in lines] == [
        f"{file}:5:12: extensions.acme: expected a table, found 1",
        f"{file}:1:1: log_level: expected one of debug, info, warning, error, found 'loud'",
        f"{file}:3:3: executer: unknown setting",
        f"{file}:4:1: trusted: expected ids of extensions, found [1]",
        "SYMPHONY_LOGLEVEL: loglevel: unknown setting",
        "SYMPHONY_STRICT: strict: expected true or false, found 'perhaps'",
        "the command line: nonsense: expected SETTING=VALUE",
        "the command line: executor: expected text, found ''",
        "the command line: log_level: expected one of debug, info, warning, error, found 'debgu'",
    ]
    assert "Did you mean `executor`?" in error.hint
    assert "Did you mean `log_level`?" in error.hint
    assert "Did you mean `debug`?" in error.hint
    assert len(error.details["faults"]) == 9


def test_a_setting_like_none_other_is_told_what_there_is(file):
    file.write_text("zzz = 1\nexecutor = 3\n")
    error = refused()
    assert "The settings are data_dir" in error.hint
    assert "executor: expected text, found 3" in error.message


@pytest.mark.parametrize(
    "text", ["extensions = 1", "[extensions.text]\na = 1", "[extensions.acme.text]\na = 1"]
)
def test_tables_of_extensions_are_checked_for_their_shape(file, text):
    file.write_text(text)
    error = refused()
    assert error.message.startswith(f"{file}:1:")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"log_level = \n", "not TOML"),
        (b"a = 1\na = 2\n", "not TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a = " + b"[" * 5000, "not TOML"),
    ],
)
def test_a_file_that_is_not_toml_is_told_with_its_line(file, content, says):
    file.write_bytes(content)
    error = refused()
    assert (error.code, says in error.message, error.file) == ("SYM-C002", True, str(file))


def test_a_toml_fault_has_line_and_column(file):
    file.write_text("executor = 'ray'\nlog_level =\n")
    assert refused().place == f"{file}:2:12"


def test_a_file_that_is_named_must_be_there(tmp_path, monkeypatch):
    assert refused(file=tmp_path / "none.toml").code == "SYM-C002"
    monkeypatch.setenv("SYMPHONY_CONFIG", str(tmp_path / "other.toml"))
    assert str(tmp_path / "other.toml") in str(refused())


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    error = refused(file=tmp_path)
    assert (error.code, "cannot be read" in error.message) == ("SYM-C002", True)


def test_the_file_may_be_named_by_a_variable(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text('executor = "ray"\n')
    monkeypatch.setenv("SYMPHONY_CONFIG", str(tmp_path / "mine.toml"))
    assert load_settings().executor == "ray"


def test_a_denied_extension_names_the_pattern(file):
    file.write_text('denied = ["acme.*", "b.c"]\n')
    settings = load_settings()
    assert [settings.denial(id) for id in ("acme.text", "b.c", "b.d")] == ["acme.*", "b.c", None]


def test_the_settings_of_an_extension_come_from_every_layer(file, record, monkeypatch):
    file.write_text('[extensions."acme.text-tools"]\nmin_length = 3\nlanguage = "de"\n')
    monkeypatch.setenv("SYMPHONY_EXTENSIONS__ACME_TEXT_TOOLS__LANGUAGE", "fr")
    monkeypatch.setenv("SYMPHONY_EXTENSIONS__ACME_TEXT_TOOLS__WORDS", '["a", "b"]')
    monkeypatch.setenv("SYMPHONY_EXTENSIONS__ACME_OTHER__LANGUAGE", "it")
    settings = load_settings(overrides=["acme.text-tools.strip=true", "acme.other.language=es"])
    assert settings.of_extension(record) == {
        "min_length": 3,
        "language": "fr",
        "words": ["a", "b"],
        "strip": True,
    }


def test_without_settings_an_extension_has_its_defaults(record):
    assert load_settings().of_extension(record)["min_length"] == 1


def test_wrong_settings_of_an_extension_are_told_with_their_source(file, record, monkeypatch):
    file.write_text('\n[extensions."acme.text-tools"]\nmin_lenght = 3\nwords = ["a", 1]\n')
    monkeypatch.setenv("SYMPHONY_EXTENSIONS__ACME_TEXT_TOOLS__MIN_LENGTH", "many")
    monkeypatch.setenv("SYMPHONY_EXTENSIONS__ACME_TEXT_TOOLS__COLOUR", "red")
    settings = load_settings(overrides=["acme.text-tools.strip=1\nother=2"])
    with pytest.raises(ConfigurationError) as raised:
        settings.of_extension(record)
    message = raised.value.message
    assert f"{file}:3:1: min_lenght: unknown setting" in message
    assert f"{file}:4:1: words[1]: expected a string, found 1" in message
    assert "SYMPHONY_EXTENSIONS__ACME_TEXT_TOOLS__MIN_LENGTH: min_length: expected an integer" in message
    assert "SYMPHONY_EXTENSIONS__ACME_TEXT_TOOLS__COLOUR: colour: unknown setting" in message
    assert "the command line: strip: expected a boolean" in message


def test_a_key_that_is_gone_when_the_error_is_told_leaves_the_name_of_the_file(file, record):
    file.write_text('[extensions."acme.text-tools"]\nmin_length = 0\n')
    settings = load_settings()
    file.unlink()
    with pytest.raises(ConfigurationError, match=f"{file}: min_length"):
        settings.of_extension(record)


@given(
    st.lists(st.text(max_size=20)),
    st.dictionaries(
        st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", max_size=10).map("SYMPHONY_".__add__), st.text(max_size=10)
    ),
)
def test_any_variables_and_arguments_give_settings_or_one_clear_error(overrides, environ):
    kept = {name: value for name, value in environ.items() if name != "SYMPHONY_CONFIG"}
    try:
        settings = load_settings(environ=kept | {"SYMPHONY_CONFIG_DIR": "/nonexistent"}, overrides=overrides)
    except ConfigurationError as error:
        assert error.details["faults"]
    else:
        assert isinstance(settings.data_dir, Path)


PURPOSES = [("data", "user_data_dir"), ("cache", "user_cache_dir"), ("config", "user_config_dir")]


@pytest.mark.parametrize(("purpose", "attribute"), PURPOSES)
@pytest.mark.parametrize("base", [None, "/somewhere/else"])
def test_the_directories_are_those_of_platformdirs(monkeypatch, purpose, attribute, base):
    variable = f"XDG_{purpose.upper()}_HOME"
    monkeypatch.delenv(variable, raising=False)
    if base is not None:
        monkeypatch.setenv(variable, base)
    monkeypatch.delenv(f"SYMPHONY_{purpose.upper()}_DIR")
    expected = getattr(platformdirs.PlatformDirs("symphony", appauthor=False), attribute)
    assert user_directory(purpose) == expected
    monkeypatch.setattr(directories.sys, "platform", "elsewhere")
    assert user_directory(purpose) == expected


def test_a_directory_may_be_chosen_with_a_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert user_directory("data", {"SYMPHONY_DATA_DIR": "~/x"}) == str(Path.home() / "x")
    assert user_directory("cache", {"SYMPHONY_CACHE_DIR": "x"}) == str(tmp_path / "x")
