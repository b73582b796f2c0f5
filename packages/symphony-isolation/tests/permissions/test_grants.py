"""What users have answered: how long it holds, and what happens to it when processes are killed or meet."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from symphony_isolation.permissions import Declaration, Grants, Lifetime, standing_of
from symphony_isolation.permissions.admin_policy import AdminPolicy
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import PermissionSet, parse

DAY = 86400.0
READ = parse("file:read:/a/**")


def declared(*texts: str, version: str = "1.0", publisher: str = "acme-text", **optional: str) -> Declaration:
    permissions = tuple(map(parse, texts)) + tuple(parse(text, required=False) for text in optional.values())
    return Declaration("acme.text", version, publisher, PermissionSet(permissions))


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def allowed(grants: Grants, declaration: Declaration) -> list[str]:
    return [str(each) for each in grants.answers(declaration).allowed]


def test_a_grant_outlives_the_process_that_was_asked(tmp_path: Path) -> None:
    declaration = declared("file:read,write:/a/**")
    Grants(tmp_path).grant(declaration, declaration.permissions.permissions, "always")
    assert allowed(Grants(tmp_path), declaration) == ["file:read:/a/**", "file:write:/a/**"]
    [held] = Grants(tmp_path).all()
    assert (held.extension, held.publisher, held.grants[0].digest) == (
        "acme.text",
        "acme-text",
        declaration.digest,
    )


@pytest.mark.parametrize(
    ("lifetime", "same_process", "same_session", "next_version", "later"),
    [
        ("once", True, False, False, False),
        ("session", True, True, False, False),
        ("until-version", True, True, False, True),
        ("always", True, True, True, True),
    ],
)
def test_a_grant_lasts_as_long_as_it_was_given_for(
    tmp_path: Path,
    lifetime: Lifetime,
    same_process: bool,
    same_session: bool,
    next_version: bool,
    later: bool,
) -> None:
    declaration, newer = declared("file:read:/a/**"), declared("file:read:/a/**", version="1.1")
    grants = Grants(tmp_path, session="here")
    grants.grant(declaration, (READ,), lifetime)
    assert bool(allowed(grants, declaration)) is same_process
    assert bool(allowed(Grants(tmp_path, session="here"), declaration)) is same_session
    assert bool(allowed(Grants(tmp_path, session="other"), newer)) is next_version
    assert bool(allowed(Grants(tmp_path, session="other"), declaration)) is later


def test_a_grant_that_is_not_used_for_ninety_days_ends_and_one_that_is_used_goes_on(
    tmp_path: Path, clock: Clock
) -> None:
    declaration = declared("file:read:/a/**")
    grants = Grants(tmp_path, clock=clock)
    grants.grant(declaration, (READ,), "always")
    for _ in range(5):
        clock.now += 60 * DAY
        assert allowed(grants, declaration)
        grants.note_use(declaration)
    clock.now += 90 * DAY
    grants.note_use(declaration)
    assert not allowed(grants, declaration)


def test_a_use_is_written_once_a_day(tmp_path: Path, clock: Clock) -> None:
    declaration = declared("file:read:/a/**")
    grants = Grants(tmp_path, clock=clock)
    grants.grant(declaration, (READ,), "always")
    [file] = tmp_path.glob("*.json")
    before = file.stat().st_ino
    grants.note_use(declaration)
    assert file.stat().st_ino == before
    clock.now += DAY
    grants.note_use(declaration)
    assert file.stat().st_ino != before


def test_a_denial_for_always_stays_and_a_later_answer_replaces_it(tmp_path: Path, clock: Clock) -> None:
    declaration = declared("file:read:/a/**")
    grants = Grants(tmp_path, clock=clock)
    grants.grant(declaration, (READ,), "always")
    grants.deny(declaration, (READ,), "always")
    clock.now += 1000 * DAY
    answers = Grants(tmp_path, clock=clock).answers(declaration)
    assert (answers.allowed, answers.denied) == ((), (READ,))
    grants.grant(declaration, (READ,), "always")
    assert grants.answers(declaration).denied == ()


def test_another_distribution_with_the_same_id_inherits_nothing(tmp_path: Path) -> None:
    grants = Grants(tmp_path)
    grants.grant(declared("file:read:/a/**"), (READ,), "always")
    assert not allowed(grants, declared("file:read:/a/**", publisher="impostor"))


def test_what_is_revoked_is_forgotten(tmp_path: Path) -> None:
    declaration = declared("file:read:/a/**", "file:read:/b/**")
    grants = Grants(tmp_path)
    grants.grant(declaration, declaration.permissions.permissions, "always")
    assert grants.revoke("acme.text", (READ,)) == ("file:read:/a/**",)
    assert allowed(grants, declaration) == ["file:read:/b/**"]
    grants.grant(declaration, (READ,), "once")
    assert set(grants.revoke("acme.text")) == {"file:read:/b/**"}
    assert not allowed(grants, declaration)
    assert grants.revoke("acme.text") == ()
    assert grants.all() == []


def test_only_the_user_can_read_and_write_what_is_granted(tmp_path: Path) -> None:
    Grants(tmp_path / "grants").grant(declared("file:read:/a/**"), (READ,), "always")
    assert (tmp_path / "grants").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "grants").glob("*.json")} == {0o600}


@pytest.mark.parametrize("content", [b"", b"{", b'{"extension": 3}', b"\xff", b"[" * 100_000])
def test_a_damaged_file_allows_nothing_and_is_named(tmp_path: Path, content: bytes) -> None:
    declaration = declared("file:read:/a/**")
    Grants(tmp_path).grant(declaration, (READ,), "always")
    [file] = tmp_path.glob("*.json")
    file.write_bytes(content)
    for look in (lambda: Grants(tmp_path).answers(declaration), Grants(tmp_path).all):
        with pytest.raises(PermissionDenied) as caught:
            look()
        assert (caught.value.code, caught.value.file) == ("SYM-P008", str(file))


def test_a_permission_in_the_file_that_none_can_be_is_damage(tmp_path: Path) -> None:
    declaration = declared("file:read:/a/**")
    Grants(tmp_path).grant(declaration, (READ,), "always")
    [file] = tmp_path.glob("*.json")
    file.write_bytes(file.read_bytes().replace(b"file:read:/a/**", b"file:read:../a/", 1))
    with pytest.raises(PermissionDenied, match="is damaged"):
        Grants(tmp_path).answers(declaration)


def test_grants_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "grants").write_text("in the way")
    with pytest.raises(PermissionDenied) as caught:
        Grants(tmp_path / "grants").grant(declared("file:read:/a/**"), (READ,), "always")
    assert caught.value.code == "SYM-P008"


WRITER = """
import sys; from pathlib import Path
from symphony_isolation.permissions import Declaration, Grants
from symphony_sdk.permissions import PermissionSet, parse
directory, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
grants = Grants(directory)
for number in range(count):
    text = f"file:read:/{name}/{number}"
    declaration = Declaration("acme.text", "1.0", "acme-text", PermissionSet((parse(text),)))
    grants.grant(declaration, (parse(text),), "always")
    print(text, flush=True)
