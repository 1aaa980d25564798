"""The record of a metric of several proportions: kept, stored, read, and fitted into its metric."""

import base64
import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api.v1alpha1.analysis import Metric
from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.core import evidence, ledger, record_text
from penstock.core.counters import LookCounts
from penstock.core.looks import Counts
from penstock.core.metric_record import MetricRecord, Part
from penstock.core.record import KEPT_LOOKS, Record
from penstock.core.terms import Calibration, Terms, Tolerance
from tests.core.evidence_streams import Stream, look, record, terms
from tests.core.rollout.builders import spec
from tests.core.test_record import VERSION_1

EDGES = ("over 100 ms", "over 250 ms", "over 1000 ms")
KNOWN = Calibration(2.0, 0.2, 3.0, Counts(9000, 45), cautious_phi=2.5)


def empty(count=3, fixed=None):
    return MetricRecord(tuple(Part(label, Record(fixed or terms())) for label in EDGES[:count]))


def streams(count, **more):
    rates = (0.1, 0.02, 0.004)[:count]
    return [Stream(rate=rate, candidate_rate=rate, seed=9, **more) for rate in rates]


def grown(looks=20, count=3, fixed=None, **more):
    result = empty(count, fixed)
    for each in zip(*(one.looks(looks) for one in streams(count, **more)), strict=True):
        result = result.with_looks(each)
    return result


def payload(kept):
    return record_text.from_text(kept.encode())


def test_every_part_is_stored_and_read_with_its_label():
    kept = grown()
    read = MetricRecord.decode(kept.encode())
    assert read == kept
    assert [part.label for part in read.parts] == list(EDGES)
    assert read.weigh(0) == kept.weigh(0)


def test_what_is_stored_is_version_2_and_the_parts_are_beside_each_other():
    stored = payload(grown(2))
    assert stored["version"] == record_text.VERSION == 2
    assert [part["label"] for part in stored["parts"]] == list(EDGES)
    assert {len(part["candidate_bad"]) for part in stored["parts"]} == {2}


def test_both_directions_and_their_cells_are_stored():
    both = Terms(10.0, Tolerance(20, 0.1, 30), (0.1, 1.0), KNOWN)
    kept = MetricRecord.of(Record(both))
    for number in range(1, 8):
        kept = kept.with_looks([look(number, (9, 5), (90, 40), least=Counts(3, 1))])
    for one in (kept, kept.keeping(2)):
        assert MetricRecord.decode(one.encode()) == one
    assert len(kept.keeping(2).first.folded.sides) == 2


@pytest.mark.parametrize("tolerance", [Tolerance(None, 0.1, 30), Tolerance(None, 0, 99)])
def test_an_increase_that_is_not_bounded_is_stored_as_such(tolerance):
    kept = MetricRecord.of(Record(Terms(10.0, tolerance, (1.0,))))
    assert MetricRecord.decode(kept.encode()).first.terms.tolerance == tolerance


def test_a_record_of_version_1_is_the_only_part_of_a_metric():
    kept = MetricRecord.decode(VERSION_1)
    assert [part.label for part in kept.parts] == [""]
    assert (kept.last_number, len(kept.first), kept.first.folded.number) == (5, 2, 3)
    assert kept.first.terms == terms()
    assert kept.weigh(0).worse == pytest.approx(-0.34865694918701806)


def test_a_record_of_version_1_goes_on_as_version_2():
    old = MetricRecord.decode(VERSION_1)
    longer = old.with_looks([look(6, (100, 2), (900, 4))])
    read = MetricRecord.decode(longer.encode())
    assert payload(longer)["version"] == 2
    assert (read, read.last_number) == (longer, 6)


def test_600_looks_of_three_parts_of_a_busy_service_fit_into_16_kib():
    kept = grown(600, per_look=6e6, pods=10)
    text = kept.encode()
    read = MetricRecord.decode(text)
    assert len(text) <= record_text.MAX_CHARACTERS
    assert read.last_number == kept.last_number == 600
    assert {len(part.record) for part in kept.parts} == {KEPT_LOOKS}
    assert len({len(part.record) for part in read.parts}) == 1
    assert len(read.first) > 100
    before, after = kept.weigh(0), read.weigh(0)
    assert after.worse == pytest.approx(before.worse, rel=1e-9)
    assert after.safe == pytest.approx(before.safe, rel=1e-9)
    assert after.worse_without_worst_cell <= before.worse_without_worst_cell + 1e-9
    assert read.baked_seconds(0) == kept.baked_seconds(0) == 6000.0
    assert read.answers(0) == kept.answers(0)


def test_what_fits_is_not_folded():
    kept = grown(40)
    assert len(MetricRecord.decode(kept.encode()).first) == 40


@settings(deadline=None, max_examples=20)
@given(
    count=st.integers(1, 3),
    looks=st.integers(1, 12),
    kept_looks=st.integers(1, 12),
    decrease=st.sampled_from((None, 20)),
    calibration=st.sampled_from((Calibration(), KNOWN)),
    label=st.text(max_size=12),
)
def test_every_record_can_be_stored_and_read(
    count, looks, kept_looks, decrease, calibration, label
):
    fixed = Terms(10.0, Tolerance(20, 0.1, decrease), (0.05, 1.0), calibration)
    kept = grown(looks, count, fixed).keeping(kept_looks)
    first, *rest = kept.parts
    kept = MetricRecord((replace(first, label=label), *rest))
    assert MetricRecord.decode(kept.encode()) == kept


