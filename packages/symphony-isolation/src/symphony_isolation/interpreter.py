"""How an interpreter is started so that it imports from where it should, and runs no code of any `.pth` file.

`python -I` alone still executes the `import` lines of the `.pth` files in its site-packages: any installed package
may have brought one. With `-S` nothing of site-packages is seen; so the directories are found here, by reading.
"""

import functools
import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import msgspec

_PROGRAM = (
    "import sys; sys.prefix = sys.exec_prefix = sys.argv[1]; sys.path += sys.argv[3:]; "
    "from {} import main; main(*map(int, sys.argv[2].split(',')))"
)


class Interpreter(msgspec.Struct, frozen=True):
    """An interpreter and the directories of its environment.

    Args:
        python: The executable.
        prefix: Where its environment is.
        directories: What it imports from besides its standard library; in this order.
        needs_code: Whether packages of the environment are found by code of a `.pth` file alone, as editable
            installs of some build tools are.
    """

    python: str
    prefix: str
    directories: tuple[str, ...]
    needs_code: bool

    def command(self, module: str, *descriptors: int) -> list[str]:
        """What starts it with nothing but these directories, and calls the `main` of a module.

        Args:
            module: Dotted name of the module.
            descriptors: The arguments of its `main`.
        """
        numbers = ",".join(map(str, descriptors))
        return [
            self.python,
            "-I",
            "-S",
            "-c",
            _PROGRAM.format(module),
            self.prefix,
            numbers,
            *self.directories,
        ]


def own_interpreter() -> Interpreter:
    """The interpreter that runs this, with what `python -I` would import from.

    Code of `.pth` files has run already when this one started; what it added is taken from `sys.path`. What the
    user added for this process is not: `PYTHONPATH`, the working directory or the script's, and the user's site.
    """
    return _own_interpreter(tuple(sys.path))


@functools.cache
def _own_interpreter(path: tuple[str, ...]) -> Interpreter:
    read = _interpreter(sys.executable, sys.prefix, site.getsitepackages())
    start = {str(Path(sys.argv[0]).resolve().parent), str(Path.cwd())}
    python_path = set(os.environ.get("PYTHONPATH", "").split(os.pathsep))
    for_this_process = start | python_path | {site.getusersitepackages()} | _standard_library()
    directories = [
        entry
        for entry in path
        if entry in read.directories or (Path(entry).is_absolute() and entry not in for_this_process)
    ]
    needs_code = any(_name(finder).startswith("__editable__") for finder in sys.meta_path)
    found = dict.fromkeys((*filter(os.path.isdir, directories), *read.directories))
    return Interpreter(sys.executable, sys.prefix, tuple(found), needs_code)


def interpreter_of(python: str) -> Interpreter | None:
    """The interpreter of a virtual environment; None where it is not in one.

    Args:
        python: The executable in it.
    """
    prefix = Path(python).parent.parent
    if not (prefix / "pyvenv.cfg").is_file():
        return None
    found = [*prefix.glob("lib/python*/site-packages"), *prefix.glob("Lib/site-packages")]
    return _interpreter(python, str(prefix), map(str, found))


def _interpreter(python: str, prefix: str, directories: Iterable[str]) -> Interpreter:
    found: dict[str, None] = {}
    needs_code = False
    for directory in map(Path, directories):
        if directory.is_dir():
            found[str(directory)] = None
            for file in sorted(directory.glob("*.pth")):
                for line in _lines(file):
                    if line.startswith(("import ", "import\t")):
                        needs_code = needs_code or "__editable__" in line
                    elif (directory / line).exists():
                        found[str((directory / line).resolve())] = None
    return Interpreter(python, prefix, tuple(found), needs_code)


def _standard_library() -> set[str]:
    library = sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")
    return {*library, *(str(Path(one, "lib-dynload")) for one in library)}


def _name(finder: object) -> str:
    """Name of the module that a finder of modules comes from; it may be a class or an instance."""
    return str(getattr(finder, "__module__", ""))


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):  # the interpreter's own `site` skips it too
        return []
    return [line.rstrip() for line in lines if line.strip() and not line.startswith("#")]
