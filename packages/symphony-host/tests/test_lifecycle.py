import itertools
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from symphony_host.lifecycle import TRANSITIONS, Lifecycle
from symphony_sdk.errors import ExtensionError, SymphonyError
from symphony_sdk.ports.extension import ExtensionState

STATES = ExtensionState.__args__


def resolved(*extensions, **options):
    lifecycle = Lifecycle(**options)
    for extension in extensions:
        lifecycle.discover(extension)
        lifecycle.move(extension, "resolved")
    return lifecycle


def states(lifecycle):
    return {extension: change.state for extension, change in lifecycle.latest().items()}


def test_the_table_knows_every_state_of_the_port_and_no_other():
    assert set(TRANSITIONS) == set(STATES)
    assert {state for following in TRANSITIONS.values() for state in following} <= set(STATES)


def test_every_state_is_reached_from_discovered_and_each_can_begin_again():
    def reachable(start):
        seen, todo = set(), [start]
        while todo:
            for state in TRANSITIONS[todo.pop()]:
                if state not in seen:
                    seen.add(state)
                    todo.append(state)
        return seen

    assert reachable("discovered") == set(STATES) - {"discovered"}
    assert all("resolved" in reachable(state) for state in STATES)


def test_an_extension_goes_through_its_life_and_the_history_says_when_and_why():
    clock = iter(range(100))
    lifecycle = Lifecycle(clock=lambda: float(next(clock)))
    lifecycle.discover("a.a")
    for state in ("resolved", "loaded", "active", "deactivated", "unloaded"):
        lifecycle.move("a.a", state)
    lifecycle.move("a.a", "disabled", reason="not needed")
    changes = lifecycle.history("a.a")
    assert [(change.state, change.at) for change in changes][:3] == [
        ("discovered", 0.0),
        ("resolved", 1.0),
        ("loaded", 2.0),
    ]
    assert (changes[-1].state, changes[-1].reason) == ("disabled", "not needed")


def test_a_state_that_cannot_follow_is_refused_and_nothing_changes():
    lifecycle = Lifecycle()
    lifecycle.discover("a.a")
    with pytest.raises(ExtensionError, match="is discovered and cannot become active") as raised:
        lifecycle.move("a.a", "active")
    assert (raised.value.code, lifecycle.state("a.a"), len(lifecycle.history("a.a"))) == (
        "SYM-E029",
        "discovered",
        1,
    )


def test_an_unknown_extension_is_refused():
    with pytest.raises(ExtensionError) as raised:
        Lifecycle().state("a.a")
    assert raised.value.code == "SYM-E028"


def test_an_extension_is_discovered_once():
    lifecycle = resolved("a.a")
    with pytest.raises(ExtensionError) as raised:
        lifecycle.discover("a.a")
    assert raised.value.code == "SYM-E029"


def test_steps_run_in_order_and_in_reverse_order_on_the_way_down():
    steps = []
    lifecycle = resolved("a.a", "a.b", "a.c")
    order = ("a.a", "a.b", "a.c")
    lifecycle.start(order, lambda extension, step: steps.append((extension, step)))
    assert steps == [(id, step) for id in order for step in ("load", "activate")]
    assert set(states(lifecycle).values()) == {"active"}
    steps.clear()
    lifecycle.stop(order, lambda extension, step: steps.append((extension, step)))
    assert steps == [(id, step) for id in reversed(order) for step in ("deactivate", "unload")]
    assert set(states(lifecycle).values()) == {"unloaded"}


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3)])
@pytest.mark.parametrize("failing", ["load", "activate"])
def test_one_that_fails_takes_those_along_that_need_it_and_nobody_else(error, failing):
    def run(extension, step):
        if (extension, step) == ("a.a", failing):
            raise error

    lifecycle = resolved("a.a", "a.b", "a.c", "a.d")
    order = ("a.a", "a.b", "a.c", "a.d")
    lifecycle.start(order, run, {"a.b": ("a.a",), "a.c": ("a.b",)})
    assert states(lifecycle) == {"a.a": "failed", "a.b": "failed", "a.c": "failed", "a.d": "active"}
    assert lifecycle.latest()["a.a"].error.code == "SYM-E014"
    reason = lifecycle.latest()["a.c"].reason
    assert reason.startswith("a.c needs a.b, which is failed: a.b needs a.a, which is failed: ")
    lifecycle.stop(order, run)
    assert states(lifecycle)["a.d"] == "unloaded"
    assert states(lifecycle)["a.a"] == "failed"


