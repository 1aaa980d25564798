"""Streams of means are judged as the operator would have judged them."""

import math
from dataclasses import astuple, replace
from itertools import pairwise

import numpy as np
import pytest

from penstock.core.looks import Counts
from penstock.core.means.calibration import MeanChance, chance
from penstock.core.means.judging import judge_mean
from penstock.core.means.looks import MeanArm, MeanLook
from penstock.core.means.record import MeanRecord
from penstock.core.means.replay import MeanReplay, of_record
from penstock.core.streams import Arm, Release, Setup
from penstock.core.terms import WITHOUT_HISTORY, Calibration, Terms, Tolerance
from penstock.core.verdict import Verdict

LADDER = (0.05, 0.25, 0.5)
CERTAIN = MeanChance(Calibration(phi=1.0, spread=0.0))
SETUP = Setup(
    name="revenue",
    tolerance=Tolerance(None, 0.0, 10.0),
    labels=("",),
    ladder=LADDER,
    alpha=0.01,
    miss_rate=0.05,
    interval_seconds=60.0,
    warm_up_seconds=0.0,
)


def counted(generator, answers, means, sales=1.0):
    """Count, sum and sum of squares: one of 1 / sales answers is a sale of exponential value.

    Args:
        answers: Expected answers, shape (looks, pods).
        means: Mean of an answer, same shape.
        sales: Share of answers that are a sale.
    """
    count = generator.poisson(answers)
    bought = generator.binomial(count, sales)
    pieces = np.repeat(np.broadcast_to(means / sales, count.shape).ravel(), bought.ravel())
    values = generator.exponential(pieces) if len(pieces) else pieces
    owner = np.repeat(np.arange(count.size), bought.ravel())
    sums = [np.bincount(owner, values**power, count.size).reshape(count.shape) for power in (1, 2)]
    return np.stack((count, *sums), -1).astype(np.float64)


def arm(counts, squares=True):
    kept = counts if squares else counts[..., :2]
    return Arm(kept, np.ones(counts.shape[:2], dtype=bool))


def released(
    looks=30, ratio=1.0, weights=(0.25,), pods=(2, 6), per_look=800, sales=1.0, squares=True,
    spread=0.0, noise=0.0, share=None, seed=1,
):  # fmt: skip
    """A release with looks of a minute per weight; pods differ by `spread`, looks by `noise`."""
    generator = np.random.default_rng(seed)
    weight = np.repeat(weights, looks)
    arms = []
    for count, part, times in zip(pods, (weight, 1 - weight), (ratio, 1.0), strict=True):
        true = part if share is None else np.full(len(weight), share if times == ratio else 1.0)
        shape = (len(weight), count)
        pod = np.exp(spread * generator.normal(size=(1, count)))
        means = 5 * times * pod * np.exp(noise * generator.normal(size=shape))
        answers = np.broadcast_to(per_look * true[:, None] / count, shape)
        arms.append(arm(counted(generator, answers, means, sales), squares))
    ends = 60.0 * np.arange(1, len(weight) + 1)
    return Release(ends, weight, *arms)


def taken(release, setup, known):
    """Yield the record and the step after each look, as the operator takes looks."""
    weights = release.weights.tolist()
    steps = np.cumsum([0, *(int(a != b) for a, b in pairwise(weights))]).tolist()
    above = [next((w for w in setup.ladder if w > weight + 1e-9), 1.0) for weight in weights]
    exposures = tuple(above[steps.index(step)] for step in range(steps[-1] + 1))
    terms = Terms(setup.interval_seconds, setup.tolerance, exposures)
    kept = MeanRecord(terms).calibrated(known.calibration, known.between)
    for index, step in enumerate(steps):
        arms = [_together(one.counts[index]) for one in (release.candidate, release.stable)]
        pods = release.candidate.counts.shape[1], release.stable.counts.shape[1]
        warm = index * setup.interval_seconds < setup.warm_up_seconds
        kept = kept.with_look(MeanLook(index + 1, step, warm, *arms, *pods))
        yield kept, step


def _together(pods):
    count, total, *squares = pods.sum(0).tolist()
    return MeanArm(int(count), total, *squares)


# ---- replay ------------------------------------------------------------------------------------


