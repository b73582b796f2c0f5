"""`permissions` and `audit`, and what `run` asks for."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from symphony_host.cli.demo import EXAMPLES
from symphony_host.cli.permission_prompt import obtain_permissions
from symphony_host.cli.root import run
from symphony_host.cli.shell import Shell
from symphony_host.configuration import load_settings
from symphony_host.permissions import audit_directory, audit_head, audit_log, declaration_of, grants_of
from symphony_isolation.audit import AuditEvent
from symphony_isolation.permissions import AdminPolicy, Authority
from symphony_sdk.errors import PermissionDenied
from symphony_workflow import WorkflowBuilder

ROOT = Path(__file__).parents[3]
WANTED = """
[[permissions.required]]
type = "file"
scope = ["read", "write"]
resource = "${project}/**"
reason = "counts the words of each file"

[[permissions.optional]]
type = "network"
scope = ["read"]
resource = "api.example.org:443"
reason = "looks up licences"
"""


@pytest.fixture
def text(site: Any) -> str:
    """The id of an installed extension that asks for something."""
    site.add("text", more=WANTED)
    return "acme.text"


def answered(capsys: Any, *words: str) -> Any:
    code = run([*words, "--json"])
    out = capsys.readouterr().out
    assert code == 0, out
    return json.loads(out)


def authority(site: Any, name: str = "text") -> Authority:
    settings = load_settings()
    declaration = declaration_of(settings, site.discover()[f"acme.{name}"])
    return Authority(
        {declaration.extension: declaration}, grants_of(settings), AdminPolicy(), audit_log(settings)
    )


def flow(*uses: str) -> Any:
    builder = WorkflowBuilder("flow")
    for number, each in enumerate(uses):
        builder.operator(f"n{number}", uses=each)
    return builder.build()


# -- request, grant, show, deny, revoke, list -----------------------------------------------------------


def test_a_request_tells_another_interface_all_that_the_user_has_to_know(text: str, capsys: Any) -> None:
    request = answered(capsys, "permissions", "request", text)
    assert (request["extension"], request["version"], request["publisher"]) == (text, "1.0", "acme-text")
    assert request["verified"] is False
    assert request["choices"] == ["once", "session", "until-version", "always", "deny"]
    assert [(item["type"], item["scope"], item["risk"], item["required"]) for item in request["items"]] == [
        ("file", "read", "medium", True),
        ("file", "write", "medium", True),
    ]
    assert request["items"][0]["text"] == f"read everything in {Path.cwd()}"
    assert request["items"][0]["reason"].startswith("counts the words")
    everything = answered(capsys, "permissions", "request", text, "--optional")
    assert [item["type"] for item in everything["items"]] == ["file", "file", "network"]


def test_what_is_granted_is_shown_listed_and_revoked(text: str, capsys: Any) -> None:
    granted = answered(capsys, "permissions", "grant", text, "--for", "session")
    assert granted["permissions"] == ["file:read:${project}/**", "file:write:${project}/**"]
    shown = answered(capsys, "permissions", "show", text)
    assert shown["error"] is None
    assert [(each["outcome"], each["rule"]) for each in shown["permissions"]] == [
        ("allow", "user-allow"),
        ("allow", "user-allow"),
        ("ask", "ask"),
    ]
    [held] = answered(capsys, "permissions", "list")
    assert {grant["lifetime"] for grant in held["grants"]} == {"session"}
    gone = answered(capsys, "permissions", "revoke", text)
    assert len(gone["revoked"]) == 2
    assert answered(capsys, "permissions", "show", text)["error"]["code"] == "SYM-P002"


def test_one_permission_can_be_granted_or_denied_by_name_and_a_denial_wins(text: str, capsys: Any) -> None:
    answered(capsys, "permissions", "grant", text, "--optional")
    named = ["--permission", "file:write:${project}/**"]
    assert answered(capsys, "permissions", "deny", text, *named)["permissions"] == [
        "file:write:${project}/**"
    ]
    shown = answered(capsys, "permissions", "show", text)
    assert [each["rule"] for each in shown["permissions"]] == ["user-allow", "user-deny", "user-allow"]
    assert shown["error"]["code"] == "SYM-P005"
    answered(capsys, "permissions", "grant", text, *named)
    assert answered(capsys, "permissions", "show", text)["error"] is None


@pytest.mark.parametrize("answer", ["grant", "deny"])
def test_only_what_is_declared_can_be_named(text: str, capsys: Any, answer: str) -> None:
    assert run(["permissions", answer, text, "--permission", "network:read:*"]) == 1
    err = capsys.readouterr().err
    assert "SYM-P009" in err
    assert "file:read,write:${project}/**" in err


def test_an_extension_that_is_not_there_or_runs_in_the_host_cannot_be_granted_anything(capsys: Any) -> None:
    assert run(["permissions", "grant", "acme.nowhere"]) == 1
    assert "SYM-E028" in capsys.readouterr().err
    assert run(["permissions", "grant", "symphony.isolation"]) == 1
    assert "SYM-P009" in capsys.readouterr().err
    assert run(["permissions", "revoke", "acme.nowhere"]) == 1


def test_people_read_the_same_in_words(text: str, capsys: Any) -> None:
    assert run(["permissions", "list"]) == 0
    assert "nothing has been granted" in capsys.readouterr().out
    for words in (["request", text], ["show", text], ["grant", text], ["list"], ["request", text]):
        assert run(["permissions", *words]) == 0
    out = capsys.readouterr().out
    assert "counts the words of" in out
    assert "medium risk" in out
    assert "granted to acme.text, until you revoke it" in out
    assert "acme.text lacks nothing" in out


def test_an_update_that_asks_for_more_is_marked(site: Any, text: str, capsys: Any) -> None:
    answered(capsys, "permissions", "grant", text)
    more = (
        WANTED
        + '\n[[permissions.required]]\ntype = "system"\nscope = ["execute"]\nresource = "process"\nreason = "runs git"\n'
    )
    site.add("text", version="1.0", more=more)
    request = answered(capsys, "permissions", "request", text)
    assert [(item["resource"], item["new_since"], item["risk"]) for item in request["items"]] == [
        ("process", "1.0", "high")
    ]
    assert answered(capsys, "permissions", "show", text)["error"]["code"] == "SYM-P006"
    answered(capsys, "permissions", "grant", text)
    assert answered(capsys, "permissions", "show", text)["error"] is None


def test_a_grant_that_the_policy_overrules_says_so(
    site: Any, text: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    (tmp_path / "policy.toml").write_text('deny = ["file:write:${project}/**"]')
    monkeypatch.setenv("SYMPHONY_PERMISSION_POLICY", str(tmp_path / "policy.toml"))
    assert run(["permissions", "grant", text]) == 0
    assert "the administrator's policy denies it" in capsys.readouterr().err
    assert answered(capsys, "permissions", "show", text)["error"]["code"] == "SYM-P004"


# -- run ------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_extension_that_declares_nothing_is_not_asked_about(site: Any) -> None:
    site.add("plain")
    obtain_permissions(Shell(), authority(site, "plain"), flow("acme.plain.x"))


def test_without_a_terminal_the_error_says_the_command_that_grants(site: Any, text: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        obtain_permissions(Shell(), authority(site), flow("acme.text.count"))
    assert caught.value.code == "SYM-P002"
    assert "symphony permissions grant acme.text" in caught.value.hint


def test_several_extensions_are_one_error_with_one_command(site: Any, text: str) -> None:
    site.add("other", more=WANTED)
    settings = load_settings()
    found = site.discover()
    declared = {f"acme.{name}": declaration_of(settings, found[f"acme.{name}"]) for name in ("text", "other")}
    both = Authority(declared, grants_of(settings), AdminPolicy(), audit_log(settings))
    with pytest.raises(PermissionDenied) as caught:
        obtain_permissions(Shell(json=True), both, flow("acme.text.a", "acme.other.b", "acme.text.c"))
    assert "symphony permissions grant acme.other acme.text" in caught.value.hint
    assert [each["extension"] for each in caught.value.details["requests"]] == ["acme.other", "acme.text"]


@pytest.mark.parametrize(
    ("kind", "resource", "asked"),
    [
        ("required", "acme.text.*", ["acme.text", "acme.user"]),
        ("required", "acme.text.caption", ["acme.text", "acme.user"]),
        ("required", "acme.texts.*", ["acme.user"]),
        ("required", "**", ["acme.user"]),
        ("optional", "acme.text.*", []),
    ],
)
def test_whose_models_are_named_is_asked_about_with_the_one_who_runs_them(
    site: Any, text: str, kind: str, resource: str, asked: list[str]
) -> None:
    site.add(
        "user",
        more=f'[[permissions.{kind}]]\ntype = "model"\nscope = ["execute"]\nresource = "{resource}"\nreason = "asks"\n',
    )
    settings = load_settings()
    found = site.discover()
    declared = {f"acme.{name}": declaration_of(settings, found[f"acme.{name}"]) for name in ("text", "user")}
    both = Authority(declared, grants_of(settings), AdminPolicy(), audit_log(settings))

    def lacking() -> list[str]:
        try:
            obtain_permissions(Shell(json=True), both, flow("acme.user.ask"))
        except PermissionDenied as error:
            return [each["extension"] for each in error.details.get("requests", [error.details])]
        return []

    assert lacking() == asked
    both.grant("acme.user", "always", both.standing("acme.user").open)
    assert lacking() == ([] if asked == ["acme.user"] else ["acme.text"])
    both.grant("acme.text", "always")
    assert lacking() == []


@pytest.mark.parametrize(
    ("typed", "lifetime"),
    [("once", None), ("session", "session"), ("version", "until-version"), ("always", "always")],
)
def test_one_prompt_grants_all_that_is_missing(
    site: Any, text: str, monkeypatch: Any, capsys: Any, typed: str, lifetime: str | None
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed}\n"))
    asked = authority(site)
    obtain_permissions(Shell(), asked, flow("acme.text.count"))
    obtain_permissions(Shell(), asked, flow("acme.text.count"))
    assert asked.standing(text).error is None
    shown = capsys.readouterr().err
    assert shown.count("acme.text") == 1
    assert f"read everything in {Path.cwd()}" in shown
    kept = {grant.lifetime for held in grants_of(load_settings()).all() for grant in held.grants}
    assert kept == ({lifetime} if lifetime else set())


@pytest.mark.parametrize("typed", ["\n", "deny\n"])
def test_whoever_says_no_or_nothing_grants_nothing(
    site: Any, text: str, monkeypatch: Any, typed: str
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    with pytest.raises(PermissionDenied) as caught:
        obtain_permissions(Shell(), authority(site), flow("acme.text.count"))
    assert caught.value.code == "SYM-P002"
    assert grants_of(load_settings()).all() == []


def test_what_was_denied_is_not_asked_for_again(site: Any, text: str, monkeypatch: Any, capsys: Any) -> None:
    assert run(["permissions", "deny", text]) == 0
    monkeypatch.setattr("sys.stdin", Terminal("always\n"))
    with pytest.raises(PermissionDenied) as caught:
        obtain_permissions(Shell(), authority(site), flow("acme.text.count"))
    assert caught.value.code == "SYM-P005"


def test_the_demo_grants_to_the_examples_of_this_checkout_alone() -> None:
    import tomllib

    examples = ROOT / "examples" / "extensions"
    if not examples.is_dir():
        pytest.skip("the examples are not here: this is not a checkout")
    documents = [tomllib.loads(path.read_text()) for path in examples.glob("*/pyproject.toml")]
    assert {each["project"]["name"] for each in documents} >= EXAMPLES


# -- audit ----------------------------------------------------------------------------------------------


def test_each_answer_is_in_the_audit_log_which_can_be_listed_exported_and_verified(
    text: str, tmp_path: Path, capsys: Any
) -> None:
    assert run(["audit", "list"]) == 0
    assert "nothing is recorded" in capsys.readouterr().out
    assert run(["audit", "verify"]) == 0
    assert "nothing is recorded yet" in capsys.readouterr().out
    for words in (["grant", text], ["deny", text], ["revoke", text]):
        assert run(["permissions", *words]) == 0
    capsys.readouterr()
    assert run(["audit", "list", "--json", "--decision", "grant", "--extension", text]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["type"], line["scope"], line["rule"]) for line in lines] == [
        ("file", "read", "always"),
        ("file", "write", "always"),
    ]
    assert run(["audit", "list", "--limit", "1", "--type", "network"]) == 0
    assert "api.example.org:443" in capsys.readouterr().out
    verdict = answered(capsys, "audit", "verify")
    assert (verdict["sound"], verdict["unfinished"]) == (True, False)
    assert run(["audit", "export", str(tmp_path / "copy.jsonl")]) == 0
    kept = b"".join(path.read_bytes() for path in audit_directory(load_settings()).glob("*.jsonl"))
    assert (tmp_path / "copy.jsonl").read_bytes() == kept
    capsys.readouterr()
    assert run(["audit", "export", "--since", "2999-01-01"]) == 0
    assert capsys.readouterr().out == ""
    assert run(["audit", "verify"]) == 0
    assert "the chain holds" in capsys.readouterr().out


def test_a_log_that_was_changed_ends_verify_with_code_1(text: str, capsys: Any) -> None:
    assert run(["permissions", "grant", text]) == 0
    [file] = audit_directory(load_settings()).glob("*.jsonl")
    file.write_bytes(file.read_bytes().replace(b'"always"', b'"nevers"', 1))
    assert run(["audit", "verify"]) == 1
    assert "SYM-P041" in capsys.readouterr().err


def test_an_unfinished_record_is_told(text: str, capsys: Any) -> None:
    assert run(["permissions", "grant", text]) == 0
    [file] = audit_directory(load_settings()).glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-5])
    assert run(["audit", "verify"]) == 0
    assert "left unfinished" in capsys.readouterr().out
    assert audit_head(load_settings()).exists()


# -- draft ----------------------------------------------------------------------------------------------


def test_a_draft_holds_the_manifest_lines_for_what_was_done_undeclared(text: str, capsys: Any) -> None:
    log = audit_log(load_settings())
    assert run(["permissions", "draft", text]) == 0
    assert "did nothing undeclared" in capsys.readouterr().err
    done = [
        ("network", "read", "example.org:443"),
        *(("file", "read", f"/srv/words/{name}") for name in "abc"),
        ("file", "write", "/srv/one"),
        ("file", "read", f"{Path.cwd()}/declared"),
        ("file", "read", "/srv/../x"),
    ]
    for type_, scope, resource in done:
        log.append(AuditEvent(text, type_, scope, resource, "would-deny", "audit-only"))
    log.append(AuditEvent(text, "network", "read", "denied.example:1", "deny", "undeclared"))
    assert run(["permissions", "draft", text]) == 0
    out = capsys.readouterr().out
    import tomllib

    drafted = tomllib.loads(out)["permissions"]["required"]
    assert [(each["type"], each["scope"], each["resource"]) for each in drafted] == [
        ("network", ["read"], "example.org:443"),
        ("file", ["write"], "/srv/one"),
        ("file", ["read"], "/srv/words/**"),
    ]
    assert len(answered(capsys, "permissions", "draft", text)["permissions"]) == 3
