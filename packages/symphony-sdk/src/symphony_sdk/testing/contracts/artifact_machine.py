"""An Artifact Store against a dictionary: whatever is done to both in whatever order, they agree (needs hypothesis)."""

import itertools
from collections.abc import Callable

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactStore, Lineage, Score

SETTINGS = settings(
    max_examples=5,
    stateful_step_count=12,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

_CONTENTS = st.sampled_from([1, 2, 5_000, 100_000])
_NAMES = st.sampled_from(["", "a", "b"])
_TAGS = st.sampled_from(["x", "y"])
_REASONS = st.sampled_from(["law", "audit"])


class Kept(msgspec.Struct):
    """What the model knows of an artifact.

    Args:
        data: Its bytes.
        entries: When it was stored under which name and version of it, the newest last.
        removed: Whether it was removed.
        pinned: Whether it is pinned.
        holds: Why it must not be removed.
        scores: How good it is, by scorer.
    """

    data: bytes
    entries: list[tuple[int, str, int]] = []
    removed: bool = False
    pinned: bool = False
    holds: set[str] = set()
    scores: dict[str, float] = {}


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to a model. What it stores is told apart from all else in the store by a mark.

    Args:
        store: The store.
        mark: Of this machine alone; text that a tag may begin with.
    """

    ids: Bundle[str] = Bundle("ids")

    def __init__(self, store: ArtifactStore, mark: str) -> None:
        super().__init__()
        self.store = store
        self.mark = mark
        self.turn = 0
        self.model: dict[str, Kept] = {}
        self.tagged: dict[str, str] = {}

    @rule(target=ids, content=_CONTENTS, name=_NAMES, in_parts=st.booleans())
    def put(self, content: int, name: str, in_parts: bool) -> str:
        """Store bytes."""
        data = f"{self.mark} {content} ".encode() * (content // 8 + 1)
        name = name and f"{self.mark} {name}"
        lineage = Lineage(run=self.mark)
        if in_parts:
            ref = self.store.put_stream((data[:9], data[9:]), name=name, lineage=lineage, durability="os")
        else:
            ref = self.store.put(data, name=name, lineage=lineage, durability="os")
        kept = self.model.setdefault(ref.id, Kept(data))
        kept.removed = False
        version = 0
        if name:
            version, newest = max(self.versions(name), default=(0, ""))
            version += newest != ref.id
        self.turn += 1
        others = [entry for entry in kept.entries if entry[1:] != (name, version)]
        kept.entries = [*others, (self.turn, name, version)]
        return ref.id

    @rule(id=ids)
    def get(self, id: str) -> None:
        """Read all bytes."""
        if self.answers(id, lambda: self.store.get(id)):
            assert self.store.get(id) == self.model[id].data
            assert b"".join(self.store.stream(id)) == self.model[id].data

    @rule(id=ids, tag=_TAGS)
    def tag(self, id: str, tag: str) -> None:
        """Give a tag."""
        if self.answers(id, lambda: self.store.tag(id, f"{self.mark}/{tag}")):
            self.tagged[tag] = id

    @rule(tag=_TAGS)
    def untag(self, tag: str) -> None:
        """Take a tag away."""
        self.expect(lambda: self.store.untag(f"{self.mark}/{tag}"), "" if tag in self.tagged else "SYM-A041")
        self.tagged.pop(tag, None)

    @rule(id=ids)
    def pin(self, id: str) -> None:
        """Pin it."""
        if self.answers(id, lambda: self.store.pin(id)):
            self.model[id].pinned = True

    @rule(id=ids)
    def unpin(self, id: str) -> None:
        """Unpin it, unless it is not there."""
        if id in self.model and not self.model[id].removed:
            self.store.unpin(id)
            self.model[id].pinned = False

    @rule(id=ids, reason=_REASONS)
    def hold(self, id: str, reason: str) -> None:
        """Hold it."""
        if self.answers(id, lambda: self.store.hold(id, reason)):
            self.model[id].holds.add(reason)

    @rule(id=ids, reason=_REASONS)
    def release(self, id: str, reason: str) -> None:
        """Release it, unless it is not there."""
        if id in self.model and not self.model[id].removed:
            held = reason in self.model[id].holds
            self.expect(lambda: self.store.release(id, reason), "" if held else "SYM-A042")
            self.model[id].holds.discard(reason)

    @rule(id=ids, scorer=_TAGS, value=st.sampled_from([0.0, 0.25, 1.0]))
    def score(self, id: str, scorer: str, value: float) -> None:
        """Score it."""
        if self.answers(id, lambda: self.store.score(id, Score(scorer, "1", value))):
            self.model[id].scores[scorer] = value

    @rule(id=ids)
    def remove(self, id: str) -> None:
        """Remove it."""
        kept = self.model.get(id)
        if kept is not None and not kept.removed and (kept.pinned or kept.holds):
            self.expect(lambda: self.store.remove(id), "SYM-A040")
        elif self.answers(id, lambda: self.store.remove(id)):
            self.model[id].removed = True

    @rule(id=ids)
    def restore(self, id: str) -> None:
        """Undo a removal."""
        if id not in self.model:
            self.expect(lambda: self.store.restore(id), "SYM-A002")
        else:
            self.expect(lambda: self.store.restore(id), "" if self.model[id].removed else "SYM-A042")
            self.model[id].removed = False

    @rule(dry_run=st.booleans())
    def collect(self, dry_run: bool) -> None:
        """Free what was removed."""
        gone = [id for id, kept in self.model.items() if kept.removed]
        assert self.store.collect(grace=0, dry_run=dry_run).artifacts >= len(gone)
        if not dry_run:
            self.model = {id: kept for id, kept in self.model.items() if not kept.removed}
            self.tagged = {tag: id for tag, id in self.tagged.items() if id in self.model}

    @invariant()
    def all_is_told_as_the_model_has_it(self) -> None:
        """Every listing and every description is that of the model."""
        newest = sorted(self.model, key=lambda id: self.model[id].entries[-1], reverse=True)
        for removed in (False, True):
            found = [info.ref.id for info in self.store.find(run=self.mark, removed=removed)]
            assert found == [id for id in newest if self.model[id].removed == removed]
        for id, kept in self.model.items():
            history = self.store.history(id)
            assert [(info.ref.name, info.version) for info in history] == [
                (name, version) for _, name, version in reversed(kept.entries)
            ]
            info = self.store.info(id)
            assert info == history[0]
            assert info.ref.size == len(kept.data)
            assert set(info.tags) == {f"{self.mark}/{tag}" for tag, of in self.tagged.items() if of == id}
            assert (info.pinned, {hold.reason for hold in info.holds}) == (kept.pinned, kept.holds)
            assert bool(info.removed) == kept.removed
            assert {score.scorer: score.value for score in self.store.scores(id)} == kept.scores
            assert (info.quality is None) == (not kept.scores)
        for name in (f"{self.mark} a", f"{self.mark} b"):
            told = [(info.version, info.ref.id) for info in self.store.versions(name)]
            assert told == sorted(self.versions(name), reverse=True)

    def versions(self, name: str) -> list[tuple[int, str]]:
        """The versions of a name in the model, and the id of each.

        Args:
            name: The name.
        """
        return [
            (version, id)
            for id, kept in self.model.items()
            for _, one, version in kept.entries
            if one == name
        ]

    def answers(self, id: str, call: Callable[[], object]) -> bool:
        """Make a call that needs an artifact that is there, and tell whether it is.

        Args:
            id: The artifact.
            call: The call.
        """
        there = id in self.model and not self.model[id].removed
        self.expect(call, "" if there else "SYM-A002")
        return there

    def expect(self, call: Callable[[], object], code: str) -> None:
        """Make a call and expect an error.

        Args:
            call: The call.
            code: The code of the error; empty for none.
        """
        try:
            call()
        except ArtifactError as error:
            assert error.code == code
        else:
            assert not code


def play(store: ArtifactStore) -> None:
    """Let machines do what they like to a store, one after the other.

    Args:
        store: The store.
    """
    marks = itertools.count(1)
    run_state_machine_as_test(
        lambda: StoreMachine(store, f"m{next(marks)}"),  # type: ignore[arg-type] # it is only called
        settings=SETTINGS,
    )