"""


def writer(directory: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_grant_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    processes = [writer(tmp_path, name, 20) for name in "ab"]
    for process in processes:
        process.communicate(timeout=60)
    found = allowed(Grants(tmp_path), declared())
    assert sorted(found) == sorted(f"file:read:/{name}/{number}" for name in "ab" for number in range(20))


def test_a_process_that_is_killed_while_it_grants_leaves_all_that_it_had_granted(tmp_path: Path) -> None:
    told: list[str] = []
    for turn in range(3):
        with writer(tmp_path, str(turn), 10_000) as process:
            assert process.stdout is not None
            told += [process.stdout.readline().strip() for _ in range(5)]
            process.send_signal(signal.SIGKILL)
            told += process.stdout.read().split()  # not `communicate`, which passes over what was read ahead
    found = allowed(Grants(tmp_path), declared())
    assert set(told) <= set(found)
    assert len(found) <= len(told) + 3


SAY_SESSION = "from symphony_isolation.permissions.session import current_session; print(current_session())"
SAY_IT_TWICE = f"""
import subprocess, sys
for _ in range(2):
    subprocess.run([sys.executable, "-c", {SAY_SESSION!r}], check=True)
"""


def session_of(program: str) -> subprocess.Popen[str]:
    """Starts a Python program as the first process of a session."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a session is one process")
def test_processes_of_one_terminal_share_a_session_and_another_terminal_does_not() -> None:
    (first, second), (another, _) = (session_of(SAY_IT_TWICE).communicate()[0].split() for _ in range(2))
    assert first == second != another


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a session is one process")
def test_where_the_first_process_of_a_session_has_ended_each_process_is_a_session() -> None:
    starter = session_of(
        f"import os, sys\nif os.fork() == 0:\n    sys.stdin.read()\n    exec({SAY_IT_TWICE!r})"
    )
    assert starter.wait(60) == 0
    first, second = starter.communicate()[
        0
    ].split()  # what it has started reads its input to the end, then tells
    assert first.startswith("process-")
    assert first != second


# -- updates --------------------------------------------------------------------------------------------


def missing(grants: Grants, declaration: Declaration) -> list[str]:
    return [str(each) for each in standing_of(declaration, grants, AdminPolicy()).missing]


