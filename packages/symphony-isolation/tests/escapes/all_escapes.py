"""Each attempt, those that exhaust their process included: it succeeds where nothing confines it, and in no worker.

`nox -s escapes` runs it. It signals, fills and forks, and sets the clock of the machine to what it is: as root.
"""

import os
import sysconfig
from contextlib import closing

import pytest
from attempts import ATTEMPTS
from attempts.places import REMAIN, plain
from attempts.runners import Workers, survey


def test_no_attempt_succeeds_in_a_worker(tier, world):
    place = world()
    place.site = sysconfig.get_path("purelib")
    with closing(Workers(place, tier)) as workers:
        outcomes = survey(place, ATTEMPTS.values(), workers.start, grace=20.0)
    assert len(outcomes) == len(ATTEMPTS)
    assert {name for name, outcome in outcomes.items() if outcome.escaped} == REMAIN[tier]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may do all of it")
def test_each_attempt_succeeds_where_nothing_confines_it(world):
    place = world()
    outcomes = survey(place, ATTEMPTS.values(), plain(place), patience=3.0)
    failed = {name: outcome.said for name, outcome in outcomes.items() if not outcome.escaped}
    assert {name: said for name, said in failed.items() if not ATTEMPTS[name].needs} == {}
    assert len(failed) < len(ATTEMPTS) / 8, failed
