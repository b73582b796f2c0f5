"""`symphony permissions`: what extensions declare, what was answered, and new answers."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import click

from symphony_host.catalogue import load_catalogue
from symphony_host.cli.permission_prompt import request_lines
from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import clean, columns, moment

if TYPE_CHECKING:
    from symphony_isolation.audit import AuditLog
    from symphony_isolation.permissions import Authority, Lifetime
    from symphony_sdk.permissions import Permission

    from symphony_host.configuration import Settings
    from symphony_host.records import ExtensionRecord

F = TypeVar("F", bound=Callable[..., object])

_LIFETIME = {"session": "session", "version": "until-version", "always": "always"}


def lifetime_option(function: F) -> F:
    """Add `--for`."""
    return click.option(
        "--for",
        "lifetime",
        type=click.Choice(list(_LIFETIME)),
        default="always",
        show_default=True,
        help="How long: until this terminal is closed, the extension has another version, or you revoke it.",
    )(function)


def chosen_option(function: F) -> F:
    """Add `--permission`."""
    return click.option(
        "--permission",
        "chosen",
        multiple=True,
        metavar="PERMISSION",
        help="Only this one, as `permissions show` writes it; may be repeated.",
    )(function)


@click.group()
def permissions() -> None:
    """Decide what extensions may do.

    An extension in a process of its own may do what its manifest declares and you grant, and nothing else. What it
    requires is asked for before a run; these commands answer beforehand, look, and change the answer.

    \b
    Example:
      symphony permissions request symphony.files
      symphony permissions grant symphony.files
    """


@permissions.command(name="list")
@json_option
@debug_option
@pass_shell
def list_(shell: Shell) -> None:
    """List all answers that are kept, those of extensions that are gone included.

    \b
    Example:
      symphony permissions list
    """
    import time

    from symphony_isolation.permissions.session import current_session

    from symphony_host.permissions import grants_of

    settings = settings_of(shell)
    held = grants_of(settings).all()
    if shell.json:
        shell.print_json(held)
        return
    versions = {entry.record.id: entry.record.version for entry in load_catalogue(settings).entries}
    rows = [
        (
            each.extension,
            grant.state,
            grant.permission,
            grant.lifetime if grant.state == "granted" else "",
            moment(grant.used),
            ""
            if grant.holds(versions.get(each.extension, ""), current_session(), time.time())
            else "has ended",
        )
        for each in held
        for grant in each.grants
    ]
    if rows:
        shell.table(("extension", "answer", "permission", "for", "last used", ""), rows)
    else:
        click.echo("nothing has been granted or denied")


@permissions.command()
@click.argument("extension")
@json_option
@debug_option
@pass_shell
def show(shell: Shell, extension: str) -> None:
    """Show what EXTENSION declares, and for each permission what is decided and why.

    \b
    Example:
      symphony permissions show symphony.files
    """
    from symphony_isolation.permissions import permission_text
    from symphony_isolation.permissions.risk import risk_of
    from symphony_isolation.permissions.shown_text import shown

    settings = settings_of(shell)
    standing = _authority(settings, extension).standing(extension)
    roots = standing.declaration.permissions.roots
    if shell.json:
        shell.print_json(
            {
                "extension": extension,
                "version": standing.declaration.version,
                "publisher": standing.declaration.publisher,
                "accepted": standing.accepted.version if standing.accepted else None,
                "error": standing.error.payload() if standing.error else None,
                "permissions": [
                    {
                        "permission": str(permission),
                        "required": permission.required,
                        "reason": shown(permission.reason),
                        "risk": risk_of(permission),
                        "outcome": decision.outcome,
                        "rule": decision.rule,
                    }
                    for permission, decision in standing.decided
                ],
            }
        )
        return
    if not standing.decided:
        click.echo(f"{clean(extension)} declares nothing: it may touch nothing, and is not asked about")
        return
    rows = [
        (
            str(permission),
            "required" if permission.required else "optional",
            f"{risk_of(permission)} risk",
            f"{decision.outcome} ({decision.rule})"
            if decision.allowed or decision.rule != "ask"
            else "not granted",
            permission_text(permission, roots),
            shown(permission.reason),
        )
        for permission, decision in standing.decided
    ]
    shell.table(("permission", "", "", "decision", "it may", "reason"), rows)
    if standing.error is not None:
        click.echo(f"\nit is not started: {clean(standing.error.message)}", err=True)


@permissions.command()
@click.argument("extensions", nargs=-1, required=True, metavar="EXTENSION...")
@click.option("--optional", is_flag=True, help="Ask for what it declares as optional, too.")
@json_option
@debug_option
@pass_shell
def request(shell: Shell, extensions: tuple[str, ...], optional: bool) -> None:
    """Show what EXTENSION requires and has not been granted, with risk, reason, and what is new.

    With --json, this is what another user interface shows: one line for each extension.

    \b
    Example:
      symphony permissions request symphony.files --json
    """
    from symphony_isolation.permissions import make_request

    authority = _authority(settings_of(shell), *extensions)
    for extension in extensions:
        standing = authority.standing(extension)
        asked = make_request(
            standing.declaration, standing.open if optional else standing.missing, standing.accepted
        )
        if shell.json:
            shell.print_json(asked)
        elif asked.items:
            for line in request_lines(asked):
                click.echo(line)
        else:
            click.echo(f"{clean(extension)} lacks nothing")


@permissions.command()
@click.argument("extensions", nargs=-1, required=True, metavar="EXTENSION...")
@click.option("--optional", is_flag=True, help="Grant what it declares as optional, too.")
@chosen_option
@lifetime_option
@json_option
@debug_option
@pass_shell
def grant(
    shell: Shell, extensions: tuple[str, ...], optional: bool, chosen: tuple[str, ...], lifetime: str
) -> None:
    """Grant EXTENSION what it requires.

    Granted is only what its manifest declares; an update that declares more is not started until you grant it again.

    \b
    Example:
      symphony permissions grant symphony.files --for session
      symphony permissions grant acme.text --permission network:read:api.example.org:443
    """
    from symphony_isolation.permissions import split

    settings = settings_of(shell)
    authority = _authority(settings, *extensions)
    for extension in extensions:
        declared = authority.declarations[extension].permissions
        # What an update adds is accepted with it, optional or not; else it would never be started.
        wanted: Sequence[Permission] = split(declared if optional else declared.required)
        wanted = _named(authority, extension, chosen) if chosen else wanted
        standing = authority.standing(extension)
        if not chosen:
            wanted = tuple({str(each): each for each in (*wanted, *standing.missing)}.values())
        granted = authority.grant(extension, cast("Lifetime", _LIFETIME[lifetime]), tuple(wanted))
        _tell(shell, extension, "granted", granted, lifetime)
        error = authority.standing(extension).error
        if error is not None and error.code == "SYM-P004" and not shell.json:
            click.echo(f"but {clean(error.message)}", err=True)


@permissions.command()
@click.argument("extensions", nargs=-1, required=True, metavar="EXTENSION...")
@chosen_option
@lifetime_option
@json_option
@debug_option
@pass_shell
def deny(shell: Shell, extensions: tuple[str, ...], chosen: tuple[str, ...], lifetime: str) -> None:
    """Deny EXTENSION everything that it declares, or what you name; a denial wins over a grant.

    \b
    Example:
      symphony permissions deny acme.text --permission network:read:api.example.org:443
    """
    from symphony_isolation.permissions import split

    authority = _authority(settings_of(shell), *extensions)
    for extension in extensions:
        declared = split(authority.declarations[extension].permissions)
        wanted = _named(authority, extension, chosen) if chosen else declared
        denied = authority.deny(extension, cast("Lifetime", _LIFETIME[lifetime]), tuple(wanted))
        _tell(shell, extension, "denied", denied, lifetime)


@permissions.command()
@click.argument("extensions", nargs=-1, required=True, metavar="EXTENSION...")
@chosen_option
@json_option
@debug_option
@pass_shell
def revoke(shell: Shell, extensions: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    """Forget all answers for EXTENSION, or those that you name: you are asked again. It need not be installed.

    A worker that runs keeps what the system has given to it until it ends.

    \b
    Example:
      symphony permissions revoke symphony.files
    """
    from symphony_sdk.permissions import parse

    from symphony_host.permissions import audit_log, grants_of

    settings = settings_of(shell)
    grants = grants_of(settings)
    named = tuple(map(parse, chosen)) if chosen else None
    for extension in extensions:
        gone = grants.revoke(extension, named)
        if not gone:
            load_catalogue(settings).entry(extension)  # a name that was mistyped is an error
        _record_revoked(audit_log(settings), extension, gone)
        if shell.json:
            shell.print_json({"extension": extension, "revoked": gone})
        else:
            click.echo(f"{clean(extension)}: {', '.join(gone) if gone else 'there was nothing to revoke'}")


@permissions.command()
@click.argument("extension")
@json_option
@debug_option
@pass_shell
def draft(shell: Shell, extension: str) -> None:
    """Print the manifest lines for what EXTENSION did undeclared in runs with --audit-only.

    Read them before you take them: they allow what was done, not what is right, and each needs its reason.

    \b
    Example:
      symphony permissions draft acme.text
    """
    from symphony_isolation.permissions.drafting import draft_permissions, manifest_lines

    from symphony_host.permissions import audit_log

    settings = settings_of(shell)
    declaration = _authority(settings, extension).declarations[extension]
    found = draft_permissions(declaration, audit_log(settings).records())
    if shell.json:
        shell.print_json({"extension": extension, "permissions": found})
    elif found:
        click.echo(manifest_lines(found))
    else:
        click.echo(
            f"{clean(extension)} did nothing undeclared; `symphony run FLOW --audit-only` watches it",
            err=True,
        )


def _record_revoked(log: "AuditLog", extension: str, gone: Sequence[str]) -> None:
    from symphony_isolation.audit import AuditEvent
    from symphony_sdk.permissions import parse

    for permission in map(parse, gone):
        log.append(
            AuditEvent(extension, permission.type, permission.scope[0], permission.resource, "revoke", "user")
        )


def _authority(settings: "Settings", *extensions: str) -> "Authority":
    """What decides about these extensions, the ones that cannot be used now included.

    Raises:
        ExtensionError: SYM-E028, one is not installed.
        PermissionDenied: SYM-P009, one runs in the host, where nothing is decided.
    """
    from symphony_sdk.errors import PermissionDenied

    from symphony_host.permissions import audit_log, authority_of

    catalogue = load_catalogue(settings)
    records: list[ExtensionRecord] = []
    for extension in extensions:
        record = catalogue.entry(extension).record
        if record.document is None and record.error is not None:
            raise record.error
        if record.runs == "host":
            raise PermissionDenied(
                f"{extension} runs in the host, where nothing contains it; it is trusted or not used at all",
                code="SYM-P009",
                hint="The setting `trusted` names those that are trusted besides the family.",
            )
        records.append(record)
    return authority_of(settings, records, audit_log(settings))


def _named(authority: "Authority", extension: str, texts: Sequence[str]) -> "list[Permission]":
    """The permissions that were named, each of one scope, once it is known that they are declared."""
    from symphony_isolation.permissions import single_scopes
    from symphony_sdk.errors import PermissionDenied
    from symphony_sdk.permissions import parse

    declared = authority.declarations[extension].permissions
    found: list[Permission] = []
    for text in texts:
        permission = parse(text)
        if not declared.covers(permission):
            lines = "\n  ".join(map(str, declared)) or "nothing"
            raise PermissionDenied(
                f"{extension} does not declare {str(permission)!r}; it declares\n  {lines}",
                code="SYM-P009",
                hint=f"`symphony permissions show {extension}` tells more.",
            )
        found.extend(single_scopes(permission))
    return found


def _tell(shell: Shell, extension: str, answer: str, about: "Sequence[Permission]", lifetime: str) -> None:
    if shell.json:
        shell.print_json(
            {"extension": extension, "answer": answer, "for": lifetime, "permissions": list(map(str, about))}
        )
    elif not about:
        click.echo(f"{clean(extension)} declares nothing: it may touch nothing, and is not asked about")
    else:
        span = {
            "session": "until this terminal is closed",
            "version": "until it has another version",
            "always": "until you revoke it",
        }[lifetime]
        click.echo(f"{answer} to {clean(extension)}, {span}:")
        for line in columns([(str(permission),) for permission in about], indent=2):
            click.echo(line)