def test_the_evidence_of_a_metric_is_that_of_its_parts_together():
    kept = grown()
    assert kept.weigh(0) == evidence.together([part.record.weigh(0) for part in kept.parts])


def test_a_look_that_is_not_newer_changes_nothing():
    kept = grown(5, count=2)
    assert kept.with_looks([look(5, (100, 50), (900, 1))] * 2) == kept


def test_a_look_is_given_for_every_part():
    with pytest.raises(ValueError, match="zip"):
        grown(2).with_looks([look(3, (10, 1), (90, 1))])


def test_what_a_history_says_is_fixed_per_part_before_the_first_look():
    each = tuple(replace(KNOWN, phi=phi) for phi in (1.0, 2.0, 3.0))
    kept = empty().calibrated(each)
    assert [part.record.terms.calibration for part in kept.parts] == list(each)
    assert [part.label for part in kept.parts] == list(EDGES)
    assert MetricRecord.decode(kept.encode()) == kept
    again = kept.calibrated([KNOWN] * 3)
    assert {part.record.terms.calibration for part in again.parts} == {KNOWN}


@pytest.mark.parametrize("folded", [False, True])
def test_a_history_changes_nothing_after_the_first_look(folded):
    kept = grown(4)
    kept = kept.keeping(1) if folded else kept
    assert kept.calibrated([KNOWN] * 3) is kept


def test_a_history_moves_the_evidence():
    known, unknown = empty(1).calibrated([KNOWN]), empty(1)
    for each in Stream(candidate_rate=0.05).looks(10):
        known, unknown = known.with_looks([each]), unknown.with_looks([each])
    assert 0 < known.weigh(0).worse < unknown.weigh(0).worse


def stored(**content):
    packed = json.dumps({"version": 2, **content}).encode()
    return base64.b64encode(zlib.compress(packed)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        stored(),
        stored(parts=[]),
        stored(parts=[{"label": "x"}]),
        stored(parts={"label": "x"}),
        stored(parts=None),
    ],
)
def test_a_record_without_a_usable_part_is_refused(text):
    with pytest.raises(ValueError, match="record"):
        MetricRecord.decode(text)


def rails(edges=(100, 250), **more):
    """A distribution's guardrail, or that of a proportion where there are no edges."""
    buckets = {"distribution": {"buckets": "b{$variant}", "unit": "ms"}}
    proportion = {"proportion": {"total": "a{$variant}", "bad": "b{$variant}"}}
    template = MetricTemplateSpec.model_validate(buckets if edges else proportion)
    more |= {"edges": edges} if edges else {}
    metric = Metric.model_validate({"template": "latency", **more})
    return (ledger.guardrail(metric, template),)


def counted(guardrails):
    """A ledger with one look of each part, and its text."""
    book = ledger.empty(spec(), guardrails)
    kept = book.proportions["latency"]
    kept = kept.with_looks([look(1, (9, 2), (90, 4))] * len(kept.parts))
    book = book.with_proportion("latency", kept)
    return book, book.encode()


def test_a_metric_has_a_part_per_edge():
    book, texts = counted(rails())
    assert [part.label for part in book.proportions["latency"].parts] == [
        "over 100 ms",
        "over 250 ms",
    ]
    assert ledger.decode(texts, spec(), rails()) == (book, ())


@pytest.mark.parametrize("edges", [(100,), (100, 300), (250, 500), (100, 250, 500), ()])
def test_a_record_that_counts_something_else_begins_anew(edges):
    _, texts = counted(rails())
    changed = rails(edges)
    assert ledger.decode(texts, spec(), changed) == (ledger.empty(spec(), changed), ("latency",))


def test_a_proportion_of_version_1_goes_on_where_it_is_still_one():
    book, damaged = ledger.decode({"latency": VERSION_1}, spec(), rails(()))
    assert (book.proportions["latency"].last_number, damaged) == (5, ())
    book, damaged = ledger.decode({"latency": VERSION_1}, spec(), rails())
    assert (book.last_number, damaged) == (0, ("latency",))


def test_a_tolerance_that_was_changed_meanwhile_is_that_of_the_record():
    _, texts = counted(rails())
    book, damaged = ledger.decode(texts, spec(), rails(maxIncrease=90, maxDecrease=50))
    kept = book.proportions["latency"]
    assert ({part.record.terms.tolerance for part in kept.parts}, damaged) == (
        {Tolerance(20, 0.1)},
        (),
    )


def test_better_higher_counts_the_good_and_bounds_the_fall():
    proportion = {"total": "a{$variant}", "good": "g{$variant}"}
    template = MetricTemplateSpec.model_validate({"proportion": proportion, "better": "Higher"})
    rail = ledger.guardrail(Metric.model_validate({"template": "success"}), template)
    (one,) = rail.counted
    assert (one.proportion.bad, one.proportion.good) == ("g{$variant}", None)
    assert rail.tolerance == Tolerance(None, 0.1, 20)


def test_a_single_proportion_is_stored_as_it_was_counted():
    kept = MetricRecord.of(record(Stream(candidate_rate=0.01, warm_until=5), 30))
    assert MetricRecord.decode(kept.encode()).weigh(0) == kept.weigh(0)


def test_what_the_targets_count_is_kept_until_a_look_shows_otherwise():
    kept = empty()
    for number, apart, known in ((10, None, False), (11, True, True), (12, None, True)):
        counted = [LookCounts({}, {}, datetime.now(UTC), apart=apart) for _ in kept.parts]
        looks = [look(number, (9, 5), (90, 40)) for _ in kept.parts]
        kept = MetricRecord.decode(kept.with_looks(looks, counted).encode())
        assert kept.apart is known
