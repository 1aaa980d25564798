"""The streams are what they claim to be. Means hold within four standard errors over replicates."""

from dataclasses import astuple, replace
from functools import cache

import numpy as np
import pytest

from tests.bench_evidence import noise
from tests.bench_evidence.noise import Grid
from tests.bench_evidence.streams import (
    FAULTS,
    HELD_OUT,
    LATENCY,
    NULLS,
    SHARES,
    Errors,
    LatencyScenario,
    Scenario,
    ShareScenario,
    Traffic,
    draw,
    draw_latency,
    draw_shares,
)

REPLICATES = 100
BY_NAME = {scenario.name: scenario for scenario in (*NULLS, *FAULTS, *HELD_OUT)}


@cache
def drawn(name, **more):
    return draw(BY_NAME[name], REPLICATES, **more)


def assert_mean(values, expected):
    """Compare the mean over replicates with what is claimed."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - expected) <= 4 * error, (values.mean(), expected, error)


def share(bad, total):
    """Return the share of each replicate over all its rows and pods."""
    return bad.sum((1, 2)) / total.sum((1, 2))


def arms(streams):
    """Return bad answers and requests of both arms during the release."""
    return (
        (streams.candidate_bad, streams.candidate_total),
        (streams.stable_bad, streams.stable_total),
    )


def minutes(counts):
    """Return counts of all pods, shape (R, T)."""
    return counts.sum(-1).astype(float)


def assert_wanders(values, spread, correlation, chance=0.0):
    """Compare values (R, T) with an AR(1) that is seen with independent errors.

    Args:
        values: Logarithms.
        spread: Standard deviation without the errors.
        correlation: Of neighbours, without the errors.
        chance: Variance of the errors.
    """
    centred = values - values.mean()
    assert_mean((centred**2).mean(1), spread**2 + chance)
    assert_mean((centred[:, 1:] * centred[:, :-1]).mean(1), correlation * spread**2)


@pytest.mark.parametrize("scenario", BY_NAME.values(), ids=BY_NAME)
def test_every_scenario_has_rows_of_pods_with_no_more_bad_answers_than_requests(scenario):
    streams = draw(scenario, 2)
    pods = streams.stable_total.shape[-1]
    assert streams.history_total.shape == streams.history_bad.shape == (2, 60, pods)
    assert streams.stable_total.shape == streams.stable_bad.shape == (2, 60, pods)
    assert streams.candidate_total.shape == streams.candidate_bad.shape
    assert streams.candidate_total.shape[:2] == (2, 60)
    assert streams.weight.shape == (60,)
    for arm in ("history", "candidate", "stable"):
        total, bad = getattr(streams, f"{arm}_total"), getattr(streams, f"{arm}_bad")
        assert ((bad >= 0) & (bad <= total)).all()


def test_only_faults_have_an_onset_and_names_are_unique():
    assert len(BY_NAME) == len(NULLS) + len(FAULTS) + len(HELD_OUT)
    assert len(HELD_OUT) >= 10
    assert {scenario.fault.onset(60.0, 60) for scenario in (*NULLS, *HELD_OUT)} == {-1}
    assert {scenario.fault.onset(60.0, 60) for scenario in FAULTS} == {0, 30}


def test_the_same_seed_gives_the_same_streams_and_another_seed_others():
    scenario = BY_NAME["bursts x3 + env + pod-interval noise"]
    first, again, other = (draw(scenario, 3, seed) for seed in (1, 1, 2))
    for one, two in zip(astuple(first), astuple(again), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (first.stable_total != other.stable_total).any()
    renamed = draw(replace(scenario, name="other"), 3, seed=1)
    assert (first.stable_total != renamed.stable_total).any()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("iid", 0.005),
        ("noisy service p0=1.5%", 0.015),
        ("quiet service p0=.1%", 0.001),
        ("bursts x3 + env + pod-interval noise", 0.005),
        ("persistent pod effect sd .3", 0.005),
        ("Pareto clusters up to 200", 0.002 + 2e-4 * (np.arange(1, 201) ** -1.5).sum()),
        ("retry chains", 0.005 / 1.005),
        ("dependency fails in episodes", 0.005 + 0.3 * 0.05),
    ],
)
def test_both_arms_of_a_good_release_have_the_claimed_share_of_bad_answers(name, expected):
    streams = drawn(name)
    assert_mean(share(streams.history_bad, streams.history_total), expected)
    assert_mean(share(streams.stable_bad, streams.stable_total), expected)
    assert_mean(share(streams.candidate_bad, streams.candidate_total), expected)


def test_the_rate_is_a_hundred_per_second_and_wanders_by_a_fifth_over_minutes():
    requests = minutes(drawn("iid").history_total)
    assert_mean(requests.mean(1), 6000)
    assert_wanders(np.log(requests), 0.2, 0.9, chance=1 / 6000)


def test_a_tenth_of_the_requests_goes_to_two_equal_candidate_pods_the_rest_to_eighteen():
    streams = drawn("iid")
    candidate, stable = streams.candidate_total.sum(1), streams.stable_total.sum(1)
    assert_mean(candidate.sum(-1) / (candidate.sum(-1) + stable.sum(-1)), 0.1)
    assert (candidate.shape[-1], stable.shape[-1]) == (2, 18)
    assert_mean(candidate[:, 0] / candidate.sum(-1), 1 / 2)
    assert_mean(stable[:, 3] / stable.sum(-1), 1 / 18)


def test_a_ramp_follows_its_weights_and_its_shared_rate():
    streams = drawn("ramp 5->50% + shared rate x4 mid-way")
    np.testing.assert_array_equal(streams.weight[::10], [5, 10, 20, 30, 50, 50])
    candidate, stable = minutes(streams.candidate_total), minutes(streams.stable_total)
    for step, weight in enumerate(streams.weight[::10]):
        rows = slice(10 * step, 10 * step + 10)
        part, rest = candidate[:, rows].sum(1), stable[:, rows].sum(1)
        assert_mean(part / (part + rest), weight / 100)
    assert_mean(share(streams.stable_bad[:, :30], streams.stable_total[:, :30]), 0.005)
    assert_mean(share(streams.stable_bad[:, 30:], streams.stable_total[:, 30:]), 0.02)


def test_shorter_looks_keep_rates_and_correlations_in_time_and_a_history_of_minutes():
    streams = draw(BY_NAME["iid"], REPLICATES, interval=10.0, looks=90, history=20)
    assert streams.history_total.shape == (REPLICATES, 20, 18)
    assert streams.candidate_total.shape == (REPLICATES, 90, 2)
    assert_mean(minutes(streams.history_total).mean(1), 6000)
    stable = minutes(streams.stable_total)
    assert_mean(stable.mean(1), 900)
    assert_wanders(np.log(stable), 0.2, 0.9 ** (1 / 6), chance=1 / 900)
    assert_mean(share(streams.candidate_bad, streams.candidate_total), 0.005)


def test_pods_of_the_history_are_the_pods_of_the_release():
    streams = drawn("persistent pod effect sd .3")
    before = np.log(streams.history_bad.sum(1) / streams.history_total.sum(1))
    after = np.log(streams.stable_bad.sum(1) / streams.stable_total.sum(1))
    chance = (1 / streams.history_bad.sum(1)).mean()
    assert before.var() - chance == pytest.approx(0.3**2, abs=0.01)
    same = np.corrcoef(before.ravel(), after.ravel())[0, 1]
    assert same == pytest.approx(0.09 / (0.09 + chance), abs=0.04)
    other = np.corrcoef(before.ravel(), np.roll(after, 1, axis=1).ravel())[0, 1]
    assert abs(other) < 0.1


@pytest.mark.parametrize(
    ("name", "ratio"), [("x1.5", 1.5), ("x4", 4), ("x40 (20% errors)", 40), ("x10, 2 rps", 10)]
)
def test_a_fault_multiplies_the_share_of_the_candidate_only(name, ratio):
    streams = drawn(name)
    assert_mean(share(streams.candidate_bad, streams.candidate_total), 0.005 * ratio)
    assert_mean(share(streams.stable_bad, streams.stable_total), 0.005)


def test_a_late_fault_begins_at_its_onset():
    streams = drawn("x4 from minute 30")
    bad, total = streams.candidate_bad, streams.candidate_total
    assert streams.onset == 30
    assert_mean(share(bad[:, :30], total[:, :30]), 0.005)
    assert_mean(share(bad[:, 30:], total[:, 30:]), 0.02)


def test_a_fault_after_the_last_look_is_refused():
    with pytest.raises(ValueError, match="look 180, after the last of 60"):
        draw(BY_NAME["x4 from minute 30"], 1, interval=10.0)


def test_the_version_at_the_edge_has_the_tolerated_share():
    streams = drawn("at the edge: 1.2 times + .1 points")
    assert_mean(share(streams.candidate_bad, streams.candidate_total), 1.2 * 0.005 + 0.001)
    assert_mean(share(streams.stable_bad, streams.stable_total), 0.005)


@pytest.mark.parametrize("interval", [10.0, 60.0])
def test_a_cold_start_lasts_three_minutes_whatever_the_look(interval):
    streams = draw(BY_NAME["cold start x4 for 3 min"], REPLICATES, interval=interval)
    bad, total, end = streams.candidate_bad, streams.candidate_total, int(180 / interval)
    assert_mean(share(bad[:, :end], total[:, :end]), 0.02)
    assert_mean(share(bad[:, end:], total[:, end:]), 0.005)


def test_an_outage_hits_both_arms_for_ten_minutes():
    streams = drawn("shared outage 5% for 10 min")
    for bad, total in arms(streams):
        assert_mean(share(bad[:, 20:30], total[:, 20:30]), 0.05)
        assert_mean(share(bad[:, 30:], total[:, 30:]), 0.005)


def test_a_shared_environment_moves_both_arms_alike():
    errors = Errors(rate=0.1, shared_spread=0.4)
    streams = draw(Scenario("env", Traffic(1e4), errors), REPLICATES)
    candidate, stable = (np.log(minutes(bad) / minutes(total)) for bad, total in arms(streams))
    assert_wanders(stable, 0.4, 0.8)
    assert np.corrcoef(candidate.ravel(), stable.ravel())[0, 1] > 0.9


def test_noise_of_pods_is_their_own_and_forgotten_within_minutes():
    streams = draw(Scenario("noise", Traffic(1e4), Errors(rate=0.1, pod_noise=0.3)), 30)
    logs = np.log(streams.stable_bad / streams.stable_total)
    assert_wanders(logs[..., 0], 0.3, 0.5)
    assert abs(np.corrcoef(logs[..., 0].ravel(), logs[..., 1].ravel())[0, 1]) < 0.1


def test_clusters_of_three_make_the_variance_five_times_the_mean():
    rng = np.random.default_rng(1)
    bad = noise.geometric_clusters(rng, np.full(100_000, 1000), np.full(100_000, 0.01), 3.0)
    assert bad.mean() == pytest.approx(10, rel=0.01)
    assert bad.var() / bad.mean() == pytest.approx(5, rel=0.03)


def test_sizes_of_heavy_clusters_are_pareto_up_to_two_hundred():
    rng = np.random.default_rng(1)
    sizes = noise.heavy_clusters(rng, np.ones(2_000_000, int), 0.005)
    sizes = sizes[sizes > 0]
    for size in (2, 10, 100):
        assert_mean((sizes >= size).astype(float), size**-1.5)
    assert 200 <= sizes.max() < 210, "hardly ever two at once"


def test_the_history_of_heavy_clusters_has_at_least_thirty_bad_answers():
    assert drawn("Pareto clusters up to 200").history_bad.sum((1, 2)).min() >= 30


def test_retry_chains_spread_over_an_arm_more_than_over_its_pods():
    streams = drawn("retry chains")
    flat = draw(Scenario("flat", errors=Errors(rate=0.005 / 1.005)), REPLICATES)

    def dispersion(bad, total):
        expected = total * 0.005 / 1.005
        return ((bad - expected) ** 2).mean() / expected.mean()

    both = (streams.stable_bad, streams.stable_total)
    assert dispersion(*map(minutes, both)) == pytest.approx(3, rel=0.1)
    assert dispersion(*both) == pytest.approx(1 + 2 / 18, rel=0.02)
    assert dispersion(minutes(flat.stable_bad), minutes(flat.stable_total)) == pytest.approx(
        1, rel=0.1
    )


def test_replaced_pods_are_there_for_a_part_of_the_time_only():
    streams = drawn("pods replaced, pod sd .2")
    history, release = (
        counts[0].sum(0) for counts in (streams.history_total, streams.stable_total)
    )
    assert streams.stable_total.shape[-1] == 18 + 11
    assert ((streams.history_total > 0).sum(-1) == 18).all()
    assert ((streams.stable_total > 0).sum(-1) == 18).all()
    assert ((streams.candidate_total > 0).sum(-1) == 2).all()
    assert (history[:5] > 0).all(), "replaced during the history"
    assert (release[:5] == 0).all(), "replaced during the history"
    assert (release[-6:] > 0).all(), "born during the release"
    assert (history[-6:] == 0).all(), "born during the release"
    lived = (streams.candidate_total[0] > 0).sum(0)
    np.testing.assert_array_equal(lived, [30, 60, 30])


def test_the_share_of_the_candidate_wanders_around_a_tenth():
    streams = drawn("candidate's share wanders")
    candidate, stable = minutes(streams.candidate_total), minutes(streams.stable_total)
    odds = np.log(candidate / stable)
    assert_mean(odds.mean(1), np.log(1 / 9))
    assert_wanders(odds, 0.3, 0.9, chance=1 / 600 + 1 / 5400)


def test_traffic_may_be_ten_times_that_of_the_history():
    streams = drawn("ten times the traffic of the history")
    assert_mean(minutes(streams.history_total).mean(1), 6000)
    assert_mean(minutes(streams.stable_total).mean(1), 54_000)


def test_the_history_of_a_daily_cycle_is_from_its_low():
    streams = drawn("daily cycle, history at its low")
    assert_mean(minutes(streams.history_total)[:, -10:].mean(1), 6000 * np.exp(-1))
    assert_mean(share(streams.history_bad, streams.history_total), 0.005 * np.exp(-0.7))
    assert_mean(share(streams.stable_bad[:, :5], streams.stable_total[:, :5]), 0.005)


def test_episodes_of_a_dependency_take_a_twentieth_of_the_time_in_both_arms():
    part = noise.episodes(np.random.default_rng(1), 400, Grid.of(10.0, 360, 0), per_hour=6.0)
    assert part.max() <= 1
    assert_mean(part.mean(1), 0.05)
    streams = drawn("dependency fails in episodes")
    candidate, stable = (minutes(bad) / minutes(total) for bad, total in arms(streams))
    assert np.corrcoef(candidate.ravel(), stable.ravel())[0, 1] > 0.9


EDGES = (80.0, 100.0, 500.0, 1000.0)


@cache
def latencies(name):
    scenario = next(scenario for scenario in LATENCY if scenario.name == name)
    return draw_latency(scenario, 20, edges=EDGES)


def beyond(bad, total, edge):
    return bad[..., edge].sum((1, 2)) / total.sum((1, 2))


def test_half_of_the_latencies_exceed_the_median_and_the_slow_tail_is_there():
    streams = latencies("H0 iid")
    assert streams.candidate_bad.shape == (20, 60, 2, 4)
    assert streams.history_bad.shape == streams.stable_bad.shape == (20, 60, 18, 4)
    assert (np.diff(streams.stable_bad, axis=-1) <= 0).all()
    assert (streams.stable_bad[..., 0] <= streams.stable_total).all()
    for bad, total in (
        (streams.history_bad, streams.history_total),
        (streams.candidate_bad, streams.candidate_total),
    ):
        assert_mean(beyond(bad, total, 0), 0.998 * 0.5 + 0.002)
        assert_mean(beyond(bad, total, 3), 0.00136)


def test_a_shift_and_a_tail_are_of_the_candidate_only():
    shifted, tailed = latencies("H1 +30%"), latencies("H1 +2% slow tail")
    assert_mean(beyond(shifted.candidate_bad, shifted.candidate_total, 0), 0.6696)
    assert_mean(beyond(tailed.candidate_bad, tailed.candidate_total, 3), 0.0149)
    for streams in (shifted, tailed):
        assert streams.onset == 0
        assert_mean(beyond(streams.stable_bad, streams.stable_total, 0), 0.501)


def test_pods_of_the_latency_history_are_the_pods_of_the_release():
    streams = latencies("H0 pod effect sd .1")
    before = streams.history_bad[..., 0].sum(1) / streams.history_total.sum(1)
    after = streams.stable_bad[..., 0].sum(1) / streams.stable_total.sum(1)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9
    assert streams.onset == -1


def test_the_same_seed_gives_the_same_latencies_and_shares():
    scenario, split = LatencyScenario("a", shared_spread=0.3), ShareScenario("a")
    for one, two in (
        (draw_latency(scenario, 1, looks=3), draw_latency(scenario, 1, looks=3)),
        (draw_shares(split, 2), draw_shares(split, 2)),
    ):
        for a, b in zip(astuple(one), astuple(two), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("scenario", SHARES, ids=[scenario.name for scenario in SHARES])
def test_splits_have_their_share_whatever_is_counted(scenario):
    streams = draw_shares(scenario, REPLICATES)
    candidate, stable = streams.candidate.sum(1), streams.stable.sum(1)
    assert_mean(candidate / (candidate + stable), scenario.percent / 100)
    assert_mean((candidate + stable) / 60, 300 if scenario.users else 6000)
    assert streams.onset == (-1 if scenario.percent == 10 else 0)


def test_requests_of_sticky_users_vary_more_than_their_users():
    requests, users = (draw_shares(scenario, REPLICATES) for scenario in SHARES[-2:])
    for streams, expected in ((requests, 21), (users, 1)):
        total = streams.candidate + streams.stable
        spread = (streams.candidate - 0.1 * total) ** 2
        assert spread.mean() / (0.09 * total.mean()) == pytest.approx(expected, rel=0.1)
