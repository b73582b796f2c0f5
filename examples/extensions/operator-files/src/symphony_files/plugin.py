"""The operators: walk a folder, read a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from symphony_sdk import Context, Operator, SymphonyError, operator, provides_operators

from symphony_files.walk import walk


class FileEntry(msgspec.Struct, frozen=True):
    """A file that was found.

    Args:
        path: Absolute path.
        relative: Path relative to the folder that was walked, with `/`.
        size: Bytes.
    """

    path: str
    relative: str
    size: int


class Walked(TypedDict):
    """What walking a folder gives."""

    files: Annotated[list[FileEntry], msgspec.Meta(description="The files, in a stable order")]
    count: Annotated[int, msgspec.Meta(description="How many there are")]


@operator("symphony.files.walk", title="Walk a folder")
def walk_folder(
    ctx: Context,
    path: Annotated[Path, msgspec.Meta(description="The folder")],
    include: Annotated[
        tuple[str, ...], msgspec.Meta(description="Globs of the files to take; empty for all")
    ] = (),
    exclude: Annotated[tuple[str, ...], msgspec.Meta(description="Globs of what to leave out")] = (),
    limit: Annotated[int, msgspec.Meta(ge=1, description="At most so many files")] = 100_000,
) -> Walked:
    """List the files below a folder."""
    root = ctx.files.check(path, "read")
    if not root.is_dir():
        raise SymphonyError(
            f"{str(root)!r} is {'a file' if root.exists() else 'not there'}; a folder was expected",
            code="FILES-001",
            hint="Name an existing folder: `--input path=FOLDER`.",
        )
    files: list[FileEntry] = []
    try:
        found = walk(
            root, include=include, exclude=exclude, follow_links=bool(ctx.config.get("follow_links", False))
        )
        for file, relative, size in found:
            files.append(FileEntry(str(file), relative, size))
            if len(files) % 1000 == 0:
                ctx.progress(0.0, f"{len(files):,} files")
            if len(files) == limit:
                ctx.log.warning(f"stopped at {limit:,} files: raise `limit` for more")
                break
    except OSError as error:
        raise SymphonyError(
            f"the folder {str(root)!r} cannot be read: {error.strerror}",
            code="FILES-002",
            hint="Give the user who runs Symphony the right to read it.",
        ) from error
    return {"files": files, "count": len(files)}


@operator("symphony.files.read", title="Read a file")
def read_file(
    ctx: Context,
    path: Annotated[Path, msgspec.Meta(description="The file")],
    encoding: Annotated[
        Literal["utf-8", "latin-1"], msgspec.Meta(description="How its text is written")
    ] = "utf-8",
    limit: Annotated[int, msgspec.Meta(ge=1, description="At most so many bytes")] = 4 << 20,
) -> str:
    """Read the text of a file; bytes that are no text become the replacement character."""
    file = ctx.files.check(path, "read")
    try:
        with file.open("rb") as stream:
            return stream.read(limit).decode(encoding, errors="replace")
    except OSError as error:
        raise SymphonyError(
            f"the file {str(file)!r} cannot be read: {error.strerror}",
            code="FILES-003",
            hint="Name an existing file that the user who runs Symphony may read.",
        ) from error


@provides_operators
def symphony_operators() -> Iterator[Operator[..., Any]]:
    """The operators of this extension."""
    yield walk_folder
    yield read_file
