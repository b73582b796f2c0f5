"""`symphony artifacts tag`, `untag`, `tags` and `relate`: what artifacts are called, and what they are to each other."""

from typing import Final, Literal

import click

from symphony_host.cli.artifacts.opening import with_store
from symphony_host.cli.artifacts.parameters import TEXT, artifact_argument, limit_option
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import clean, moment

KINDS: Final = ("derived-from", "produced-by", "replaces")
"""The kinds of a relation, as `RelationKind` has them: that module is not imported to print a help text."""


@click.command()
@artifact_argument
@click.argument("tag", metavar="TAG", type=TEXT)
@json_option
@debug_option
@pass_shell
def tag(shell: Shell, artifact: str, tag: str) -> None:
    """Give ARTIFACT a tag, by which it can be named; another artifact that had it has it no more.

    \b
    Example:
      symphony artifacts tag b3-3f2a reports/latest
    """
    given = with_store(shell, lambda store: store.tag(artifact, tag))
    if shell.json:
        shell.print_json(given)
    else:
        click.echo(f"{clean(given.name)} is {given.id}")


@click.command()
@click.argument("tag", metavar="TAG", type=TEXT)
@json_option
@debug_option
@pass_shell
def untag(shell: Shell, tag: str) -> None:
    """Take TAG away; the artifact that had it stays.

    \b
    Example:
      symphony artifacts untag reports/latest
    """
    with_store(shell, lambda store: store.untag(tag))
    if shell.json:
        shell.print_json({"untagged": tag})
    else:
        click.echo(f"nothing has the tag {clean(tag)} any more")


@click.command()
@limit_option(1000)
@json_option
@debug_option
@pass_shell
def tags(shell: Shell, limit: int) -> None:
    """List the tags in alphabetical order.

    \b
    Example:
      symphony artifacts tags
    """
    found = with_store(shell, lambda store: store.tags(limit))
    if shell.json:
        shell.print_json(found)
    elif found:
        shell.table(
            ("tag", "artifact", "since"), [(each.name, each.id, moment(each.created)) for each in found]
        )
    else:
        click.echo("no tags")


@click.command()
@click.argument("subject", metavar="SUBJECT")
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS))
@click.argument("object", metavar="OBJECT", type=TEXT)
@json_option
@debug_option
@pass_shell
def relate(
    shell: Shell, subject: str, kind: Literal["derived-from", "produced-by", "replaces"], object: str
) -> None:
    """Say what the artifact SUBJECT is to OBJECT: `derived-from`, `produced-by` or `replaces` it.

    OBJECT is an artifact; of `produced-by`, any text that names what made it.

    \b
    Example:
      symphony artifacts relate report derived-from data
    """
    relation = with_store(shell, lambda store: store.relate(subject, kind, object))
    if shell.json:
        shell.print_json(relation)
    else:
        click.echo(clean(f"{relation.subject} {relation.kind} {relation.object}"))
