"""What is in the tier is as safe as what is here: compared, named where it is damaged, freed where nobody needs it."""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pit_artifact_store import Store
from pit_artifact_store.plugin import open_tier
from pit_artifact_store.tiering.remote import BLOCK_BYTES
from symphony_sdk.errors import ArtifactError
from symphony_sdk.testing.fakes import FakeArtifactTier

TEXT = "\n".join(f"line {number} of a text that compresses well" for number in range(20_000)).encode()


class Tier(FakeArtifactTier):
    """A tier that says what is asked of it, and may lie."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.lie = lambda name, data: data

    def get(self, name, offset, length):
        self.asked.append((name, offset, length))
        return self.lie(name, super().get(name, offset, length))

    def size(self, name):
        self.asked.append((name,))
        return super().size(name)


@pytest.fixture
def tier():
    return Tier()


@pytest.fixture
def store(directory, tier):
    with Store(directory, lambda: tier) as store:
        yield store


def packs_here(directory):
    return sorted(path.name for path in (directory / "packs").glob("*.pack"))


def packs_there(tier):
    return sorted(name for name in tier.files if name.startswith("packs/"))


def lose_the_index(directory):
    for path in directory.glob("index.db*"):
        path.unlink()


def test_what_goes_to_the_tier_is_sealed_and_the_master_key_does_not(store, tier):
    store.put(TEXT, name="a telling name", metadata={"secret": "metadata"})
    store.back_up()
    assert all(
        word not in data
        for data in tier.files.values()
        for word in (b"line 7", b"telling", b"metadata", b"text/")
    )
    key_file = Path(store.keys()[0].source.removeprefix("file "))
    keys = [line.split()[1] for line in key_file.read_text().splitlines() if not line.startswith("#")]
    assert keys
    assert not any(
        key.encode() in data or bytes.fromhex(key) in data for key in keys for data in tier.files.values()
    )


def test_packs_in_the_tier_are_those_here_byte_by_byte(store, tier, directory):
    store.put(os.urandom(500_000))
    store.back_up()
    (name,) = packs_there(tier)
    (pack,) = packs_here(directory)
    assert tier.files[name] == (directory / "packs" / pack).read_bytes()


def test_a_pack_that_grew_takes_the_place_of_what_it_was(store, tier):
    store.put(b"one")
    store.back_up()
    before = packs_there(tier)
    store.put(b"two")
    store.back_up()
    assert len(packs_there(tier)) == 1
    assert packs_there(tier) != before


def test_a_copy_that_is_not_what_was_put_does_not_count(store, tier, directory):
    data = os.urandom(100_000)
    id = store.put(data).id
    tier.lie = lambda name, data: data[:-1] + bytes([data[-1] ^ 1]) if name.startswith("packs/") else data
    for report in (store.back_up(), store.offload(age=0)):
        assert report.packs == 0
        assert [fault.code for fault in report.faults] == ["SYM-A053"]
    assert len(packs_here(directory)) == 1
    assert store.tier().backed_up == 0
    tier.lie = lambda name, data: data
    assert store.get(id) == data
    assert store.offload(age=0).packs == 1  # its bytes were sound, and were compared once more


def test_keys_that_are_not_what_was_put_are_an_error(store, tier):
    store.put(b"x")
    tier.lie = lambda name, data: b"" if name.startswith("keys/") else data
    with pytest.raises(ArtifactError) as caught:
        store.back_up()
    assert caught.value.code == "SYM-A053"
    assert not packs_there(tier)


def test_a_pack_that_is_damaged_here_is_copied_told_and_not_offloaded(store, tier, directory, damage):
    id = store.put(os.urandom(100_000)).id
    other = store.put(b"sound").id
    damage(id)
    report = store.back_up()
    assert [fault.code for fault in report.faults] == ["SYM-A005"]
    assert len(packs_there(tier)) == 1
    assert store.offload(age=0).packs == 0
    assert len(packs_here(directory)) == 1
    assert store.get(other) == b"sound"


def test_damage_in_the_tier_is_never_handed_out_and_named_with_its_artifacts(store, tier):
    ids = [store.put(os.urandom(80_000)).id for _ in range(3)]
    store.offload(age=0)
    (name,) = packs_there(tier)
    sound = tier.files[name]
    for position in random.Random(5).sample(range(200, len(sound)), 8):
        damaged = bytearray(sound)
        damaged[position] ^= 1
        tier.files[name] = bytes(damaged)
        faults = store.verify()
        assert faults
        touched = {id for fault in faults for id in fault.details["artifacts"]}
        for id in ids:
            if id in touched:
                with pytest.raises(ArtifactError) as caught:
                    store.get(id)
                assert caught.value.code == "SYM-A005"
            else:
                assert len(store.get(id)) == 80_000
        report = store.recall()
        assert (report.packs, [fault.code for fault in report.faults]) == (0, ["SYM-A053"])
    tier.files[name] = sound
    assert store.verify() == []
    assert store.recall().packs == 1


def test_a_pack_that_is_gone_from_the_tier_is_named_by_all_who_look(store, tier):
    id = store.put(os.urandom(80_000)).id
    store.offload(age=0)
    for name in packs_there(tier):
        del tier.files[name]
    assert len(store.tier().missing) == 1
    assert [fault.code for fault in store.back_up().faults] == ["SYM-A053"]
    assert [fault.code for fault in store.recall().faults] == ["SYM-A053"]
    assert {id for fault in store.verify() for id in fault.details["artifacts"]} == {id}
    with pytest.raises(ArtifactError, match=id):
        store.get(id)


def test_a_check_that_cannot_reach_the_tier_says_so_and_checks_the_rest(store, tier, damage):
    away = store.put(os.urandom(80_000)).id
    store.offload(age=0)
    here = store.put(os.urandom(80_000)).id
    damage(here)
    tier.reachable = False
    faults = {fault.code: fault for fault in store.verify()}
    assert faults["SYM-A050"].details["artifacts"] == [away]
    assert faults["SYM-A005"].details["artifacts"] == [here]


def test_to_store_asks_nothing_of_the_tier(store, tier):
    data = os.urandom(3_000_000)
    id = store.put(data, name="x").id
    store.offload(age=0)
    tier.asked.clear()
    tier.reachable = False
    assert store.put(data, name="x").id == id
    store.put(data[:1_000_000] + b"another", durability="sync")
    store.put_stream([data[1_000_000:], b"end"])
    store.tag(id, "t")
    assert tier.asked == []
    assert store.get(id) == data  # it is here again


def test_to_open_a_store_asks_nothing_of_the_tier(directory, store, tier):
    id = store.put(os.urandom(100_000)).id
    store.offload(age=0)
    store.close()
    tier.reachable = False
    with Store(directory, lambda: tier) as again:
        assert again.info(id).ref.size == 100_000
        assert again.put(b"x").size == 1


def test_what_lies_together_is_fetched_together_and_once(store, tier):
    data = os.urandom(5_000_000)
    id = store.put(data).id
    store.offload(age=0)
    tier.asked.clear()
    assert store.get(id) == data
    assert len(tier.asked) <= 4
    assert len(data) < sum(length for _, _, length in tier.asked) < len(data) + 8 * BLOCK_BYTES
    tier.asked.clear()
    assert store.read(id, 1_000_000, 100) == data[1_000_000:1_000_100]
    assert tier.asked == []


def test_a_lost_index_is_made_anew_from_packs_wherever_they_are(directory, tier):
    chance = random.Random(3)
    with Store(directory, lambda: tier) as store:
        ids = []
        for number in range(30):
            ids.append(store.put(chance.randbytes(5000), name=f"n{number % 4}").id)
            store.tag(chance.choice(ids), f"t{number % 3}")
            if number in (9, 19):
                store.offload(age=0)
        before = (store.find(limit=100), store.tags(), [store.versions(f"n{n}") for n in range(4)])
    lose_the_index(directory)
    tier.reachable = False
    with pytest.raises(ArtifactError) as caught:
        Store(directory, lambda: tier)
    assert caught.value.code == "SYM-A050"
    tier.reachable = True
    with Store(directory, lambda: tier) as store:
        assert (store.find(limit=100), store.tags(), [store.versions(f"n{n}") for n in range(4)]) == before
        assert store.verify() == []
        assert len(packs_here(directory)) == 1


def test_an_index_that_a_crash_of_the_machine_set_back_learns_what_was_offloaded_since(directory, tier):
    with Store(directory, lambda: tier) as store:
        store.put(b"first", name="x", durability="sync")
    earlier = (directory / "index.db").read_bytes()
    with Store(directory, lambda: tier) as store:
        second = store.put(b"second", name="x", durability="sync").id
        store.offload(age=0)
    lose_the_index(directory)
    (directory / "index.db").write_bytes(earlier)
    with Store(directory, lambda: tier) as store:
        assert store.versions("x")[0].ref.id == second
        assert store.get(second) == b"second"
        assert store.verify() == []


def test_the_keys_that_packs_in_the_tier_need_do_not_get_lost_with_the_packs_here(directory, store, tier):
    store.put(os.urandom(10_000))
    store.offload(age=0)
    store.close()
    (directory / "keys").unlink()
    with pytest.raises(ArtifactError) as caught:
        Store(directory, lambda: tier)
    assert caught.value.code == "SYM-A031"


# -- collecting --------------------------------------------------------------------------------------


def test_an_offloaded_pack_that_nobody_needs_is_deleted_there_too(store, tier, directory):
    id = store.put(os.urandom(300_000), name="gone").id
    store.offload(age=0)
    kept = store.put(os.urandom(1000), name="kept").id
    store.remove(id)
    assert store.collect(grace=0).artifacts == 1
    assert packs_there(tier) == []
    assert not [*(directory / "packs").glob("*.tier")]
    assert len(store.get(kept)) == 1000
    assert store.verify() == []
    lose_the_index(directory)
    store.close()
    with Store(directory, lambda: tier) as store:
        assert [info.ref.name for info in store.find()] == ["kept"]


def test_an_offloaded_pack_that_is_needed_stays_there_until_most_of_it_is_waste(store, tier):
    data = [os.urandom(100_000) for _ in range(4)]
    ids = [store.put(each).id for each in data]
    store.tag(ids[3], "last")
    store.offload(age=0)
    before = packs_there(tier)
    store.remove(ids[0])
    store.collect(grace=0)
    assert packs_there(tier) == before
    store.remove(ids[1])
    store.remove(ids[2])
    store.collect(grace=0)
    assert packs_there(tier) == []
    tier.reachable = False  # what was needed of it is here again
    assert store.get("last") == data[3]


def test_what_is_here_and_backed_up_leaves_the_tier_when_it_is_collected(store, tier):
    id = store.put(os.urandom(300_000)).id
    store.back_up()
    store.remove(id)
    store.collect(grace=0)
    assert packs_there(tier) == []


def test_a_collection_without_the_tier_frees_what_is_here_and_the_next_one_the_rest(store, tier, directory):
    here, away = os.urandom(300_000), os.urandom(200_000)
    gone = store.put(away).id
    store.offload(age=0)
    both = store.put(here).id
    store.back_up()
    for id in (gone, both):
        store.remove(id)
    tier.reachable = False
    found = store.collect(grace=0)
    assert found.artifacts == 2
    assert found.waiting >= len(here)
    assert sum(path.stat().st_size for path in (directory / "packs").glob("*.pack")) < 50_000
    assert len(packs_there(tier)) == 2
    tier.reachable = True
    store.collect(grace=0)
    assert packs_there(tier) == []
    assert store.verify() == []


# -- beside others -----------------------------------------------------------------------------------


def test_what_another_process_writes_is_backed_up_as_far_as_it_is_committed(directory, tier):
    with Store(directory, lambda: tier) as writer, Store(directory, lambda: tier) as other:
        data = os.urandom(200_000)
        id = writer.put(data).id
        assert other.back_up().packs == 1
        assert other.offload(age=0).packs == 0  # somebody writes it
        writer.put(b"more")
        assert other.back_up().packs == 1
        rebuilt = directory.with_name("rebuilt")
        with Store(rebuilt, lambda: tier) as store:
            store.rebuild()
            assert store.get(id) == data
            assert len(store.find()) == 2


def test_a_reader_goes_on_while_what_it_reads_is_offloaded_and_recalled(directory, tier):
    data = os.urandom(3_000_000)
    with Store(directory, lambda: tier) as reader, Store(directory, lambda: tier) as other:
        id = other.put(data).id
        parts = reader.stream(id)
        given = [next(parts)]
        assert other.offload(age=0).packs == 1
        reader._files.close()  # so that no pack is kept open
        given.append(next(parts))
        assert other.recall().packs == 1
        given += parts
        assert b"".join(given) == data


def test_nobody_goes_on_with_a_pack_that_left_between_their_opening_and_locking_it(
    directory, store, tier, monkeypatch
):
    id = store.put(b"in it").id
    with Store(directory, lambda: tier) as other:
        read_header = other._files._read_header

        def offloaded_meanwhile(*given):
            pack = read_header(*given)
            store.offload(age=0)
            return pack

        monkeypatch.setattr(other._files, "_read_header", offloaded_meanwhile)
        data = os.urandom(200_000)  # a small one is written while nobody else can write, nor offload
        new = other.put(data).id
        monkeypatch.undo()
    lose_the_index(directory)
    store.close()
    with Store(directory, lambda: tier) as store:
        assert (store.get(id), store.get(new)) == (b"in it", data)


# -- keys, rebuilding --------------------------------------------------------------------------------


def test_rotated_keys_take_the_place_of_the_old_ones_in_the_tier(directory, store, tier):
    store.rotate_keys()  # it was never backed up: nothing is written there
    assert tier.files == {}
    id = store.put(b"x").id
    store.back_up()
    old = [data for name, data in tier.files.items() if name.startswith("keys/")]
    store.rotate_keys(data=True)
    new = [data for name, data in tier.files.items() if name.startswith("keys/")]
    assert new == [(directory / "keys").read_bytes()] != old
    with Store(directory.with_name("rebuilt"), lambda: tier) as rebuilt:
        rebuilt.rebuild()
        assert rebuilt.get(id) == b"x"


def test_keys_that_could_not_be_brought_to_the_tier_are_told_and_come_with_the_next_backup(
    directory, store, tier
):
    store.put(b"x")
    store.back_up()
    tier.reachable = False
    with pytest.raises(ArtifactError, match="still the old ones") as caught:
        store.rotate_keys()
    assert "back-up" in caught.value.hint
    tier.reachable = True
    store.back_up()
    assert [data for name, data in tier.files.items() if name.startswith("keys/")] == [
        (directory / "keys").read_bytes()
    ]


def test_a_store_is_not_rebuilt_without_its_master_key_and_nothing_changes(
    directory, tier, tmp_path, monkeypatch
):
    monkeypatch.setenv("SYMPHONY_CONFIG_DIR", str(tmp_path / "config"))
    store = Store(directory, lambda: tier)
    store.put(b"x")
    store.back_up()
    Path(store.keys()[0].source.removeprefix("file ")).rename(directory / "taken away")
    store.close()
    with Store(directory.with_name("new"), lambda: tier) as new:
        with pytest.raises(ArtifactError) as caught:
            new.rebuild()
        assert caught.value.code == "SYM-A033"
        assert caught.value.place.startswith(tier.url)
        id = new.put(b"goes on").id
        assert new.get(id) == b"goes on"


def test_a_rebuilding_that_is_cut_short_anywhere_is_gone_on_with(directory, tier, monkeypatch):
    with Store(directory, lambda: tier) as store:
        ids = []
        for _ in range(3):
            ids.append(store.put(os.urandom(20_000)).id)
            store.offload(age=0)
    new = directory.with_name("new")
    steps = 0
    while True:
        left = steps = steps + 1

        def cut(*given, get=Tier.get):
            nonlocal left
            left -= 1
            if left == 0:
                raise ArtifactError("the line is cut", code="SYM-A050")
            return get(tier, *given)

        tier.get = cut
        try:
            with Store(new, lambda: tier) as rebuilt:
                assert rebuilt.find() == []
                report = rebuilt.rebuild()
            break
        except ArtifactError as error:
            assert error.message == "the line is cut"
    assert steps > 5
    assert report.packs <= 1
    with Store(new) as rebuilt:
        assert {info.ref.id for info in rebuilt.find()} == {*ids}
        assert rebuilt.verify() == []


def test_what_is_damaged_in_the_tier_is_named_and_the_rest_rebuilt(directory, tier):
    with Store(directory, lambda: tier) as store:
        ids = []
        for _ in range(3):
            ids.append(store.put(os.urandom(20_000)).id)
            store.offload(age=0)
    name = packs_there(tier)[1]
    tier.files[name] = b"nonsense".ljust(len(tier.files[name]), b"x")
    with Store(directory.with_name("new"), lambda: tier) as rebuilt:
        report = rebuilt.rebuild()
        assert [fault.code for fault in report.faults] == ["SYM-A053"]
        assert len({info.ref.id for info in rebuilt.find()} & {*ids}) == 2
        assert rebuilt.put(b"goes on").size == 7


def test_a_store_that_another_process_uses_is_not_rebuilt(directory, store, tier):
    store.put(b"x")
    store.back_up()
    new = directory.with_name("new")
    code = (
        "import sys; from pathlib import Path; from pit_artifact_store import Store\n"
        "store = Store(Path(sys.argv[1])); store._journal.append([(1, b'on its way')])\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(new)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"ready\n"
        with (
            Store(new, lambda: tier) as rebuilt,
            pytest.raises(ArtifactError, match="another process") as caught,
        ):
            rebuilt.rebuild()
        other.stdin.close()
    assert caught.value.code == "SYM-A054"


def test_a_scheme_that_nobody_provides_is_said_with_those_that_there_are():
    class Services:
        artifact_tiers = {"s3": None}

    for url in ("ftp://somewhere", "s3", "somewhere"):
        with pytest.raises(ArtifactError, match="no usable extension") as caught:
            open_tier(Services(), url)
        assert caught.value.code == "SYM-A051"
        assert "schemes: s3." in caught.value.hint


# -- any order of everything -------------------------------------------------------------------------


class Tiering(RuleBasedStateMachine):
    """Whatever is stored, moved, collected and lost in whichever order: each artifact is there, or says why not."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.directory = Path(self.folder.name) / "store"
        self.tier = Tier()
        self.store = Store(self.directory, lambda: self.tier)
        self.kept = {}

    @rule(seed=st.integers(0, 30), size=st.sampled_from([10, 3000, 90_000]))
    def put(self, seed, size):
        data = random.Random(seed).randbytes(size)
        self.kept[self.store.put(data, durability="os").id] = data

    @precondition(lambda self: self.kept)
    @rule(chance=st.randoms(use_true_random=False))
    def remove(self, chance):
        id = chance.choice(sorted(self.kept))
        self.store.remove(id)
        del self.kept[id]

    @rule()
    def collect(self):
        self.store.collect(grace=0)

    @precondition(lambda self: self.tier.reachable)
    @rule()
    def back_up(self):
        assert self.store.back_up().faults == ()

    @precondition(lambda self: self.tier.reachable)
    @rule()
    def offload(self):
        assert self.store.offload(age=0).faults == ()

    @precondition(lambda self: self.tier.reachable)
    @rule()
    def recall(self):
        assert self.store.recall().faults == ()
        assert self.store.tier().offloaded == 0

    @rule()
    def turn_the_tier_off_or_on(self):
        self.tier.reachable = not self.tier.reachable

    @precondition(lambda self: self.tier.reachable)
    @rule(lost=st.booleans())
    def open_anew(self, lost):
        self.store.close()
        if lost:
            lose_the_index(self.directory)
        self.store = Store(self.directory, lambda: self.tier)

    @precondition(lambda self: self.tier.reachable)
    @rule()
    def go_to_another_machine(self):
        if self.store.back_up().packs or self.kept:
            self.store.close()
            self.directory = self.directory.with_name(self.directory.name + "x")
            self.store = Store(self.directory, lambda: self.tier)
            assert self.store.rebuild().faults == ()

    @invariant()
    def everything_is_there_or_says_why_not(self):
        assert {info.ref.id for info in self.store.find(limit=1000)} == self.kept.keys()
        for id, data in self.kept.items():
            try:
                assert self.store.get(id) == data
            except ArtifactError as error:
                assert error.code == "SYM-A050"
                assert not self.tier.reachable
        if self.tier.reachable:
            assert self.store.verify() == []

    def teardown(self):
        self.store.close()
        self.folder.cleanup()


