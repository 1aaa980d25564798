import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core import looks, record_text
from penstock.core.looks import Counts, Look, worst_cell
from penstock.core.metric_record import MetricRecord
from penstock.core.record import KEPT_LOOKS, Record
from tests.core.evidence_streams import Stream, look, record, terms

COUNTS = st.integers(0, 60).flatmap(
    lambda total: st.integers(0, total).map(lambda bad: Counts(total, bad))
)


@st.composite
def looks_of_a_release(draw):
    number, step, result = 0, 0, []
    for _ in range(draw(st.integers(1, 12))):
        number += draw(st.integers(1, 4))
        step += draw(st.sampled_from((0, 0, 0, 1)))
        candidate = draw(COUNTS)
        bad = draw(st.integers(0, candidate.bad))
        result.append(
            Look(
                number=number,
                step=step,
                warm=draw(st.booleans()),
                candidate=candidate,
                stable=draw(COUNTS),
                worst=Counts(bad + draw(st.integers(0, candidate.good)), bad),
                candidate_pods=draw(st.integers(0, 5)),
                stable_pods=draw(st.integers(0, 30)),
            )
        )
    return tuple(result)


def of(each_look, fixed=None):
    result = Record(fixed or terms())
    for each in each_look:
        result = result.with_look(each)
    return result


def assert_same_evidence(one, other, step):
    one, other = one.weigh(step), other.weigh(step)
    assert one.worse == pytest.approx(other.worse, rel=1e-9, abs=1e-9)
    assert one.safe == pytest.approx(other.safe, rel=1e-9, abs=1e-9)


def test_counts_refuse_more_bad_answers_than_answers():
    with pytest.raises(ValueError, match="5 bad of 4"):
        Counts(4, 5)


def test_a_look_refuses_a_cell_that_is_no_part_of_the_candidate():
    with pytest.raises(ValueError, match="not within"):
        look(1, (10, 2), (90, 1), worst=(10, 1))


def test_looks_are_numbered_from_one():
    with pytest.raises(ValueError, match="look 0"):
        look(0, (10, 2), (90, 1))


@pytest.mark.parametrize("exposures", [(0.0, 1.0), (0.05, 1.5)])
def test_terms_refuse_exposures_that_are_no_share_of_the_users(exposures):
    with pytest.raises(ValueError, match="exposures"):
        terms(exposures=exposures)


def test_the_most_incriminating_cell_has_the_most_bad_answers_beyond_the_tolerated():
    cells = {"a": Counts(1000, 100), "b": Counts(50, 45), "c": Counts(3, 3)}
    assert worst_cell(cells, 0.001) == Counts(1000, 100)
    assert worst_cell(cells, 0.1) == Counts(50, 45)
    assert worst_cell({}, 0.1) == Counts()


@settings(deadline=None)
@given(looks_of_a_release())
def test_a_record_gives_back_its_looks(each_look):
    kept = of(each_look)
    assert kept.looks == each_look
    assert kept.last_number == each_look[-1].number
    assert len(kept) == len(each_look)


def encoded(kept):
    return MetricRecord.of(kept).encode()


def decoded(text):
    (part,) = MetricRecord.decode(text).parts
    return part.record


def test_a_look_that_is_not_newer_changes_nothing():
    kept = record(Stream(), 5)
    assert kept.with_look(look(5, (100, 50), (900, 1))) is kept
    assert kept.with_look(look(2, (100, 50), (900, 1))) is kept
    assert kept.with_look(look(6, (100, 50), (900, 1))).last_number == 6


def test_an_empty_record_knows_nothing():
    empty = Record(terms())
    assert (empty.last_number, empty.baked_seconds(0)) == (0, 0.0)
    assert empty.weigh(0) == type(empty.weigh(0))(0.0, 0.0, 0.0)
    assert decoded(encoded(empty)) == empty


