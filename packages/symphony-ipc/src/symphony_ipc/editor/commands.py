"""What a front end says to the editor: views, files, edits and settings, with xi's names and parameters."""

from typing import Any, Final, Literal

import msgspec
from symphony_sdk.errors import MalformedMessage

from symphony_ipc.editor.edits import EDITS, PLAIN_EDITS, EditCommand, Plain
from symphony_ipc.framing import DECODING_FAILURES, describe


class ClientStarted(msgspec.Struct, frozen=True, omit_defaults=True):
    """`client_started`: the first notification.

    Args:
        config_dir: Where the user's settings are.
        client_extras_dir: Where the front end keeps what it brings along.
    """

    config_dir: str | None = None
    client_extras_dir: str | None = None


class NewView(msgspec.Struct, frozen=True, omit_defaults=True):
    """`new_view`, a request: open a file or a new text; the result is the name of the view.

    Args:
        file_path: The file; one that does not exist is a new text of that name.
    """

    file_path: str | None = None


class CloseView(msgspec.Struct, frozen=True):
    """`close_view`: the view is not needed any more.

    Args:
        view_id: Its name.
    """

    view_id: str


class Save(msgspec.Struct, frozen=True):
    """`save`: write a text to a file.

    Args:
        view_id: A view of it.
        file_path: The file.
    """

    view_id: str
    file_path: str


class Edit(msgspec.Struct, frozen=True):
    """`edit`: do something to a view; a request where the method is `copy` or `cut`.

    Args:
        view_id: Its name.
        method: What to do.
        params: With what; see [EDITS][symphony_ipc.editor.edits.EDITS].
    """

    view_id: str
    method: str
    params: msgspec.Raw = msgspec.Raw(b"[]")

    @classmethod
    def of(cls, view_id: str, command: EditCommand, method: str = "") -> "Edit":
        """The edit that carries a command.

        Args:
            view_id: Name of the view.
            command: What to do.
            method: Its method, where several take such parameters: `find_previous`, `selection_for_replace`.
        """
        if isinstance(command, Plain):
            return cls(view_id, command.method)
        return cls(view_id, method or _METHODS[type(command)], msgspec.Raw(msgspec.json.encode(command)))

    def command(self) -> EditCommand:
        """What to do.

        Raises:
            MalformedMessage: There is no such method, or it does not take such parameters.
        """
        decoder = _DECODERS.get(self.method)
        if decoder is None:
            if self.method not in PLAIN_EDITS:
                raise MalformedMessage(f"there is no edit {describe(self.method)}")
            return Plain(self.method)
        try:
            command: EditCommand = decoder.decode(self.params)
        except DECODING_FAILURES as error:
            raise MalformedMessage(f"the parameters of the edit {self.method} are wrong: {error}") from error
        return command


class GetConfig(msgspec.Struct, frozen=True):
    """`get_config`, a request: the settings of a view.

    Args:
        view_id: Its name.
    """

    view_id: str


class SyntaxDomain(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which settings are changed; one of its fields is given.

    Args:
        syntax: Those of a language.
        user_override: Those of a view.
    """

    syntax: str | None = None
    user_override: str | None = None


class ModifyUserConfig(msgspec.Struct, frozen=True):
    """`modify_user_config`: change settings.

    Args:
        domain: Which.
        changes: Their values by name; `null` takes a change back. Not decoded, as it may hold anything.
    """

    domain: Literal["general"] | SyntaxDomain
    changes: msgspec.Raw


class DebugGetContents(msgspec.Struct, frozen=True):
    """`debug_get_contents`, a request: the whole text.

    Args:
        view_id: A view of it.
    """

    view_id: str


class SetTheme(msgspec.Struct, frozen=True):
    """`set_theme`: use this theme.

    Args:
        theme_name: Its name.
    """

    theme_name: str


class SetLanguage(msgspec.Struct, frozen=True):
    """`set_language`: the text is in this language.

    Args:
        view_id: A view of it.
        language_id: Name of the language.
    """

    view_id: str
    language_id: str


class Plugin(msgspec.Struct, frozen=True, omit_defaults=True):
    """`plugin`: start or stop a plugin, or tell it something.

    Args:
        command: Which of these.
        view_id: The view that it is for.
        plugin: Name of the plugin, to start or stop it.
        receiver: Name of the plugin, to tell it something.
        notification: What to tell; not decoded.
    """

    command: Literal["start", "stop", "plugin_rpc"]
    view_id: str
    plugin: str = ""
    receiver: str = ""
    notification: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


TO_CORE: Final[dict[str, type[msgspec.Struct]]] = {
    "client_started": ClientStarted,
    "new_view": NewView,
    "close_view": CloseView,
    "save": Save,
    "edit": Edit,
    "get_config": GetConfig,
    "modify_user_config": ModifyUserConfig,
    "debug_get_contents": DebugGetContents,
    "set_theme": SetTheme,
    "set_language": SetLanguage,
    "plugin": Plugin,
}
"""What an editor understands, with the type of the parameters."""

_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(kind) for name, kind in EDITS.items()
}
_METHODS: Final = {kind: name for name, kind in reversed(EDITS.items())}
