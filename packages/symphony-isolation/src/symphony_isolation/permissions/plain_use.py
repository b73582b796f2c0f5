"""Finds in source code the plain use of what needs a permission: an early word to the author, not a wall.

It reads the syntax tree and runs nothing. Code that hides what it does is not found here; the sandbox and the broker
hold it all the same. So it errs to the side of saying nothing: a module is used where something of it is that cannot
do without the permission, not where it is imported for a constant.
"""

import ast
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Literal

import msgspec

Need = Literal["network", "process", "file"]

_EXEC: Final = frozenset({"execl", "execle", "execlp", "execlpe", "execv", "execve", "execvp", "execvpe"})
_SPAWN: Final = frozenset(
    {"spawnl", "spawnle", "spawnlp", "spawnlpe", "spawnv", "spawnve", "spawnvp", "spawnvpe"}
)
_CONNECTING: Final = frozenset(
    {"open_connection", "open_unix_connection", "start_server", "start_unix_server"}
)
_RUNNING: Final = frozenset({"create_subprocess_exec", "create_subprocess_shell"})
_CALLS: Final = frozenset(
    {"run", "call", "check_call", "check_output", "getoutput", "getstatusoutput", "Popen"}
)

_NETWORK: Final[dict[str, frozenset[str]]] = {
    "socket": frozenset(
        {"socket", "create_connection", "create_server", "getaddrinfo", "gethostbyname", "fromfd"}
    ),
    "asyncio": _CONNECTING,
    "http.client": frozenset({"HTTPConnection", "HTTPSConnection"}),
    "http.server": frozenset({"HTTPServer", "ThreadingHTTPServer"}),
    "socketserver": frozenset({"TCPServer", "UDPServer", "ThreadingTCPServer", "ThreadingUDPServer"}),
    "urllib.request": frozenset({"urlopen", "urlretrieve", "build_opener", "OpenerDirector"}),
    "xmlrpc.client": frozenset({"ServerProxy"}),
    "ftplib": frozenset({"FTP", "FTP_TLS"}),
    "smtplib": frozenset({"SMTP", "SMTP_SSL"}),
    "imaplib": frozenset({"IMAP4", "IMAP4_SSL"}),
    "poplib": frozenset({"POP3", "POP3_SSL"}),
    "requests": frozenset(
        {"get", "post", "put", "patch", "delete", "head", "options", "request", "Session", "session"}
    ),
    "httpx": frozenset(
        {
            "get",
            "post",
            "put",
            "patch",
            "delete",
            "head",
            "options",
            "request",
            "stream",
            "Client",
            "AsyncClient",
        }
    ),
    "aiohttp": frozenset({"ClientSession", "request"}),
    "urllib3": frozenset(
        {"PoolManager", "ProxyManager", "HTTPConnectionPool", "HTTPSConnectionPool", "request"}
    ),
    "websockets": frozenset({"connect", "serve"}),
    "paramiko": frozenset({"SSHClient", "Transport"}),
}
_PROCESS: Final[dict[str, frozenset[str]]] = {
    "subprocess": _CALLS,
    "os": _EXEC | _SPAWN | {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp"},
    "pty": frozenset({"spawn", "fork"}),
    "asyncio": _RUNNING,
}
_TABLES: Final[tuple[tuple[Need, dict[str, frozenset[str]]], ...]] = (
    ("network", _NETWORK),
    ("process", _PROCESS),
)


_PARSING: Final = threading.Lock()  # Python 3.11 and 3.12 mix up two parsers that run at once (gh-106905)
_TRIES: Final = 3  # for a parser that somebody else runs meanwhile


class Use(msgspec.Struct, frozen=True):
    """One place in the code that needs a permission.

    Args:
        file: The file.
        line: The line, counted from 1.
        what: What is used, such as `socket.create_connection`.
        need: What it needs: a `network` permission, one to start processes, or one to write the file `what`.
        certain: Whether it is used as soon as its function runs; not where it depends on the platform, or on what is
            installed.
    """

    file: str
    line: int
    what: str
    need: Need
    certain: bool


def find_uses(source: str, file: str) -> list[Use]:
    """The plain uses in one module, in the order of their lines.

    Args:
        source: The text of the module.
        file: Its name, for the findings.

    Raises:
        SyntaxError: It is no Python of this version.
        ValueError: It holds a NUL.
        RecursionError: It is nested deeper than the parser goes.
    """
    finder = _Finder(file)
    with _PARSING:
        tree = _parsed(source, file)
    finder.visit(tree)
    return sorted(finder.uses, key=lambda use: use.line)


def _parsed(source: str, file: str) -> ast.Module:
    for _ in range(_TRIES):
        with suppress(SystemError):
            return ast.parse(source, file)
    return ast.parse(source, file)


class _Finder(ast.NodeVisitor):
    """Walks a module; knows which names stand for which modules, and under which condition it stands."""

    def __init__(self, file: str) -> None:
        self.uses: list[Use] = []
        self._file = file
        self._modules: dict[str, tuple[str, bool]] = {}
        self._certain = True

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            module = alias.name if alias.asname else name
            self._modules[name] = module, self._certain

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or node.module is None:
            return
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            for need in _needs(whole):
                self._add(node, whole, need, certain=self._certain)
            self._modules[alias.asname or alias.name] = whole, self._certain

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = _dotted(node)
        if dotted is not None:
            name, _, rest = dotted.partition(".")
            module, certain = self._modules.get(name, ("", False))
            for need in _needs(f"{module}.{rest}") if module else ():
                self._add(node, f"{module}.{rest}", need, certain=certain and self._certain)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        path = _written_path(node)
        if path is not None:
            self._add(node, path, "file", certain=False)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        test = ast.unparse(node.test)
        if "TYPE_CHECKING" in test or "__name__" in test:
            for statement in node.orelse:
                self.visit(statement)
        elif "platform" in test or "os.name" in test or "version_info" in test:
            self._uncertain(node)
        else:
            self.generic_visit(node)

    def visit_Try(self, node: ast.Try) -> None:
        handled = [ast.unparse(handler.type) if handler.type else "ImportError" for handler in node.handlers]
        if any(name in text for text in handled for name in ("ImportError", "ModuleNotFoundError")):
            self._uncertain(node)
        else:
            self.generic_visit(node)

    def _uncertain(self, node: ast.AST) -> None:
        before, self._certain = self._certain, False
        self.generic_visit(node)
        self._certain = before

    def _add(self, node: ast.expr | ast.stmt, what: str, need: Need, *, certain: bool) -> None:
        self.uses.append(Use(self._file, node.lineno, what, need, certain))


def _needs(dotted: str) -> Iterator[Need]:
    module, _, name = dotted.rpartition(".")
    for need, table in _TABLES:
        if name in table.get(module, ()):
            yield need


def _dotted(node: ast.expr) -> str | None:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else None


def _written_path(node: ast.Call) -> str | None:
    """The absolute path that a call of the built-in `open` writes to; None for any other call."""
    if not isinstance(node.func, ast.Name) or node.func.id != "open" or not node.args:
        return None
    modes = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "mode")]
    path = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
    mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else "r"
    if isinstance(path, str) and path.startswith("/") and isinstance(mode, str) and set(mode) & set("wax+"):
        return path
    return None
