"""What a worker may ask of its host: each request checked, hostile ones refused, nothing leaked, nothing unbounded."""

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from symphony_isolation.broker import METHODS, Broker
from symphony_isolation.broker import descriptors as descriptors_module
from symphony_sdk.broker_messages import (
    Connect,
    FileOpened,
    ListDirectory,
    MakeDirectory,
    OpenFile,
    RemoveFile,
    RenameFile,
    StatFile,
)
from symphony_sdk.errors import (
    ArtifactError,
    MalformedMessage,
    PeerGone,
    PermissionDenied,
    SymphonyError,
    TransportError,
)
from symphony_sdk.messages import ArtifactStored, GetArtifact, LogLine, PutArtifact, message_type
from symphony_sdk.model_messages import DescribeModel, ListModels, RunModel
from symphony_sdk.permissions import Access
from symphony_sdk.testing.fakes import FakeArtifactStore

SECRET = b"/srv/secret"
EXAMPLES = {
    PutArtifact: PutArtifact(b"data"),
    GetArtifact: GetArtifact("no such"),
    OpenFile: OpenFile(SECRET),
    StatFile: StatFile(SECRET),
    ListDirectory: ListDirectory(SECRET),
    MakeDirectory: MakeDirectory(SECRET),
    RemoveFile: RemoveFile(SECRET),
    RenameFile: RenameFile(SECRET, SECRET),
    Connect: Connect("secret.example", 443),
    DescribeModel: DescribeModel("acme.secret.model"),
    ListModels: ListModels(),
    RunModel: RunModel("acme.secret.model", call=1),
}
OF_FILES = [OpenFile, StatFile, ListDirectory, MakeDirectory, RemoveFile]


@pytest.mark.parametrize("kind", METHODS, ids=message_type)
def test_every_method_needs_a_permission_or_says_why_it_needs_none(spec_of, kind):
    method = METHODS[kind]
    assert (method.needs is None) == bool(method.because)
    asked = []

    async def scenario():
        broker = Broker(spec_of(), FakeArtifactStore)
        try:
            await broker.answer(EXAMPLES[kind])
        finally:
            broker.close()

    if method.needs is None:
        if kind is GetArtifact:
            with pytest.raises(ArtifactError):
                asyncio.run(scenario())
        else:
            asyncio.run(scenario())
        return
    asked = method.needs(EXAMPLES[kind])
    assert asked and all(isinstance(access, Access) for access in asked)
    with pytest.raises(PermissionDenied) as caught:
        asyncio.run(scenario())
    assert caught.value.code == "SYM-P001"
    assert caught.value.details["extension"] == "acme.reach"


@pytest.mark.parametrize("kind", [kind for kind, method in METHODS.items() if method.needs], ids=message_type)
def test_every_method_is_decided_by_the_check_and_by_nothing_before_it(spec_of, kind):
    asked = []

    def refuse(access):
        asked.append(access)
        raise PermissionDenied("the user says no", code="SYM-P001")

    async def scenario():
        broker = Broker(spec_of("file:read,write:/srv/**", "network:read:*"), FakeArtifactStore, check=refuse)
        try:
            await broker.answer(EXAMPLES[kind])
        finally:
            broker.close()

    with pytest.raises(PermissionDenied, match="the user says no"):
        asyncio.run(scenario())
    assert asked == [METHODS[kind].needs(EXAMPLES[kind])[0]]


def test_what_is_not_in_the_table_is_refused(spec_of):
    async def scenario():
        broker = Broker(spec_of(), FakeArtifactStore)
        try:
            await broker.answer(LogLine("info", "not a question"))
        finally:
            broker.close()

    with pytest.raises(TransportError) as caught:
        asyncio.run(scenario())
    assert caught.value.code == "SYM-E035"


