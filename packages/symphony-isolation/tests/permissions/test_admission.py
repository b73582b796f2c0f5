"""Real workers: what they are started with, and that they are not started without what they require."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from symphony_isolation import IsolatedExtensions
from symphony_isolation.audit import AuditEvent, AuditLog
from symphony_isolation.permissions import (
    AdminPolicy,
    Authority,
    Declaration,
    DeclaredUse,
    Grants,
    load_policy,
)
from symphony_isolation.sandbox import probe
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import Access, PermissionSet, parse

READER = """
from symphony_sdk import Context, operator, provides_operators

@operator("acme.reader.read")
def read(ctx: Context, path: str) -> str:
    return ctx.files.read_text(path)

@provides_operators
def symphony_operators():
    yield read
"""


class Desk:
    """An extension that reads, its user and its administrator."""

    def __init__(self, house: Any, *permissions: str, policy: str = "", **options: Any) -> None:
        root: Path = house.root
        (root / "files").mkdir(exist_ok=True)
        self.file = root / "files" / "a"
        self.file.write_text("hello")
        texts = tuple(each.format(files=root / "files") for each in permissions)
        self.spec = house.write("acme.reader", options.pop("source", READER), permissions=texts)
        self.declaration = Declaration("acme.reader", "1.0", "acme", PermissionSet(tuple(map(parse, texts))))
        self.grants = Grants(root / "grants")
        self.log = AuditLog(root / "audit", root / "audit.head")
        (root / "policy.toml").write_text(policy.format(files=root / "files"))
        self.authority = Authority(
            {"acme.reader": self.declaration},
            self.grants,
            load_policy(root / "policy.toml") if policy else AdminPolicy(),
            self.log,
            code=DeclaredUse(root / "declared-use"),
            **options,
        )
        self.house = house

    def opened(self) -> IsolatedExtensions:
        return IsolatedExtensions(
            [self.spec],
            cache_dir=self.house.root / "cache",
            artifacts=lambda: self.house.store,
            on_log=lambda *line: None,
            authority=self.authority,
        )

    def decisions(self) -> list[tuple[str, str]]:
        return [(record.decision, record.rule) for record in self.log.records()]


def run(desk: Desk, story: Any) -> Any:
    async def whole() -> Any:
        extensions = desk.opened()
        try:
            return await asyncio.wait_for(story(extensions), 60)
        finally:
            await extensions.stop()

    return asyncio.run(whole())


def test_an_extension_is_known_before_anything_is_granted_and_not_started_until_it_is(
    house: Any, call: Any
) -> None:
    desk = Desk(house, "file:read:{files}/**")

    async def story(extensions: IsolatedExtensions) -> Any:
        assert list(await extensions.operations()) == ["acme.reader.read"]
        with pytest.raises(PermissionDenied) as caught:
            await call(extensions, "acme.reader.read", path=str(desk.file))
        assert caught.value.code == "SYM-P002"
        desk.authority.grant("acme.reader", "session")
        return await call(extensions, "acme.reader.read", path=str(desk.file))

    assert run(desk, story) == "hello"
    assert desk.decisions() == [("ask", "ask"), ("grant", "session"), ("allow", "user-allow")]


def test_what_is_not_granted_is_not_given_to_the_worker(house: Any, call: Any) -> None:
    desk = Desk(house, "file:read:{files}/**")
    desk.spec = type(desk.spec)(
        **{name: getattr(desk.spec, name) for name in desk.spec.__struct_fields__ if name != "permissions"},
        permissions=(*desk.spec.permissions, "file:read:/**"),
    )
    desk.authority.grant("acme.reader", "once")

    async def story(extensions: IsolatedExtensions) -> None:
        with pytest.raises(PermissionDenied):
            await call(extensions, "acme.reader.read", path="/etc/hostname")

    run(desk, story)


@pytest.mark.parametrize(
    ("policy", "code"), [('deny = ["file:read:{files}/**"]', "SYM-P004"), ('deny = ["file"]', "SYM-P004")]
)
def test_no_grant_of_the_user_overrules_the_administrator(
    house: Any, call: Any, policy: str, code: str
) -> None:
    desk = Desk(house, "file:read:{files}/**", policy=policy)
    desk.authority.grant("acme.reader", "always")

    async def story(extensions: IsolatedExtensions) -> str:
        with pytest.raises(PermissionDenied) as caught:
            await call(extensions, "acme.reader.read", path=str(desk.file))
        return caught.value.code

    assert run(desk, story) == code


def test_what_the_administrator_allows_is_not_asked_for(house: Any, call: Any) -> None:
    desk = Desk(
        house, "file:read:{files}/**", policy='[extensions."acme.*"]\nallow = ["file:read:{files}/**"]'
    )
    result = run(desk, lambda extensions: call(extensions, "acme.reader.read", path=str(desk.file)))
    assert result == "hello"
    assert desk.decisions() == [("allow", "policy-allow")]


def test_in_audit_only_it_is_started_without_a_grant_and_that_is_recorded(house: Any, call: Any) -> None:
    desk = Desk(house, "file:read:{files}/**", audit_only=True)
    result = run(desk, lambda extensions: call(extensions, "acme.reader.read", path=str(desk.file)))
    assert result == "hello"
    assert desk.decisions() == [("ask", "ask")]


def test_in_audit_only_what_is_undeclared_is_read_and_recorded_and_can_be_drafted(
    house: Any, call: Any
) -> None:
    from symphony_isolation.permissions.drafting import draft_permissions

    desk = Desk(house, "file:read:/nowhere/**", audit_only=True)
    result = run(desk, lambda extensions: call(extensions, "acme.reader.read", path=str(desk.file)))
    assert result == "hello"
    assert ("would-deny", "audit-only") in desk.decisions()
    assert [str(each) for each in draft_permissions(desk.declaration, desk.log.records())] == [
        f"file:read:{desk.file}"
    ]


def test_an_undeclared_access_is_refused_and_recorded(house: Any, call: Any) -> None:
    desk = Desk(house, "file:read:/nowhere/**")
    desk.authority.grant("acme.reader", "once")

    async def story(extensions: IsolatedExtensions) -> str:
        with pytest.raises(PermissionDenied) as caught:
            await call(extensions, "acme.reader.read", path=str(desk.file))
        return caught.value.code

    assert run(desk, story) == "SYM-P001"
    assert desk.decisions()[-1] == ("deny", "undeclared")


def test_an_optional_permission_is_denied_until_it_is_granted_without_another_start(
    house: Any, call: Any
) -> None:
    desk = Desk(house, "file:read:{files}/**")
    optional = tuple(parse(str(each), required=False) for each in desk.declaration.permissions)
    desk.authority.renew(Declaration("acme.reader", "1.0", "acme", PermissionSet(optional)))

    async def story(extensions: IsolatedExtensions) -> Any:
        with pytest.raises(PermissionDenied) as caught:
            await call(extensions, "acme.reader.read", path=str(desk.file))
        assert caught.value.code == "SYM-P003"
        pid = (await extensions.health("acme.reader")).pid
        desk.authority.grant("acme.reader", "once", optional)
        result = await call(extensions, "acme.reader.read", path=str(desk.file))
        assert (await extensions.health("acme.reader")).pid == pid
        return result

    assert run(desk, story) == "hello"


def test_an_extension_whose_code_uses_what_it_does_not_declare_runs_no_line(house: Any) -> None:
    source = "import socket\nfrom pathlib import Path\nPath('ran').touch()\nsocket.socket()\n" + READER
    desk = Desk(house, source=source)

    async def story(extensions: IsolatedExtensions) -> Any:
        return await extensions.extensions()

    [info] = run(desk, story)
    assert info.state == "failed"
    assert info.error is not None
    assert info.error.code == "SYM-P010"
    assert not (Path(desk.spec.data_dir) / "ran").exists()


SOCKETS = """
from symphony_sdk import Context, operator, provides_operators