@pytest.mark.parametrize("squares", [True, False])
@pytest.mark.parametrize(
    ("tolerance", "ratio"),
    [
        (Tolerance(None, 0.0, 10.0), 0.8),
        (Tolerance(5.0, 1.0), 1.0),
        (Tolerance(20.0, 0.0, 20.0), 1.3),
    ],
)
def test_a_replay_says_what_looks_taken_one_by_one_say(tolerance, ratio, squares):
    setup = replace(SETUP, tolerance=tolerance, warm_up_seconds=120.0)
    known = MeanChance(Calibration(phi=1.3, spread=0.02, quantile=2.4), between=0.002)
    release = released(looks=10, ratio=ratio, weights=LADDER, squares=squares)
    said = list(MeanReplay(setup, known, release).said())
    rates = {"alpha": setup.alpha, "miss_rate": setup.miss_rate}
    for one, (kept, step) in zip(said, taken(release, setup, known), strict=True):
        judged = judge_mean(kept, name=setup.name, step=step, **rates)
        assert one.verdict is judged.verdict
        assert one.evidence.worse == pytest.approx(judged.evidence.worse, abs=1e-9)
        assert one.evidence.safe == pytest.approx(judged.evidence.safe, abs=1e-9)
        assert one.evidence.worse_without_worst_cell == pytest.approx(
            judged.evidence.worse_without_worst_cell, abs=1e-6
        )
        assert one.evidence.worse_side is judged.evidence.worse_side
        assert one.ratio == judged.ratio or astuple(one.ratio) == pytest.approx(
            astuple(judged.ratio)
        )
        assert one.why == judged.why


def test_a_record_says_again_what_was_said_after_each_look_it_still_has():
    release = released(looks=12, ratio=0.7, weights=(0.25,))
    *_, (kept, _) = taken(release, SETUP, CERTAIN)
    said = list(MeanReplay(SETUP, CERTAIN, release).said())
    again = list(of_record(kept.keeping(6), SETUP.name, SETUP.alpha, SETUP.miss_rate))
    assert [one.end for one in again] == [one.end for one in said[6:]]
    for one, other in zip(again, said[6:], strict=True):
        assert one.verdict is other.verdict
        assert one.evidence.worse == pytest.approx(other.evidence.worse, abs=1e-9)


def test_a_summary_has_the_first_verdicts_and_the_answers_until_then():
    replay = MeanReplay(SETUP, CERTAIN, released(ratio=0.6, weights=(0.5,)))
    summary, said = replay.summary(), list(replay.said())
    first = next(one for one in said if one.verdict is Verdict.WORSE)
    upto = replay.release.ends <= first.end
    assert summary.worse_at == first.end
    assert summary.safe_at is None
    assert summary.candidate == Counts(int(replay.release.candidate.total(0)[upto].sum()), 0)
    assert "less than the tolerated 0.9 times" in first.why


def test_an_equal_version_passes_every_step_on_the_looks_of_that_step():
    replay = MeanReplay(SETUP, CERTAIN, released(looks=40, weights=LADDER, per_look=300))
    verdicts = np.array([one.verdict for one in replay.said()]).reshape(3, 40)
    waits = (verdicts == Verdict.SAFE).argmax(-1).tolist()
    assert replay.summary().worse_at is None
    assert all(4 <= wait < 40 for wait in waits)
    assert (verdicts[:, :4] == Verdict.LEARNING).all()


def test_shares_that_are_not_the_weight_are_not_trusted():
    release = released(weights=(0.25,), share=0.5)
    replay = MeanReplay(SETUP, CERTAIN, release)
    *_, last = replay.said()
    assert last.verdict is Verdict.UNTRUSTED
    assert last.why == "revenue: the share of the requests is not the weight"
    assert MeanReplay(replace(SETUP, sticky=True), CERTAIN, release).verdict(29) is Verdict.SAFE


def test_notes_say_what_cannot_be_told():
    few = MeanReplay(SETUP, MeanChance(), released(per_look=60, squares=False))
    assert any("sumOfSquares is not given" in note for note in few.notes)
    assert MeanReplay(SETUP, CERTAIN, released()).notes == ()


# ---- what chance alone does --------------------------------------------------------------------


def ever(releases, tolerance, known=CERTAIN, odds=20):
    """The share of releases that are ever called worse, and safe for everybody."""
    setup = replace(SETUP, tolerance=tolerance, ladder=())
    traces = [MeanReplay(setup, known, release).trace for release in releases]
    return tuple(
        float(np.mean([(log_e >= math.log(odds)).any() for log_e in each]))
        for each in ([trace.worse for trace in traces], [trace.safe for trace in traces])
    )


AT_BORDER = [(0.75, Tolerance(None, 0.0, 25.0)), (1.25, Tolerance(25.0, 0.0))]


@pytest.mark.parametrize(("ratio", "tolerance"), AT_BORDER)
def test_the_level_holds_at_the_border_for_skewed_values_with_squares(ratio, tolerance):
    """One in 20 answers is a sale (skewness 9), 15 answers of the candidate a look, 40 looks.

    At 20 to 1 seen in at most 0.2 % of 1,000 releases each; without squares in up to 11 %.
    """
    small = {"weights": (0.2,), "pods": (1, 3), "per_look": 75, "sales": 0.05}
    releases = [released(40, ratio, **small, seed=seed) for seed in range(80)]
    assert max(ever(releases, tolerance)) <= 0.05


