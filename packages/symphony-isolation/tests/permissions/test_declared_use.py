"""What code plainly uses and its manifest does not declare is found before the code runs, and nothing else is."""

import shutil
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any

import pytest
from symphony_isolation.permissions import DeclaredUse, find_uses
from symphony_isolation.spec import WorkerSpec
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import PermissionSet


def uses(source: str) -> list[tuple[int, str, str, bool]]:
    return [(use.line, use.what, use.need, use.certain) for use in find_uses(source, "a.py")]


@pytest.mark.parametrize(
    ("source", "what", "need"),
    [
        ("import socket\ns = socket.socket()", "socket.socket", "network"),
        ("import socket as s\ns.create_connection(('h', 1))", "socket.create_connection", "network"),
        ("from socket import socket", "socket.socket", "network"),
        ("import urllib.request\nurllib.request.urlopen('x')", "urllib.request.urlopen", "network"),
        ("from urllib import request\nrequest.urlopen('x')", "urllib.request.urlopen", "network"),
        ("import http.client as c\nc.HTTPSConnection('x')", "http.client.HTTPSConnection", "network"),
        ("import requests\ndef f():\n    return requests.get('x')", "requests.get", "network"),
        ("def f():\n    import httpx\n    with httpx.Client() as c: ...", "httpx.Client", "network"),
        ("from requests import Session", "requests.Session", "network"),
        ("import asyncio\nasyncio.open_connection('h', 1)", "asyncio.open_connection", "network"),
        ("import subprocess\nsubprocess.run(['ls'])", "subprocess.run", "process"),
        ("from subprocess import check_output as c", "subprocess.check_output", "process"),
        ("import os\nclass A:\n    def f(self):\n        os.system('ls')", "os.system", "process"),
        ("import os\nx = os.popen", "os.popen", "process"),
        ("import asyncio\nasyncio.create_subprocess_exec('ls')", "asyncio.create_subprocess_exec", "process"),
    ],
)
def test_a_plain_use_is_found(source: str, what: str, need: str) -> None:
    [(_, found, needs, certain)] = uses(source)
    assert (found, needs, certain) == (what, need, True)


@pytest.mark.parametrize(
    "source",
    [
        "import socket\nexcept_me = socket.timeout",
        "import subprocess\nx: subprocess.CompletedProcess[str]",
        "from http import HTTPStatus\nfrom urllib.parse import urlsplit",
        "import requests",
        "import os\nos.path.join('a', 'b'); os.environ; os.getpid()",
        "class Mine:\n    def run(self): ...\nMine().run()",
        "def system(x): ...\nsystem('ls')",
        "from . import requests\nrequests.get('x')",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from socket import socket",
        "if __name__ == '__main__':\n    import subprocess\n    subprocess.run(['ls'])",
        "import asyncio\nasyncio.run(main())",
        "open('relative', 'w'); open('/etc/hosts')",
    ],
)
def test_what_needs_no_permission_is_not_taken_for_it(source: str) -> None:
    assert uses(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import requests\nexcept ImportError:\n    requests = None\ndef f():\n    requests.get('x')",
        "try:\n    from requests import get\nexcept ModuleNotFoundError:\n    get = None",
        "import sys, os\nif sys.platform == 'win32':\n    os.system('cls')",
        "f = open('/var/log/mine', 'a')",
        "f = open('/var/log/mine', mode='w')",
    ],
)
def test_what_depends_on_the_machine_is_only_a_word(source: str) -> None:
    [(_, _, _, certain)] = uses(source)
    assert certain is False


