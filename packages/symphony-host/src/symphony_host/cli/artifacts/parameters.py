"""What the commands of `symphony artifacts` take: artifacts, text, times and limits."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

MOST: Final = 1_000_000_000
"""The largest limit that can be given; databases count no further than 64 bits."""

artifact_argument = click.argument("artifact")
"""ARTIFACT: an id, the first characters of one, or a tag."""


class Text(click.ParamType[str]):
    """Text that can be kept: a command line may hold bytes that are none."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text."""
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail(f"{value!r} is not text: it holds bytes that are no UTF-8.", param, ctx)
        return str(value)


class Moment(click.ParamType[float]):
    """A local date, perhaps with a time, as seconds since 1970."""

    name = "moment"
    _written = click.DateTime()

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """How it is written."""
        return self._written.get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        try:
            return float(self._written.convert(value, param, ctx).timestamp())
        except (ValueError, OverflowError, OSError):  # at the ends of the calendar
            self.fail(f"{value!r} is no time that this system knows.", param, ctx)


TEXT: Final = Text()


def filter_options(function: F) -> F:
    """Add the options that choose artifacts, as `ArtifactStore.find` takes them."""
    options = (
        click.option("--run", metavar="RUN", type=TEXT, default="", help="Only those of this run."),
        click.option(
            "--name", metavar="TEXT", type=TEXT, default="", help="Only those with this text in their name."
        ),
        click.option(
            "--tag", metavar="TAG", type=TEXT, default="", help="Only those with a tag that begins so."
        ),
        click.option(
            "--type",
            "media_type",
            metavar="TYPE",
            type=TEXT,
            default="",
            help="Only those of a type that begins so, such as `image/`.",
        ),
        click.option(
            "--since",
            type=Moment(),
            callback=lambda context, parameter, value: value or 0.0,
            help="Only those stored from this time on.",
        ),
        click.option("--until", type=Moment(), help="Only those stored before this time."),
        click.option(
            "--quality",
            metavar="NUMBER",
            type=click.FloatRange(0.0, 1.0),
            default=0.0,
            help="Only those whose scores have this mean or a larger one, from 0 to 1.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def limit_option(default: int) -> Callable[[F], F]:
    """Add `--limit`.

    Args:
        default: How many unless it is given.
    """
    return click.option(
        "--limit",
        type=click.IntRange(1, MOST),
        default=default,
        show_default=True,
        help="At most so many.",
    )
