import math
from dataclasses import replace

import numpy as np
import pytest

from penstock.core.evidence import Evidence
from penstock.core.limits import NoteKind
from penstock.core.means.judging import judge_mean
from penstock.core.means.looks import MeanArm, MeanLook
from penstock.core.means.record import MeanRecord
from penstock.core.means.sentences import MeanTold, explain
from penstock.core.stats.nulls import Side
from penstock.core.stats.ratio import Ratio
from penstock.core.terms import Calibration, Terms, Tolerance
from penstock.core.verdict import Verdict

CERTAIN = Calibration(phi=1.0, spread=0.0)
DECREASE = Tolerance(None, 0.0, 10.0)
REVENUE = MeanTold(
    name="revenue",
    step=0,
    looks=9,
    candidate=MeanArm(2500, 10775.0),
    stable=MeanArm(22480, 110601.6),
    ratio=Ratio(0.812, 0.8757, 0.951),
)
RATES = (0.01, 0.05)


def terms(tolerance=DECREASE, calibration=CERTAIN, exposures=(1.0,)):
    return Terms(10.0, tolerance, exposures, calibration)


def record(
    looks=30, mean=5.0, per_look=(60, 540), fixed=None, warm=0, squares=True, pods=2, seed=1
):
    generator = np.random.default_rng(seed)
    kept = MeanRecord(fixed or terms())
    for number in range(1, looks + 1):
        arms = []
        for count, value in zip(per_look, (mean, 5.0), strict=True):
            values = generator.exponential(value, count)
            square = float((values**2).sum()) if squares else None
            arms.append(MeanArm(count, float(values.sum()), square))
        kept = kept.with_look(MeanLook(number, 0, number <= warm, *arms, pods, 9 * pods))
    return kept


def judge(kept, step=0, alpha=0.01, miss_rate=0.05, name="revenue"):
    return judge_mean(kept, name=name, step=step, alpha=alpha, miss_rate=miss_rate)


def said(verdict, told=REVENUE, fixed=None, **numbers):
    sides = {"worse_side": Side.LESS, "safe_side": Side.LESS}
    return explain(fixed or terms(), told, Evidence(**sides | numbers), verdict, RATES)


def kinds(judged):
    return {note.kind for note in judged.notes}


# ---- sentences ---------------------------------------------------------------------------------


def test_what_is_worse_is_said_with_its_numbers():
    assert said(Verdict.WORSE, worse=13.1) == (
        "revenue: candidate 4.31 (2,500 answers), stable 4.92 (22,480): 0.88 times (0.81 to 0.95); "
        "less than the tolerated 0.9 times; evidence 5·10⁵ to 1, 100 to 1 needed"
    )


def test_slack_is_said_as_a_part_of_the_tolerated_ratio():
    found = said(Verdict.SAFE, safe=4.0, fixed=terms(Tolerance(None, 2.0, 10.0)))
    assert "more than the 0.88 times tolerated for 100 %; evidence 55 to 1, 20 to 1" in found


def test_what_is_not_proven_is_said_with_what_is_needed():
    found = said(Verdict.LEARNING, worse=1.0, safe=2.0, fixed=terms(exposures=(0.25,)))
    assert "not yet shown to be more than the 0.6 times tolerated for 25 %" in found
    assert "evidence 7.4 to 1, 20 to 1 needed; nor to be worse: 2.7 to 1" in found


def test_with_too_few_looks_it_says_how_many_are_needed():
    few = replace(REVENUE, looks=3, ratio=Ratio(0.0, 0.8757, None))
    assert said(Verdict.LEARNING, few).endswith(
        "0.88 times (not bounded yet); learning: 3 looks outside warm-up have answers of both on "
        "this step, 5 are needed"
    )


def test_before_anything_is_compared_no_numbers_are_said():
    nothing = replace(REVENUE, looks=0, candidate=MeanArm(), stable=MeanArm(), ratio=None)
    assert said(Verdict.LEARNING, nothing).startswith("revenue: learning: 0 looks")
    assert said(Verdict.NO_DATA, nothing) == (
        "revenue: no answer of either version was counted in this step"
    )


