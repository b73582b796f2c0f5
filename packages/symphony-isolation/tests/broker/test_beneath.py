"""What a path reaches beneath a granted directory, while everything around it is renamed and linked."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from symphony_isolation.broker.beneath import Root, follows_links
from symphony_sdk.errors import PermissionDenied

RACES = 4000

SWAP = """
import os, sys
os.chdir(sys.argv[1])
print("begins", flush=True)
while True:
    os.rename("granted/sub", "granted/away")
    os.symlink("../outside", "granted/sub")
    os.unlink("granted/sub")
    os.rename("granted/away", "granted/sub")
"""

needs_openat2 = pytest.mark.skipif(not follows_links(), reason="this system has no openat2")
both_ways = pytest.mark.parametrize(
    "links", [pytest.param(True, marks=needs_openat2, id="openat2"), pytest.param(False, id="walk")]
)


def anything(true):
    pass


def read(root, below):
    opened = root.open(below, os.O_RDONLY, anything)
    return os.read(opened.number, 100).decode()


@pytest.fixture
def swapped(place):
    """While it runs, `granted/sub` is now a directory, now a link to the one outside."""
    with subprocess.Popen([sys.executable, "-I", "-c", SWAP, str(place)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        yield place
        process.kill()


@both_ways
def test_no_race_of_links_gets_a_file_from_outside(swapped, links):
    root = Root(str(swapped / "granted"), links=links)
    found, races = set(), 0
    while races < RACES or not found:  # on a busy machine, for as long as the other does not get its turn
        races += 1
        with suppress(OSError, PermissionDenied):
            found.add(read(root, "sub/f"))
    assert found == {"ok"}


def test_the_race_is_there_to_be_lost_by_looking_first_and_opening_then(swapped):
    """The control of the test above: with the usual check the secret comes out."""
    granted = str(swapped / "granted")

    def check_and_open():
        if os.path.realpath(f"{granted}/sub/f").startswith(f"{granted}/"):
            return Path(f"{granted}/sub/f").read_text()
        raise PermissionError

    found = set()
    while "SECRET" not in found:
        with suppress(OSError):
            found.add(check_and_open())


@both_ways
@pytest.mark.parametrize(
    "below", ["../outside/f", "sub/../../outside/f", "/etc/passwd", "./sub/f", "sub//f", "a\0b"]
)
def test_a_path_that_is_not_plain_leads_nowhere(place, links, below):
    with pytest.raises(PermissionDenied) as caught:
        read(Root(str(place / "granted"), links=links), below)
    assert caught.value.code == "SYM-P032"


@both_ways
@pytest.mark.parametrize("target", ["../outside", "/", "../outside/f"])
def test_a_link_that_leads_out_is_refused(place, links, target):
    (place / "granted/link").symlink_to(target)
    below = "link" if target.endswith("f") else "link/f"
    with pytest.raises(PermissionDenied) as caught:
        read(Root(str(place / "granted"), links=links), below)
    assert caught.value.code == "SYM-P032"


@needs_openat2
def test_a_link_beneath_is_followed_and_its_true_path_told(place):
    (place / "granted/link").symlink_to("sub")
    told = []
    root = Root(str(place / "granted"), links=True)
    opened = root.open("link/f", os.O_RDONLY, told.append)
    assert os.read(opened.number, 10) == b"ok"
    assert told == ["sub/f"]
    assert root.parent("link/new", told.append)[1] == "new"
    assert told == ["sub/f", "sub/new"]


@needs_openat2
def test_a_link_to_the_root_itself_is_told_as_such(place):
    (place / "granted/here").symlink_to(".")
    told = []
    root = Root(str(place / "granted"), links=True)
    root.parent("here/f", told.append)
    root.directory("here", told.append)
    assert told == ["f", "."]
    assert root.above(".") == root.path


@needs_openat2
def test_what_a_link_leads_to_is_not_opened_where_that_is_not_allowed(place, open_descriptors):
    (place / "granted/link").symlink_to("sub/f")
    root = Root(str(place / "granted"), links=True)
    before = open_descriptors()

    def refuse(true):
        raise PermissionDenied(true)

    with pytest.raises(PermissionDenied, match="sub/f"):
        root.open("link", os.O_RDONLY, refuse)
    assert open_descriptors() <= before


def test_without_openat2_a_link_beneath_is_refused_and_said_to_be_one(place):
    (place / "granted/link").symlink_to("sub")
    with pytest.raises(PermissionDenied, match="symbolic link, which this system"):
        read(Root(str(place / "granted"), links=False), "link/f")


@both_ways
def test_a_pipe_and_a_socket_are_not_opened_and_do_not_keep_the_host_waiting(place, links):
    os.mkfifo(place / "granted/pipe")
    root = Root(str(place / "granted"), links=links)
    for flags in (os.O_RDONLY, os.O_WRONLY):
        with pytest.raises(PermissionDenied) as caught:
            root.open("pipe", flags, anything)
        assert caught.value.code == "SYM-P033"


@both_ways
def test_a_device_is_not_opened(links):
    with pytest.raises(PermissionDenied) as caught:
        Root("/dev", links=links).open("null", os.O_WRONLY, anything)
    assert caught.value.code == "SYM-P033"


@both_ways
@pytest.mark.skipif(not os.path.ismount("/proc"), reason="this system has no /proc")
@pytest.mark.parametrize(
    "below", ["self/environ", "/".join(("self", "root", "etc", "passwd")), "thread-self/mem", "version"]
)
def test_nothing_of_proc_is_opened(links, below):
    for root in (Root("/proc", links=links), Root("/", links=links)):
        with pytest.raises(PermissionDenied) as caught:
            read(root, below if root.path == "/proc" else f"proc/{below}")
        assert caught.value.code == "SYM-P032"


@both_ways
def test_a_directory_is_no_file_and_a_file_no_directory(place, links):
    root = Root(str(place / "granted"), links=links)
    with pytest.raises(IsADirectoryError):
        read(root, "sub")
    with pytest.raises(NotADirectoryError):
        root.directory("sub/f", anything)
    with pytest.raises(NotADirectoryError):
        read(root, "sub/f/g")


@both_ways
def test_a_root_stays_the_directory_that_it_was(place, links):
    root = Root(str(place / "granted"), links=links)
    (place / "granted").rename(place / "moved")
    (place / "granted").symlink_to(place / "outside")
    assert read(root, "sub/f") == "ok"
    with pytest.raises(FileNotFoundError):
        read(root, "f")


@both_ways
def test_the_root_itself_has_no_parent_to_be_removed_from(place, links):
    with pytest.raises(PermissionDenied):
        Root(str(place / "granted"), links=links).parent(".", anything)


@both_ways
def test_a_file_that_is_made_is_new_and_follows_no_link(place, links):
    root = Root(str(place / "granted"), links=links)
    (place / "granted/dangling").symlink_to(place / "outside/new")
    with pytest.raises(FileExistsError):
        root.create("dangling", os.O_WRONLY, anything)
    made = root.create("sub/new", os.O_WRONLY, anything)
    os.write(made.number, b"new")
    assert (place / "granted/sub/new").read_text() == "new"
    assert not (place / "outside/new").exists()


@both_ways
def test_a_path_that_is_too_long_is_refused_by_the_system(place, links):
    with pytest.raises(OSError, match="too long"):
        read(Root(str(place / "granted"), links=links), "x" * 5000)
