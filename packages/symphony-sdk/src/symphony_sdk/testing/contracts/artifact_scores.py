"""The contract of every Artifact Store: how good artifacts are, as scorers see it."""

import math
import time
from typing import Any

import pytest

from symphony_sdk.ports import ArtifactStore, Score
from symphony_sdk.testing.contracts.artifact_contract import UNKNOWN, ArtifactContract, refused


class ArtifactScoresContract(ArtifactContract):
    """Inherit it, and give a fixture `artifact_store` that makes an empty store."""

    def test_a_score_is_kept_with_its_version_and_inputs(self, artifact_store: ArtifactStore) -> None:
        """A score is kept with the version of its scorer, its reason and its inputs, and gets a time."""
        id = artifact_store.put(b"x", name="a").id
        before = time.time()
        given = Score("acme.length", "1.2", 0.25, "it is shört", {"least": "4"})
        kept = artifact_store.score(id[:20], given)
        assert before <= kept.created <= time.time()
        assert kept == Score("acme.length", "1.2", 0.25, "it is shört", {"least": "4"}, kept.created)
        assert list(artifact_store.scores(id)) == [kept]
        old = Score("acme.age", "3", 1, created=12.5)
        assert artifact_store.score(id, old) == old
        assert list(artifact_store.scores(id)) == [old, kept]

    def test_a_scorer_has_one_score_of_an_artifact(self, artifact_store: ArtifactStore) -> None:
        """A later score of the same scorer takes the place of the one before, also from another version."""
        id, other = (artifact_store.put(data).id for data in (b"x", b"y"))
        artifact_store.score(id, Score("a", "1", 0.5))
        artifact_store.score(other, Score("a", "1", 0.75))
        artifact_store.score(id, Score("a", "2", 0.0))
        assert [(score.version, score.value) for score in artifact_store.scores(id)] == [("2", 0.0)]
        assert [(score.version, score.value) for score in artifact_store.scores(other)] == [("1", 0.75)]

    def test_the_quality_of_an_artifact_is_the_mean_of_its_scores(
        self, artifact_store: ArtifactStore
    ) -> None:
        """The quality of an artifact is the mean of its scores, and none where nobody scored it."""
        id = artifact_store.put(b"x", name="a").id
        artifact_store.put(b"x", name="b")
        assert artifact_store.info(id).quality is None
        artifact_store.score(id, Score("a", "1", 0.5))
        assert artifact_store.info(id).quality == 0.5
        artifact_store.score(id, Score("b", "1", 1.0))
        assert [info.quality for info in artifact_store.history(id)] == [0.75, 0.75]
        assert [info.quality for info in artifact_store.versions("a")] == [0.75]

    def test_artifacts_are_found_by_their_quality(self, artifact_store: ArtifactStore) -> None:
        """Found are artifacts of at least a quality; with none asked for, also those that nobody scored."""
        ids = [artifact_store.put(b"%d" % number, name="a").id for number in range(4)]
        for id, value in zip(ids, (0.0, 0.5, 0.75), strict=False):
            artifact_store.score(id, Score("a", "1", value))

        def found(quality: float) -> list[str]:
            return [info.ref.id for info in artifact_store.find(name="a", quality=quality)]

        assert found(0.0) == ids[::-1]
        assert found(0.5) == [ids[2], ids[1]]
        assert found(0.75) == [ids[2]]
        assert found(0.76) == []

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"value": 1.5}, "1.5"),
            ({"value": -0.1}, "-0.1"),
            ({"value": math.nan}, "nan"),
            ({"value": math.inf}, "inf"),
            ({"value": "good"}, "good"),
            ({"value": None}, "value"),
            ({"scorer": ""}, "named"),
            ({"version": ""}, "named"),
            ({"version": 2}, "version"),
            ({"scorer": "\ud800"}, "ud800"),
            ({"inputs": {"a": 1}}, "inputs"),
            ({"created": -1.0}, "-1.0"),
            ({"created": math.nan}, "nan"),
        ],
        ids=repr,
    )
    def test_what_is_no_score_is_refused(
        self, artifact_store: ArtifactStore, change: dict[str, Any], word: str
    ) -> None:
        """What is no score is refused, and the scores stay as they are."""
        id = artifact_store.put(b"x").id
        told: dict[str, Any] = {"scorer": "a", "version": "1", "value": 0.5, **change}
        with refused("SYM-A025"):
            artifact_store.score(id, Score(**told))
        assert not artifact_store.scores(id)

    def test_only_what_there_is_can_be_scored(self, artifact_store: ArtifactStore) -> None:
        """Only an artifact that there is can be scored; what was removed keeps its scores, what is gone has none."""
        score = Score("a", "1", 0.5, created=1.0)
        with refused("SYM-A002"):
            artifact_store.score(UNKNOWN, score)
        with refused("SYM-A002"):
            artifact_store.scores(UNKNOWN)
        id = artifact_store.put(b"x").id
        artifact_store.score(id, score)
        artifact_store.remove(id)
        assert list(artifact_store.scores(id)) == [score]
        with refused("SYM-A002"):
            artifact_store.score(id, score)
        assert [info.quality for info in artifact_store.find(quality=0.5, removed=True)] == [0.5]
        artifact_store.restore(id)
        assert artifact_store.info(id).quality == 0.5
        artifact_store.remove(id)
        artifact_store.collect(grace=0.0)
        artifact_store.put(b"x")
        assert artifact_store.info(id).quality is None
