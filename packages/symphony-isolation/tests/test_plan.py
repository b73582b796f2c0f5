"""What the host tells a new process arrives whole, or not at all."""

import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_isolation.plan import Plan, receive_plan, send_plan
from symphony_isolation.sandbox import TIERS, Limits, SandboxPolicy

paths = st.lists(st.text(max_size=100), max_size=5).map(tuple)
policies = st.builds(
    SandboxPolicy,
    st.sampled_from(TIERS),
    paths,
    paths,
    paths,
    st.integers(0, 1 << 40),
    st.builds(Limits, st.integers(0, 1 << 40), st.floats(0, 64), *[st.integers(0, 1 << 40)] * 4),
)
plans = st.builds(
    Plan,
    st.text(max_size=30),
    st.integers(0, 1 << 22),
    st.binary(max_size=32),
    st.floats(0, 1000),
    paths,
    policies,
    st.lists(st.binary(max_size=100), max_size=5).map(tuple),
    st.booleans(),
)


@given(plans, st.binary(max_size=50))
def test_a_plan_arrives_as_it_was_sent_and_nothing_after_it_is_read(plan, following):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_plan(ours, plan)
        ours.sendall(following)
        ours.shutdown(socket.SHUT_WR)
        assert receive_plan(theirs) == plan
        assert theirs.recv(100) == following


@pytest.mark.parametrize("sent", [b"", b"\x05", b"\x05\x00\x00\x00ab"])
def test_a_host_that_leaves_early_is_noticed(sent):
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(sent)
        with pytest.raises(EOFError):
            receive_plan(theirs)


def test_a_process_whose_host_is_gone_does_not_go_on():
    code = "from symphony_isolation.sandbox import die_with; die_with(1 << 22)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ProcessLookupError: the host, process 4194304, is gone" in run.stderr
