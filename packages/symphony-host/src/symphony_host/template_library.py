"""The library of workflow templates as this machine has it: the user's own, folders, installed extensions."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from symphony_workflow.templates import Source, TemplateLibrary

from symphony_host.catalogue import load_catalogue
from symphony_host.hosted_contributions import hosted_templates

if TYPE_CHECKING:
    from symphony_host.configuration import Settings

USER = "user"
"""The name of the source that the user's own templates are from."""


def user_folder(settings: "Settings") -> Path:
    """Where the user's own templates are.

    Args:
        settings: The settings of this start.
    """
    return settings.data_dir / "templates"


def template_sources(settings: "Settings") -> list[Source]:
    """Where templates come from, the ones that count first: the user, folders, extensions that can be used.

    What an extension brings is read from its manifest, and from what those in the host said through
    `symphony_workflow_templates`; no worker is started.

    Args:
        settings: The settings of this start.
    """
    files: defaultdict[str, list[Path]] = defaultdict(list)
    usable = load_catalogue(settings).usable()
    for record in usable:
        beside = Path(record.manifest_file).parent
        files[record.id] += [beside / file for file in (record.document or {}).get("templates", ())]
    for extension, file in hosted_templates():
        if extension in files:
            files[extension].append(Path(file))
    return [
        Source(USER, user_folder(settings)),
        *(Source(str(folder), folder) for folder in dict.fromkeys(settings.template_folders)),
        *(Source(extension, files=tuple(paths)) for extension, paths in sorted(files.items()) if paths),
    ]


def open_library(settings: "Settings") -> TemplateLibrary:
    """The library, brought up to date; close it, or use it as a context manager.

    Args:
        settings: The settings of this start.
    """
    sources = template_sources(settings)
    place = "\0".join(str(source.folder) for source in sources if source.folder is not None)
    index = settings.cache_dir / f"templates-{crc32(place.encode(errors='surrogateescape')):08x}.sqlite"
    return TemplateLibrary(sources, index=index)
