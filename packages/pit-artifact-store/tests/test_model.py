"""Whatever is done to a store in whatever order, it behaves like a dictionary."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from pit_artifact_store import Store
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import Lineage

CONTENTS = st.one_of(
    st.binary(max_size=50),
    st.tuples(st.binary(min_size=1, max_size=4), st.sampled_from([65_536, 65_537, 1_048_577])).map(
        lambda made: (made[0] * made[1])[: made[1]]
    ),
)


class StoreMachine(RuleBasedStateMachine):
    ids = Bundle("ids")

    def __init__(self):
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.place.name))
        self.model: dict[str, tuple[bytes, list[tuple[str, str]]]] = {}

    def teardown(self):
        assert list(self.store.verify()) == []
        self.store.close()
        self.place.cleanup()

    @rule(
        target=ids,
        data=CONTENTS,
        name=st.sampled_from(["", "a", "b"]),
        run=st.sampled_from(["", "r1", "r2"]),
        durability=st.sampled_from(["os"] * 8 + ["group", "sync"]),
    )
    def put(self, data, name, run, durability):
        id = self.store.put(data, name=name, lineage=Lineage(run=run), durability=durability).id
        history = self.model.pop(id, (data, []))[1]
        self.model[id] = (data, [(name, run), *(known for known in history if known != (name, run))])
        return id

    @rule(id=ids)
    def get(self, id):
        if id in self.model:
            assert self.store.get(id) == self.model[id][0]
        else:
            with pytest.raises(ArtifactError, match="there is no artifact"):
                self.store.get(id)

    @rule(id=ids, offset=st.integers(0, 1_100_000), length=st.integers(0, 1_100_000))
    def read(self, id, offset, length):
        if id in self.model:
            assert self.store.read(id, offset, length) == self.model[id][0][offset : offset + length]

    @rule(id=consumes(ids))
    def remove(self, id):
        if self.model.pop(id, None) is None:
            with pytest.raises(ArtifactError, match="there is no artifact"):
                self.store.remove(id)
        else:
            self.store.remove(id)

    @rule()
    def reopen(self):
        self.store.close()
        self.store = Store(Path(self.place.name))

    @invariant()
    def every_listing_is_that_of_the_model(self):
        newest = list(reversed(self.model.items()))
        assert [info.ref.id for info in self.store.find()] == [id for id, _ in newest]
        for id, (data, history) in newest:
            kept = [(info.ref.name, info.lineage.run) for info in self.store.history(id)]
            assert kept == history
            assert self.store.info(id).ref.size == len(data)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