def test_files_are_read_written_appended_listed_moved_and_removed(reached, place):
    granted = place / "granted"

    def use(files):
        assert files.read_text(granted / "sub/f") == "ok"
        files.write_text(granted / "new", "a long first text")
        files.write_text(granted / "new", "second")
        with files.open(granted / "new", "ab") as file:
            file.write(b"+")
        with files.open(granted / "new", "r") as file:
            assert (file.read(), file.name) == ("second+", str(granted / "new"))
        assert (files.stat(granted / "new").kind, files.stat(granted / "new").size) == ("file", 7)
        files.make_directory(granted / "made")
        files.rename(granted / "new", granted / "made/moved")
        (granted / "link").symlink_to("sub")
        assert files.entries(granted) == {"link": "link", "made": "directory", "sub": "directory"}
        files.remove(granted / "made/moved")
        files.remove(granted / "made")
        files.remove(granted / "link")
        assert files.entries(granted) == {"sub": "directory"}
        for wrong in (granted / "none", granted / "none/f"):
            with pytest.raises(FileNotFoundError) as caught:
                files.open(wrong)
            assert caught.value.filename == str(wrong)
        with pytest.raises(FileNotFoundError):
            files.write_text(granted / "none/f", "")
        with pytest.raises(FileExistsError):
            files.make_directory(granted / "sub")
        with pytest.raises(OSError, match="not empty"):
            files.remove(granted / "sub")
        with pytest.raises(IsADirectoryError):
            files.read_bytes(granted / "sub")
        with pytest.raises(NotADirectoryError):
            files.entries(granted / "sub/f")
        with pytest.raises(PermissionDenied) as denied:
            files.rename(granted / "sub", granted / "other")
        assert denied.value.code == "SYM-P033"
        with pytest.raises(ValueError, match="no mode"):
            files.open(granted / "sub/f", "r+")

    async def scenario():
        async with reached("file:read,write:${project}/**", project=str(granted)) as worker:
            await asyncio.to_thread(use, worker.files)

    asyncio.run(scenario())
    assert (granted / "sub/f").read_text() == "ok"


def test_a_link_is_checked_by_where_it_leads(reached, place):
    """The name is granted and the place is not: a pattern of names does not reach what a link is called like."""
    (place / "granted/notes.txt").symlink_to("sub/f")
    (place / "granted/other.txt").symlink_to("plain.txt")
    (place / "granted/plain.txt").write_text("plain")

    async def scenario():
        async with reached("file:read:${project}/*.txt", project=str(place / "granted")) as worker:
            with pytest.raises(PermissionDenied) as caught:
                await asyncio.to_thread(
                    worker.channel.request, _open(place / "granted/notes.txt"), FileOpened
                )
            assert caught.value.code == "SYM-P001"
            opened = await asyncio.to_thread(
                worker.channel.request, _open(place / "granted/other.txt"), FileOpened
            )
            assert opened.descriptor == 1

    asyncio.run(scenario())


def test_a_directory_that_the_extension_could_swap_for_a_link_is_reached_from_above(reached, place):
    """It may write `granted`, and read `granted/sub`: a link in the place of `sub` gets it nothing."""
    (place / "granted/sub/f").unlink()
    (place / "granted/sub").rmdir()
    (place / "granted/sub").symlink_to("../outside")
    permissions = (f"file:write:{place}/granted/**", f"file:read:{place}/granted/sub/**")

    async def scenario():
        async with reached(*permissions) as worker:
            with pytest.raises(PermissionDenied) as caught:
                await asyncio.to_thread(worker.channel.request, _open(place / "granted/sub/f"), FileOpened)
            assert caught.value.code == "SYM-P032"

    asyncio.run(scenario())


def test_what_is_hidden_from_every_extension_is_hidden_from_the_broker_too(reached, place):
    """Such as where the user's grants lie, in a home that was granted; the extension's own directory there is not."""
    (place / "granted/link").symlink_to("sub/f")
    (place / "granted/sub/own").mkdir()
    (place / "granted/sub/own/mine").write_text("mine")

    def use(files):
        for wrong in (files.read_text, files.stat, files.remove, files.entries, files.make_directory):
            with pytest.raises(PermissionDenied) as caught:
                wrong(place / "granted/sub/f")
            assert caught.value.code == "SYM-P039"
        with pytest.raises(PermissionDenied) as caught:
            files.rename(place / "granted/free", place / "granted/sub/f")
        assert caught.value.code == "SYM-P039"
        assert files.read_text(place / "granted/sub/own/mine") == "mine"

    async def scenario():
        (place / "granted/free").touch()
        hidden = {"hidden": (str(place / "granted/sub"),), "data_dir": str(place / "granted/sub/own")}
        permission = "file:read,write:${project}/**"
        async with reached(permission, changes=hidden, project=str(place / "granted")) as worker:
            await asyncio.to_thread(use, worker.files)
            with pytest.raises(PermissionDenied) as caught:
                await worker.broker.answer(_open(place / "granted/link"))
            assert caught.value.code == "SYM-P039"

    asyncio.run(scenario())
    assert (place / "granted/sub/f").read_text() == "ok"


