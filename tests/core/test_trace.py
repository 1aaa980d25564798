"""The evidence of all looks at once is that of each record on the way."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.core import evidence, sides
from penstock.core.evidence import Evidence
from penstock.core.looks import Counts, Look, Table, pack
from penstock.core.record import Record
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Pairs
from penstock.core.stats.ratio import Ratio, ratio, ratio_path
from penstock.core.terms import Calibration, Terms, Tolerance
from penstock.core.trace import Trace, trace
from tests.core.evidence_streams import CERTAIN, Stream, look

MORE, LESS, BOTH = Tolerance(20, 0.1), Tolerance(None, 0.1, 20), Tolerance(20, 0.1, 20)
TOLERANCES = pytest.mark.parametrize("tolerance", [MORE, LESS, BOTH, Tolerance(50, 0, 30)])
EXPOSURES = (0.1, 0.5, 1.0)
HOUR = Calibration(2.5, 0.15, 3.1, Counts(360_000, 1800), cautious_phi=3.5)


def fixed(tolerance, calibration=HOUR, interval=10.0):
    return Terms(interval, tolerance, EXPOSURES, calibration)


def table(each_look):
    return Table.of(b"".join(pack(one) for one in each_look))


def sides_of(terms, each_look):
    return trace(terms, table(each_look))


def traced(terms, each_look):
    return Trace.of(sides_of(terms, each_look))


def on_the_way(terms, each_look):
    """Yield what the operator's record says after each look, of the step of that look."""
    kept = Record(terms)
    for one in each_look:
        kept = kept.with_look(one)
        yield kept.weigh(one.step)


def assert_same(
    one: Evidence, other: Evidence, names=("worse", "safe", "worse_without_worst_cell")
):
    for name in names:
        expected = pytest.approx(getattr(other, name), rel=1e-9, abs=1e-9)
        assert getattr(one, name) == expected, name
    assert (one.worse_side, one.safe_side) == (other.worse_side, other.safe_side)


