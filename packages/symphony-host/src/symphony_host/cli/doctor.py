"""`symphony doctor`."""

import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import symphony_sdk
from symphony_sdk.errors import SymphonyError

from symphony_host.cli import exits
from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, error_lines, json_option, pass_shell
from symphony_host.cli.survey import Surveyed, survey
from symphony_host.cli.text import columns
from symphony_host.configuration import Settings
from symphony_host.directories import user_directory
from symphony_host.index import index_file

_UNCONFINED = (
    "Remove `sandbox` from your settings: extensions run in the best sandbox that the machine offers then."
)


class Check(NamedTuple):
    """One thing that was looked at.

    Args:
        name: What.
        ok: Whether it is as it should be.
        found: What was found.
        hint: How to mend it.
    """

    name: str
    ok: bool
    found: str
    hint: str = ""


@click.command()
@click.option(
    "--load",
    is_flag=True,
    help="Also start every extension, each in its own process, and ask it for its health.",
)
@json_option
@debug_option
@pass_shell
def doctor(shell: Shell, load: bool) -> int:
    """Say what is broken and how to mend it; loads no code of any extension, except with --load.

    The exit code is 3 where something is broken.

    \b
    Example:
      symphony doctor --load
    """
    checks, settings = _settings(shell)
    checks += [*_environment(), _writable("data", settings.data_dir), _writable("cache", settings.cache_dir)]
    checks += [_index(settings), *_isolation(settings)]
    extensions: list[Surveyed] = []
    try:
        extensions = survey(settings, ask=load, health=load)
    except (SymphonyError, OSError) as error:
        hint = getattr(error, "hint", "") or "Mend the directories above first."
        checks.append(Check("extensions", False, str(error), hint))
    broken = [each for each in extensions if each.problems]
    unknown = [
        each
        for each in extensions
        if each.state == "resolved" and each.works_for_nodes and each.operations is None
    ]
    healthy = all(check.ok for check in checks) and not broken
    if shell.json:
        shell.print_json(
            {
                "healthy": healthy,
                "checks": [check._asdict() for check in checks],
                "extensions": [
                    {
                        "id": each.record.id,
                        "version": each.record.version,
                        "state": each.state,
                        "reason": each.reason,
                        "problems": [error.payload() for error in each.problems],
                    }
                    for each in extensions
                ],
            }
        )
    else:
        _print(checks, extensions, broken)
        if unknown and not load:
            click.echo(
                f"{len(unknown)} extensions were never started here: `symphony doctor --load` tries them"
            )
    return exits.OK if healthy else exits.ENVIRONMENT


def _settings(shell: Shell) -> tuple[list[Check], Settings]:
    try:
        settings = settings_of(shell)
    except SymphonyError as error:
        defaults = Settings(Path(user_directory("data")), Path(user_directory("cache")))
        return [Check("settings", False, f"{error.code}: {error}", error.hint)], defaults
    found = f"read from {settings.file}" if settings.file else "the defaults; there is no configuration file"
    return [Check("settings", True, found)], settings


def _environment() -> Iterator[Check]:
    yield Check("symphony", True, f"{symphony_sdk.__version__}, from {Path(__file__).parents[1]}")
    yield Check("python", True, f"{platform.python_version()}, {sys.executable}")
    yield Check("platform", True, platform.platform())
    yield Check("sqlite", True, sqlite3.sqlite_version)


def _writable(name: str, directory: Path) -> Check:
    """Whether files can be written in a directory; one that is not there yet is not made."""
    label = f"{name} directory"
    place = next(each for each in (directory, *directory.parents) if each.exists())
    hint = f"Mend its permissions, or set SYMPHONY_{name.upper()}_DIR to another directory."
    if not place.is_dir():
        return Check(label, False, f"{place} is a file", hint)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Check(label, False, f"{place} cannot be written to: {error.strerror}", hint)
    return Check(
        label, True, str(directory) if place == directory else f"{directory}, made when it is needed"
    )


def _index(settings: Settings) -> Check:
    file = index_file(str(settings.cache_dir))
    if os.path.exists(file):  # noqa: PTH110 - the name is text
        return Check("index of extensions", True, file)
    return Check(
        "index of extensions",
        True,
        "not kept yet: what was installed changed a moment ago, or the cache is read-only",
    )


def _isolation(settings: Settings) -> Iterator[Check]:
    from symphony_isolation.sandbox import MEANING, backend, choose, probe, unenforced

    try:
        tier = choose(settings.sandbox)
    except SymphonyError as error:
        yield Check("isolation", False, str(error), error.hint)
    else:
        yield Check("isolation", tier != "none", f"{tier}: {MEANING[tier]}", _UNCONFINED)
    tiers = probe()
    for layer in tiers.layers:
        works = "unverified" if layer.name == backend() else "works"
        told = works if layer.works else f"missing: {layer.reason}"
        yield Check(f"sandbox, {layer.name}", True, f"{told}; it stops {layer.stops}")
    for what in unenforced("unverified"):
        yield Check(f"{backend()} lets through", True, what)


def _print(checks: list[Check], extensions: list[Surveyed], broken: list[Surveyed]) -> None:
    lines = columns([(check.name, check.found) for check in checks], indent=2)
    for check, line in zip(checks, lines, strict=True):
        click.echo((click.style("ok  ", fg="green") if check.ok else click.style("bad ", fg="red")) + line)
        if check.hint and not check.ok:
            click.echo(f"      {click.style('hint', fg='cyan', bold=True)}: {check.hint}")
    for each in broken:
        click.echo()
        click.secho(f"{each.record.id} {each.record.version} is {each.state}", bold=True)
        for error in each.problems:
            for line in error_lines(error):
                click.echo(f"  {line}")
    disabled = [each for each in extensions if each.state == "disabled"]
    if disabled:
        click.echo()
        for line in columns([(each.record.id, each.reason) for each in disabled]):
            click.echo(line)
    click.echo(f"\n{len(extensions)} extensions: {len(broken)} with problems, {len(disabled)} disabled")
