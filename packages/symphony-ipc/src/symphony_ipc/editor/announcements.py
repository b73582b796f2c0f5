"""What the editor says to a front end: updates, styles, settings and alerts, with xi's names and parameters."""

from typing import Final, Literal

import msgspec

from symphony_ipc.editor.edits import Count
from symphony_ipc.editor.updates import Update


class ScrollTo(msgspec.Struct, frozen=True):
    """`scroll_to`: show this place.

    Args:
        view_id: Name of the view.
        line: The line.
        col: Where on it.
    """

    view_id: str
    line: Count
    col: Count


class DefStyle(msgspec.Struct, frozen=True, omit_defaults=True):
    """`def_style`: what a style looks like.

    Args:
        id: Its number; 0 is the selection, 1 what was found.
        fg_color: Colour of the text, ARGB.
        bg_color: Colour behind it, ARGB.
        weight: From 100 to 900; 700 is bold.
        italic: Whether it leans.
        underline: Whether it is underlined.
    """

    id: Count
    fg_color: Count | None = None
    bg_color: Count | None = None
    weight: Count | None = None
    italic: bool = False
    underline: bool = False


class AvailableThemes(msgspec.Struct, frozen=True):
    """`available_themes`.

    Args:
        themes: Their names.
    """

    themes: tuple[str, ...]


class ThemeChanged(msgspec.Struct, frozen=True):
    """`theme_changed`.

    Args:
        name: Its name.
        theme: Its colours by what they are for; not decoded.
    """

    name: str
    theme: msgspec.Raw


class AvailableLanguages(msgspec.Struct, frozen=True):
    """`available_languages`.

    Args:
        languages: Their names.
    """

    languages: tuple[str, ...]


class LanguageChanged(msgspec.Struct, frozen=True):
    """`language_changed`.

    Args:
        view_id: A view of the text.
        language_id: Its language; empty for plain text.
    """

    view_id: str
    language_id: str


class ConfigChanged(msgspec.Struct, frozen=True):
    """`config_changed`.

    Args:
        view_id: Whose settings.
        changes: Those that changed, by name; not decoded.
    """

    view_id: str
    changes: msgspec.Raw


class PluginState(msgspec.Struct, frozen=True):
    """A plugin of the editor.

    Args:
        name: Its name.
        running: Whether it runs.
    """

    name: str
    running: bool


class AvailablePlugins(msgspec.Struct, frozen=True):
    """`available_plugins`.

    Args:
        view_id: The view that they are for.
        plugins: The plugins.
    """

    view_id: str
    plugins: tuple[PluginState, ...]


class PluginStarted(msgspec.Struct, frozen=True):
    """`plugin_started`.

    Args:
        view_id: The view that it is for.
        plugin: Its name.
    """

    view_id: str
    plugin: str


class PluginStopped(msgspec.Struct, frozen=True):
    """`plugin_stopped`.

    Args:
        view_id: The view that it was for.
        plugin: Its name.
        code: Its exit code.
    """

    view_id: str
    plugin: str
    code: int = 0


class UpdateCmds(msgspec.Struct, frozen=True):
    """`update_cmds`: what a plugin can be told.

    Args:
        view_id: The view that it is for.
        plugin: Its name.
        cmds: Its commands; not decoded.
    """

    view_id: str
    plugin: str
    cmds: msgspec.Raw


class QueryStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one text that is looked for.

    Args:
        id: Its number.
        matches: How often it was found.
        chars: The text.
        case_sensitive: Whether its case matters.
        is_regex: Whether it is a regular expression.
        whole_words: Whether it stands for whole words.
        lines: Where it was found.
    """

    id: Count
    matches: Count
    chars: str | None = None
    case_sensitive: bool | None = None
    is_regex: bool | None = None
    whole_words: bool | None = None
    lines: tuple[Count, ...] = ()


class FindStatus(msgspec.Struct, frozen=True):
    """`find_status`.

    Args:
        view_id: Name of the view.
        queries: All that is looked for.
    """

    view_id: str
    queries: tuple[QueryStatus, ...]


class Replacement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written in place of what is found.

    Args:
        chars: The text.
        preserve_case: Whether it takes the case of what it replaces.
    """

    chars: str
    preserve_case: bool = False


class ReplaceStatus(msgspec.Struct, frozen=True):
    """`replace_status`.

    Args:
        view_id: Name of the view.
        status: The replacement.
    """

    view_id: str
    status: Replacement


class Alert(msgspec.Struct, frozen=True):
    """`alert`: something for the user to know.

    Args:
        msg: The text.
    """

    msg: str


class AddStatusItem(msgspec.Struct, frozen=True):
    """`add_status_item`.

    Args:
        view_id: Name of the view.
        source: The plugin that it comes from.
        key: Its name.
        value: Its text.
        alignment: Where it stands.
    """

    view_id: str
    source: str
    key: str
    value: str
    alignment: Literal["left", "right"] = "left"


class UpdateStatusItem(msgspec.Struct, frozen=True):
    """`update_status_item`.

    Args:
        view_id: Name of the view.
        key: Its name.
        value: Its text.
    """

    view_id: str
    key: str
    value: str


class RemoveStatusItem(msgspec.Struct, frozen=True):
    """`remove_status_item`.

    Args:
        view_id: Name of the view.
        key: Its name.
    """

    view_id: str
    key: str


class ShowHover(msgspec.Struct, frozen=True):
    """`show_hover`: what is known of the place that was asked for.

    Args:
        view_id: Name of the view.
        request_id: That of the question.
        result: The text.
    """

    view_id: str
    request_id: Count
    result: str


class WidthRequest(msgspec.Struct, frozen=True):
    """Texts of one style whose widths are asked for.

    Args:
        id: Number of the style.
        strings: The texts.
    """

    id: Count
    strings: tuple[str, ...]


MeasureWidth = tuple[WidthRequest, ...]
"""`measure_width`, a request: how wide texts are; the result has a width for each text of each style."""

TO_FRONT_END: Final[dict[str, object]] = {
    "update": Update,
    "scroll_to": ScrollTo,
    "def_style": DefStyle,
    "available_themes": AvailableThemes,
    "theme_changed": ThemeChanged,
    "available_languages": AvailableLanguages,
    "language_changed": LanguageChanged,
    "config_changed": ConfigChanged,
    "available_plugins": AvailablePlugins,
    "plugin_started": PluginStarted,
    "plugin_stopped": PluginStopped,
    "update_cmds": UpdateCmds,
    "find_status": FindStatus,
    "replace_status": ReplaceStatus,
    "alert": Alert,
    "add_status_item": AddStatusItem,
    "update_status_item": UpdateStatusItem,
    "remove_status_item": RemoveStatusItem,
    "show_hover": ShowHover,
    "measure_width": MeasureWidth,
}
"""What a front end understands, with the type of the parameters."""
