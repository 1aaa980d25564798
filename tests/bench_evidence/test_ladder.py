"""Driven releases: good versions pass, bad ones do not, and the rule sees what was kept."""

from dataclasses import replace

import numpy as np

from penstock.core.replay import Replay
from penstock.core.verdict import Verdict
from tests.bench_evidence import ours
from tests.bench_evidence.ladder import Climb
from tests.bench_evidence.streams import generator

FAST = Climb("fast", per_second=1000.0, slack=0.1, hours=1.0)


def test_an_equal_version_passes_and_a_bad_one_is_rolled_back():
    equal = FAST.climbs(4, seed=1)
    assert equal.promoted.all()
    assert (equal.minutes < 15).all()
    bad = replace(FAST, ratios=(3.0,) * 4, slack=0.0).climbs(4, seed=1)
    assert bad.rolled_back.all()
    assert (bad.minutes == np.inf).all()


def test_a_version_that_is_bad_only_at_half_of_the_traffic_gets_there_and_no_further():
    late = replace(FAST, ratios=(1.0, 1.0, 1.0, 3.0), slack=0.0)
    (one,) = late._releases(generator("late", 1), 1)
    verdict, _ = one.driven()
    assert verdict is Verdict.WORSE
    assert {rows.weight for rows in one.kept} == set(ours.LADDER)


def test_a_step_is_baked_and_a_release_ends_at_its_horizon():
    baked = replace(FAST, bakes=(0.0, 0.0, 1800.0, 0.0)).climbs(2, seed=1)
    assert baked.promoted.all()
    assert (baked.minutes >= 30).all()
    short = replace(FAST, hours=1 / 20).climbs(2, seed=1)
    assert not (short.promoted | short.rolled_back).any()


def test_each_step_ends_with_its_first_safe_look_and_loses_one_at_the_change():
    (one,) = FAST._releases(generator("fast", 2), 1)
    verdict, end = one.driven()
    assert verdict is Verdict.SAFE
    release = one._release()
    whole = Replay(one._setup, one.calibrated, release)
    last = np.flatnonzero(np.diff(release.weights, append=1.0))
    verdicts = [whole.verdict(look) for look in range(len(release.ends))]
    assert [look for look, said in enumerate(verdicts) if said is Verdict.SAFE] == last.tolist()
    gaps = np.diff(release.ends)
    np.testing.assert_array_equal(np.flatnonzero(gaps > 10.0), last[:-1])
    assert set(gaps) == {10.0, 20.0}
    assert end == release.ends[-1]


def test_traffic_follows_the_weight_and_the_shares_of_bad_answers():
    climb = replace(FAST, rate=0.1, ratios=(2.0,) * 4)
    (one,) = climb._releases(generator("drawn", 3), 1)
    rows = one._draw(2, 0, 300)
    candidate, stable = rows.candidate.sum((0, 1)), rows.stable.sum((0, 1))
    share = candidate[0] / (candidate[0] + stable[0])
    assert abs(share - 0.25) < 0.002
    assert abs(candidate[1] / candidate[0] - 0.2) < 0.003
    assert abs(stable[1] / stable[0] - 0.1) < 0.003
    assert rows.candidate.shape == (300, 2, 2)


def test_the_same_seed_gives_the_same_releases():
    first, again, other = (FAST.climbs(3, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.minutes, again.minutes)
    assert (first.minutes != other.minutes).any()
