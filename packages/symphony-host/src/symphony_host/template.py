"""Makes the project of a new extension from the cookiecutter template that ships with the host."""

import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from symphony_sdk.errors import ConfigurationError

ExtensionKind = Literal["operator", "instrument", "addon"]

_one_at_a_time = threading.Lock()
_WORDS = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_LONGEST_NAME = 36
_RESERVED = ("symphony", "pit")
"""Publishers whose packages would stand in the place of the family's own."""


def create_extension(
    kind: ExtensionKind, name: str, output: Path, *, publisher: str = "", no_input: bool = True
) -> Path:
    """Make a project in a folder of its name; where that fails, nothing of it is left.

    Args:
        kind: What the extension contributes.
        name: Lower-case words joined by hyphens, such as `word-count`.
        output: The folder to make the project's folder in; made where it is missing.
        publisher: First part of the extension's id; the template's own, or asked for, unless given.
        no_input: Whether to ask nothing.

    Returns:
        The absolute path of the project.

    Raises:
        ConfigurationError: SYM-C040, a name cannot be used; SYM-C042, there is something of that name already,
            or the project cannot be written.
    """
    _check_words("name", name)
    if not publisher and not no_input:
        publisher = _asked_publisher()
    if publisher:
        _check_words("publisher", publisher)
    if publisher in _RESERVED:
        raise ConfigurationError(
            f"the publisher {publisher!r} is Symphony itself",
            code="SYM-C040",
            hint="Use your own name or that of your organisation.",
        )
    answers = {"kind": kind, "name": name, **({"publisher": publisher} if publisher else {})}
    try:
        return _create(answers, Path(output).absolute() / name)
    except OSError as error:
        raise ConfigurationError(
            f"the project {name!r} cannot be written to {str(output)!r}: {error.strerror or error}",
            code="SYM-C042",
            hint="Name a folder that you may write to with --output.",
        ) from error


def _create(answers: dict[str, str], project: Path) -> Path:
    if os.path.lexists(project):
        raise ConfigurationError(
            f"{str(project)!r} exists already",
            code="SYM-C042",
            hint="Choose another name, or another folder with --output.",
        )
    made = [folder for folder in project.parents if not folder.exists()]
    try:
        project.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that it appears there at once and whole, or not at all.
        with tempfile.TemporaryDirectory(dir=project.parent, prefix=".symphony-new-") as scratch:
            _render(answers, Path(scratch)).rename(project)
    except BaseException:
        for folder in made:
            with suppress(OSError):  # somebody put something into it meanwhile: it is theirs now
                folder.rmdir()
        raise
    return project


def _render(answers: dict[str, str], scratch: Path) -> Path:
    from cookiecutter.exceptions import CookiecutterException  # type: ignore[import-untyped]
    from cookiecutter.main import cookiecutter  # type: ignore[import-untyped]

    # Whatever the user's own configuration says, and without a trace in the user's home.
    config = scratch / "config.json"
    config.write_text(
        json.dumps({"replay_dir": str(scratch / "replay"), "cookiecutters_dir": str(scratch / "templates")})
    )
    try:
        with _temporary_files_in(scratch):  # cookiecutter leaves the scripts of its hooks there for ever
            made = cookiecutter(
                str(template_folder()),
                no_input=True,
                extra_context=answers,
                output_dir=str(scratch),
                config_file=str(config),
            )
    except CookiecutterException as error:
        raise ConfigurationError(
            f"the project {answers['name']!r} cannot be made: {error}",
            code="SYM-C042",
            hint="Install symphony-host again: its template is damaged.",
        ) from error
    return Path(made)


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Have whoever names no folder make temporary files in this one; one thread at a time, as it is for all of them."""
    with _one_at_a_time:
        before, tempfile.tempdir = tempfile.tempdir, str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before


def template_folder() -> Path:
    """Where the template lies: inside the installed package, or in the checkout that is installed in place."""
    here = Path(__file__).resolve()
    packaged = here.parent / "shipped" / "cookiecutter-extension"
    return packaged if packaged.is_dir() else here.parents[4] / "cookiecutter-extension"


def _asked_publisher() -> str:
    from cookiecutter.prompt import read_user_variable  # type: ignore[import-untyped]

    template = json.loads((template_folder() / "cookiecutter.json").read_text("utf-8"))
    try:
        return str(read_user_variable("publisher", template["publisher"], template["__prompts__"]))
    except EOFError:
        raise ConfigurationError(
            "the publisher of the extension was asked for, and no answer came",
            code="SYM-C040",
            hint="Use --no-input where nobody can answer.",
        ) from None


def _check_words(what: str, text: str) -> None:
    if _WORDS.fullmatch(text) and len(text) <= _LONGEST_NAME:
        return
    near = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_NAME].rstrip("-")
    raise ConfigurationError(
        f"the {what} {text[:100]!r} is not made of lower-case words and digits joined by hyphens, "
        f"{_LONGEST_NAME} characters at most",
        code="SYM-C040",
        hint=f"Use {near!r}." if _WORDS.fullmatch(near) else "Use one such as 'word-count'.",
    )
