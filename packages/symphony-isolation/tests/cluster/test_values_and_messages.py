"""What a machine holds is what the host counts; what the two say is decoded without trust."""

import os

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_isolation import WorkerSpec
from symphony_isolation.cluster import Capacity
from symphony_isolation.cluster.deployment import (
    check_installed,
    content_of,
    decode_deployment,
    encode_deployment,
    moved,
)
from symphony_isolation.cluster.held_values import Digests, HeldValues, digest_of, name_of_made
from symphony_isolation.cluster.messages import (
    Answer,
    Ask,
    Calls,
    Cancel,
    Events,
    Greeting,
    Ready,
    Refused,
    RemoteCall,
    RemoteEvent,
    Said,
    Setup,
    encode,
    greeting,
    setup_of,
    to_host,
    to_machine,
)
from symphony_isolation.cluster.remote_artifacts import RemoteArtifacts
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError, ErrorPayload, MalformedMessage, PeerGone, RunError
from symphony_sdk.messages import ArtifactData, ArtifactStored, GetArtifact, PutArtifact
from symphony_sdk.ports import Resources

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))

names = st.text(max_size=8)
blobs = st.binary(max_size=16)
resources = st.builds(
    Resources,
    cpu=st.floats(0, 8),
    memory=st.integers(0, 1 << 40),
    gpu=st.floats(0, 2),
    custom=st.dictionaries(names, st.floats(0, 4), max_size=2),
)
errors = st.builds(ErrorPayload, code=names, message=names)
calls = st.builds(
    RemoteCall,
    number=st.integers(0, 1 << 40),
    run=names,
    node=names,
    operation=names,
    inputs=st.dictionaries(names, blobs, max_size=3),
    large=st.dictionaries(names, blobs, max_size=3),
    attempt=st.integers(1, 9),
    item=st.integers(-1, 9),
    timeout=st.none() | st.floats(0, 9),
    resources=resources,
    idle_timeout=st.none() | st.floats(0, 9),
)
events = st.builds(
    RemoteEvent,
    number=st.integers(0, 1 << 40),
    kind=st.sampled_from(["started", "progressed", "completed", "failed", "lost"]),
    fraction=st.floats(0, 1),
    text=names,
    outputs=st.dictionaries(names, blobs, max_size=3),
    digests=st.dictionaries(names, blobs, max_size=3),
    seconds=st.floats(0, 9),
    error=st.none() | errors,
    retryable=st.booleans(),
    memory=st.integers(0, 1 << 40),
)
of_the_host = st.one_of(
    st.builds(
        Calls,
        st.lists(calls, max_size=3),
        st.dictionaries(blobs, blobs, max_size=3),
        st.lists(blobs, max_size=3),
    ),
    st.builds(Cancel, names, names, st.integers(-1, 9), st.booleans()),
    st.builds(
        Answer,
        st.integers(1, 9),
        st.none() | st.builds(ArtifactStored, st.none() | st.builds(ArtifactRef, names, st.integers(0, 9))),
        st.none() | st.builds(ArtifactData, blobs, st.integers(0, 9)),
        st.none() | errors,
    ),
)
of_a_machine = st.one_of(
    st.builds(
        Ready,
        st.builds(Capacity, st.floats(0, 9), st.integers(0, 9), st.floats(0, 9)),
        st.integers(0, 9),
        st.dictionaries(names, errors, max_size=2),
    ),
    st.builds(Refused, errors),
    st.builds(Events, st.lists(events, max_size=3)),
    st.builds(
        Ask,
        st.integers(1, 9),
        names,
        st.none() | st.builds(PutArtifact, blobs),
        st.none() | st.builds(GetArtifact, names),
    ),
    st.builds(Said, names, names, names),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(of_the_host, of_a_machine)
def test_what_each_says_is_what_the_other_hears(host, machine):
    assert to_machine(encode(host)) == host
    assert to_host(encode(machine)) == machine


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=64))
def test_any_other_bytes_are_no_message(data):
    for read in (to_machine, to_host, greeting, setup_of, decode_deployment):
        try:
            read(data)
        except MalformedMessage:
            continue


def test_a_setup_begins_with_its_version_so_that_any_version_can_read_it():
    data = encode(Greeting("9.9", encode(Setup(b"extensions", "/project"))))
    assert msgspec.msgpack.decode(data)[0] == "9.9"
    assert setup_of(greeting(data).setup) == Setup(b"extensions", "/project")


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_a_machine_always_holds_what_the_host_names(data):
    """The two channels are in order each, and independent: what a machine made is told later than it was made."""
    digests, host, machine = Digests(), HeldValues(limit=300), {}
    told = []
    for number in range(data.draw(st.integers(1, 40))):
        value = bytes([data.draw(st.integers(0, 7))]) * 100
        match data.draw(st.sampled_from(["send", "send", "make", "tell"])):
            case "send":
                digest = digests.of(value)
                values, name = {}, host.use(digest)
                if name is None:
                    name, values = digest, {digest: value}
                    host.add(digest, name, len(value))
                for forgotten in host.forgotten({name}):
                    del machine[forgotten]  # it holds what it is told to forget
                machine.update(values)
                assert machine[name] == value
                assert sum(map(len, machine.values())) <= 300 + 100 * len(told)
            case "make":
                name = name_of_made(digest_of(value), number)
                machine[name] = value
                told.append((digest_of(value), name, value))
            case "tell" if told:
                digest, name, value = told.pop(0)
                digests.remember(value, digest)
                host.add(digest, name, len(value))


