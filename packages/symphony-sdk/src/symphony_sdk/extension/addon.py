"""Addons: what extensions add to the user interface."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from symphony_sdk.contributions import AddonSpec, CommandSpec, PanelSpec, ThemeSpec
from symphony_sdk.errors import ExtensionError
from symphony_sdk.extension.naming import check_operation_id


class Addon:
    """Panels, commands and themes, whose files lie in the extension's package.

    Args:
        id: `publisher.extension.addon`.
        title: A few words for people.
        package: Import name of the package that holds the files.
        panels: Its panels.
        commands: Its commands.
        themes: Its themes.

    Raises:
        ExtensionError: The id is no id, two parts have one id, or a file that a part names is not in the
            package.
    """

    def __init__(
        self,
        id: str,
        *,
        title: str,
        package: str,
        panels: Iterable[PanelSpec] = (),
        commands: Iterable[CommandSpec] = (),
        themes: Iterable[ThemeSpec] = (),
    ) -> None:
        self.spec = AddonSpec(
            id=check_operation_id(id),
            title=title,
            package=package,
            panels=tuple(panels),
            commands=tuple(commands),
            themes=tuple(themes),
        )
        self._check_ids()
        self._check_files()

    def _check_ids(self) -> None:
        for kind, parts in (
            ("panel", self.spec.panels),
            ("command", self.spec.commands),
            ("theme", self.spec.themes),
        ):
            ids = [part.id for part in parts]
            for id in ids:
                if ids.count(id) > 1:
                    raise ExtensionError(
                        f"the addon {self.spec.id!r} has two {kind}s with the id {id!r}",
                        code="SYM-E012",
                        hint=f"Give each {kind} an id of its own.",
                    )

    def _check_files(self) -> None:
        package = find_spec(self.spec.package)
        if package is None or not package.submodule_search_locations:
            raise ExtensionError(
                f"the addon {self.spec.id!r} names the package {self.spec.package!r}, which is not installed",
                code="SYM-E012",
                hint="`package` is the import name of the package that holds the addon's files.",
            )
        root = Path(package.submodule_search_locations[0]).resolve()
        files = [(part.id, part.entry) for part in self.spec.panels]
        files += [(theme.id, theme.entry) for theme in self.spec.themes]
        for part, entry in files:
            file = (root / entry).resolve()
            if not (file.is_relative_to(root) and file.is_file()):
                raise ExtensionError(
                    f"{part!r} of the addon {self.spec.id!r} names {entry!r}, which is no file of the "
                    f"package {self.spec.package!r}",
                    code="SYM-E012",
                    hint="Name a file by its path inside the package, and ship it in the wheel.",
                )
