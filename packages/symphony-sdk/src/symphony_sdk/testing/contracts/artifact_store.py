"""The contract of every Artifact Store: bytes by their content."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from symphony_sdk.ports import ArtifactStore, Durability, Lineage
from symphony_sdk.testing.contracts.artifact_contract import LARGE, UNKNOWN, Damage, refused
from symphony_sdk.testing.contracts.artifact_removal import ArtifactRemovalContract


class ArtifactStoreContract(ArtifactRemovalContract):
    """Inherit it, and `ArtifactCatalogueContract`, and give a fixture `artifact_store` that makes an empty store.

    Give a fixture `damage` as well where a test can reach what is stored.
    """

    # -- storing -------------------------------------------------------------------------------------

    @pytest.mark.parametrize("data", [b"", b"a", b"\x00" * 100_000, LARGE], ids=["empty", "a", "100K", "3M"])
    @pytest.mark.parametrize("durability", ["os", "group", "sync"])
    def test_what_is_put_is_what_is_got(
        self, artifact_store: ArtifactStore, data: bytes, durability: Durability
    ) -> None:
        """What is put is what is got."""
        ref = artifact_store.put(data, name="x.bin", media_type="text/x-test", durability=durability)
        assert (ref.size, ref.name, ref.media_type) == (len(data), "x.bin", "text/x-test")
        assert artifact_store.get(ref.id) == data

    def test_an_id_is_b3_and_64_hex_digits(self, artifact_store: ArtifactStore) -> None:
        """An id is `b3-` and 64 hex digits in lower case."""
        id = artifact_store.put(b"x").id
        assert id.startswith("b3-")
        assert len(id) == 67
        assert set(id[3:]) <= set("0123456789abcdef")

    def test_a_memoryview_is_stored_like_its_bytes(self, artifact_store: ArtifactStore) -> None:
        """A memoryview is stored like its bytes."""
        ref = artifact_store.put(memoryview(bytearray(b"abcdef"))[1:4])
        assert artifact_store.get(ref.id) == b"bcd"
        assert artifact_store.put(b"bcd").id == ref.id

    def test_the_same_bytes_have_the_same_id_and_others_another(self, artifact_store: ArtifactStore) -> None:
        """The same bytes have the same id and others another."""
        first = artifact_store.put(b"one", name="a")
        assert artifact_store.put(b"one", name="b").id == first.id
        assert artifact_store.put(b"two", name="a").id != first.id

    def test_storing_the_same_bytes_again_costs_no_space(self, artifact_store: ArtifactStore) -> None:
        """Storing the same bytes again costs no space."""
        for name in ("a", "b", "c"):
            artifact_store.put(LARGE, name=name, durability="os")
        usage = artifact_store.usage()
        assert (usage.artifacts, usage.bytes) == (1, len(LARGE))
        assert len(LARGE) <= usage.stored < 2 * len(LARGE)

    @pytest.mark.parametrize("size", [0, 1, 1000, 1 << 16, (1 << 20) + 1, 8 << 20])
    def test_bytes_in_parts_are_stored_like_the_whole(self, artifact_store: ArtifactStore, size: int) -> None:
        """Bytes in parts of any size are stored like the whole."""
        parts: list[bytes | memoryview] = [
            b"",
            LARGE[:size],
            memoryview(LARGE)[size : size + 7],
            b"",
            LARGE[size + 7 :],
        ]
        ref = artifact_store.put_stream(iter(parts), name="x.bin", media_type="text/x-test")
        assert (ref.size, ref.name, ref.media_type) == (len(LARGE), "x.bin", "text/x-test")
        assert artifact_store.get(ref.id) == LARGE
        assert artifact_store.put(LARGE, durability="os").id == ref.id
        assert artifact_store.usage().artifacts == 1

    def test_bytes_are_identified_as_they_would_be_stored(self, artifact_store: ArtifactStore) -> None:
        """Bytes are identified as they would be stored, and are not."""
        parts: list[bytes | memoryview] = [b"", LARGE[:7], memoryview(LARGE)[7:]]
        id = artifact_store.identify(iter(parts))
        assert artifact_store.usage().artifacts == 0
        with refused("SYM-A002"):
            artifact_store.info(id)
        assert artifact_store.put(LARGE, durability="os").id == id
        assert artifact_store.identify([LARGE]) == id
        assert artifact_store.identify(()) == artifact_store.put(b"").id

    def test_no_parts_are_the_empty_artifact(self, artifact_store: ArtifactStore) -> None:
        """No parts are the empty artifact."""
        ref = artifact_store.put_stream(())
        assert ref.id == artifact_store.put(b"").id
        assert artifact_store.get(ref.id) == b""

    def test_a_part_may_change_once_the_next_one_is_asked_for(self, artifact_store: ArtifactStore) -> None:
        """A part may change once the next one is asked for: one buffer serves all of them."""
        buffer = bytearray(100_000)

        def parts() -> Iterator[memoryview]:
            for start in range(0, len(LARGE), len(buffer)):
                part = LARGE[start : start + len(buffer)]
                buffer[: len(part)] = part
                yield memoryview(buffer)[: len(part)]

        assert artifact_store.get(artifact_store.put_stream(parts()).id) == LARGE

    def test_parts_that_raise_pass_through_and_nothing_is_stored(self, artifact_store: ArtifactStore) -> None:
        """What the parts raise passes through, and nothing is stored."""

        def parts() -> Iterator[bytes]:
            yield LARGE
            raise LookupError("the source is gone")

        with pytest.raises(LookupError, match="the source is gone"):
            artifact_store.put_stream(parts(), name="x")
        assert not artifact_store.find()
        assert not artifact_store.versions("x")
        assert artifact_store.usage().artifacts == 0
        assert artifact_store.get(artifact_store.put(LARGE, durability="os").id) == LARGE

    @pytest.mark.parametrize(
        "wrong",
        [
            {"durability": "never"},
            {"metadata": {"pages": 3}},
            {"name": "\udc80"},
            {"media_type": None},
            {"lineage": Lineage(run="\udc80")},
        ],
        ids=["durability", "metadata", "name", "media type", "lineage"],
    )
    def test_a_description_that_cannot_be_kept_is_refused(
        self, artifact_store: ArtifactStore, wrong: dict[str, Any]
    ) -> None:
        """A description that cannot be kept is refused, and nothing is stored."""
        with refused("SYM-A010"):
            artifact_store.put(b"x", **wrong)
        with refused("SYM-A010"):
            artifact_store.put_stream([b"x"], **wrong)
        assert not artifact_store.find()

    def test_many_threads_store_and_read_at_once(self, artifact_store: ArtifactStore) -> None:
        """Many threads store and read at once."""
        contents = [b"%d " % (number % 16) * 1000 for number in range(64)]

        def work(data: bytes) -> bytes:
            return artifact_store.get(artifact_store.put(data, name="same", durability="os").id)

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(work, contents)) == contents
        assert artifact_store.usage().artifacts == 16

    # -- reading -------------------------------------------------------------------------------------

    def test_an_artifact_is_given_by_the_first_characters_of_its_id(
        self, artifact_store: ArtifactStore
    ) -> None:
        """An artifact is given by the first characters of its id where only one has them."""
        ref = artifact_store.put(b"one")
        assert artifact_store.get(ref.id[:16]) == b"one"
        assert artifact_store.read(ref.id[:4], 1, 1) == b"n"
        assert artifact_store.info(ref.id[:16]).ref == ref

    def test_characters_that_several_ids_begin_with_are_refused(self, artifact_store: ArtifactStore) -> None:
        """Characters that several ids begin with are refused."""
        ids = [artifact_store.put(bytes([number]), durability="os").id for number in range(17)]
        digits = [id[:4] for id in ids]
        shared = next(digit for digit in digits if digits.count(digit) > 1)  # there are only 16 digits
        for call in (artifact_store.get, artifact_store.info, artifact_store.history, artifact_store.pin):
            with refused("SYM-A003", shared):
                call(shared)

    @pytest.mark.parametrize("id", [UNKNOWN, UNKNOWN[:9]])
    def test_an_unknown_id_is_an_error_everywhere(self, artifact_store: ArtifactStore, id: str) -> None:
        """An unknown id is an error everywhere."""
        while (here := artifact_store.put(random.randbytes(9), durability="os").id).startswith("b3-0"):
            pass  # one that does not begin like it
        calls: list[Callable[[], object]] = [
            lambda: artifact_store.get(id),
            lambda: artifact_store.read(id, 0, 1),
            lambda: list(artifact_store.stream(id)),
            lambda: artifact_store.info(id),
            lambda: artifact_store.history(id),
            lambda: artifact_store.tag(id, "t"),
            lambda: artifact_store.pin(id),
            lambda: artifact_store.unpin(id),
            lambda: artifact_store.hold(id, "r"),
            lambda: artifact_store.release(id, "r"),
            lambda: artifact_store.relate(id, "derived-from", here),
            lambda: artifact_store.relate(here, "derived-from", id),
            lambda: artifact_store.relations(id),
            lambda: artifact_store.lineage(id),
            lambda: artifact_store.restore(id),
            lambda: artifact_store.remove(UNKNOWN),
        ]
        for call in calls:
            with refused("SYM-A002"):
                call()

    @pytest.mark.parametrize(
        "id",
        [
            "",
            "..",
            "/etc/passwd",
            "../../x",
            "*",
            "%",
            "x" * 500,
            "a\x00b",
            "b3-",
            "b3-XY",
            "b3-" + "0" * 65,
            "b3-0\n",
        ],
        ids=repr,
    )
    def test_what_is_no_id_and_no_tag_is_refused(self, artifact_store: ArtifactStore, id: str) -> None:
        """What is neither how ids are written nor how tags are is refused."""
        artifact_store.put(b"here")
        for call in (artifact_store.get, artifact_store.info, artifact_store.remove, artifact_store.restore):
            with refused("SYM-A004"):
                call(id)

    def test_a_range_is_read_and_ends_with_the_artifact(self, artifact_store: ArtifactStore) -> None:
        """A range is read and streamed, and ends with the artifact."""
        id = artifact_store.put(LARGE, durability="os").id
        end, chance = len(LARGE), random.Random(3)
        ranges = [(0, 0), (0, 10), (1 << 20, 1), ((1 << 20) - 5, 10), (5, 1 << 21), (end - 3, 99)]
        ranges += [(end, 10), (end + 10, 10), (0, end), (0, 2 * end)]
        ranges += [(chance.randrange(end), chance.randrange(100_000)) for _ in range(10)]
        for offset, length in ranges:
            assert artifact_store.read(id, offset, length) == LARGE[offset : offset + length]
            parts = list(artifact_store.stream(id, offset, length))
            assert b"".join(parts) == LARGE[offset : offset + length]
            assert all(parts)

    @pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1)])
    def test_a_range_that_begins_or_ends_before_the_first_byte_is_refused(
        self, artifact_store: ArtifactStore, offset: int, length: int
    ) -> None:
        """A range that begins or ends before the first byte is refused."""
        id = artifact_store.put(b"abc").id
        with refused("SYM-A010"):
            artifact_store.read(id, offset, length)
        with refused("SYM-A010"):
            list(artifact_store.stream(id, offset, length))

    def test_a_large_artifact_is_streamed_in_parts(self, artifact_store: ArtifactStore) -> None:
        """A large artifact is streamed in parts, of which none is empty."""
        id = artifact_store.put(LARGE, durability="os").id
        parts = list(artifact_store.stream(id))
        assert b"".join(parts) == LARGE
        assert len(parts) > 1
        assert all(parts)
        assert b"".join(artifact_store.stream(id, 1_000_000)) == LARGE[1_000_000:]
        assert not list(artifact_store.stream(artifact_store.put(b"").id))

    # -- damage --------------------------------------------------------------------------------------

    def test_damaged_bytes_are_never_given(self, artifact_store: ArtifactStore, damage: Damage) -> None:
        """Damaged bytes are never given, and storing the same bytes again mends them."""
        for data in (b"small", LARGE):
            id = artifact_store.put(data, name="x").id
            damage(id)
            with refused("SYM-A005", id):
                artifact_store.get(id)
            given = bytearray()
            with refused("SYM-A005", id):
                for part in artifact_store.stream(id):
                    given += part
            assert data.startswith(given)
            assert artifact_store.info(id).ref.size == len(data)
            assert artifact_store.put(data, name="x").id == id
            assert artifact_store.get(id) == data

    def test_each_fault_names_the_artifacts_that_it_touches(
        self, artifact_store: ArtifactStore, damage: Damage
    ) -> None:
        """Each fault names the artifacts that it touches."""
        ids = [artifact_store.put(random.Random(seed).randbytes(200_000)).id for seed in range(3)]
        damage(ids[1])
        faults = artifact_store.verify()
        assert faults
        assert {id for fault in faults for id in fault.details["artifacts"]} == {ids[1]}
        assert {fault.code for fault in faults} == {"SYM-A005"}

    def test_every_byte_of_a_sound_store_is_read(self, artifact_store: ArtifactStore) -> None:
        """Every byte of a sound store is read, and told of, and there is no fault."""
        told: list[tuple[int, int]] = []
        for data in (b"", b"x", LARGE):
            artifact_store.put(data, durability="os")
        assert list(artifact_store.verify()) == []
        assert list(artifact_store.verify(lambda *now: told.append(now))) == []
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1] >= len(LARGE)

    # -- the whole -----------------------------------------------------------------------------------

    @pytest.mark.parametrize("data", [False, True])
    def test_new_keys_change_nothing_that_is_stored(self, artifact_store: ArtifactStore, data: bool) -> None:
        """New keys change nothing that is stored; one key is the current one."""
        id = artifact_store.put(b"before").id
        epoch = artifact_store.keys()[0].epoch
        key = artifact_store.rotate_keys(data=data)
        assert key.current
        assert key.epoch == epoch + data
        keys = artifact_store.keys()
        assert keys[0] == key
        assert [key.current for key in keys] == [True] + [False] * (len(keys) - 1)
        assert artifact_store.put(b"before").id == id
        assert artifact_store.get(id) == b"before"
        assert artifact_store.get(artifact_store.put(b"after").id) == b"after"

    def test_whatever_is_done_in_whatever_order_it_behaves_like_a_dictionary(
        self, artifact_store: ArtifactStore
    ) -> None:
        """Whatever is done to a store in whatever order, it behaves like a dictionary."""
        machine = pytest.importorskip("symphony_sdk.testing.contracts.artifact_machine")
        machine.play(artifact_store)

    def test_a_closed_store_is_closed_twice_without_harm(self, artifact_store: ArtifactStore) -> None:
        """A closed store is closed twice without harm."""
        artifact_store.put(b"x", durability="os")
        artifact_store.close()
        artifact_store.close()