@pytest.mark.parametrize(
    ("mean", "text"),
    [(0.04314, "0.0431"), (4.314, "4.31"), (431.4, "431"), (43140.0, "43,140"), (0.0, "0")],
)
def test_means_have_three_digits_that_count(mean, text):
    found = said(Verdict.WORSE, replace(REVENUE, candidate=MeanArm(1000, 1000 * mean)), worse=9.0)
    assert f"candidate {text} (1,000 answers)" in found


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (Ratio(1.021, 1.034, 1.047), ": 1.03 times (1.02 to 1.05);"),
        (Ratio(0.0, 0.05, 0.2), ": 0.050 times (at most 0.20);"),
        (Ratio(3.0, 41.0, None), ": 41 times (at least 3.00);"),
        (Ratio(0.0, None, None), "(22,480); "),
        (None, "(22,480); "),
    ],
)
def test_ratios_have_two_decimals(ratio, text):
    assert text in said(Verdict.WORSE, replace(REVENUE, ratio=ratio), worse=9.0)


# ---- verdicts ----------------------------------------------------------------------------------


def test_a_lower_mean_is_worse_and_an_equal_one_safe():
    worse, equal = judge(record(mean=3.5)), judge(record())
    assert (worse.verdict, equal.verdict) == (Verdict.WORSE, Verdict.SAFE)
    assert worse.why.startswith("revenue: candidate 3.42 (1,800 answers), stable 5.00")
    assert "less than the tolerated 0.9 times" in worse.why
    assert "more than the 0.9 times tolerated for 100 %" in equal.why


def test_the_ratio_covers_the_truth_and_counts_are_those_that_are_compared():
    judged = judge(record(mean=4.0, warm=10))
    assert judged.ratio.low < 0.8 < judged.ratio.high
    assert judged.ratio.low < judged.ratio.mid < judged.ratio.high
    assert (judged.candidate.count, judged.stable.count) == (1200, 10800)


def test_a_release_is_learning_in_warm_up_and_with_few_looks():
    for kept in (record(looks=20, mean=1.0, warm=20), record(looks=4, mean=1.0)):
        judged = judge(kept)
        assert judged.verdict is Verdict.LEARNING
        assert "5 are needed" in judged.why
    assert judge(MeanRecord(terms())).verdict is Verdict.NO_DATA


def test_one_look_alone_does_not_call_a_version_worse():
    kept = record(looks=5, mean=0.5)
    judged = judge(kept, alpha=0.05)
    assert judged.evidence.worse > math.log(20)
    assert judged.verdict is Verdict.LEARNING
    assert "but one look carries it" in judged.why
    assert NoteKind.SINGLE_CELL in kinds(judged)


def test_where_nothing_could_be_too_low_it_is_safe_at_once():
    judged = judge(record(looks=1, fixed=terms(exposures=(0.05,))))
    assert judged.verdict is Verdict.SAFE
    assert "nothing that 5 % may see could be" in judged.why


def test_pods_that_are_too_few_to_tell_are_noted():
    unlike = Calibration(phi=1.0, spread=0.3, quantile=2.9)
    judged = judge(record(fixed=terms(calibration=unlike), pods=1))
    assert judged.margin == pytest.approx(math.exp(0.87 * math.sqrt(1 + 1 / 9)))
    assert NoteKind.CANNOT_RESOLVE in kinds(judged)
    assert NoteKind.CANNOT_RESOLVE not in kinds(judge(record()))


def test_sums_that_are_no_numbers_are_noted():
    kept = record()
    broken = MeanLook(31, 0, False, MeanArm.of(9, math.nan, 1.0), MeanArm(9, 45.0, 300.0), 2, 18)
    texts = [note.text for note in judge(kept.with_look(broken)).notes]
    assert any("in 1 of 31 looks a sum is no number" in text for text in texts)
    assert not judge(kept).notes


def test_few_answers_without_squares_are_noted():
    assert NoteKind.FEW_EVENTS in kinds(judge(record(per_look=(6, 54), squares=False)))
    assert not judge(record(per_look=(6, 54))).notes
    assert not judge(record(squares=False)).notes


def test_folded_looks_are_noted():
    kept = record().keeping(20)
    assert NoteKind.RECENT_ONLY in kinds(judge(kept))
    assert judge(kept).evidence.safe == pytest.approx(judge(record()).evidence.safe)


def test_a_history_of_few_answers_is_noted():
    few = Calibration(phi=1.5, spread=0.0, cautious_phi=3.0)
    (note,) = judge(record(fixed=terms(calibration=few))).notes
    assert note.text.startswith("few answers make up the sum of stable's history")