@settings(deadline=None)
@given(looks_of_a_release(), st.integers(1, 12))
def test_folding_changes_no_evidence_and_no_time(each_look, kept_looks):
    whole = of(each_look)
    folded = whole.keeping(kept_looks)
    assert len(folded) == min(kept_looks, len(whole))
    step = each_look[-1].step
    assert_same_evidence(folded, whole, step)
    least, seen = folded.weigh(step), whole.weigh(step)
    assert least.worse_without_worst_cell <= seen.worse_without_worst_cell + 1e-9
    assert least.worse_without_worst_cell <= least.worse + 1e-9
    assert folded.answers(step) == whole.answers(step)
    assert folded.last_number == whole.last_number
    for each in range(step + 2):
        assert folded.baked_seconds(each) == whole.baked_seconds(each)


@settings(deadline=None)
@given(looks_of_a_release(), st.data())
def test_folding_may_be_done_look_by_look_or_at_once(each_look, data):
    cut = data.draw(st.integers(1, len(each_look)))
    gradually = Record(terms())
    for each in each_look:
        gradually = gradually.with_look(each).keeping(cut)
    assert_same_evidence(gradually, of(each_look).keeping(cut), each_look[-1].step)


def test_a_long_release_keeps_its_last_looks_and_loses_no_evidence():
    stream = Stream(candidate_rate=0.008, warm_until=18)
    long = record(stream, 700)
    everything = Record(terms(), b"".join(looks.pack(each) for each in stream.looks(700)))
    assert (len(long), len(everything)) == (KEPT_LOOKS, 700)
    assert long.folded.number == 700 - KEPT_LOOKS
    assert_same_evidence(long, everything, 0)
    assert long.baked_seconds(0) == 7000.0


def test_the_time_of_a_step_counts_looks_with_data_only():
    kept = of(
        [
            look(1, (10, 0), (90, 0)),
            look(2, (0, 0), (0, 0)),
            look(3, (0, 0), (90, 0)),
            look(4, (10, 0), (90, 0), step=2),
        ]
    )
    assert [kept.baked_seconds(step) for step in range(4)] == [20.0, 0.0, 10.0, 0.0]


def test_evidence_does_not_change_when_a_record_is_stored_and_read():
    for count in (1, 30, 700):
        kept = record(Stream(candidate_rate=0.01, warm_until=5), count)
        read = decoded(encoded(kept))
        assert read == kept
        assert read.weigh(0) == kept.weigh(0)


@settings(deadline=None)
@given(looks_of_a_release(), st.integers(1, 12))
def test_every_record_can_be_stored_and_read(each_look, kept_looks):
    kept = of(each_look).keeping(kept_looks)
    assert decoded(encoded(kept)) == kept


