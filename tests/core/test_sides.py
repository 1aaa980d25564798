"""Bounds on a decrease: the same test with the arms swapped, and both directions together."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from penstock.core import sides
from penstock.core.analysis import judge
from penstock.core.limits import NoteKind
from penstock.core.looks import COLUMNS, Counts, Look, Table, least_cell
from penstock.core.metric_record import MetricRecord
from penstock.core.record import Record
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Bet, Cell, Null, Question
from penstock.core.terms import Calibration, Terms, Tolerance
from penstock.core.verdict import Verdict
from tests.core.evidence_streams import CERTAIN, Stream, look, terms

LESS = Tolerance(None, 0.1, 20)
BOTH = Tolerance(20, 0.1, 20)


def fixed(tolerance, exposures=(1.0,), calibration=CERTAIN):
    return Terms(10.0, tolerance, exposures, calibration)


def columns(**given):
    """A table of the columns that are given, all others 0."""
    shape = np.broadcast(*given.values()).shape
    return Table(
        **{name: np.broadcast_to(given.get(name, 0.0), shape).astype(float) for name in COLUMNS}
    )


def log_e(side, question, table, null, rate):
    """Return ln e per tilt and look; `rate` is stable's share known before."""
    arms = sides.pairs(side, table)
    wide = Null(*(np.broadcast_to(part, table.number.shape) for part in (null.ratio, null.slack)))
    known = sides.known_rate(side, wide, np.full(table.number.shape, rate))
    return Bet.on(question, arms, wide, known).gains().log_e(arms)


def outcomes(n, m):
    """Return all bad answers of both arms in one look."""
    return (grid.ravel() for grid in np.meshgrid(np.arange(n + 1), np.arange(m + 1)))


CHANGES = tuple(itertools.product((0.0, 20.0, 50.0, 99.0), (0.0, 0.1, 5.0, 30.0)))
TOTALS = [(1, 1), (1, 60), (3, 40), (12, 12), (20, 2)]
SHARES = [0.0, 0.003, 0.1, 0.6, 1.0]


def expectations(totals, stable_share, question, exposure=1.0):
    """Yield the exact E[e] per tilt of every tolerance, at its border and further inside."""
    x, y = outcomes(*totals)
    table = columns(candidate_total=totals[0], candidate_bad=x, stable_total=totals[1],
                    stable_bad=y)  # fmt: skip
    of_stable = binom.pmf(y, totals[1], stable_share)
    for decrease, slack in CHANGES:
        tolerance = Tolerance(None, slack, decrease)
        null = sides.border(Side.LESS, tolerance, exposure)
        least = (1 - decrease / 100 / exposure) * stable_share - slack / 100 / exposure
        if null is None or (question is Question.SAFE and least < 0):
            continue
        inside = 1.0 if question is Question.WORSE else 0.0
        e = {rate: np.exp(log_e(Side.LESS, question, table, null, rate)) for rate in (0.01, 0.9)}
        for share in (max(least, 0.0), (max(least, 0.0) + inside) / 2):
            chance = of_stable * binom.pmf(x, totals[0], share)
            for rate, each in e.items():
                yield each @ chance, (decrease, slack, share, rate)


@pytest.mark.parametrize("totals", TOTALS)
@pytest.mark.parametrize("stable_share", SHARES)
def test_no_look_is_expected_to_gain_when_the_fall_is_tolerable(totals, stable_share):
    for expected, where in expectations(totals, stable_share, Question.WORSE):
        assert expected.max() <= 1 + 1e-9, where


@pytest.mark.parametrize("totals", TOTALS)
@pytest.mark.parametrize("stable_share", SHARES)
@pytest.mark.parametrize("exposure", [0.6, 1.0])
def test_no_look_is_expected_to_gain_when_the_candidate_has_fallen(totals, stable_share, exposure):
    for expected, where in expectations(totals, stable_share, Question.SAFE, exposure):
        assert expected.max() <= 1 + 1e-9, where


def releases_of_two_looks(tolerance, shares, warm=False):
    """Yield the evidence and the exact chance of every outcome of two looks."""
    x, y = (grid.tolist() for grid in outcomes(2, 3))
    pairs = list(zip(x, y, strict=True))
    chance = {
        (a, b): float(binom.pmf(a, 2, shares[0]) * binom.pmf(b, 3, shares[1])) for a, b in pairs
    }
    for first, second in itertools.product(pairs, pairs):
        kept = Record(fixed(tolerance))
        for number, (a, b) in enumerate((first, second), 1):
            kept = kept.with_look(look(number, (2, a), (3, b), warm=warm))
        yield kept.weigh(0), chance[first] * chance[second]


