import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    NODE_ENDS,
    NODE_TRANSITIONS,
    RUN_ENDS,
    RUN_TRANSITIONS,
    NodeState,
    RunState,
    advance,
)


class Life(RuleBasedStateMachine):
    """A run and one of its nodes, sent from state to state at random."""

    def __init__(self):
        super().__init__()
        self.run, self.node = RunState.PENDING, NodeState.PENDING

    @rule(to=st.sampled_from(RunState))
    def move_run(self, to):
        self.run = self.moved(self.run, to, RUN_TRANSITIONS)

    @rule(to=st.sampled_from(NodeState))
    def move_node(self, to):
        self.node = self.moved(self.node, to, NODE_TRANSITIONS)

    def moved(self, state, to, transitions):
        if to in transitions[state]:
            assert advance(state, to) is to
            return to
        with pytest.raises(WorkflowError, match=f"that is {state} cannot become {to}") as refused:
            advance(state, to)
        assert refused.value.code == "SYM-W040"
        assert refused.value.details == {"state": state, "to": to}
        return state

    @invariant()
    def no_state_is_a_dead_end(self):
        assert RUN_TRANSITIONS[self.run]
        assert NODE_TRANSITIONS[self.node]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("transitions", "ends", "states"),
    [(RUN_TRANSITIONS, RUN_ENDS, RunState), (NODE_TRANSITIONS, NODE_ENDS, NodeState)],
)
def test_every_state_is_reached_and_leads_to_an_end(transitions, ends, states):
    assert set(transitions) == set(states)
    for start in states:
        reached, wave = {start}, [start]
        while wave:
            wave = [to for state in wave for to in transitions[state] if to not in reached]
            reached.update(wave)
        assert reached >= ends
        assert start is not next(iter(states)) or reached == set(states)


@given(st.sampled_from(sorted(NODE_ENDS)))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_end_is_left_only_to_run_the_node_again(end):
    assert NODE_TRANSITIONS[end] == {NodeState.PENDING}


def test_nothing_becomes_what_it_is():
    for transitions in (RUN_TRANSITIONS, NODE_TRANSITIONS):
        assert all(state not in following for state, following in transitions.items())


def test_a_state_reads_as_its_word():
    assert f"{advance(NodeState.READY, NodeState.RUNNING)}" == "running"


def test_an_illegal_step_says_which_are_legal():
    with pytest.raises(WorkflowError) as refused:
        advance(RunState.COMPLETED, RunState.PAUSED)
    assert refused.value.hint == "From completed it can become running."
