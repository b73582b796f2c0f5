"""`symphony ipc` as a user meets it, with extensions that bring messages of their own, good and bad."""

import json

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from symphony_host.cli.root import root, run
from symphony_sdk.messages import MESSAGES

PLUGIN = """
import msgspec
from symphony_sdk import hookimpl, message

@message("acme.text.greeting")
class Greeting(msgspec.Struct):
    \"\"\"Say hello.\"\"\"

    name: str

@hookimpl
def symphony_message_types(): yield {given}
"""


@pytest.fixture(autouse=True)
def registered():
    """The registry of messages, which is as it was afterwards."""
    kept = dict(MESSAGES)
    yield
    MESSAGES.clear()
    MESSAGES.update(kept)


@pytest.fixture
def install(site, monkeypatch):
    """Installs and trusts an extension of the host that contributes this."""

    def install(given):
        package = site.add("text", more='runs = "host"\n', files={"plugin.py": PLUGIN.format(given=given)})
        (package / "__init__.py").write_text("")
        monkeypatch.setenv("SYMPHONY_TRUSTED", "acme.text")

    return install


def printed(*arguments):
    result = CliRunner().invoke(root, ["ipc", *arguments], prog_name="symphony")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_messages_of_the_family_and_of_extensions_are_listed_with_who_brings_them(install):
    install("Greeting")
    lines = printed("messages").splitlines()
    assert lines[0].split() == ["message", "from", "what", "it", "says"]
    assert "acme.text.greeting/1 acme.text Say hello." in [" ".join(line.split()) for line in lines]
    listed = {entry["name"]: entry for entry in json.loads(printed("messages", "--json"))}
    assert listed["acme.text.greeting/1"] == {
        "name": "acme.text.greeting/1",
        "from": "acme.text",
        "summary": "Say hello.",
    }
    assert listed["worker.call/1"]["from"] == "symphony"
    assert list(listed) == sorted(listed)


def test_the_schema_is_valid_and_has_the_messages_of_extensions(install, tmp_path):
    install("Greeting")
    file = tmp_path / "messages.json"
    assert printed("schema", "--output", str(file)) == ""
    document = json.loads(file.read_bytes())
    assert document == json.loads(printed("schema"))
    Draft202012Validator.check_schema(document)
    validator = Draft202012Validator(document)
    assert validator.is_valid({"acme.text.greeting/1": {"name": "Ada"}})
    assert not validator.is_valid({"acme.text.greeting/1": {"name": 1}})


def test_the_asyncapi_document_has_the_messages_of_extensions(install):
    install("Greeting")
    document = json.loads(printed("schema", "--format", "asyncapi"))
    assert document["asyncapi"] == "3.0.0"
    assert document["components"]["messages"]["acme.text.greeting-v1"]["summary"] == "Say hello."


def test_an_extension_whose_messages_are_none_harms_no_other(install, caplog):
    install("dict")
    assert "worker.call/1" in printed("messages")
    assert "contributed <class 'dict'>, which is not registered as a message" in caplog.text


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path, capsys):
    assert run(["ipc", "schema", "--output", str(tmp_path / "missing" / "file.json")]) == 3
    assert "SYM-C041" in capsys.readouterr().err