def test_parsers_that_run_at_once_do_not_disturb_each_other() -> None:
    source = "import socket\n" + "x = [((1, 2), {3: 4})]\n" * 300 + "socket.socket()\n"
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(uses(source)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [1] * 8


def test_of_the_examples_and_the_template_nothing_is_refused() -> None:
    root = Path(__file__).parents[4]
    if not (root / "examples" / "extensions").is_dir():
        pytest.skip("the examples are not here: this is not a checkout")
    for path in (root / "examples" / "extensions").glob("*/src/**/*.py"):
        assert [use for use in find_uses(path.read_text("utf-8"), str(path)) if use.certain] == [], path


# -- extensions -----------------------------------------------------------------------------------------


class Code:
    """An extension in a directory, and the check of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "code" / "acme_text"
        self.package.mkdir(parents=True)
        (self.package / "__init__.py").write_text("raise RuntimeError('imported')\n")

    def check(self, *declared: str, **changes: Any) -> list[str]:
        values: dict[str, Any] = {
            "id": "acme.text",
            "version": "1.0",
            "kind": "operator",
            "module": "acme_text.plugin",
            "data_dir": str(self.root),
            "fingerprint": "1",
            "import_path": (str(self.root / "code"),),
        }
        found = DeclaredUse(self.root / "cache").check(
            WorkerSpec(**(values | changes)), PermissionSet.parse(declared)
        )
        return [use.what for use in found]


@pytest.fixture
def code(tmp_path: Path) -> Code:
    return Code(tmp_path)


def test_an_undeclared_use_is_refused_with_file_line_and_what_to_declare(code: Code) -> None:
    file = code.package / "deep" / "net.py"
    file.parent.mkdir()
    file.write_text(
        "import socket\n\ndef f():\n    socket.create_connection(('h', 1))\n    socket.socket()\n"
    )
    with pytest.raises(PermissionDenied) as caught:
        code.check()
    error = caught.value
    assert error.message.startswith("permission violations detected at declaration time: acme.text uses")
    assert (error.code, error.file, error.line) == ("SYM-P010", str(file), 4)
    assert 'type = "network"' in error.hint
    assert [use["line"] for use in error.details["uses"]] == [4, 5]
    assert "acme_text" not in sys.modules


def test_a_use_that_is_declared_is_none_to_refuse(code: Code) -> None:
    (code.package / "plugin.py").write_text("import socket, os\nsocket.socket()\nos.system('ls')\n")
    assert code.check("network:read:example.org", "system:execute:process") == []
    assert code.check("network:write:127.0.0.1:80", "file:execute:/usr/bin/git") == []
    with pytest.raises(PermissionDenied, match="start processes"):
        code.check("network:read:example.org", fingerprint="2")


def test_what_is_uncertain_is_given_back(code: Code) -> None:
    (code.package / "plugin.py").write_text("open('/var/log/mine', 'w')\n")
    assert code.check() == ["/var/log/mine"]
    assert code.check("file:write:/var/log/**") == []


def test_code_is_looked_at_again_when_it_has_changed_and_not_before(code: Code) -> None:
    plugin = code.package / "plugin.py"
    plugin.write_text("x = 1\n")
    assert code.check() == []
    plugin.write_text("import socket\nsocket.socket()\n")
    assert code.check() == []
    with pytest.raises(PermissionDenied):
        code.check(fingerprint="2")
    (code.root / "cache" / "acme.text.json").write_bytes(b"{damaged")
    with pytest.raises(PermissionDenied):
        code.check()


def test_tests_broken_files_and_other_packages_are_not_looked_at(code: Code) -> None:
    (code.package / "tests").mkdir()
    for name, source in {
        "tests/test_it.py": "import socket\nsocket.socket()\n",
        "broken.py": "def f(:\n",
        "null.py": "\0",
        "large.py": "#" * (1 << 21),
        "template.txt": "import socket\nsocket.socket()\n",
    }.items():
        (code.package / name).write_text(source)
    (code.root / "code" / "other.py").write_text("import socket\nsocket.socket()\n")
    assert code.check() == []
    assert code.check(module="nowhere_to_be_found", fingerprint="2") == []


def test_an_extension_of_one_file_is_looked_at(code: Code) -> None:
    (code.root / "code" / "single.py").write_text("import os\nos.system('ls')\n")
    with pytest.raises(PermissionDenied):
        code.check(module="single")


def test_a_cache_that_cannot_be_written_harms_nothing(code: Code) -> None:
    (code.root / "cache").write_text("in the way")
    assert code.check() == []


def test_a_large_package_of_somebody_else_is_looked_at_without_an_error(code: Code) -> None:
    source = Path(sysconfig.get_path("stdlib")) / "json"
    shutil.copytree(source, code.package / "json", ignore=shutil.ignore_patterns("__pycache__"))
    assert code.check() == []
