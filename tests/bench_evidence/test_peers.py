"""The rules of others do on these streams what is known of them, and what their documents say."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from tests.bench_evidence import peers
from tests.bench_evidence.peers import NEVER, RULES
from tests.bench_evidence.streams import (
    FAULTS,
    LATENCY,
    NULLS,
    SHARES,
    Streams,
    draw,
    draw_latency,
    draw_shares,
)

REPLICATES = 100
BY_NAME = {scenario.name: scenario for scenario in (*NULLS, *FAULTS)}
PEEKED, ONCE = RULES["pooled z, peek each look"], RULES["pooled z, once at end"]
LENIENT = RULES["Argo failureLimit=3"]


@cache
def drawn(name):
    return draw(BY_NAME[name], REPLICATES)


def rolled_back(rule, name):
    """Return the percentage of releases that the rule rolls back."""
    return 100 * (rule(drawn(name)) != NEVER).mean()


def median_requests(rule, name):
    """Return the median of the candidate's requests until the rollback, of all releases."""
    streams, at = drawn(name), rule(drawn(name))
    served = np.cumsum(streams.candidate_total.sum(-1), 1)
    return np.median(served[np.arange(REPLICATES), at])


def silent(interval=60.0, looks=12):
    """Return streams without any request to the candidate."""
    none, some = np.zeros((1, looks, 1), int), np.full((1, looks, 1), 100)
    return Streams("", interval, np.zeros(looks), some, 0 * some, none, none, some, 0 * some, -1)


def test_flagger_rolls_everything_back_in_a_shared_outage_and_nothing_of_a_quiet_service():
    assert rolled_back(peers.flagger, "shared outage 5% for 10 min") == 100
    assert rolled_back(peers.flagger, "noisy service p0=1.5%") == 100
    assert rolled_back(peers.flagger, "quiet service p0=.1%") == 0


def test_argo_with_its_default_limit_rolls_back_nearly_every_good_release():
    assert rolled_back(peers.argo, "iid") >= 90
    assert 30 <= rolled_back(LENIENT, "iid") <= 60
    assert 15 <= rolled_back(peers.flagger, "iid") <= 40


def test_no_traffic_is_a_failed_check_for_flagger_and_argo_and_nothing_to_the_others():
    when = {name: int(rule(silent())[0]) for name, rule in RULES.items()}
    assert when.pop("Flagger thr=5, SR>=99%") == 4
    assert when.pop("Argo failureLimit=0, SR>=99%") == 0
    assert when.pop("Argo failureLimit=3") == 3
    assert set(when.values()) == {NEVER}


def test_a_share_of_exactly_one_percent_passes_the_thresholds():
    streams = silent()
    exact = replace(
        streams, candidate_total=streams.stable_total, candidate_bad=np.full((1, 12, 1), 1)
    )
    assert (peers.flagger(exact)[0], peers.argo(exact)[0]) == (NEVER, NEVER)
    above = replace(exact, candidate_bad=np.full((1, 12, 1), 2))
    assert (peers.flagger(above)[0], peers.argo(above)[0]) == (4, 0)


def test_checks_of_a_minute_act_at_the_end_of_the_minute_when_looks_are_shorter():
    streams = silent(interval=10.0, looks=40)
    assert peers.argo(streams)[0] == 5
    assert peers.flagger(streams)[0] == 29


def test_a_peeked_z_is_wrong_more_often_than_its_level_and_one_at_the_end_is_not():
    assert rolled_back(PEEKED, "iid") > 5
    assert rolled_back(ONCE, "iid") <= 5, "1 and four standard errors"


def test_a_pooled_z_is_fooled_by_a_ramp_and_a_stratified_score_is_not():
    name = "ramp 5->50% + shared rate x4 mid-way"
    assert rolled_back(ONCE, name) == 100
    assert rolled_back(peers.group_sequential, name) <= 5


def test_clusters_fool_every_rule_that_trusts_single_requests():
    name = "bursts x3 + env + pod-interval noise"
    assert rolled_back(PEEKED, name) >= 35
    assert rolled_back(peers.group_sequential, name) >= 8
    assert rolled_back(peers.anytime_t, name) <= 5
    assert rolled_back(peers.kayenta, name) <= 5


def test_pods_that_differ_fool_every_rule():
    for rule in (peers.kayenta, peers.anytime_t, peers.group_sequential, PEEKED, peers.flagger):
        assert rolled_back(rule, "persistent pod effect sd .3") >= 4


def test_a_cold_start_fools_the_fast_rules():
    name = "cold start x4 for 3 min"
    assert rolled_back(PEEKED, name) >= 97
    assert rolled_back(peers.flagger, name) >= 60
    assert rolled_back(peers.kayenta, name) <= 10