def test_a_file_that_may_not_be_read_cannot_be_moved_to_where_it_may(reached, place):
    async def scenario():
        permissions = (f"file:write:{place}/outside/**", f"file:read,write:{place}/granted/**")
        async with reached(*permissions) as worker:
            with pytest.raises(PermissionDenied):
                await asyncio.to_thread(worker.files.rename, place / "outside/f", place / "granted/f")

    asyncio.run(scenario())
    assert (place / "outside/f").exists()


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"relative",
        b"sub/f",
        b"{granted}/../outside/f",
        b"{granted}/./sub/f",
        b"{granted}//sub/f",
        b"{granted}/sub/f/",
        b"{granted}/sub/f\0",
        b"{granted}/\0/../../outside/f",
        b"{GRANTED}/sub/f",
        b"{granted}/sub\\f",
        b"{granted}x/f",
        b"{granted}/proc",
        b"{granted}/magic",
        b"/proc/self/root{granted}/sub/f",
        b"/proc/self/cwd",
        b"${project}/../outside/f",
        b"\xff\xfe/\x80",
        "/\N{FULLWIDTH SOLIDUS}etc/passwd".encode(),
        b"/" + b"x/" * 2000,
    ],
    ids=range(20),
)
@pytest.mark.parametrize("kind", OF_FILES, ids=message_type)
def test_no_odd_path_reaches_anything(reached, place, kind, path):
    granted = str(place / "granted").encode()
    path = path.replace(b"{granted}", granted).replace(b"{GRANTED}", granted.upper())
    (place / "granted/proc").symlink_to("/proc/self/environ")
    (place / "granted/magic").symlink_to("/proc/self/fd/0")
    before = sorted(str(each) for each in place.rglob("*"))

    async def scenario():
        async with reached("file:read,write:${project}/**", project=granted.decode()) as worker:
            with pytest.raises(SymphonyError) as caught:
                await asyncio.wait_for(worker.broker.answer(kind(path)), 20)
            assert caught.value.code in ("SYM-P001", "SYM-P030", "SYM-P032", "SYM-P033")
            msgspec.msgpack.encode(caught.value.payload())

    if kind is RemoveFile and path.endswith((b"/proc", b"/magic")):
        return  # a link itself may be removed: it lies where the extension may write
    asyncio.run(scenario())
    assert sorted(str(each) for each in place.rglob("*")) == before
    assert (place / "outside/f").read_text() == "SECRET"


@pytest.mark.parametrize(
    "message",
    [
        OpenFile(b"/" + b"x" * 5000),
        OpenFile(b"/f", "execute"),  # type: ignore[arg-type]
        Connect("x" * 5000, 80),
        Connect("example.org", 0),
        Connect("example.org", 70000),
        Connect("example.org", 80, -1.0),
    ],
    ids=range(6),
)
def test_a_message_beyond_its_bounds_is_refused_before_it_is_looked_at(reached, message):
    async def scenario():
        async with reached("file:read:/**", "network:read:*") as worker:
            with pytest.raises(MalformedMessage):
                await asyncio.to_thread(worker.channel.request, message, FileOpened)

    asyncio.run(scenario())


def test_names_that_are_no_text_are_read_and_listed(reached, place):
    name = os.fsdecode(b"odd-\xff")
    try:
        (place / "granted" / name).write_text("odd")
    except OSError:
        pytest.skip("this file system takes names of text alone")

    def use(files):
        assert files.read_text(place / "granted" / name) == "odd"
        assert name in files.entries(place / "granted")
        with pytest.raises(PermissionDenied):
            files.read_text(place / "outside" / name)

    async def scenario():
        async with reached("file:read:${project}/**", project=str(place / "granted")) as worker:
            await asyncio.to_thread(use, worker.files)

    asyncio.run(scenario())


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_a_directory_is_listed_in_parts(reached, place, monkeypatch, count):
    monkeypatch.setattr("symphony_isolation.broker.files.ENTRIES_LIMIT", 2)
    monkeypatch.setattr("symphony_sdk.worker.host_access.ENTRIES_LIMIT", 2)
    folder = place / "granted" / "folder"
    folder.mkdir()
    for number in range(count):
        (folder / str(number)).touch()

    async def scenario():
        async with reached("file:read:${project}/**", project=str(place / "granted")) as worker:
            return await asyncio.to_thread(worker.files.entries, folder)

    assert sorted(asyncio.run(scenario())) == [str(number) for number in range(count)]


