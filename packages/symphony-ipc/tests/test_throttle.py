"""Who sends too much is not read for a while, and it is known since when."""

import pytest
from symphony_ipc import throttle
from symphony_ipc.throttle import WINDOW, Throttle


class Clock:
    """An event loop that does nothing but keep one timer."""

    def __init__(self):
        self.now = 100.0
        self.timer = None

    def time(self):
        return self.now

    def call_later(self, seconds, action):
        self.timer = self.now + seconds, action
        return self

    def cancel(self):
        self.timer = None

    def passes(self, seconds):
        self.now += seconds
        if self.timer is not None and self.timer[0] <= self.now:
            (_, action), self.timer = self.timer, None
            action()


class Transport:
    reading = True

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throttle.asyncio, "get_running_loop", lambda: clock)
    return clock


@pytest.fixture
def throttled(clock):
    made = Throttle(10)
    made.transport = Transport()
    return made


def test_too_much_in_a_window_is_not_read_until_the_next(throttled, clock):
    throttled.count(10)
    assert throttled.transport.reading
    throttled.count()
    assert not throttled.transport.reading
    clock.passes(WINDOW)
    assert throttled.transport.reading


def test_a_flood_is_as_long_as_its_windows(throttled, clock):
    for seconds in range(5):
        assert throttled.flooded == seconds * WINDOW
        throttled.count(11)
        clock.passes(WINDOW)
    throttled.count(10)  # no more than is taken
    clock.passes(WINDOW)
    assert throttled.flooded == 0


def test_bursts_with_quiet_between_them_are_no_flood(throttled, clock):
    for _ in range(5):
        throttled.count(11)
        clock.passes(WINDOW)
        assert throttled.flooded == WINDOW
        clock.passes(2 * WINDOW)
        assert throttled.flooded == 0


def test_who_is_gone_leaves_no_timer(throttled, clock):
    throttled.stop()
    throttled.count()
    throttled.stop()
    assert clock.timer is None


def test_the_end_of_a_window_is_told_before_more_is_read(clock):
    told = []
    throttled = Throttle(10, lambda: told.append(throttled.transport.reading))
    throttled.transport = Transport()
    throttled.count(11)
    clock.passes(WINDOW)
    assert (told, throttled.transport.reading) == ([False], True)
