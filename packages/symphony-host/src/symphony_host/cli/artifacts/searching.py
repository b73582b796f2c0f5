"""`symphony artifacts search`: what there is, by its words."""

from typing import TYPE_CHECKING

import click

from symphony_host.cli.artifacts.describing import titled
from symphony_host.cli.artifacts.opening import with_store
from symphony_host.cli.artifacts.parameters import TEXT, Moment, limit_option
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell

if TYPE_CHECKING:
    from symphony_sdk.ports import Found


@click.command()
@click.argument("query", nargs=-1, type=TEXT)
@click.option("--run", metavar="RUN", type=TEXT, default="", help="Only those of this run.")
@click.option("--tag", metavar="TAG", type=TEXT, default="", help="Only those with a tag that begins so.")
@click.option(
    "--type",
    "media_type",
    metavar="TYPE",
    type=TEXT,
    default="",
    help="Only those of a type that begins so, such as `text/`.",
)
@click.option("--since", type=Moment(), help="Only those stored from this time on.")
@click.option("--until", type=Moment(), help="Only those stored before this time.")
@click.option(
    "--quality",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Only those whose quality, from 0 to 1, is at least this.",
)
@limit_option(20)
@json_option
@debug_option
@pass_shell
def search(
    shell: Shell,
    query: tuple[str, ...],
    run: str,
    tag: str,
    media_type: str,
    since: float | None,
    until: float | None,
    quality: float,
    limit: int,
) -> None:
    """Search artifacts for the words of QUERY, in their text, names, tags and metadata; the best first.

    All words have to be there. `A OR B` finds either, `'"two words"'` what follows each other, `-- A -B` what is
    without B, `name:report` looks in one place, `metadata.source:field` in one fact. Without QUERY all that fit
    are given, the newest first.

    \b
    Example:
      symphony artifacts search quarterly figures --type text/ --since 2026-03-01
    """
    found = with_store(
        shell,
        lambda store: store.search(
            " ".join(query),
            run=run,
            tag=tag,
            media_type=media_type,
            since=since or 0.0,
            until=until,
            quality=quality,
            limit=limit,
            fresh=True,
        ),
    )
    if shell.json:
        shell.print_json(found)
    elif found:
        for each in found:
            click.echo(titled(each.info))
            if query:
                click.echo(f"  {shown(each)}")
    else:
        click.echo("no artifacts")


def shown(found: "Found") -> str:
    """A snippet on one line, with the words that were looked for in bold.

    Args:
        found: What was found.
    """
    parts, at = [], 0
    for begin, end in sorted(found.highlights):
        parts += [_line(found.snippet[at:begin]), click.style(_line(found.snippet[begin:end]), bold=True)]
        at = end
    return "".join([*parts, _line(found.snippet[at:])]).strip()


def _line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
