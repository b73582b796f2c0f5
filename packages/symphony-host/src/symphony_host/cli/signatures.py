"""`symphony sign` and `symphony verify`."""

from dataclasses import asdict
from pathlib import Path

import click
from symphony_sdk.errors import WorkflowError
from symphony_workflow import load

from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell


@click.command()
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--key", metavar="FILE", type=click.Path(path_type=Path), required=True, help="The private key."
)
@click.option("--new-key", is_flag=True, help="Make the key first: FILE, and its public part FILE.pub.")
@json_option
@debug_option
@pass_shell
def sign(shell: Shell, flow: Path, key: Path, new_key: bool) -> None:
    """Vouch for the workflow in the file FLOW: write FLOW.sig, which `symphony verify` checks.

    The signature is over what the workflow says. It holds for its JSON, however laid out, and for its binary form,
    and no longer after any change of it.

    \b
    Example:
      symphony sign flow.json --key signing.key --new-key
    """
    from symphony_workflow import signing
    from symphony_workflow.atomic_file import write_atomically

    workflow = load(flow)
    private = signing.new_key(key) if new_key else signing.load_private_key(key)
    signature = signing.sign(workflow, private)
    target = _signature_of(flow)
    try:
        write_atomically(target, signature.dumps().encode())
    except OSError as error:
        raise WorkflowError(
            f"the signature cannot be written: {error.strerror}",
            code="SYM-W066",
            hint="Sign a copy of the workflow in a folder that may be written to.",
            file=str(target),
        ) from error
    if shell.json:
        shell.print_json({**asdict(signature), "file": str(target)})
        return
    if new_key:
        click.echo(f"{key}: a new private key; keep it to yourself")
        click.echo(f"{signing.public_path(key)}: its public part, for those who verify")
    click.echo(f"{target}: signed by {signature.key}")


@click.command()
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "keys",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="A public key that you trust; may be given several times.",
)
@click.option(
    "--signature",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The signature; FLOW.sig unless given.",
)
@json_option
@debug_option
@pass_shell
def verify(shell: Shell, flow: Path, keys: tuple[Path, ...], signature: Path | None) -> None:
    """Check that a key you trust signed the workflow in the file FLOW, and that nothing of it has changed since.

    The exit code is 1 where it does not hold.

    \b
    Example:
      symphony verify flow.json --key ada.pub
    """
    from symphony_workflow import signing

    trusted = [signing.load_public_key(key) for key in keys]
    file = signature or _signature_of(flow)
    found = signing.load_signature(file)
    signing.verify_signature(load(flow), found, trusted, file=str(file))
    if shell.json:
        shell.print_json({**asdict(found), "file": str(file)})
    else:
        click.echo(f"{flow}: signed by {found.key} at {found.signed}, unchanged since")


def _signature_of(flow: Path) -> Path:
    return flow.with_name(f"{flow.name}.sig")