def test_kayenta_needs_ten_minutes_and_is_blind_to_sparse_errors():
    assert set(peers.kayenta(drawn("x4"))) == {9}
    assert rolled_back(peers.kayenta, "x10, 2 rps") <= 15
    assert rolled_back(peers.flagger, "x10, 2 rps") == 100
    assert rolled_back(peers.flagger, "p0=.1%, x5") <= 50


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (peers.flagger, 3000),
        (peers.argo, 590),
        (LENIENT, 2400),
        (peers.kayenta, 5850),
        (PEEKED, 605),
        (ONCE, 35_700),
        (peers.group_sequential, 5850),
        (peers.anytime_t, 6280),
    ],
)
def test_four_times_the_errors_are_found_after_the_known_number_of_requests(rule, expected):
    assert rolled_back(rule, "x4") == 100
    assert median_requests(rule, "x4") == pytest.approx(expected, rel=0.15)


def test_the_mann_whitney_judgement_is_that_of_scipy_after_the_shift_of_a_quarter():
    rng = np.random.default_rng(1)
    candidate = rng.poisson(6, (60, 20)).astype(float)
    stable = rng.poisson(3.5, (60, 25)).astype(float)
    candidate[::3, 5:9] = np.nan
    found = peers.mann_whitney_high(candidate, stable)
    for n, (ours, theirs) in enumerate(zip(candidate, stable, strict=True)):
        ours = ours[~np.isnan(ours)]
        border = max(0.25 * abs(np.median(ours[:, None] - theirs)), 1e-12)
        oracle = mannwhitneyu(ours - border, theirs, alternative="greater", method="asymptotic")
        assert found[n] == (oracle.pvalue < 0.01)
    assert 0.2 < found.mean() < 0.95


def test_equal_and_empty_series_are_not_high():
    equal, empty = np.ones((1, 10)), np.full((1, 10), np.nan)
    assert not peers.mann_whitney_high(equal, equal)[0]
    assert not peers.mann_whitney_high(empty, equal)[0]
    assert not peers.mann_whitney_high(equal, empty)[0]


def test_group_sequential_bounds_are_the_published_ones():
    published = (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)
    assert peers.obrien_fleming(0.025, 5) == pytest.approx(published, abs=2e-4)
    assert peers.obrien_fleming(0.01, 1) == pytest.approx((norm.isf(0.01),))


def test_the_evidence_of_t_is_the_published_one():
    assert peers.log_t_evidence(9.0, 98, 100, 1.0) == pytest.approx(1.99658821)


def test_quantiles_are_linear_within_a_bucket_and_end_at_the_last_edge():
    edges = np.array([100.0, 200.0])
    total, beyond = np.array([10.0, 10, 10, 0]), np.array([[5.0, 0], [0, 0], [9, 6], [0, 0]])
    found = peers.histogram_quantile(total, beyond, edges, 0.9)
    np.testing.assert_allclose(found, [180, 90, 200, np.nan])
    np.testing.assert_allclose(peers.histogram_quantile(total, beyond, edges, 0.5)[0], 100)


@cache
def latencies(name):
    scenario = next(scenario for scenario in LATENCY if scenario.name == name)
    return draw_latency(scenario, 40, edges=(50, 100, 250, 500, 1000))


def slow(rule, name):
    return 100 * (rule(latencies(name)) != NEVER).mean()


def test_thresholds_of_a_percentile_miss_a_shift_and_fail_in_a_shared_slowness():
    assert slow(peers.flagger_p99, "H0 iid") == 0
    assert slow(peers.flagger_p99, "H1 +10%") <= 5
    assert slow(peers.flagger_p99, "H1 +2% slow tail") == 100
    assert slow(peers.flagger_p99, "H0 shared env sd .3") >= 35
    assert 10 <= slow(peers.argo_p99, "H0 iid") <= 65
    assert slow(peers.argo_p99, "H0 shared env sd .3") >= 80


def test_kayenta_sees_a_shift_of_the_median_and_is_fooled_by_pods():
    judged = peers.LATENCY_RULES["Kayenta MW on p50 /10 min"]
    assert slow(judged, "H1 +10%") == 100
    assert slow(judged, "H0 pod effect sd .1") >= 25


def test_a_peeked_chi_square_sees_half_a_point_and_false_alarms_on_sticky_users():
    rates = [
        100 * (peers.peeked_chi_square(draw_shares(scenario, REPLICATES)) != NEVER).mean()
        for scenario in SHARES
    ]
    right, _, *wrong, sticky, users = rates
    assert max(right, users) <= 6
    assert wrong == [100, 100, 100]
    assert sticky >= 95
