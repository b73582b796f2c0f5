"""The addon: a panel that shows a code atlas, a command that draws one, and a theme."""

from collections.abc import Iterator

from symphony_sdk import Addon, CommandSpec, PanelSpec, ThemeSpec, provides_addons


@provides_addons
def symphony_addons() -> Iterator[Addon]:
    """The addons of this extension."""
    yield Addon(
        "symphony.code-atlas.viewer",
        title="Code atlas",
        package="symphony_addon_atlas",
        panels=[
            PanelSpec("atlas", "Code atlas", "assets/panel.html", accepts=("text/html", "application/json"))
        ],
        commands=[CommandSpec("draw", "Draw the report again", "symphony.report.render")],
        themes=[ThemeSpec("slate", "Slate", "assets/slate.css", dark=True)],
    )
