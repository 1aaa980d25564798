"""Rules 7, 8, 11: the destination list, whatever stood in it before."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.traffic import shares
from tests.core.traffic.test_traffic import EXISTING, other, split, status, target, to

TENTHS = st.integers(1, 9999).map(lambda units: units / 100)
LISTS = st.lists(
    st.tuples(st.sampled_from(["v1", "v2", "", "debug", "other"]), st.integers(0, 120)), max_size=6
)


def listed(entries):
    made = []
    for where, weight in entries:
        if where == "other":
            made.append(other(weight))
        elif where:
            made.append(to(where, weight))
        else:
            made.append({"destination": {"host": "fraud"}, "weight": weight})
    return made


@given(LISTS, TENTHS | st.just(0) | st.just(100), st.sampled_from([100, 10_000]), st.booleans())
def test_rule_7_envoy_never_gets_a_list_that_it_would_reject(entries, weight, total, sticky):
    live = listed(entries)
    made = split(live, weight, total, sticky=sticky)
    assert all(entry["weight"] >= 0 for entry in made)
    assert sum(entry["weight"] for entry in made) == total
    if sticky:
        assert len(made) > 1
    assert split(made, weight, total, sticky=sticky) == made, "written once, it stays"
    third = [d for d in live if shares.has_third([d], target())]
    assert [d["destination"] for d in made[len(made) - len(third) :]] == [
        d["destination"] for d in third
    ]


@given(LISTS, TENTHS, st.sampled_from([100, 10_000]))
def test_rule_11_the_candidate_stands_first_and_never_gets_more_than_its_share(
    entries, weight, total
):
    made = split(listed(entries), weight, total)
    first, second = made[:2]
    assert [first["destination"]["subset"], second["destination"]["subset"]] == ["v2", "v1"]
    assert first["weight"] <= (first["weight"] + second["weight"]) * weight / 100 + 1e-6


@given(st.integers(1, 9999))
def test_rule_11_every_weight_of_two_decimals_is_exact(hundredths):
    made = split([], hundredths / 100, 10_000)
    assert [entry["weight"] for entry in made] == [hundredths, 10_000 - hundredths]


@given(st.lists(st.integers(1, 99), min_size=2, max_size=5, unique=True).map(sorted))
def test_rule_11_while_the_weight_grows_nobody_leaves_the_candidate(weights):
    """A place of 0 to 99 is walked through the list in its order, as Envoy does."""
    here = set()
    for weight in [*weights, 100]:
        made = split([], weight, 100, sticky=True)
        now, edge = set(), 0
        for entry in made:
            if entry["destination"]["subset"] == "v2":
                now |= set(range(edge, edge + entry["weight"]))
            edge += entry["weight"]
        assert here <= now
        assert len(now) == weight
        here = now


def test_rule_8_six_third_destinations_that_had_everything_keep_everything():
    live = [to("v1", 0), *(other(1, f"other-{n}") for n in range(6))]
    for sticky in (False, True):
        made = split(live, 0, 100, sticky=sticky)
        assert all(entry["weight"] >= 0 for entry in made)
        assert sum(entry["weight"] for entry in made) == 100


def test_rule_8_a_destination_that_stands_alone_has_everything():
    assert split([{"destination": {"host": "fraud"}}], 5) == [to("v2", 5), to("v1", 95)]
    assert shares.seen_shares([{"destination": {"host": "fraud"}}], target()) == {"": 100.0}


def test_shares_are_of_what_is_ours_and_a_version_in_two_places_counts_once():
    live = [to("v2", 10), to("v1", 60), to("v1", 10), other(20)]
    assert shares.seen_shares(live, target()) == {"v2": 12.5, "v1": 87.5}
    assert shares.has_third(live, target())
    assert not shares.has_third(live[:3], target())
    assert shares.seen_shares([to("v1", 0), to("v2", 0)], target()) == {}


def test_rule_8_a_subset_that_is_no_version_of_ours_is_left_where_it_is():
    live = [to("v1", 90), to("debug", 10)]
    assert split(live, 50, 10_000) == [to("v2", 4500), to("v1", 4500), to("debug", 1000)]


def test_lists_are_the_same_when_they_send_the_same_to_the_same_in_the_same_order():
    one = [to("v2", 5), to("v1", 95)]
    assert shares.same(one, [dict(entry, headers={"a": 1}) for entry in one])
    assert not shares.same(one, list(reversed(one)))
    assert not shares.same(one, [to("v2", 6), to("v1", 94)])
    assert not shares.same(one, one[:1])
    alone = [{"destination": to("v1", 100)["destination"]}]
    assert shares.same(alone, [to("v1", 100)]), "alone, it has everything with or without weight"


def test_a_port_is_kept_for_a_version_that_is_new_to_the_list():
    live = [{"destination": {"host": "fraud", "port": {"number": 80}}, "weight": 100}]
    made = split(live, 100, where=target(EXISTING))
    assert [entry["destination"].get("port") for entry in made] == [{"number": 80}]


def test_rule_7_whether_twice_or_not_nothing_changes_for_a_split():
    for weight in (1, 50, 99):
        want = shares.wanted(status(weight), double=True)
        assert (want.double, want.versions) == (True, ("v2", "v1"))