def random_looks(count, largest):
    generator = np.random.default_rng(8)
    for number in range(1, count + 1):
        n, m = (int(total) for total in generator.integers(largest // 2, largest, 2))
        x, y = int(generator.integers(0, n)), int(generator.integers(0, m))
        cell = int(generator.integers(0, n - x)), int(generator.integers(0, x))
        yield look(number, (n, x), (m, y), worst=(sum(cell), cell[1]), candidate_pods=number % 7)


def test_512_looks_of_a_busy_service_fit_into_16_kib():
    kept = record(Stream(per_look=6e6, pods=10), 600)
    text = encoded(kept)
    assert len(text) <= record_text.MAX_CHARACTERS
    assert decoded(text) == kept


def test_looks_that_do_not_fit_are_folded():
    kept = of(random_looks(520, 10**12))
    text = encoded(kept)
    read = decoded(text)
    assert len(text) <= record_text.MAX_CHARACTERS
    assert 200 < len(read) < KEPT_LOOKS
    assert_same_evidence(read, kept, 0)


VERSION_1 = (
    "eNp9VO1u20gMfBf93ghLcpdc5lWCIFBstTWqWK6ktD0EefcbKk7SAocLYMWa5efMrF+6n+OynuZzd0upO523cfk5"
    "TA/reJjPxxVg7nPqtnkal+F8GLvbl+5p+P1wOh+WcVjxznvAOg2H791t7uk1dePvy7w+LyPS73BaU+45HjVRn+9T"
    "dxim0+MybHvXl+7y7YQ+OO3WC4oe9zKp+/E8nLfTFC16T92307rNyz+RsM3bMCEqdY979Ct6np+fHscFDSkRWqzb"
    "eInuKfr9Gpanj5fDcD6ejsM2PlzL3JEm0b9O9rLX+HUbHqfPYLacuMrnwVusJI5G87JuH6GSqH2Af5b8bHSZg+M7"
    "3rOvBa8Ytbf0L/N0HI+x9vuK8r5efs/5gxRzv9JiYGWavz5Ef0Tc3UCAQphfnTS7SaUETGpuuQn+sRlBLGBciqrm"
    "StWtFvY3DOfNKlEVbVn2XK2Sm5KIuHM2DVAlm7DKHiuN0w1UR5XIs0ZZKZKp12Lk1RAjmWoBxn2h1gqZZy41O+aT"
    "Xqw1fHWVirbaooVj/Ma5MllVnOzlrDDXpqwsVSiqqUtr+HBz1mpRzRVjZs6as5lzSTcVDFBxaIptmhjm1R4vXp0R"
    "AEYcPa2v7jh2EpTQqI+bgTwTsVJaa3gCk97MmMgbgwPQ/V/YhykO4zRdL4mpggxujUrO4hx3RlQrNWsV7IQQwASy"
    "sQj0KRnEEaACVmozb8UxRZO4aDWLegkOIYMGYoXAPgjyBsgDKhCqgb+qXF0iqhTkB7fO0qCBxRQRAw+AZtWQD1iO"
    "ERjfuUDtUD5Agj7ENaOpKNF+5aGsFLMwEwiEWWKJ/H+f+zfXrsOX8Y2ZRljXC7yColljPwItzQuEKI62MAXiQqzw"
    "rZRaWYN5gArOBYYwmBQC7AYVWBB/XipWKlZ202Zyg4xcC3jMu+O9ZLAqNZyIZw2XCRKZwSTqoUlAlguYQVI20vAK"
    "90QYN0uMKa0aVhrO6y/8zmIjawl39D4u6fdx/+m4f339F21zWsE="
)


def test_a_record_of_version_1_is_read():
    kept = decoded(VERSION_1)
    assert kept.terms == terms()
    assert (len(kept), kept.folded.number, kept.last_number) == (2, 3, 5)
    seen = kept.weigh(0)
    assert seen.worse == pytest.approx(-0.34865694918701806)
    assert seen.safe == pytest.approx(0.894729188107876)


def test_unknown_and_missing_details_do_not_stop_an_operator_of_another_age():
    payload = record_text.from_text(encoded(record(Stream(), 3).keeping(1)))
    (part,) = payload["parts"]
    payload["comment"] = part["calibration"]["sums"] = part["folded"]["more"] = 1
    del part["calibration"]["quantile"], part["least_bad"]
    assert decoded(record_text.to_text(payload)) == record(Stream(), 3).keeping(1)


@pytest.mark.parametrize("text", ["", "nonsense", "bm9uc2Vuc2U=", record_text.to_text({})])
def test_damaged_text_is_refused(text):
    with pytest.raises(ValueError, match="record"):
        decoded(text)


def test_a_record_of_a_newer_version_is_refused(monkeypatch):
    monkeypatch.setattr(record_text, "VERSION", record_text.VERSION + 1)
    newer = encoded(record(Stream(), 3))
    monkeypatch.undo()
    with pytest.raises(ValueError, match="version"):
        decoded(newer)


def test_stables_rate_counts_folded_looks_too():
    kept = of([look(1, (10, 0), (150, 30)), look(2, (10, 0), (100, 20))])
    for each in (kept, kept.keeping(1)):
        assert each.stable_rate == pytest.approx(50.5 / 300)
        assert each.tolerated[1] == pytest.approx(50.5 / 300 * 1.2 + 0.001)


def test_evidence_is_finite_whatever_is_counted():
    seen = of(random_looks(3, 10**12)).weigh(0)
    assert all(math.isfinite(value) for value in (seen.worse, seen.safe))
