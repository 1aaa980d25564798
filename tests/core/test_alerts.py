"""What Alertmanager says about alerts, and the book of what is known."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core import alerts
from penstock.core.alert_payloads import PayloadError, read_alerts, read_payload
from penstock.core.alerts import NEVER, Book, Payload

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEEP = timedelta(hours=5)
ZERO = "0001-01-01T00:00:00Z"


def later(seconds):
    return NOW + timedelta(seconds=seconds)


def alert(status="firing", began=0, ended=None, **labels):
    """Return an alert as a webhook has it; times are seconds after NOW."""
    names = {"alertname": "Burn", "namespace": "ml", **labels}
    return {
        "status": status,
        "labels": names,
        "annotations": {},
        "startsAt": later(began).isoformat(),
        "endsAt": ZERO if ended is None else later(ended).isoformat(),
        "generatorURL": "http://prometheus/graph",
        "fingerprint": str(hash(tuple(sorted(names.items()))) % 2**64),
    }


def resolved(began=0, ended=10, **labels):
    return alert("resolved", began, ended, **labels)


def body(*found, **more):
    return {"version": "4", "groupKey": "{}", "truncatedAlerts": 0, "alerts": list(found), **more}


def payload(*found, **more):
    return read_payload(body(*found, **more), NOW, KEEP)


def book(*payloads, now=NOW):
    found = Book()
    for one in payloads:
        found = found.with_payload(one, now)
    return found


def firing(found, now=NOW, namespace="ml"):
    return [alarm for alarm in found.known(namespace, now) if alarm.firing]


def test_an_alert_is_read_with_its_labels_and_its_start():
    (alarm,) = firing(book(payload(alert(began=-30, severity="page"))))
    assert alarm.matches({"alertname": "Burn", "severity": "page"})
    assert alarm.began == later(-30)
    assert str(alarm) == 'alert Burn {severity="page"}, firing since 2026-11-24T11:59:30+00:00'


def test_a_label_matches_by_its_whole_value_and_an_absent_one_is_empty():
    (alarm,) = payload(alert(severity="page")).alarms
    assert not alarm.matches({"severity": "pag.*"})
    assert not alarm.matches({"severity": "page", "team": "a"})
    assert alarm.matches({"team": ""})


def test_the_status_of_the_group_says_nothing_of_one_alert():
    found = book(payload(alert(a="1"), resolved(a="2"), status="firing"))
    assert [dict(alarm.labels)["a"] for alarm in firing(found)] == ["1"]


def test_nanoseconds_and_other_time_zones_are_read():
    content = alert() | {"startsAt": "2026-11-24T13:00:00.123456789+01:00"}
    (alarm,) = payload(content).alarms
    assert alarm.began == NOW + timedelta(microseconds=123456)


def test_the_end_of_an_alert_ends_it_and_it_is_remembered_that_it_fired():
    found = book(payload(alert()), payload(resolved()))
    assert firing(found) == []
    assert len(found.known("ml", NOW)) == 1


def test_an_end_that_was_heard_before_its_beginning_ends_it_too():
    assert firing(book(payload(resolved()), payload(alert()))) == []


def test_an_alert_that_fires_anew_fires():
    (alarm,) = firing(book(payload(alert()), payload(resolved(ended=10)), payload(alert(began=11))))
    assert alarm.began == later(11)


def test_a_delivery_that_was_cut_off_ends_nothing():
    cut = payload(alert(a="1"), truncatedAlerts=3)
    assert cut.truncated == 3
    assert len(firing(book(payload(alert(a="1"), alert(a="2")), cut))) == 2


def test_an_alert_of_another_namespace_or_of_none_is_not_ours():
    without = alert() | {"labels": {"alertname": "Burn"}}
    found = book(payload(without, alert(namespace="shop")))
    assert firing(found) == []
    assert len(firing(found, namespace="shop")) == 1


def test_an_alert_that_is_not_repeated_is_forgotten():
    found = book(payload(alert()))
    assert firing(found, now=NOW + KEEP - timedelta(seconds=1))
    assert not found.known("ml", NOW + KEEP)
    other = found.with_payload(payload(alert(namespace="shop")), NOW + KEEP - timedelta(seconds=1))
    assert other.namespaces() == {"ml", "shop"}
    assert found.with_payload(Payload(()), NOW + KEEP).namespaces() == frozenset()


def test_the_book_is_bounded_per_namespace(monkeypatch):
    monkeypatch.setattr(alerts, "MOST_ALARMS", 3)
    many = payload(*(alert(a=str(number)) for number in range(9)), alert(namespace="shop"))
    found = book(many)
    assert (len(firing(found)), len(firing(found, namespace="shop"))) == (3, 1)


deliveries = st.lists(
    st.builds(
        lambda ended, began, label: (resolved(began, began + 5, a=label) if ended
                                     else alert(began=began, a=label)),
        st.booleans(), st.integers(-20, 20), st.sampled_from("xyz"),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


@given(st.lists(deliveries, min_size=1, max_size=6), st.randoms())
def test_any_order_and_any_repetition_of_deliveries_gives_the_same_book(several, random):
    payloads = [payload(*one) for one in several]
    again = [*payloads, *random.choices(payloads, k=3)]
    random.shuffle(again)
    assert book(*payloads) == book(*again)


@given(deliveries)
def test_a_delivery_that_comes_twice_is_no_news(found):
    first = book(payload(*found))
    assert alerts.news(first, first.with_payload(payload(*found), later(1))) == ()


def test_a_beginning_and_an_end_are_news():
    empty, begun = Book(), book(payload(alert()))
    ended = begun.with_payload(payload(resolved()), NOW)
    assert [alarm.firing for alarm in alerts.news(empty, begun)] == [True]
    assert [alarm.firing for alarm in alerts.news(begun, ended)] == [False]


def gettable(state="active", began=0, ended=240, **labels):
    """Return an alert as the API has it."""
    status = {"state": state, "silencedBy": [], "inhibitedBy": []}
    return alert(began=began, ended=ended, **labels) | {"status": status}


def polled(found, *shown, now=NOW, source="main"):
    return found.with_poll(source, read_alerts(list(shown), now, KEEP), now)


def test_a_poll_shows_what_fires_and_absence_in_it_is_an_end():
    shown = polled(Book(), gettable(a="1"), gettable(a="2"))
    assert len(firing(shown)) == 2
    left = polled(shown, gettable(a="1"))
    assert [dict(alarm.labels)["a"] for alarm in firing(left)] == ["1"]
    assert len(left.known("ml", NOW)) == 2, "it did fire"


@pytest.mark.parametrize("state", ["suppressed", "unprocessed"])
def test_a_silenced_or_unprocessed_alert_does_not_fire(state):
    assert firing(polled(Book(), gettable(state))) == []


def test_an_alert_that_a_silence_hid_for_a_while_has_its_old_beginning():
    shown = polled(polled(polled(Book(), gettable()), now=later(1)), gettable(), now=later(2))
    (alarm,) = firing(shown, later(2))
    assert alarm.began == NOW


def test_two_sources_do_not_end_each_others_alerts():
    shown = polled(polled(Book(), gettable()), source="other")
    assert len(firing(shown)) == 1


def test_an_alert_of_a_source_that_is_silent_ends_when_it_says():
    shown = polled(Book(), gettable(ended=240))
    assert firing(shown, later(239))
    assert not firing(shown, later(241))


def test_a_poll_and_a_delivery_of_one_alert_are_one_alarm():
    found = polled(book(payload(alert())), gettable())
    assert len(firing(found)) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "the body must be an object"),
        ([], "the body must be an object"),
        ({}, 'only payloads of version "4" are read, this one says None'),
        (body(version="5"), "this one says '5'"),
        (body(truncatedAlerts="many"), "truncatedAlerts must be a count"),
        (body() | {"alerts": None}, "alerts must be a list"),
        (body(1), "alerts[0] must be an object"),
        (body(alert(), alert("pending")), "alerts[1].status must be firing or resolved"),
        (body(alert() | {"startsAt": "now"}), "alerts[0].startsAt must be a time"),
        (body(alert() | {"startsAt": "2026-11-24T12:00:00"}), "alerts[0].startsAt must be a time"),
        (body(resolved() | {"endsAt": None}), "alerts[0].endsAt must be a time"),
        (body(alert() | {"labels": ["a"]}), "alerts[0].labels must be an object"),
        (body(alert() | {"labels": {"a": 1}}), "alerts[0].labels must be texts"),
        (body(alert() | {"fingerprint": ""}), "alerts[0].fingerprint is missing"),
    ],
)
def test_a_payload_that_is_none_is_refused_with_a_sentence(content, words):
    with pytest.raises(PayloadError) as caught:
        read_payload(content, NOW, KEEP)
    assert words in str(caught.value)


def test_an_answer_that_is_no_list_of_alerts_is_refused():
    for content in ({}, [1], [alert()], [gettable() | {"endsAt": 1}]):
        with pytest.raises(PayloadError):
            read_alerts(content, NOW, KEEP)


def test_the_zero_time_of_alertmanager_is_no_time():
    content = resolved() | {"endsAt": "0001-01-01T00:00:00+01:00", "startsAt": ZERO}
    assert payload(content).alarms[0].resolved == NEVER