@operator("acme.reader.read")
def read(ctx: Context, path: str) -> str:
    try:
        __import__("socket").socket(10, 2)
    except OSError:
        return "refused"
    return "opened"

@provides_operators
def symphony_operators():
    yield read
"""


def test_a_system_call_that_the_sandbox_refuses_is_a_record_too(house: Any, call: Any) -> None:
    desk = Desk(house, source=SOCKETS)
    heard = threading.Event()
    append = desk.log.append

    def listen(event: AuditEvent, *, count: int = 1) -> None:
        append(event, count=count)
        if event.type == "syscall":
            heard.set()

    desk.log.append = listen  # type: ignore[method-assign]

    async def story(extensions: IsolatedExtensions) -> tuple[str, bool]:
        result = await call(extensions, "acme.reader.read", path="")
        return result, await asyncio.to_thread(heard.wait, 30)

    if probe().best == "none":
        pytest.skip("this machine has no sandbox")
    assert run(desk, story) == ("refused", True)
    [record] = desk.log.records()
    assert (record.extension, record.type, record.resource) == ("acme.reader", "syscall", "socket")
    assert (record.decision, record.rule) == ("deny", "sandbox")


def test_a_declaration_that_was_renewed_counts_from_then_on(house: Any) -> None:
    desk = Desk(house, "file:read:{files}/**")
    desk.authority.grant("acme.reader", "once")
    assert desk.authority.standing("acme.reader").error is None
    newer = Declaration("acme.reader", "2.0", "acme", PermissionSet.parse(["network:read:example.org"]))
    desk.authority.renew(newer)
    error = desk.authority.standing("acme.reader").error
    assert error is not None
    assert error.code == "SYM-P006"


def test_an_extension_that_the_authority_does_not_know_may_do_nothing(house: Any) -> None:
    desk = Desk(house, "file:read:{files}/**")
    stranger = Authority({}, desk.grants, AdminPolicy(), desk.log)
    assert stranger.admit(desk.spec).permissions == ()
    assert stranger.reach("acme.reader").permissions == ()
    decision = stranger.gate("acme.reader").check(Access("file", "read", str(desk.file)))
    assert decision.rule == "undeclared"


def test_another_machine_gets_what_is_granted_and_nothing_more(house: Any) -> None:
    from symphony_isolation.cluster.deployment import decode_deployment

    desk = Desk(house, "file:read:{files}/**")

    async def deployed(extensions: IsolatedExtensions) -> tuple[str, ...]:
        [one] = decode_deployment(await extensions.deployment())
        return one.spec.permissions

    assert run(desk, deployed) == ()
    desk.authority.grant("acme.reader", "once")
    assert run(desk, deployed) == desk.spec.permissions
