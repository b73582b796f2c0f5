"""`symphony artifacts`: what is kept, where it comes from, and how well."""

import click

from symphony_host.cli.artifacts.catalogue import relate, tag, tags, untag
from symphony_host.cli.artifacts.comparing import diff
from symphony_host.cli.artifacts.keeping import hold, pin, put, release, remove, restore, unpin
from symphony_host.cli.artifacts.lineage_tree import lineage
from symphony_host.cli.artifacts.reading import get, list_, log, show
from symphony_host.cli.artifacts.tier import tier
from symphony_host.cli.artifacts.upkeep import fsck, gc, keys, rotate_keys, usage


@click.group()
def artifacts() -> None:
    """Find, keep and check artifacts: what runs and you have stored, by its content.

    ARTIFACT is an id, the first characters of one (`b3-3f2a`), or a tag.

    \b
    Example:
      symphony artifacts list --run RUN
      symphony artifacts get b3-3f2a --output report.html
      symphony artifacts put data.csv --meta source=survey
    """


for _command in (
    list_,
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
    remove,
    restore,
    gc,
    fsck,
    usage,
    tier,
    keys,
    rotate_keys,
):
    artifacts.add_command(_command)
