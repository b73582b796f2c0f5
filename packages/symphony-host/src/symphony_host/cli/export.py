"""`symphony export`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from symphony_sdk.errors import WorkflowError
from symphony_workflow import Workflow, dumps, load

from symphony_host.cli.format_notes import print_notes, refuse_notes
from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error

if TYPE_CHECKING:
    from symphony_sdk import FormatNote, WorkflowFormat


class Form(NamedTuple):
    """A form that workflows are written in.

    Args:
        suffixes: How the names of its files end; the first is the usual one.
        write: What writes a workflow in it.
        faithful: Whether the workflow can be read back from it, so that it may take the place of its source.
    """

    suffixes: tuple[str, ...]
    write: Callable[[Workflow], str | bytes]
    faithful: bool = False


def _binary(workflow: Workflow) -> bytes:
    from symphony_workflow.binary import dumps_binary

    return dumps_binary(workflow)


def _dot(workflow: Workflow) -> str:
    from symphony_workflow.drawing import to_dot

    return to_dot(workflow)


def _mermaid(workflow: Workflow) -> str:
    from symphony_workflow.drawing import to_mermaid

    return to_mermaid(workflow)


def _python(workflow: Workflow) -> str:
    from symphony_workflow.python_source import to_python

    return to_python(workflow)


def _svg(workflow: Workflow) -> str:
    from symphony_workflow.drawing import to_svg

    return to_svg(workflow)


FORMS = {
    "json": Form((".json",), dumps, faithful=True),
    "binary": Form((".symwf",), _binary, faithful=True),
    "dot": Form((".dot", ".gv"), _dot),
    "mermaid": Form((".mmd", ".mermaid"), _mermaid),
    "python": Form((".py",), _python),
    "svg": Form((".svg",), _svg),
}
"""The family's own forms by name."""


@click.command()
@click.argument("flow", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="The file to write.")
@click.option(
    "--to",
    "name",
    metavar="FORM",
    help=f"{', '.join(FORMS)}, or a format of another program; by the end of FILE unless given.",
)
@click.option("--python", is_flag=True, help="The same as `--to python`: the code that builds the workflow.")
@click.option("--strict", is_flag=True, help="Refuse a format that cannot say all of the workflow.")
@json_option
@debug_option
@pass_shell
def export(
    shell: Shell, flow: Path, output: Path | None, name: str | None, python: bool, strict: bool
) -> None:
    """Write the workflow in the file FLOW in another form: a picture, compact binary, Python, JSON, or another program's.

    Without `-o` it is printed. A file of that name is replaced, as a whole or not at all. Notes say what the format
    of another program (such as cwl, comfyui-api, wfformat) could not take over.

    \b
    Example:
      symphony export flow.json -o flow.svg
      symphony export flow.json -o flow.symwf
      symphony export flow.symwf --to json
      symphony export flow.json --python
      symphony export flow.json -o flow.cwl
    """
    chosen, form, notes = _form(shell, "python" if python else name, output)
    workflow = load(flow)
    if output and not form.faithful and output.exists() and output.samefile(flow):
        raise usage_error(
            f"{output} is the workflow itself, and its {chosen} would take its place",
            "Give another name after `-o`.",
        )
    text = form.write(workflow)
    if strict:
        refuse_notes(notes, "export", str(flow))
    data = text.encode() if isinstance(text, str) else text
    if output:
        _save(output, data)
    if shell.json:
        shell.print_json(
            {"form": chosen, "bytes": len(data), "file": str(output) if output else None, "notes": notes}
        )
        return
    print_notes(notes)
    if output:
        click.echo(f"{output}: {len(data):,} bytes of {chosen}")
    elif chosen == "binary" and sys.stdout.isatty():
        raise usage_error(f"{chosen} is nothing for a terminal", "Give a file after `-o`.")
    else:
        click.echo(data, nl=False)


def _form(shell: Shell, name: str | None, output: Path | None) -> "tuple[str, Form, list[FormatNote]]":
    """The form to write, and the list that takes the notes on what it could not say."""
    suffix = output.suffix.lower() if output else ""
    notes: list[FormatNote] = []
    if name is None and output is None:
        raise usage_error(
            "what to export to is not said", f"Add `-o FILE`, or `--to` with one of {_known()}."
        )
    if name is None:
        name = next((each for each, form in FORMS.items() if suffix in form.suffixes), None)
    if name in FORMS:
        return name, FORMS[name], notes
    from symphony_host.workflow_formats import export_workflow, installed_formats

    for format in installed_formats(settings_of(shell)).values():
        if format.name == name or (name is None and format.write and suffix == format.suffix):

            def write(workflow: Workflow, format: "WorkflowFormat" = format) -> bytes:
                made = export_workflow(format, workflow)
                notes.extend(made.notes)
                return made.data

            return format.name, Form((format.suffix,), write), notes
    found = f"the form {name!r}" if name else f"the form of files that end with {suffix!r}"
    raise WorkflowError(
        f"{found} is not known",
        code="SYM-W065",
        hint=f"Choose `--to` of {_known()}, or a format that `symphony import` reads.",
    )


def _known() -> str:
    return ", ".join(f"{each} ({form.suffixes[0]})" for each, form in FORMS.items())


def _save(path: Path, data: bytes) -> None:
    from symphony_workflow.atomic_file import write_atomically

    try:
        write_atomically(path, data)
    except OSError as error:
        raise WorkflowError(
            f"the export cannot be written: {error.strerror}",
            code="SYM-W066",
            hint="Choose a folder that exists and may be written to.",
            file=str(path),
        ) from error