def test_an_answer_that_asks_the_user_for_long_keeps_nobody_else_waiting(reached, place):
    release = asyncio.Event()

    async def scenario():
        loop = asyncio.get_running_loop()

        def check(access):
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

        async with reached("file:read:${project}/**", check=check, project=str(place / "granted")) as worker:
            reading = asyncio.create_task(asyncio.to_thread(worker.files.read_text, place / "granted/sub/f"))
            await asyncio.to_thread(worker.channel.request, PutArtifact(b"meanwhile"), ArtifactStored)
            assert not reading.done()
            release.set()
            assert await reading == "ok"

    asyncio.run(scenario())


def test_a_thousand_requests_at_once_are_all_answered_and_leave_nothing_open(
    reached, place, open_descriptors, settled
):
    async def scenario():
        async with reached("file:read:${project}/**", project=str(place / "granted")) as worker:
            before = open_descriptors()

            def read(number):
                return worker.files.read_text(place / "granted/sub/f")

            with ThreadPoolExecutor(32) as pool:
                found = await asyncio.gather(
                    *(asyncio.get_running_loop().run_in_executor(pool, read, one) for one in range(1000))
                )
            assert found == ["ok"] * 1000
            await settled(before)

    asyncio.run(scenario())


def test_a_worker_that_takes_no_descriptors_is_blamed_and_the_host_keeps_few(
    reached, place, open_descriptors, settled, monkeypatch
):
    monkeypatch.setattr(descriptors_module, "TAKE_TIMEOUT", 0.2)

    async def scenario():
        async with reached("file:read:${project}/**", project=str(place / "granted")) as worker:
            before = open_descriptors()
            sent = 0
            with pytest.raises(PeerGone, match="untaken"):
                while sent < 200:
                    await worker.broker.answer(_open(place / "granted/sub/f"))
                    sent += 1
            assert 0 < sent < 100
            assert [breach.code for breach in worker.breaches] == ["SYM-P031"]
            await settled(before)

    asyncio.run(scenario())


def test_a_worker_that_has_ended_takes_no_descriptor_with_it(reached, place, open_descriptors, settled):
    async def scenario():
        async with reached("file:read:${project}/**", project=str(place / "granted")) as worker:
            before = open_descriptors()
            worker.worker_end.shutdown(socket.SHUT_RDWR)
            refused = [await _is_gone(worker.broker, place / "granted/sub/f") for _ in range(50)]
            assert all(refused)
            await settled(before)

    asyncio.run(scenario())


def test_what_is_opened_for_a_request_that_was_given_up_is_closed(reached, place, open_descriptors, settled):
    async def scenario():
        async with reached("file:read:${project}/**", project=str(place / "granted")) as worker:
            before = open_descriptors()
            tasks = [
                asyncio.create_task(worker.broker.answer(_open(place / "granted/sub/f"))) for _ in range(40)
            ]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)
            await settled(before)

    asyncio.run(scenario())


def test_a_closed_broker_leaves_no_descriptor_open(spec_of, place, open_descriptors):
    async def scenario():
        before = open_descriptors()
        for _ in range(5):
            broker = Broker(spec_of("file:read:/usr/**", "file:write:/var/tmp/*"), FakeArtifactStore)
            assert open_descriptors() > before
            broker.close()
            del broker
        assert open_descriptors() <= before

    asyncio.run(scenario())


async def _is_gone(broker: Broker, path: Path) -> bool:
    try:
        await broker.answer(_open(path))
    except PeerGone:
        return True
    return False


def _open(path: Path) -> OpenFile:
    return OpenFile(os.fsencode(path))