def halved(one: Look) -> Look:
    """The look with its lesser half as the cell that is furthest below."""
    counts = one.candidate
    return replace(one, least=Counts(counts.total // 2, min(counts.bad // 3, counts.total // 2)))


@cache
def release():
    """Warm-up, a change of weight, a fault, a look that is missing, a silent one."""
    parts = (
        Stream(rate=0.02, candidate_rate=0.03, warm_until=9).looks(14),
        Stream(rate=0.02, candidate_rate=0.02, weight=0.4, step=1, pods=5).looks(14, first=15),
        Stream(rate=0.02, candidate_rate=0.005, weight=0.4, step=1).looks(10, first=35),
        Stream(rate=0.02, candidate_rate=0.1, weight=0.4, step=2).looks(10, first=50),
    )
    silent = look(45, (0, 0), (0, 0), step=1)
    alone = look(60, (0, 0), (900, 20), step=2)
    found = [halved(one) for part in parts for one in part]
    return tuple(sorted([*found, silent, alone], key=lambda one: one.number))


@TOLERANCES
@pytest.mark.parametrize("calibration", [Calibration(), HOUR])
def test_after_every_look_it_is_what_the_record_says(tolerance, calibration):
    terms = fixed(tolerance, calibration)
    trace = traced(terms, release())
    for index, seen in enumerate(on_the_way(terms, release())):
        assert_same(trace.at(index), seen)
        assert trace.worse[index] == pytest.approx(seen.worse, rel=1e-9, abs=1e-9)
        assert trace.safe[index] == pytest.approx(seen.safe, rel=1e-9, abs=1e-9)


COUNTS = st.integers(0, 50).flatmap(
    lambda total: st.integers(0, total).map(lambda bad: Counts(total, bad))
)


@st.composite
def looks_of_a_release(draw):
    number, step, result = 0, 0, []
    for _ in range(draw(st.integers(1, 8))):
        number += draw(st.integers(1, 40))
        step += draw(st.sampled_from((0, 0, 0, 1)))
        candidate = draw(COUNTS)
        worst, least = (
            Counts(bad + draw(st.integers(0, candidate.good)), bad)
            for bad in (draw(st.integers(0, candidate.bad)) for _ in range(2))
        )
        one = look(number, (candidate.total, candidate.bad), (0, 0), step=step)
        result.append(
            replace(
                one,
                stable=draw(COUNTS),
                worst=worst,
                least=least,
                warm=draw(st.booleans()),
                candidate_pods=draw(st.integers(0, 5)),
            )
        )
    return tuple(result)


@TOLERANCES
@settings(deadline=None, max_examples=12)
@given(each_look=looks_of_a_release())
def test_whatever_is_counted_worse_and_safe_are_those_of_the_record(tolerance, each_look):
    terms = fixed(tolerance, Calibration())
    trace = traced(terms, each_look)
    for index, seen in enumerate(on_the_way(terms, each_look)):
        found = trace.at(index)
        assert_same(found, seen, names=("worse", "safe"))
        assert found.worse_without_worst_cell <= found.worse + 1e-9


def burst_and_then_a_fault():
    good = Stream().looks(20)
    burst = look(21, (100, 60), (900, 5), worst=(60, 60))
    return [*good, burst, *Stream(candidate_rate=0.05).looks(12, first=22)]


def test_a_burst_of_one_cell_is_left_out_as_in_the_record():
    terms, each = fixed(MORE, CERTAIN), burst_and_then_a_fault()[:21]
    found = traced(terms, each).at(20)
    *_, seen = on_the_way(terms, each)
    assert found.worse > math.log(1e6)
    assert_same(found, seen)
    assert found.worse_without_worst_cell < math.log(10)


def test_a_fault_after_a_burst_of_one_cell_is_what_the_record_says():
    terms, each = fixed(MORE, CERTAIN), burst_and_then_a_fault()
    trace = traced(terms, each)
    for index, seen in enumerate(on_the_way(terms, each)):
        assert_same(trace.at(index), seen)


PARTS = [
    [Stream(rate=0.1, candidate_rate=0.1, seed=1), Stream(rate=0.01, candidate_rate=0.01, seed=2)],
    [Stream(rate=0.1, candidate_rate=0.1, seed=1), Stream(rate=0.01, candidate_rate=0.05, seed=2)],
    [Stream(rate=0.05, candidate_rate=rate, seed=3) for rate in (0.02, 0.05, 0.2)],
]


@TOLERANCES
@pytest.mark.parametrize("streams", PARTS)
def test_several_parts_are_judged_together_as_in_a_metric(tolerance, streams):
    terms = fixed(tolerance)
    parts = [[halved(one) for one in stream.looks(8)] for stream in streams]
    each = [sides_of(terms, part) for part in parts]
    trace = Trace.of([side for part in each for side in part])
    for index, seen in enumerate(zip(*(on_the_way(terms, part) for part in parts), strict=True)):
        assert_same(trace.at(index), evidence.together(seen))
        assert_same(trace.at(index), evidence.together([Trace.of(one).at(index) for one in each]))


def test_several_are_the_average_for_worse_and_the_weakest_for_safe():
    both = evidence.together(
        [Evidence(3.0, 2.0, 5.0), Evidence(1.0, 0.5, 4.0, Side.LESS, Side.LESS)]
    )
    assert both.worse == pytest.approx(math.log((math.exp(3) + math.exp(1)) / 2))
    assert both.worse_without_worst_cell == pytest.approx(
        math.log((math.exp(2) + math.exp(0.5)) / 2)
    )
    assert (both.safe, both.worse_side, both.safe_side) == (4.0, Side.MORE, Side.LESS)


def test_one_alone_is_itself():
    one = Evidence(3.0, 2.0, 5.0, Side.LESS, Side.LESS)
    assert evidence.together([one]) is one


def test_a_proof_of_all_is_as_far_as_one_without_a_bound():
    endless = Evidence(0.0, 0.0, math.inf)
    assert evidence.together([endless, Evidence(safe=2.0)]).safe == 2.0
    assert evidence.together([endless, endless]).safe == math.inf


def test_safe_is_infinite_after_every_look_where_nothing_could_be_too_far():
    terms = fixed(LESS)
    trace = traced(terms, [replace(one, step=0) for one in release()])
    assert np.isposinf(trace.safe).all()
    assert trace.at(3).safe == math.inf


def assert_limit(found, expected):
    """Compare within one percent."""
    if not expected:
        assert not found
    else:
        assert found == pytest.approx(expected, rel=0.02)


def assert_ratio_path(columns, phi):
    """Compare all looks with each prefix; limits within one percent."""
    path = ratio_path(Pairs(*columns), phi)
    for index in range(len(columns[0])):
        expected = ratio(Pairs(*(column[: index + 1] for column in columns)), phi)
        expected = expected or Ratio(0.0, None, None)
        found = path.at(index) or Ratio(0.0, None, None)
        assert_limit(found.low, expected.low)
        assert_limit(found.high, expected.high)
        if expected.mid is None:
            assert found.mid is None
        else:
            assert found.mid == pytest.approx(expected.mid, rel=1e-9)


ROWS = st.tuples(
    st.integers(0, 400), st.floats(0, 0.08), st.integers(0, 900), st.floats(0, 0.04)
).map(lambda row: (row[0], int(row[0] * row[1]), row[2], int(row[2] * row[3])))


@settings(deadline=None, max_examples=20)
@given(rows=st.lists(ROWS, min_size=1, max_size=3), phi=st.sampled_from((1.0, 1.5, 4.0)))
@example(rows=[(0, 0, 900, 5), (30, 12, 0, 0)], phi=1.0)
@example(rows=[(100, 0, 900, 0), (100, 8, 900, 0), (100, 0, 900, 30)], phi=1.0)
def test_the_ratio_after_every_look_is_that_of_the_looks_so_far(rows, phi):
    assert_ratio_path(np.array(rows, dtype=float).T, phi)


@pytest.mark.parametrize("phi", [1.0, 1.5])
@pytest.mark.parametrize("rate", [0.002, 0.02, 0.1])
def test_the_ratio_of_a_stream_is_that_of_the_looks_so_far(rate, phi):
    seen = table(list(Stream(rate=0.02, candidate_rate=rate, per_look=500).looks(25)))
    arms = sides.pairs(Side.MORE, seen)
    assert_ratio_path(
        (arms.candidate_total, arms.candidate_bad, arms.stable_total, arms.stable_bad), phi
    )


@pytest.mark.parametrize(("candidate", "stable"), [(300, 2000), (3000, 20_000), (60_000, 100_000)])
def test_the_ratio_of_many_bad_answers_is_as_exact(candidate, stable):
    assert_ratio_path(np.array([[1e6, candidate, 9e6, stable]]).T, 1.0)


@pytest.mark.parametrize("bad", [1000, 10_000])
def test_the_ratio_of_many_bad_answers_is_as_exact_before_it_changes(bad):
    before, after = [1e5, bad / 10, 9e5, bad], [1e5, bad, 9e5, bad]
    assert_ratio_path(np.array([before, before, after, after]).T, 1.0)


def test_how_much_worse_than_a_stable_that_hardly_fails_is_told():
    seen = Pairs(*np.array([[1000.0, 500.0, 1e6, 3.0]] * 3).T)
    expected = ratio(seen, 1.0)
    assert expected.low > 1e4
    assert ratio_path(seen, 1.0).at(2).low == pytest.approx(expected.low, rel=0.02)


def test_one_bad_answer_beside_many_good_ones_bounds_no_ratio():
    assert ratio_path(Pairs(*np.array([[1.0, 1.0, 1e8, 0.0]]).T), 1.5).at(0) is None