BORDERS = [
    (Tolerance(None, 0, 50), (0.35, 0.7)),
    (Tolerance(None, 10, 50), (0.25, 0.7)),
    (Tolerance(100, 0, 50), (0.2, 0.4)),
    (Tolerance(100, 0, 50), (0.8, 0.4)),
]


@pytest.mark.parametrize(("tolerance", "shares"), BORDERS)
def test_no_release_is_expected_to_be_called_worse_or_safe_at_either_border(tolerance, shares):
    seen = list(releases_of_two_looks(tolerance, shares))
    assert sum(math.exp(one.worse) * chance for one, chance in seen) <= 1 + 1e-9
    assert sum(math.exp(one.safe) * chance for one, chance in seen) <= 1 + 1e-9
    assert sum(chance for _, chance in seen) == pytest.approx(1)


@pytest.mark.parametrize(("tolerance", "shares"), BORDERS[1:3])
def test_no_release_is_expected_to_be_called_worse_in_warm_up(tolerance, shares):
    seen = releases_of_two_looks(tolerance, shares, warm=True)
    assert sum(math.exp(one.worse) * chance for one, chance in seen) <= 1 + 1e-9


TABLE = columns(
    candidate_total=np.array([30.0, 200.0, 7.0]),
    candidate_bad=np.array([3.0, 0.0, 7.0]),
    stable_total=np.array([300.0, 150.0, 700.0]),
    stable_bad=np.array([30.0, 20.0, 1.0]),
)
MIRRORED = replace(
    TABLE,
    candidate_total=TABLE.stable_total,
    candidate_bad=TABLE.stable_bad,
    stable_total=TABLE.candidate_total,
    stable_bad=TABLE.candidate_bad,
)