def test_of_a_long_chain_on_one_that_fails_each_is_told_the_first_cause_in_few_words():
    def run(extension, step):
        if extension == "a.0":
            raise RuntimeError("no")

    order = [f"a.{at}" for at in range(500)]
    lifecycle = resolved(*order)
    lifecycle.start(order, run, {f"a.{at}": (f"a.{at - 1}",) for at in range(1, 500)})
    assert set(states(lifecycle).values()) == {"failed"}
    assert lifecycle.latest()["a.499"].reason == (
        "a.499 needs a.498, which is failed: a.498 needs a.0, which is failed: 'a.0' raised RuntimeError: no"
    )


@pytest.mark.parametrize("failing", ["deactivate", "unload"])
def test_one_that_fails_on_the_way_down_keeps_no_other_up(failing):
    def run(extension, step):
        if (extension, step) == ("a.b", failing):
            raise RuntimeError("stuck")

    lifecycle = resolved("a.a", "a.b")
    lifecycle.start(("a.a", "a.b"), run)
    lifecycle.stop(("a.a", "a.b"), run)
    assert states(lifecycle) == {"a.a": "unloaded", "a.b": "failed"}
    assert lifecycle.latest()["a.b"].reason == "'a.b' raised RuntimeError: stuck"


def test_strict_raises_what_a_step_raised_after_it_was_noted():
    def run(extension, step):
        raise RuntimeError("no")

    lifecycle = resolved("a.a", strict=True)
    with pytest.raises(RuntimeError):
        lifecycle.start(("a.a",), run)
    assert lifecycle.state("a.a") == "failed"


def test_each_change_is_shown_after_it_happened():
    seen = []
    lifecycle = Lifecycle(lambda change: seen.append((change.state, lifecycle.state("a.a"))))
    lifecycle.discover("a.a")
    lifecycle.move("a.a", "failed", error=SymphonyError("broken"))
    assert seen == [("discovered", "discovered"), ("failed", "failed")]
    assert lifecycle.latest()["a.a"].reason == "broken"


class LifecycleMachine(RuleBasedStateMachine):
    """Any sequence of moves and of starts and stops keeps to the table and to load-before-activate."""

    extensions = ("a.a", "a.b", "a.c")

    @initialize()
    def begin(self):
        self.lifecycle = Lifecycle(self.note)
        self.seen = {extension: [] for extension in self.extensions}
        self.steps = Counter()
        for extension in self.extensions:
            self.lifecycle.discover(extension)

    def note(self, change):
        self.seen[change.extension].append(change.state)

    @rule(extension=st.sampled_from(extensions), state=st.sampled_from(STATES))
    def move(self, extension, state):
        before = self.lifecycle.state(extension)
        try:
            self.lifecycle.move(extension, state)
        except ExtensionError:
            assert state not in TRANSITIONS[before]
            assert self.lifecycle.state(extension) == before
        else:
            assert state in TRANSITIONS[before]

    @rule(failing=st.none() | st.sampled_from([(e, s) for e in extensions for s in ("load", "activate")]))
    def start(self, failing):
        def run(extension, step):
            expected = {"load": "resolved", "activate": "loaded"}[step]
            assert self.lifecycle.state(extension) == expected
            if (extension, step) == failing:
                raise RuntimeError(step)

        order = [extension for extension in self.extensions if self.lifecycle.state(extension) == "resolved"]
        self.lifecycle.start(order, run, {"a.c": ("a.b",)})
        assert all(self.lifecycle.state(extension) in ("active", "failed") for extension in order)

    @rule(failing=st.none() | st.sampled_from(extensions))
    def stop(self, failing):
        def run(extension, step):
            if extension == failing:
                raise RuntimeError(step)

        self.lifecycle.stop(self.extensions, run)
        present = {self.lifecycle.state(extension) for extension in self.extensions}
        assert not present & {"loaded", "active", "deactivated"}

    @invariant()
    def the_history_keeps_to_the_table(self):
        for extension, seen in self.seen.items():
            changes = self.lifecycle.history(extension)
            assert [change.state for change in changes] == seen
            assert seen[0] == "discovered"
            assert all(after in TRANSITIONS[before] for before, after in itertools.pairwise(seen))


LifecycleMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
test_any_sequence_of_changes_keeps_to_the_table = LifecycleMachine.TestCase
