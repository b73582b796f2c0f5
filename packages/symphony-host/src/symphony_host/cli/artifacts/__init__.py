"""`symphony artifacts`: what is kept, where it comes from, and how well."""

import click

from symphony_host.cli.artifacts.bundles import export, import_
from symphony_host.cli.artifacts.catalogue import relate, tag, tags, untag
from symphony_host.cli.artifacts.comparing import diff
from symphony_host.cli.artifacts.keeping import hold, pin, put, release, remove, restore, unpin
from symphony_host.cli.artifacts.lineage_tree import lineage
from symphony_host.cli.artifacts.reading import get, list_, log, show
from symphony_host.cli.artifacts.scoring import score, scores
from symphony_host.cli.artifacts.searching import search
from symphony_host.cli.artifacts.tier import tier
from symphony_host.cli.artifacts.upkeep import fsck, gc, keys, rotate_keys, usage


@click.group()
def artifacts() -> None:
    """Find, keep and check artifacts: what runs and you have stored, by its content.

    ARTIFACT is an id, the first characters of one (`b3-3f2a`), or a tag.

    \b
    Example:
      symphony artifacts list --run RUN
      symphony artifacts search quarterly figures
      symphony artifacts get b3-3f2a --output report.html
      symphony artifacts put data.csv --meta source=survey
    """


for _command in (
    list_,
    search,
    show,
    log,
    diff,
    lineage,
    get,
    put,
    tag,
    untag,
    tags,
    pin,
    unpin,
    hold,
    release,
    relate,
    score,
    scores,
    remove,
    restore,
    gc,
    fsck,
    usage,
    tier,
    keys,
    rotate_keys,
    export,
    import_,
):
    artifacts.add_command(_command)