TestTiering = Tiering.TestCase
TestTiering.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)


# -- the search --------------------------------------------------------------------------------------


def found_by(store, query):
    return [found.info.ref.id for found in store.search(query, fresh=True)]


def test_the_words_of_offloaded_texts_are_found_and_showing_them_asks_nothing_of_the_tier(store, tier):
    id = store.put(b"the quick brown fox", name="fox.txt", media_type="text/plain").id
    assert found_by(store, "brown") == [id]
    store.offload(age=0)
    tier.reachable = False
    (found,) = store.search("brown", fresh=True)
    assert (found.info.ref.id, found.snippet) == (id, "fox.txt")


def test_a_text_that_was_out_of_reach_is_found_by_its_words_once_it_is_back(directory, store, tier):
    ids = [
        store.put(b"%s fox" % word, name=f"{number}.txt", media_type="text/plain").id
        for number, word in enumerate((b"brown", b"red"))
    ]
    store.offload(age=0)
    for id in ids:
        store.tag(id, f"animal/{id[3:8]}")
    tier.reachable = False
    assert set(found_by(store, "txt")) == set(ids)
    assert found_by(store, "brown") == []
    tier.reachable = True
    assert found_by(store, "brown") == [ids[0]]
    assert found_by(store, "red") == [ids[1]]
