"""What a hostile extension tries has no effect, as the host sees it; what an honest one does goes on.

The attempts that end or exhaust their process, and the proof that each attempt succeeds where nothing confines it, are
in `all_escapes.py`, which `nox -s escapes` runs.
"""

import sys
import sysconfig
from contextlib import closing

import pytest

if sys.platform != "linux":
    pytest.skip("Linux", allow_module_level=True)

from attempts import ATTEMPTS, TABLES, honest
from attempts.places import REMAIN, confined
from attempts.runners import Workers, survey

LASTING = [attempt for attempt in ATTEMPTS.values() if not attempt.alone]


def test_the_attempts_are_many_and_none_that_remains_is_of_high_severity():
    assert len(ATTEMPTS) >= 110
    assert len(ATTEMPTS) == sum(len(table.attempts) for table in TABLES)
    assert len(honest.WORK) >= 18
    assert {ATTEMPTS[name].severity for names in REMAIN.values() for name in names} == {"low"}


def test_an_extension_in_a_worker_escapes_nowhere_and_does_its_honest_work(tier, world):
    place = world()
    place.site = sysconfig.get_path("purelib")
    with closing(Workers(place, tier)) as workers:
        outcomes = survey(place, LASTING, workers.start)
        assert len(outcomes) == len(LASTING)
        assert escaped(outcomes) == REMAIN[tier]
        assert in_vain(place, workers.start(None)) == {}


def test_a_process_of_an_ordinary_user_escapes_nowhere_and_does_its_honest_work(tier, world, nobody):
    place = world(nobody)
    start = confined(place, tier)
    runner = start(None)
    try:
        if runner.refused:
            pytest.skip(f"an ordinary user is refused here: {runner.refused}")
        assert in_vain(place, runner) == {}
    finally:
        runner.end()
    tried = [attempt for attempt in LASTING if not attempt.asks]
    outcomes = survey(place, tried, start)
    assert len(outcomes) == len(tried)
    assert escaped(outcomes) == REMAIN[tier]


def escaped(outcomes):
    return {name for name, outcome in outcomes.items() if outcome.escaped}


def in_vain(place, runner):
    """The honest work that did not come out right."""
    found = {}
    for name in honest.WORK:
        place.prepare(name)
        said = runner.ask(name, place.facts(name))
        runner.looked()
        if said != "done":
            found[name] = said
    return found
