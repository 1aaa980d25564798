"""Rates per segment: counted beside the look, kept in the record, reported and never decided on."""

from penstock.core.counters import take_look
from penstock.core.looks import Counts
from penstock.core.metric_record import MetricRecord, Segment
from penstock.core.record import Record
from tests.core.evidence_streams import terms
from tests.core.prometheus_simulation import instant
from tests.core.test_counters import pod, rows


def looked(by):
    _, baseline = take_look(
        None, rows(pod("a", sampled=9, stable_200=5, candidate_200=1), pod("b", sampled=9,
        stable_200=1), back=0.0), instant(10), instant(0),
    )  # fmt: skip
    later = rows(
        pod("a", sampled=19, stable_200=9, stable_500=3, candidate_200=2),
        pod("b", sampled=19, stable_200=4),
    )
    said, _ = take_look(baseline, later, instant(20), instant(0), by)
    return said


def test_a_look_is_told_apart_by_the_labels_asked_for():
    assert looked(("version", "region")).segments == {
        "stable/-": (Counts(), Counts(10, 3)),
        "candidate/-": (Counts(1, 0), Counts()),
    }
    assert looked(()).segments == {}


def test_segments_change_nothing_in_the_counts():
    assert looked(("version",)).stable_counts == looked(()).stable_counts == Counts(10, 3)


def test_the_record_sums_them_keeps_the_busiest_and_is_stored_with_them():
    record = MetricRecord.of(Record(terms()))
    for _ in range(2):
        record = record.with_segments(
            {f"s{n:02}": (Counts(n, 1), Counts(n, 0)) for n in range(1, 15)}
        )
    assert [one.name for one in record.segments] == [f"s{n:02}" for n in range(14, 4, -1)]
    assert record.segments[0] == Segment("s14", Counts(28, 2), Counts(28, 0))
    assert MetricRecord.decode(record.encode()) == record