def lognormal(count, looks, generator, skewness=9.0):
    """Sums of so many values of mean 1 per look; skewness 9 is what gamma values of cv 4.5 have."""
    root = np.polynomial.Polynomial([-4 - skewness**2, 0, 3, 1]).roots()
    spread = math.sqrt(math.log(max(one.real for one in root if abs(one.imag) < 1e-9)))
    values = np.exp(generator.normal(-(spread**2) / 2, spread, (looks, count)))
    return np.stack((np.full(looks, float(count)), values.sum(-1)), -1)[:, None]


@pytest.mark.parametrize("answers", [(5, 100), (15, 300), (60, 1200), (15, 15), (300, 15)])
def test_the_level_holds_at_the_border_for_skewed_values_without_squares(answers):
    """Lognormal, skewness 9, 40 looks, up to 20 to 1 between the arms.

    Of 200 to 400 releases each with 2 to 4,000 answers a look were seen: safe at 20 to 1 in at most
    4.5 % (error 1.4), worse at 100 to 1 in at most 1.5 % (.8). By the looks' own spread alone it
    is 4 to 27 % and 1 to 13 %.
    """
    for ratio, tolerance in AT_BORDER:
        releases = []
        for seed in range(60):
            generator = np.random.default_rng((seed, *answers))
            both = [lognormal(count, 40, generator) for count in answers]
            both[0][..., 1] *= ratio
            ends, weight = 60.0 * np.arange(1, 41), np.full(40, 0.5)
            arms = (Arm(one, np.ones(one.shape[:2], dtype=bool)) for one in both)
            releases.append(Release(ends, weight, *arms))
        assert ever(releases, tolerance)[1] <= 0.075
        assert ever(releases, tolerance, odds=100)[0] <= 0.02


def test_a_lower_mean_is_found_and_an_equal_one_is_safe_in_nearly_all_releases():
    """A record of its power: 20 looks with 200 and 600 exponential values, 100 to 1."""
    lower, equal = ([released(20, ratio, seed=seed) for seed in range(30)] for ratio in (0.75, 1.0))
    assert ever(lower, SETUP.tolerance, odds=100)[0] >= 0.9
    assert ever(equal, SETUP.tolerance) == (0.0, 1.0)


def past(seed, looks=60, pods=8, per_look=1600, squares=True, **noise):
    """Stable's history, a row a minute."""
    release = released(looks, weights=(0.5,), pods=(1, pods), per_look=2 * per_look,
                       squares=squares, seed=seed, **noise)  # fmt: skip
    return release.stable


@pytest.mark.parametrize("spread", [0.0, 0.15])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_history_tells_how_pods_and_looks_differ(spread, noise):
    found = [chance(SETUP, past(seed, 30, 16, spread=spread, noise=noise), 60.0)
             for seed in range(6)]  # fmt: skip
    seen = float(np.mean([one.calibration.spread for one in found]))
    assert seen == pytest.approx(max(spread, 0.05), abs=0.03)
    assert np.mean([one.between for one in found]) == pytest.approx(noise**2 * 16 / 15, abs=0.006)
    assert all(1.0 <= one.calibration.phi < 1.8 for one in found)
    assert all(2.5 < one.calibration.quantile < 4.0 for one in found)


def test_a_history_tells_that_neighbouring_minutes_are_alike():
    history = past(1, noise=0.2)
    slow = np.exp(0.3 * np.sin(np.arange(60)[:, None] / 6 + np.arange(8)))
    alike = replace(history, counts=history.counts * np.stack((slow**0, slow, slow**2), -1))
    assert chance(SETUP, alike, 60.0).calibration.phi > 3
    assert chance(SETUP, history, 60.0).calibration.phi < 1.6


def test_noise_is_told_for_looks_of_the_length_that_a_release_has():
    quick = replace(SETUP, interval_seconds=10.0)
    history = past(1, noise=0.2)
    slow = chance(SETUP, history, 60.0)
    assert chance(quick, history, 60.0).between == pytest.approx(6 * slow.between)
    assert chance(SETUP, history, 10.0).between > 0
    assert chance(SETUP, past(1, squares=False), 60.0).between == 0.0


def test_a_history_that_tells_nothing_leaves_the_defaults():
    for history in (arm(np.zeros((0, 0, 3))), past(1, looks=9)):
        assert chance(SETUP, history, 60.0) == MeanChance()
    for history in (past(1, pods=1), past(1, sales=1e-12)):
        found = chance(SETUP, history, 60.0)
        answers = Counts(int(history.counts[..., 0].sum()), 0)
        assert found == MeanChance(replace(WITHOUT_HISTORY, history=answers, seconds=3600.0))


@pytest.mark.parametrize("squares", [True, False])
def test_a_history_tells_how_much_answers_vary(squares):
    """Of exponential values the variance is the square of the mean; of sales 39 times as much."""
    plain = [chance(SETUP, past(seed, squares=squares), 60.0).noise for seed in range(4)]
    assert np.mean(plain) == pytest.approx(1.0, rel=0.15)
    rare = [chance(SETUP, past(seed, squares=squares, sales=0.05), 60.0).noise for seed in range(4)]
    assert np.mean(rare) == pytest.approx(39.0, rel=0.2)
