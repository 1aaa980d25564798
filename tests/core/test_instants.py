from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.instants import PHASES, looks_from

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
STARTS = st.timedeltas(timedelta(0), timedelta(days=7000)).map(lambda past: BEGIN + past)
INTERVALS = st.integers(1, 600).map(lambda seconds: timedelta(seconds=seconds))


@given(STARTS, INTERVALS, st.text(max_size=20))
def test_looks_are_counted_from_less_than_an_interval_before_the_start(started, interval, name):
    at = looks_from(started, interval, name)
    assert at <= started < at + interval


@given(STARTS, STARTS, INTERVALS)
def test_releases_of_one_phase_share_their_instants(one, other, interval):
    apart = looks_from(one, interval, "ml/fraud") - looks_from(other, interval, "ml/fraud")
    assert apart % interval == timedelta(0)


def test_releases_that_start_at_once_are_looked_at_in_all_phases():
    started, interval = datetime(2026, 11, 24, 8, tzinfo=UTC), timedelta(seconds=10)
    found = [looks_from(started, interval, f"ml/r{number}") for number in range(800)]
    counts = {at: found.count(at) for at in found}
    assert len(counts) == PHASES
    assert max(counts.values()) < 1.4 * 800 / PHASES