def test_the_digest_of_a_value_is_computed_once_and_remembered_of_few():
    digests = Digests()
    values = [bytes([n]) * 9 for n in range(100)]
    assert [digests.of(value) for value in values] == [digest_of(value) for value in values]
    assert digests.of(values[-1]) is digests.of(values[-1])
    assert len(digests._known) < 100


# -- extensions ----------------------------------------------------------------------------------


def spec_of(folder, **changes):
    values = {
        "id": "acme.text",
        "version": "1.0",
        "kind": "operator",
        "module": "acme_text.plugin",
        "data_dir": "/elsewhere",
        "fingerprint": "1",
        "import_path": (str(folder),),
    }
    return WorkerSpec(**values | changes)


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "acme_text"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "plugin.py").write_text("x = 1")
    return folder


def test_the_content_of_an_extension_is_that_of_its_files_wherever_they_are(package, tmp_path):
    here = content_of(spec_of(tmp_path))
    (package / "__pycache__/plugin.pyc").write_bytes(b"compiled")
    assert content_of(spec_of(tmp_path)) == here
    elsewhere = package.rename(tmp_path / "moved").parent / "there"
    elsewhere.mkdir()
    (tmp_path / "moved").rename(elsewhere / "acme_text")
    assert content_of(spec_of(elsewhere)) == here
    (elsewhere / "acme_text/plugin.py").write_text("x = 2")
    assert content_of(spec_of(elsewhere)) not in (here, None)


def test_a_machine_runs_an_extension_only_where_it_has_just_that(package, tmp_path):
    spec = spec_of(tmp_path)
    (one,) = decode_deployment(encode_deployment([(spec, None)]))
    check_installed(one, "m1")
    with pytest.raises(
        RunError, match=r"'m1' cannot run 'acme.text' 1.0: it has no module 'acme_text.plugin'"
    ):
        check_installed(msgspec.structs.replace(one, spec=spec_of(tmp_path / "nothing")), "m1")
    (package / "plugin.py").write_text("x = 2")
    with pytest.raises(RunError, match=r"other code in acme_text.plugin") as caught:
        check_installed(one, "m1")
    assert caught.value.code == "SYM-R123"
    assert "acme.text==1.0" in caught.value.hint


@pytest.mark.parametrize(
    ("distribution", "text"),
    [
        ("no-such-distribution", "it has no no-such-distribution; the host has 1.0"),
        ("msgspec", "it has msgspec "),
    ],
)
def test_the_version_of_its_distribution_is_the_host_s(package, tmp_path, distribution, text):
    (one,) = decode_deployment(encode_deployment([(spec_of(tmp_path, distribution=distribution), None)]))
    with pytest.raises(RunError, match=text) as caught:
        check_installed(one, "m1")
    assert f"pip install --force-reinstall {distribution}==1.0" in caught.value.hint


def test_paths_are_those_of_the_machine(tmp_path):
    spec = moved(spec_of("/somewhere", python="/elsewhere/python"), tmp_path, "")
    assert spec.data_dir == str(tmp_path / "extensions/acme.text")
    assert spec.python != "/elsewhere/python"
    assert set(spec.roots) == {"project", "home", "data", "cache", "tmp"}
    assert moved(spec, tmp_path, "/proc").roots["project"] == "/proc"


# -- artifacts -----------------------------------------------------------------------------------


def test_whoever_waits_for_the_store_is_told_that_the_host_is_gone():
    asked = []
    artifacts = RemoteArtifacts(asked.append)
    artifacts._ask = lambda ask: artifacts.close()
    with pytest.raises(PeerGone, match="the host is gone"):
        artifacts.read("id", 0, 1)
    with pytest.raises(PeerGone):
        artifacts.put(b"data")
    artifacts.answered(Answer(1))  # too late


@pytest.mark.parametrize("answer", [Answer(1), Answer(2), Answer(2, stored=ArtifactStored())])
def test_an_answer_without_what_was_asked_for_is_an_error(answer):
    artifacts = RemoteArtifacts(
        lambda ask: artifacts.answered(msgspec.structs.replace(answer, number=ask.number))
    )
    with pytest.raises(ArtifactError, match="without its"):
        artifacts.put(b"data")
    with pytest.raises(ArtifactError, match="without its"):
        artifacts.info("id")
