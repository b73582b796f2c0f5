"""How long a retry policy waits, and which errors it covers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_workflow.model import RetryPolicy

SECONDS = st.floats(0, 1e6)
POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 100),
    delay=SECONDS,
    factor=st.floats(1, 1e3),
    limit=SECONDS,
    jitter=st.floats(0, 1),
)


@given(policy=POLICIES, attempt=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_a_wait_is_never_above_the_limit_and_chance_takes_away_no_more_than_the_jitter(
    policy, attempt, chance
):
    longest = policy.wait(attempt)
    assert 0 <= longest <= policy.limit
    assert longest * (1 - policy.jitter) <= policy.wait(attempt, chance) <= longest


@given(policy=POLICIES, attempt=st.integers(1, 1000))
def test_waits_never_become_shorter(policy, attempt):
    assert policy.wait(attempt) <= policy.wait(attempt + 1)


def test_a_factor_of_one_keeps_the_wait_fixed_and_any_other_makes_it_grow():
    assert [RetryPolicy(5, 3.0, 1.0).wait(attempt) for attempt in (1, 2, 3, 4)] == [3.0, 3.0, 3.0, 3.0]
    assert [RetryPolicy(5, 3.0, 2.0).wait(attempt) for attempt in (1, 2, 3, 4)] == [3.0, 6.0, 12.0, 24.0]
    assert [RetryPolicy(5, 3.0, 2.0, 10.0).wait(attempt) for attempt in (1, 2, 3, 4)] == [
        3.0,
        6.0,
        10.0,
        10.0,
    ]


@pytest.mark.parametrize(
    ("on", "code", "covered"),
    [
        ((), "SYM-T003", True),
        (("SYM-T003",), "SYM-T003", True),
        (("SYM-T",), "SYM-T003", True),
        (("SYM-T", "SYM-E014"), "SYM-E014", True),
        (("SYM-T",), "SYM-E014", False),
        (("SYM-T0031",), "SYM-T003", False),
    ],
)
def test_a_policy_covers_the_kinds_of_error_that_it_names(on, code, covered):
    assert RetryPolicy(on=on).covers(code) is covered
