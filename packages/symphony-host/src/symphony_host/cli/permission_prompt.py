"""Asks, in one prompt before a run, for all that the extensions of a workflow lack; or says how to grant it."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, cast

import click
from symphony_workflow import required_permissions

from symphony_host.cli.text import clean, columns, counted

if TYPE_CHECKING:
    from symphony_isolation.permissions import Authority, Lifetime, PermissionRequest, Standing
    from symphony_sdk.errors import PermissionDenied
    from symphony_workflow import Workflow

    from symphony_host.cli.shell import Shell

_LIFETIMES: Final = {
    "once": "once",
    "session": "session",
    "version": "until-version",
    "always": "always",
}


def obtain_permissions(
    shell: "Shell", authority: "Authority", workflow: "Workflow", *, no_input: bool = False
) -> None:
    """Have the user grant what the extensions of a workflow require and lack; nothing where they lack nothing.

    Args:
        shell: How to speak.
        authority: Keeps the answer.
        workflow: What is about to be run.
        no_input: Whether to ask for nothing.

    Raises:
        PermissionDenied: SYM-P002 or SYM-P006, nobody can be asked, or the answer is no; SYM-P004 or SYM-P005,
            somebody has denied it already.
    """
    if authority.audit_only:
        return
    standings = [authority.standing(extension) for extension in needed_extensions(authority, workflow)]
    lacking = [standing for standing in standings if standing.error is not None]
    if not lacking:
        return
    for standing in lacking:
        if not standing.missing and standing.error is not None:
            raise standing.error
    if no_input or shell.json or not sys.stdin.isatty():
        raise refusal(lacking)
    click.echo("this workflow needs permissions that you have not granted:\n", err=True)
    for standing in lacking:
        for line in request_lines(standing.request):
            click.echo(line, err=True)
        click.echo(err=True)
    answer = click.prompt(
        "allow them once, for this session, until the next version, always, or deny them?",
        type=click.Choice([*_LIFETIMES, "deny"]),
        default="deny",
        err=True,
    )
    if answer == "deny":
        raise refusal(lacking)
    for standing in lacking:
        authority.grant(
            standing.declaration.extension, cast("Lifetime", _LIFETIMES[answer]), standing.missing
        )


def needed_extensions(authority: "Authority", workflow: "Workflow") -> list[str]:
    """Ids of the extensions in workers that a workflow uses and that declare something, in their order.

    Those whose models they name are among them, as far as they may run these or are about to be allowed to.

    Args:
        authority: Knows what is declared.
        workflow: Any workflow.
    """
    declared = {id: each.permissions.permissions for id, each in authority.declarations.items()}
    found = dict.fromkeys(need.extension for need in required_permissions(workflow, declared))
    left = list(found)
    for extension in left:
        new = [other for other in _named_by(authority, extension) if other not in found]
        found.update(dict.fromkeys(new))
        left += new
    return sorted(found)


def _named_by(authority: "Authority", extension: str) -> list[str]:
    """The extensions whose models another one names in what it requires or was granted."""
    names = [
        permission.resource
        for permission, decision in authority.standing(extension).decided
        if permission.type == "model"
        and "execute" in permission.scope
        and (decision.allowed or (permission.required and decision.outcome == "ask"))
    ]
    return [other for other in authority.declarations if any(name.startswith(f"{other}.") for name in names)]


def refusal(lacking: "Sequence[Standing]") -> "PermissionDenied":
    """The error of extensions that lack what nobody has denied.

    Args:
        lacking: At least one.
    """
    import msgspec
    from symphony_sdk.errors import PermissionDenied

    errors = [standing.error for standing in lacking if standing.error is not None]
    if len(errors) == 1:
        return errors[0]
    ids = " ".join(standing.declaration.extension for standing in lacking)
    lines = "\n  ".join(error.message for error in errors)
    return PermissionDenied(
        f"{counted(len(lacking), 'extension')} need what you have not granted:\n  {lines}",
        code="SYM-P002",
        hint=f"`symphony permissions grant {ids}` grants it; `symphony permissions request {ids}` shows risk and reason.",
        details={"requests": [msgspec.to_builtins(standing.request) for standing in lacking]},
    )


def request_lines(request: "PermissionRequest") -> Iterable[str]:
    """A request for people.

    Args:
        request: What one extension lacks.
    """
    by = f"{request.publisher}, {'verified' if request.verified else 'not verified'}"
    yield f"{click.style(request.extension, bold=True)} {clean(request.version)} from {by}"
    rows = [
        (
            f"{item.risk} risk",
            item.text,
            " ".join(
                part
                for part in (
                    f"NEW since {item.new_since}" if item.new_since else "",
                    "" if item.required else "(optional)",
                    f"- {item.reason}" if item.reason else "",
                )
                if part
            ),
        )
        for item in request.items
    ]
    colors = {"high": "red", "medium": "yellow", "low": "green"}
    for item, line in zip(request.items, columns(rows, indent=2), strict=True):
        yield click.style(line, fg=colors[item.risk])
