"""`symphony artifacts lineage`: what an artifact comes from, and what came from it."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from symphony_host.cli.artifacts.describing import related, titled
from symphony_host.cli.artifacts.opening import with_store
from symphony_host.cli.artifacts.parameters import artifact_argument
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.signs import signs_for
from symphony_host.cli.text import clean

if TYPE_CHECKING:
    from symphony_sdk.ports import ArtifactStore, Relation


@click.command()
@artifact_argument
@click.option("--down", is_flag=True, help="What came from it, instead.")
@click.option(
    "--depth", type=click.IntRange(min=1), metavar="N", default=32, show_default=True, help="At most N steps."
)
@json_option
@debug_option
@pass_shell
def lineage(shell: Shell, artifact: str, down: bool, depth: int) -> None:
    """Draw what ARTIFACT comes from as a tree: other artifacts, and the runs that produced them.

    What stands in it already is named again, but not what stands below it.

    \b
    Example:
      symphony artifacts lineage b3-3f2a --depth 3
      symphony artifacts lineage b3-91c0 --down
    """

    def walk(store: "ArtifactStore") -> "tuple[str, Sequence[Relation], dict[str, str]]":
        root = store.info(artifact).ref.id
        relations = store.lineage(root, depth=depth, down=down)
        return root, relations, {} if shell.json else _titles(store, root, relations)

    root, relations, titles = with_store(shell, walk)
    if shell.json:
        shell.print_json({"artifact": root, "relations": relations})
        return
    click.echo(titles[root])
    ascii = signs_for(sys.stdout.encoding or "").ascii
    for line in tree(root, relations, titles, down=down, ascii=ascii):
        click.echo(line)
    if not relations:
        click.echo("nothing came from it" if down else "nothing is known of where it comes from")


def tree(
    root: str, relations: "Sequence[Relation]", titles: Mapping[str, str], *, down: bool, ascii: bool
) -> Iterator[str]:
    """The lines of a tree of relations below its root.

    Args:
        root: Id of the artifact that it begins with.
        relations: What leads from there.
        titles: What stands for each of them, by id.
        down: Whether they lead to what came from it.
        ascii: Whether to draw with ASCII alone.
    """
    below: dict[str, list[Relation]] = defaultdict(list)
    for relation in relations:
        below[relation.object if down else relation.subject].append(relation)
    fork, last, bar = ("|- ", "`- ", "|  ") if ascii else ("├─ ", "└─ ", "│  ")
    drawn = {root}
    waiting = [("", relation) for relation in reversed(below[root])]  # a stack: a chain may be long
    while waiting:
        prefix, relation = waiting.pop()
        origin = relation.object if down else relation.subject
        words, id = related(relation, origin)
        ends = relation is below[origin][-1]
        seen = " (see above)" if id in drawn and below.get(id) else ""
        yield f"{prefix}{last if ends else fork}{words} {titles[id]}{seen}"
        if id not in drawn:
            drawn.add(id)
            inner = prefix + ("   " if ends else bar)
            waiting += [(inner, each) for each in reversed(below.get(id, ()))]


def _titles(store: "ArtifactStore", root: str, relations: "Sequence[Relation]") -> dict[str, str]:
    """What stands for each artifact and each run in a tree."""
    ids = {root, *(relation.subject for relation in relations)}
    ids |= {relation.object for relation in relations if relation.kind != "produced-by"}
    makers = {
        relation.object: clean(relation.object) for relation in relations if relation.kind == "produced-by"
    }
    return makers | {id: _title(store, id) for id in ids}


def _title(store: "ArtifactStore", id: str) -> str:
    from symphony_sdk.errors import ArtifactError

    try:
        return titled(store.info(id))
    except ArtifactError:  # it was collected; what was said of it stays
        return f"{clean(id)} (gone)"