@pytest.mark.parametrize("question", Question)
@pytest.mark.parametrize("decrease", [0.0, 20.0, 60.0])
def test_without_slack_a_bound_on_a_decrease_is_one_on_an_increase_of_the_other_arm(
    question, decrease
):
    less = sides.border(Side.LESS, Tolerance(None, 0, decrease))
    more = sides.border(Side.MORE, Tolerance(100 / (1 - decrease / 100) - 100, 0))
    np.testing.assert_allclose(
        log_e(Side.LESS, question, TABLE, less, 0.1),
        log_e(Side.MORE, question, MIRRORED, more, 0.3),
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.parametrize("decrease", [0.0, 20.0, 60.0])
def test_without_slack_a_proof_of_a_fall_is_the_proof_that_it_is_not_more(decrease):
    border = Tolerance(None, 0, decrease)
    fallen = log_e(Side.LESS, Question.WORSE, TABLE, sides.border(Side.LESS, border), 0.1)
    at_most = Null(np.array([1 - decrease / 100]), np.array([0.0]))
    not_more = log_e(Side.MORE, Question.SAFE, TABLE, at_most, 0.1)
    np.testing.assert_allclose(fallen, not_more, rtol=1e-9, atol=1e-9)


def stream(candidate_rate, rate=0.9, **more):
    """Good answers are counted; each look keeps the pod that fell most."""
    fallen = Stream(rate=rate, candidate_rate=candidate_rate, per_look=300, **more)
    for each in fallen.looks(30):
        half = Counts(each.candidate.total // 2, each.candidate.bad // 2)
        rest = Counts(each.candidate.total - half.total, each.candidate.bad - half.bad)
        yield replace(each, least=least_cell({"a": half, "b": rest}, rate))


def of(each_look, terms_):
    kept = Record(terms_)
    for each in each_look:
        kept = kept.with_look(each)
    return kept


def judged(kept, step=0):
    return judge(MetricRecord.of(kept), name="success", step=step, alpha=0.005, miss_rate=0.05)


def test_a_fall_is_worse_and_says_below_what():
    result = judged(of(stream(0.5), fixed(Tolerance(None, 0, 20))))
    assert result.verdict is Verdict.WORSE
    assert "; less than the tolerated 0.8 times; evidence" in result.why
    assert result.why.endswith("200 to 1 needed")
    assert result.evidence.worse_side is Side.LESS
    assert 0.4 < result.ratio.low < result.ratio.high < 0.8


def test_slack_is_taken_off_what_is_tolerated():
    result = judged(of(stream(0.5), fixed(LESS)))
    assert "; less than the tolerated 0.8 times - 0.1; evidence" in result.why


def test_a_rise_is_welcome_where_only_a_fall_is_bounded():
    result = judged(of(stream(0.95, rate=0.3), fixed(Tolerance(None, 0, 20))))
    assert result.verdict is Verdict.SAFE
    assert "; more than the 0.8 times tolerated for 100 %; evidence" in result.why
    assert result.evidence.worse < 0


def test_what_is_not_shown_yet_names_the_lower_bound():
    result = judged(of([look(1, (10, 9), (90, 81))], fixed(LESS)))
    assert result.verdict is Verdict.LEARNING
    assert "; not yet shown to be more than the 0.8 times - 0.1 tolerated for 100 %" in result.why


@pytest.mark.parametrize(("rate", "side"), [(0.1, Side.LESS), (0.7, Side.MORE)])
def test_where_both_are_bounded_either_way_is_worse(rate, side):
    result = judged(of(stream(rate, rate=0.3), fixed(BOTH)))
    assert result.verdict is Verdict.WORSE
    assert result.evidence.worse_side is side
    assert f"; {side.value} than the tolerated " in result.why


def test_an_equal_candidate_is_safe_between_both_bounds():
    result = judged(of(stream(0.6, rate=0.6), fixed(BOTH)))
    assert result.verdict is Verdict.SAFE
    assert result.notes == ()


def test_a_cold_start_within_eight_times_the_odds_is_no_fall():
    cold, later = (
        [of(stream(0.54, warm_until=warm, seed=seed), fixed(LESS)).weigh(0) for seed in range(10)]
        for warm in (30, 0)
    )
    assert max(seen.worse for seen in cold) < math.log(20)
    assert min(seen.worse for seen in later) > math.log(100)


def test_too_few_pods_are_told_of_the_bound_that_suffers():
    alike = replace(fixed(Tolerance(None, 0, 20)), calibration=Calibration(spread=0.3))
    result = judged(of(stream(0.9, pods=1), alike))
    assert [note.kind for note in result.notes] == [NoteKind.CANNOT_RESOLVE]
    assert "so only less than 0.33 times stable can be told" in result.notes[0].text


@pytest.mark.parametrize(("decrease", "exposure"), [(20, 0.05), (20, 0.2), (5, 0.05), (30, 0.3)])
def test_what_so_few_see_cannot_fall_too_far(decrease, exposure):
    kept = of(stream(0.0), fixed(Tolerance(None, 0, decrease), (exposure,)))
    assert kept.weigh(0).safe == math.inf
    assert judged(kept).verdict is Verdict.WORSE, "everybody would see it"


def test_what_a_few_more_see_can_fall_too_far():
    kept = of(stream(0.0), fixed(Tolerance(None, 0, 20), (0.21,)))
    assert kept.weigh(0).safe < 0


def test_a_fall_that_nobody_could_notice_is_safe_only_where_there_was_an_answer():
    kept = Record(fixed(LESS, (0.05,)))
    assert judged(kept).verdict is Verdict.NO_DATA
    result = judged(kept.with_look(look(1, (10, 9), (90, 81))))
    assert result.verdict is Verdict.SAFE
    assert result.why.endswith("; nothing that 5 % may see could be less than is tolerated")


def test_where_both_are_bounded_a_rise_must_still_be_excluded_for_few():
    each = list(stream(0.4, rate=0.4))
    both, more = (of(each, fixed(one, (0.05,))).weigh(0) for one in (BOTH, Tolerance(20, 0.1)))
    assert both.safe == more.safe < math.inf
    assert both.safe_side is Side.MORE


def test_a_fall_of_one_scrape_target_decides_nothing():
    each = list(stream(0.98, rate=0.98))[:20]
    burst = look(21, (400, 150), (900, 880), least=Counts(250, 3))
    seen = of([*each, burst], fixed(LESS)).weigh(0)
    assert seen.worse > math.log(1e6)
    assert seen.worse_without_worst_cell < math.log(10)
    spread = replace(burst, least=Counts(50, 19))
    assert of([*each, spread], fixed(LESS)).weigh(0).worse_without_worst_cell > math.log(1000)


def test_the_cell_of_a_fall_is_the_one_furthest_below():
    cells = {"a": Counts(1000, 850), "b": Counts(60, 1), "c": Counts(40, 0)}
    assert least_cell(cells, 0.9) == Counts(60, 1)
    assert least_cell(cells, 0.95) == Counts(1000, 850)
    assert least_cell({}, 0.9) == Counts()


@pytest.mark.parametrize("slack", [0.0, 0.05])
def test_a_fall_without_its_whole_candidate_is_no_evidence(slack):
    arms = sides.pairs(Side.LESS, TABLE)
    null = Null(np.full(3, 1.25), np.full(3, slack))
    bet = Bet.on(Question.WORSE, arms, null, np.full(3, 0.1))
    whole, nothing = Cell(arms.stable_total, arms.stable_bad), Cell(np.zeros(3), np.zeros(3))
    assert not bet.without_stable_cell(arms, whole).any()
    np.testing.assert_allclose(
        bet.without_stable_cell(arms, nothing), bet.gains().log_e(arms), rtol=1e-12, atol=1e-12
    )


COUNTS = st.integers(0, 40).flatmap(
    lambda total: st.integers(0, total).map(lambda bad: Counts(total, bad))
)


@st.composite
def looks_of_a_release(draw):
    number, step, result = 0, 0, []
    for _ in range(draw(st.integers(1, 8))):
        number += draw(st.integers(1, 3))
        step += draw(st.sampled_from((0, 0, 0, 1)))
        candidate = draw(COUNTS)
        cells = []
        for _ in range(2):
            bad = draw(st.integers(0, candidate.bad))
            cells.append(Counts(bad + draw(st.integers(0, candidate.good)), bad))
        result.append(
            Look(
                number=number,
                step=step,
                candidate=candidate,
                stable=draw(COUNTS),
                worst=cells[0],
                candidate_pods=draw(st.integers(0, 4)),
                stable_pods=draw(st.integers(0, 9)),
                warm=draw(st.booleans()),
                least=cells[1],
            )
        )
    return tuple(result)


@settings(deadline=None, max_examples=25)
@given(each_look=looks_of_a_release(), slack=st.sampled_from((0.0, 0.1, 5.0)))
def test_both_directions_are_the_average_for_worse_and_the_lesser_for_safe(each_look, slack):
    exposures = (0.5, 1.0)
    step = each_look[-1].step
    more, less, both = (
        of(each_look, fixed(one, exposures, Calibration())).weigh(step)
        for one in (Tolerance(20, slack), Tolerance(None, slack, 20), Tolerance(20, slack, 20))
    )
    for name in ("worse", "worse_without_worst_cell"):
        average = np.logaddexp(getattr(more, name), getattr(less, name)) - math.log(2)
        assert getattr(both, name) == pytest.approx(average, rel=1e-12, abs=1e-12)
    assert both.safe == min(more.safe, less.safe)
    assert both.worse_side is (Side.LESS if less.worse > more.worse else Side.MORE)
    assert both.safe_side is (Side.LESS if less.safe < more.safe else Side.MORE)


@settings(deadline=None, max_examples=25)
@given(each_look=looks_of_a_release(), kept_looks=st.integers(1, 8))
def test_folding_changes_no_evidence_of_either_direction(each_look, kept_looks):
    whole = of(each_look, fixed(BOTH, (0.5, 1.0), Calibration()))
    step = each_look[-1].step
    folded, seen = whole.keeping(kept_looks).weigh(step), whole.weigh(step)
    assert folded.worse == pytest.approx(seen.worse, rel=1e-9, abs=1e-9)
    assert folded.safe == pytest.approx(seen.safe, rel=1e-9, abs=1e-9)
    assert folded.worse_without_worst_cell <= seen.worse_without_worst_cell + 1e-9


@settings(deadline=None, max_examples=25)
@given(each_look=looks_of_a_release())
def test_leaving_out_a_cell_never_adds_evidence_of_a_fall(each_look):
    seen = of(each_look, fixed(LESS, (0.5, 1.0))).weigh(each_look[-1].step)
    assert seen.worse_without_worst_cell <= seen.worse + 1e-9


def test_a_tolerance_of_everything_is_refused():
    with pytest.raises(ValueError, match="neither"):
        Tolerance(None, 0.1)


def test_a_decrease_by_everything_is_no_bound():
    kept = of([look(1, (10, 9), (90, 81))], fixed(Tolerance(None, 0, 100)))
    with pytest.raises(ValueError, match="no bound"):
        kept.weigh(0)


def test_stables_bounds_are_told_for_both_directions():
    kept = of([look(1, (10, 9), (950, 855))], replace(terms(), tolerance=BOTH))
    least, most = kept.tolerated
    rate = 855.5 / 1000
    assert (least, most) == pytest.approx((rate * 0.8 - 0.001, rate * 1.2 + 0.001))
