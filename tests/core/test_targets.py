"""One pod that carries most of what speaks against a candidate."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core import targets
from penstock.core.analysis import judge
from penstock.core.counters import LookCounts
from penstock.core.looks import Counts, worst_cell
from penstock.core.metric_record import MetricRecord, Part
from penstock.core.record import Look, Record
from penstock.core.stats.nulls import Side
from penstock.core.targets import MOST_TARGETS, OTHERS, Sums, Target
from penstock.core.terms import Terms, Tolerance
from penstock.core.verdict import Verdict
from tests.core.evidence_streams import CERTAIN, terms

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TERMS = terms(calibration=CERTAIN)
STABLE = Counts(20_000, 100)


def counted(candidate, stable=None):
    cells = {f"app/{name}": Counts(*counts) for name, counts in candidate.items()}
    return LookCounts(cells, {"app/old": STABLE} if stable is None else stable, NOW)


def suspected(side=Side.MORE, fixed=TERMS, stable=STABLE, shared=(), **pods):
    each = tuple(Target(name, Counts(*counts), name in shared) for name, counts in pods.items())
    found = targets.suspect(fixed, Sums(each, stable, stable.rate), side)
    return found.name if found else None


def test_the_pod_without_which_nothing_speaks_against_the_candidate_is_named():
    assert suspected(a=(1000, 5), b=(1000, 60), c=(1000, 6)) == "b"


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param({"a": (1000, 60)}, id="one target alone"),
        pytest.param({"a": (1000, 60), "b": (1000, 55)}, id="all pods are bad"),
        pytest.param({"a": (1000, 60), "b": (1000, 20)}, id="the rest is bad, too"),
        pytest.param({"a": (7, 5), "b": (7, 2)}, id="too few to tell pods apart"),
        pytest.param({"a": (1000, 5), "b": (1000, 6)}, id="nothing is bad"),
        pytest.param({"a": (10, 8), "b": (0, 0)}, id="the others answered nothing"),
    ],
)
def test_no_pod_is_named_where(pods):
    assert suspected(**pods) is None


def test_a_proxy_that_counts_for_both_versions_is_no_pod():
    assert suspected(a=(1000, 5), b=(1000, 60), shared=("b",)) is None


def test_what_is_merged_is_no_pod():
    assert suspected(**{"a": (1000, 5), OTHERS: (1000, 60)}) is None


def test_a_pod_with_too_few_hits_is_named_where_too_few_are_judged():
    good = Terms(10.0, Tolerance(None, 0.0, 10), (1.0,), CERTAIN)
    hits = Counts(20_000, 10_000)
    pods = {"a": (1000, 500), "b": (1000, 100), "c": (1000, 505)}
    assert suspected(Side.LESS, good, hits, **pods) == "b"


def test_answers_are_summed_over_looks_by_scrape_target():
    found = targets.added((), counted({"a": (10, 1), "b": (5, 0)}))
    found = targets.added(found, counted({"a": (10, 2)}))
    assert found == (Target("app/a", Counts(20, 3)), Target("app/b", Counts(5, 0)))


def test_a_target_that_once_counted_for_stable_stays_known_as_shared():
    found = targets.added((), counted({"a": (10, 1)}, {"app/a": STABLE}))
    assert targets.added(found, counted({"a": (10, 1)}))[0].shared


def test_a_bad_pod_among_many_keeps_its_name():
    many = {f"p{number:03}": (100, 1) for number in range(100)} | {"worst": (100, 40)}
    found = targets.added((), counted(many))
    assert len(found) == MOST_TARGETS
    assert Target("app/worst", Counts(100, 40)) in found


looks = st.dictionaries(
    st.sampled_from([f"p{number}" for number in range(60)]),
    st.tuples(st.integers(1, 50), st.integers(0, 1)),
    max_size=60,
)


@given(st.lists(looks, max_size=5))
def test_no_answer_is_lost_and_the_number_of_targets_is_bounded(each):
    found = ()
    for one in each:
        found = targets.added(found, counted(one))
    assert len(found) <= MOST_TARGETS
    total = sum((Counts(*counts) for one in each for counts in one.values()), Counts())
    assert sum((one.counts for one in found), Counts()) == total
    assert targets.of_payload(targets.to_payload(found)) == found


def released(pods, count=4, fixed=TERMS, stable=(2000, 10)):
    """The record of a release whose looks are all alike."""
    kept = MetricRecord((Part("", Record(fixed)),))
    for number in range(1, count + 1):
        look = counted(pods, {"app/old": Counts(*stable)})
        cells = look.candidate
        kept = kept.with_looks(
            [
                Look(number, 0, look.candidate_counts, look.stable_counts,
                     worst_cell(cells, 0.01), len(cells), 10)
            ],
            [look],
        )  # fmt: skip
    return kept


def judged(kept, alpha=0.01):
    return judge(kept, name="errors", step=0, alpha=alpha, miss_rate=0.05)


BROKEN = {"a": (250, 1), "b": (250, 30), "c": (250, 1)}
SENTENCE = (
    "most of the excess is pod app/b: 12 % (120 of 1,000), the other pods 0.40 % (8 of 2,000); "
    "look at that pod"
)


def test_worse_acts_although_it_is_one_pod_and_says_which():
    said = judged(released(BROKEN))
    assert said.verdict is Verdict.WORSE
    assert said.why.endswith(SENTENCE)
    assert said.doubt == ""


def test_what_is_not_yet_worse_is_doubted_where_it_is_one_pod():
    said = judged(released(BROKEN), alpha=1e-300)
    assert said.verdict is Verdict.LEARNING
    assert said.doubt.startswith("errors: evidence that it is worse ")
    assert "pod app/b" in said.doubt


def test_what_is_proven_safe_is_not_doubted():
    said = judged(released({"a": (250, 1), "b": (250, 4), "c": (250, 1)}, 40))
    assert (said.verdict, said.doubt) == (Verdict.SAFE, "")


def test_targets_are_stored_and_read_and_a_look_counts_once():
    kept = released(BROKEN)
    assert MetricRecord.decode(kept.encode()) == kept
    again = kept.with_looks([kept.first.looks[-1]], [counted(BROKEN)])
    assert again == kept


def test_an_earlier_look_is_redone_without_sums_that_came_later():
    kept = released(BROKEN)
    assert kept.until(4) == kept
    assert kept.until(3).parts[0].targets == ()
