"""The contract of every Artifact Store: what artifacts are to each other, and where they come from."""

import itertools
import time
from collections.abc import Sequence

import pytest

from symphony_sdk.ports import ArtifactStore, Lineage, Relation
from symphony_sdk.testing.contracts.artifact_contract import UNKNOWN, ArtifactContract, refused, store_in_turn


class ArtifactLineageContract(ArtifactContract):
    """Part of `ArtifactCatalogueContract`."""

    def test_a_relation_is_told_at_both_of_its_ends(self, artifact_store: ArtifactStore) -> None:
        """What one artifact is to another is told at both, the newest first; a second time does nothing."""
        whole, part, other = (artifact_store.put(data).id for data in (b"whole", b"part", b"other"))
        artifact_store.tag(whole, "book")
        first = artifact_store.relate(part[:20], "derived-from", "book")
        second = artifact_store.relate(whole, "replaces", other)
        third = artifact_store.relate(whole, "produced-by", "by hand")
        assert artifact_store.relate(part, "derived-from", whole) == first
        assert [ends(one) for one in (first, second, third)] == [
            (part, "derived-from", whole),
            (whole, "replaces", other),
            (whole, "produced-by", "by hand"),
        ]
        assert 0 < first.created <= second.created <= third.created <= time.time()
        assert artifact_store.relations(whole) == [third, second, first]
        assert artifact_store.relations(part) == [first]
        assert artifact_store.relations(other) == [second]

    def test_an_impossible_relation_is_refused(self, artifact_store: ArtifactStore) -> None:
        """A relation of an artifact to itself, of an unknown kind, or to none is refused."""
        id, other = (artifact_store.put(data).id for data in (b"1", b"2"))
        artifact_store.tag(id, "one")
        for itself in (id, id[:20], "one"):
            with refused("SYM-A042", id):
                artifact_store.relate(id, "derived-from", itself)
        with refused("SYM-A042", "part-of"):
            artifact_store.relate(id, "part-of", other)  # type: ignore[arg-type]
        with refused("SYM-A002", UNKNOWN):
            artifact_store.relate(id, "replaces", UNKNOWN)
        assert not artifact_store.relations(id)

    def test_a_new_version_replaces_the_one_before(self, artifact_store: ArtifactStore) -> None:
        """A new version of a name replaces the one before."""
        ids = [artifact_store.put(data, name="page").id for data in (b"a", b"b", b"c", b"c")]
        assert [ends(one) for one in artifact_store.relations(ids[1])] == [
            (ids[2], "replaces", ids[1]),
            (ids[1], "replaces", ids[0]),
        ]

    def test_an_artifact_is_derived_from_its_inputs(self, artifact_store: ArtifactStore) -> None:
        """An artifact is derived from those of its inputs that there are, also if they are removed, and not from itself."""
        inputs = [artifact_store.put(data).id for data in (b"1", b"2", b"x")]
        artifact_store.remove(inputs[1])
        id = artifact_store.put(b"x", lineage=Lineage(inputs=(*inputs, UNKNOWN, "b3-12", "")))
        told = artifact_store.relations(id.id)
        assert {ends(one) for one in told} == {(id.id, "derived-from", input) for input in inputs[:2]}
        assert len(told) == 2
        assert artifact_store.relations(inputs[0]) == [one for one in told if one.object == inputs[0]]

    def test_artifacts_are_derived_from_others_all_at_once(self, artifact_store: ArtifactStore) -> None:
        """Each of some artifacts is derived from each of some others, all at once or not at all; again adds nothing."""
        ids = [artifact_store.put(b"%d" % number).id for number in range(5)]
        artifact_store.derive(ids[:2], ids[2:4])
        expected = {(one, "derived-from", other) for one in ids[:2] for other in ids[2:4]}
        assert {ends(one) for id in ids for one in artifact_store.relations(id)} == expected
        created = artifact_store.relations(ids[0])[0].created
        artifact_store.derive(ids[:2], ids[2:4])
        assert [one.created for one in artifact_store.relations(ids[0])][:1] == [created]
        artifact_store.derive([], ids)
        artifact_store.derive(ids, [])
        with refused("SYM-A042", ids[4]):
            artifact_store.derive([ids[0], ids[4]], [ids[4]])
        with refused("SYM-A002"):
            artifact_store.derive([ids[0]], [ids[4], UNKNOWN])
        artifact_store.remove(ids[4])
        with refused("SYM-A002"):
            artifact_store.derive([ids[0]], [ids[4]])
        assert {ends(one) for id in ids for one in artifact_store.relations(id)} == expected

    @pytest.mark.parametrize(
        ("lineage", "run"),
        [
            (Lineage(run="r1"), "r1"),
            (Lineage(run="r1", node="n"), "r1/n"),
            (Lineage(run="r1", node="n", extension="acme.x"), "r1/n acme.x"),
            (Lineage(run="r1", node="n", extension="acme.x", version="1.2"), "r1/n acme.x 1.2"),
            (Lineage(node="n", extension="acme.x"), ""),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_an_artifact_is_produced_by_its_run(
        self, artifact_store: ArtifactStore, lineage: Lineage, run: str
    ) -> None:
        """An artifact is produced by its run, node, extension and version, as far as these are known."""
        id = artifact_store.put(b"x", lineage=lineage).id
        told = [ends(one) for one in artifact_store.relations(id)]
        assert told == ([(id, "produced-by", run)] if run else [])

    def test_it_is_produced_by_each_run_that_stored_it(self, artifact_store: ArtifactStore) -> None:
        """An artifact is produced by each run that stored it, each told once, the newest first."""
        for name, run in [("a", "r1"), ("b", "r2"), ("c", "r2")]:
            id = store_in_turn(artifact_store, b"x", name, lineage=Lineage(run=run, node="n"))
        assert [one.object for one in artifact_store.relations(id)] == ["r2/n", "r1/n"]

    def test_the_lineage_leads_to_all_it_comes_from_nearest_first(
        self, artifact_store: ArtifactStore
    ) -> None:
        """The lineage leads to all that an artifact comes from, the nearest first, each once, or the other way."""
        source = artifact_store.put(b"source", lineage=Lineage(run="r0")).id
        left = artifact_store.put(b"left", lineage=Lineage(inputs=(source,))).id
        right = artifact_store.put(b"right", lineage=Lineage(inputs=(source,))).id
        join = artifact_store.put(b"join", name="page", lineage=Lineage(run="r1", inputs=(left, right))).id
        anew = artifact_store.put(b"joined anew", name="page").id
        steps: list[set[tuple[str, str, str]]] = [
            {(join, "derived-from", left), (join, "derived-from", right), (join, "produced-by", "r1")},
            {(left, "derived-from", source), (right, "derived-from", source)},
            {(source, "produced-by", "r0")},
        ]
        self.expect_steps(artifact_store.lineage(join), steps)
        for depth in range(4):
            self.expect_steps(artifact_store.lineage(join, depth=depth), steps[:depth])
        artifact_store.remove(left)
        self.expect_steps(artifact_store.lineage(join), steps)
        down = [
            steps[1],
            {(join, "derived-from", left), (join, "derived-from", right)},
            {(anew, "replaces", join)},
        ]
        self.expect_steps(artifact_store.lineage(anew), [down[2], *steps])
        self.expect_steps(artifact_store.lineage(source, down=True), down)
        self.expect_steps(artifact_store.lineage(source, depth=1, down=True), down[:1])
        self.expect_steps(artifact_store.lineage(join, down=True), down[2:])

    def test_what_it_comes_from_is_told_also_when_that_was_collected(
        self, artifact_store: ArtifactStore
    ) -> None:
        """What an artifact comes from is told also when that was collected."""
        source = artifact_store.put(b"source").id
        id = artifact_store.put(b"x", lineage=Lineage(inputs=(source,))).id
        artifact_store.remove(source)
        artifact_store.collect(grace=0)
        assert [ends(one) for one in artifact_store.relations(id)] == [(id, "derived-from", source)]
        assert artifact_store.lineage(id) == artifact_store.relations(id)

    def test_a_lineage_that_leads_in_a_circle_ends(self, artifact_store: ArtifactStore) -> None:
        """A lineage that leads in a circle ends."""
        ids = [artifact_store.put(b"%d" % number).id for number in range(3)]
        circle = [(id, "derived-from", ids[(number + 1) % 3]) for number, id in enumerate(ids)]
        for subject, _, object in circle:
            artifact_store.relate(subject, "derived-from", object)
        assert [ends(one) for one in artifact_store.lineage(ids[0])] == circle
        assert [ends(one) for one in artifact_store.lineage(ids[0], down=True)] == circle[::-1]

    def test_a_lineage_is_as_deep_as_it_is_asked_for(self, artifact_store: ArtifactStore) -> None:
        """A lineage is walked for 32 steps unless more are asked for."""
        id = ""
        for number in range(41):
            id = artifact_store.put(b"%d" % number, lineage=Lineage(inputs=(id,)), durability="os").id
        assert len(artifact_store.lineage(id)) == 32
        assert len(artifact_store.lineage(id, depth=1_000_000_000)) == 40

    @staticmethod
    def expect_steps(told: Sequence[Relation], steps: Sequence[set[tuple[str, str, str]]]) -> None:
        """Expect relations step by step, in any order inside of a step.

        Args:
            told: What the store tells.
            steps: What is reached with each step.
        """
        relations = iter(told)
        for step in steps:
            assert {ends(one) for one in itertools.islice(relations, len(step))} == step
        assert not list(relations)


def ends(relation: Relation) -> tuple[str, str, str]:
    """A relation without its time.

    Args:
        relation: The relation.
    """
    return relation.subject, relation.kind, relation.object