def test_an_extension_that_declares_nothing_lacks_nothing(tmp_path: Path) -> None:
    standing = standing_of(declared(), Grants(tmp_path), AdminPolicy())
    assert (standing.missing, standing.error, standing.request.items) == ((), None, ())


def test_an_update_that_asks_for_more_waits_until_it_is_accepted(tmp_path: Path) -> None:
    grants = Grants(tmp_path)
    old = declared("file:read:/a/**")
    new = declared("file:read:/a/**", "file:write:/a/**", version="1.1", extra="network:read:example.org")
    grants.grant(old, old.permissions.permissions, "always")
    standing = standing_of(new, grants, AdminPolicy())
    assert [str(each) for each in standing.missing] == ["file:write:/a/**", "network:read:example.org"]
    assert standing.error is not None
    assert standing.error.code == "SYM-P006"
    assert {item.resource: item.new_since for item in standing.request.items} == {
        "/a/**": "1.0",
        "example.org": "1.0",
    }
    grants.grant(new, standing.missing, "always")
    assert standing_of(new, grants, AdminPolicy()).error is None


def test_an_update_that_asks_for_less_or_for_the_same_in_other_words_passes(tmp_path: Path) -> None:
    grants = Grants(tmp_path)
    old = declared("file:read,write:/a/**", "network:read:example.org")
    grants.grant(old, old.permissions.permissions, "always")
    for narrower in (
        declared("file:read:/a/**", version="2.0"),
        declared("network:read:example.org", "file:write:/a/b", "file:read:/a/**", version="2.0"),
        declared("file:read:/a/**", version="2.0", extra="network:read:example.org"),
        declared(version="2.0"),
    ):
        assert standing_of(narrower, grants, AdminPolicy()).error is None


def test_a_permission_that_becomes_required_is_asked_for_again(tmp_path: Path) -> None:
    grants = Grants(tmp_path)
    old = declared("file:read:/a/**", extra="network:read:example.org")
    grants.grant(old, (READ,), "always")
    assert missing(grants, old) == []
    assert missing(grants, declared("file:read:/a/**", "network:read:example.org", version="2.0")) == [
        "network:read:example.org"
    ]


def test_the_digest_is_that_of_what_is_declared_not_of_how() -> None:
    one = declared("file:read:/a/**", "file:write:/b")
    assert one.digest == declared("file:write:/b", "file:read:/a/**", version="3").digest
    assert one.digest != declared("file:read:/a/**", extra="file:write:/b").digest


# -- any order of answers -------------------------------------------------------------------------------

TEXTS = ("file:read:/a/**", "file:write:/a/**", "network:read:example.org")
LIFE = st.sampled_from(["session", "until-version", "always"])


class AnswersMachine(RuleBasedStateMachine):
    """Two processes of two sessions answer in any order; the last answer for a permission is what counts."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory(prefix="symphony-")
        self.stores = {name: Grants(Path(self.folder.name), session=name) for name in ("a", "b")}
        self.declaration = declared(*TEXTS)
        self.model: dict[str, tuple[str, str, str]] = {}

    @rule(who=st.sampled_from(["a", "b"]), text=st.sampled_from(TEXTS), life=LIFE, grant=st.booleans())
    def answer(self, who: str, text: str, life: Lifetime, grant: bool) -> None:
        store = self.stores[who]
        (store.grant if grant else store.deny)(self.declaration, (parse(text),), life)
        # what no longer holds for who answers is dropped on the way
        self.model = {
            key: value
            for key, value in self.model.items()
            if value[1] != "session" or value[2] == who or value[0] == "denied-always"
        }
        state = "granted" if grant else "denied-always" if life == "always" else "denied"
        self.model[text] = state, life, who

    @rule(who=st.sampled_from(["a", "b"]), text=st.sampled_from(TEXTS))
    def revoke(self, who: str, text: str) -> None:
        self.stores[who].revoke("acme.text", (parse(text),))
        self.model.pop(text, None)

    @invariant()
    def both_see_what_counts(self) -> None:
        for name, store in self.stores.items():
            answers = store.answers(self.declaration)
            counting = {
                text: state
                for text, (state, life, who) in self.model.items()
                if life != "session" or who == name
            }
            assert set(map(str, answers.allowed)) == {t for t, s in counting.items() if s == "granted"}
            assert set(map(str, answers.denied)) == {t for t, s in counting.items() if s != "granted"}

    def teardown(self) -> None:
        self.folder.cleanup()


TestAnswersInAnyOrder = AnswersMachine.TestCase
TestAnswersInAnyOrder.settings = settings(
    max_examples=10, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
