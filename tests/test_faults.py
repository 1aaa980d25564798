"""What goes wrong around a release: refused writes, lost objects, other hands, other versions."""

from datetime import timedelta

import pytest

from penstock.core.kinds import (
    DESTINATION_RULE,
    METRIC_TEMPLATE,
    POD,
    RELEASE,
    ROLLOUT,
    SERVICE,
    VIRTUAL_SERVICE,
    Key,
    key_of,
)
from penstock.ports import ConflictError
from tests import fakes
from tests.fakes import CATALOGUE, KEY, NAMESPACE, CrashError
from tests.strict import StrictStage
from tests.test_reconciler import LADDER, released

RULE = Key(NAMESPACE, "fraud-penstock")
NONSENSE = [{"weight": 50}, {"weight": 5}]


async def at_5(*form, **spec):
    """Return a stage whose release is at 5 %."""
    stage = StrictStage(*form, **spec)
    await stage.begin()
    await stage.at(5)
    return stage


def delete(stage):
    stage.cluster.objects[ROLLOUT, KEY]["metadata"]["deletionTimestamp"] = "2026-11-24T09:00:00Z"


async def gone(stage, seconds=120):
    await stage.run(lambda: (ROLLOUT, KEY) not in stage.cluster.objects, seconds)


def rule_of(stage):
    return stage.cluster.objects[DESTINATION_RULE, RULE]


def without(stage):
    """Return the Rollout as Git has it: made anew, it has no past."""
    body = stage.cluster.objects[ROLLOUT, KEY]
    meta = {"name": KEY.name, "namespace": KEY.namespace}
    return {k: v for k, v in body.items() if k != "status"} | {"metadata": meta}


# Rule 6: a rollback waits for no other write


@pytest.mark.parametrize("word", ["DestinationRule", "Release", "patch Rollout", "status Rollout"])
async def test_rule_6_a_rollback_is_stopped_by_no_other_write(word):
    stage = await at_5()
    stage.cluster.edit(DESTINATION_RULE, RULE, lambda live: live["metadata"].update(labels={}))
    stage.cluster.before = fakes.refuse(word)
    stage.say(abort="fraud-1#a")
    await stage.settle(10)
    assert stage.weights == [0, 1, 5, 0]
    stage.cluster.before = None
    await released(stage)
    assert (stage.phase, stage.weights, stage.faults) == ("RolledBack", [0, 1, 5, 0], [])


async def test_rule_6_while_the_status_cannot_be_written_nobody_gives_the_traffic_back():
    stage = await at_5()
    stage.cluster.before = fakes.refuse("status Rollout")
    stage.say(abort="fraud-1#a")
    await stage.settle(10)

    def give_back(live):
        places = [{"host": "fraud", "subset": version} for version in ("v2", "v1")]
        live["spec"]["http"][0]["route"] = [{"destination": p, "weight": 50} for p in places]

    stage.edit(give_back)
    stage.start()
    await stage.settle(10)
    assert stage.weights == [0, 1, 5, 0, 50, 0]


async def test_rule_6_an_old_mark_does_not_stand_in_for_a_new_one():
    """In somebody's own VirtualService a mark stays."""
    stage = await at_5("existing")
    for number in (1, 2):
        stage.cluster.before = fakes.refuse("status Rollout")
        stage.say(abort=f"fraud-{number}#a{number}")
        await stage.settle(10)
        assert stage.weights[-1] == 0
        stage.cluster.before = None
        await stage.settle(10)
        assert stage.phase == "RolledBack"
        stage.say(retry=f"fraud-{number}#r{number}")
        await stage.at(5)
    assert stage.faults == []


async def test_rule_6_a_mark_says_nothing_of_a_release_that_a_new_rollout_makes():
    stage = await at_5("existing")
    stage.cluster.before = fakes.refuse("status Rollout")
    stage.say(abort="fraud-1#a")
    await stage.settle(10)
    stage.cluster.before = None
    await stage.settle(10)
    body = without(stage)
    for kind, key in [k for k in stage.cluster.objects if k[0] in (ROLLOUT, RELEASE)]:
        stage.cluster.lose(kind, key)
    stage.start()
    stage.cluster.put(ROLLOUT, body)
    await released(stage)
    assert (stage.phase, stage.status["ended"]["release"]) == ("Promoted", "fraud-2")


@pytest.mark.parametrize("restarted", [False, True])
async def test_rule_6_an_undo_does_not_wait_for_the_status_either(restarted):
    stage = StrictStage()
    await stage.begin()
    await stage.run(lambda: stage.phase == "Promoted")
    stage.cluster.before = fakes.refuse("status Rollout")
    stage.say(undo="fraud-1#a")
    await stage.settle(10)
    assert (stage.weights, stage.phase) == ([*LADDER, 0], "Promoted")
    stage.cluster.before = None
    if restarted:
        stage.start()
    await stage.settle(10)
    assert (stage.weights, stage.phase) == ([*LADDER, 0], "RolledBack")
    assert stage.status["refused"][0]["reason"] == "Undone"
    assert [c["taken"] for c in stage.status["commands"]] == [True]


async def test_rule_6_a_rollback_waits_for_stable_and_pages():
    stage = await at_5()
    stage.cluster.pods("v1", 0)
    stage.say(abort="fraud-1#a")
    await stage.settle(60)
    assert stage.weights == [0, 1, 5]
    assert stage.condition("Stalled")[:2] == ("True", "StableHasNoReadyPods")
    stage.cluster.pods("v1", 1)
    await stage.settle(30)
    assert (stage.weights, stage.phase) == ([0, 1, 5, 0], "RolledBack")


# Rule 7: what a route stands on


@pytest.mark.parametrize("form", [("delegate",), ("own", False, True), ("existing",)])
async def test_rule_7_subsets_that_somebody_deletes_come_back_and_the_release_goes_on(form):
    stage = await at_5(*form)
    stage.cluster.lose(DESTINATION_RULE, RULE)
    await released(stage)
    assert (stage.weights, stage.faults) == (LADDER, [])


@pytest.mark.parametrize("form", [("delegate",), ("own", True), ("delegate", False, True)])
async def test_rule_7_a_route_of_ours_that_somebody_deletes_is_made_anew_as_it_was(form):
    stage = await at_5(*form)
    stage.cluster.lose(VIRTUAL_SERVICE, stage.cluster.route)
    await released(stage)
    assert (stage.weights, stage.faults) == (LADDER, [])


async def test_rule_7_a_route_of_the_user_that_is_gone_is_said_and_holds():
    stage = await at_5("existing")
    kept = stage.live
    stage.cluster.lose(VIRTUAL_SERVICE, stage.cluster.route)
    await stage.settle(60)
    assert stage.status["traffic"]["weight"] == 5
    assert stage.condition("Stalled")[:2] == ("True", "RouteNotFound")
    assert "http route primary, fallback is gone" in stage.status["message"]
    stage.cluster.put(VIRTUAL_SERVICE, kept)
    await released(stage)
    assert (stage.weights, stage.faults) == (LADDER, [])


@pytest.mark.parametrize("route", ["delegate", "own", "existing"])
async def test_rule_7_another_service_takes_nothing_from_the_one_that_serves(route):
    """A route that names the old host keeps its subsets; what to do is said."""
    stage = StrictStage(route)
    await stage.settle()
    before = fakes.copied((stage.live["spec"], rule_of(stage)["spec"]))
    meta = {"name": "fraud-new", "namespace": NAMESPACE}
    stage.cluster.put(SERVICE, {"metadata": meta, "spec": {"selector": {"app": "fraud"}}})
    traffic = stage.cluster.objects[ROLLOUT, KEY]["spec"]["traffic"]
    stage.change(traffic={**traffic, "service": "fraud-new"})
    await stage.settle()
    assert (stage.live["spec"], rule_of(stage)["spec"]) == before
    assert stage.condition("Stalled")[:2] == ("True", "RouteNotOurs")


async def test_rule_7_another_label_waits_until_the_pods_that_serve_have_it():
    stage = StrictStage()
    await stage.settle()
    traffic = stage.cluster.objects[ROLLOUT, KEY]["spec"]["traffic"]
    stage.change(traffic={**traffic, "endpoints": {"label": "rev"}})
    await stage.settle()
    assert rule_of(stage)["spec"]["subsets"] == [{"name": "v1", "labels": {"version": "v1"}}]
    status, reason, message = stage.condition("Stalled")
    assert (status, reason) == ("True", "SubsetWouldBeEmpty")
    assert "rev=v1" in message
    for kind, key in [k for k in stage.cluster.objects if k[0] == POD]:
        labels = stage.cluster.objects[kind, key]["metadata"]["labels"]
        labels["rev"] = labels["version"]
    await stage.settle()
    assert rule_of(stage)["spec"]["subsets"] == [{"name": "v1", "labels": {"rev": "v1"}}]
    assert stage.condition("Stalled")[0] == "False"


async def test_rule_7_a_subset_stays_while_any_of_the_routes_names_it():
    stage = StrictStage("existing")
    await stage.begin()
    await stage.run(lambda: stage.phase == "Promoted")
    stage.clock.pass_time(timedelta(minutes=3))
    place = {"host": "fraud", "subset": "v1"}
    stage.edit(lambda live: live["spec"]["http"][2].update(route=[{"destination": place}]))
    await stage.settle(60)
    assert stage.faults == []
    assert [s["name"] for s in rule_of(stage)["spec"]["subsets"]] == ["v2"]


# Rule 8: other hands


async def test_rule_8_after_three_reverts_weight_0_once_and_no_write_more():
    stage = await at_5()

    def meddle(live):
        for entry, weight in zip(live["spec"]["http"][0]["route"], (60, 40), strict=False):
            entry["weight"] = weight

    for _ in range(4):
        stage.edit(meddle, "argocd")
        await stage.settle(10)
    assert (stage.phase, stage.weights) == ("RolledBack", [0, 1, 5, 60, 5, 60, 5, 60, 5, 60, 0])
    status, reason, message = stage.condition("Stalled")
    assert (status, reason) == ("True", "Contested")
    assert "ignoreDifferences" in message
    assert "name: fraud-split" in message
    stage.cluster.writes.clear()
    place = {"host": "fraud", "subset": "v2"}
    stage.edit(
        lambda live: live["spec"]["http"][0].update(route=[{"destination": place}]), "argocd"
    )
    await stage.settle(60)
    assert not [what for what in stage.cluster.writes if "VirtualService" in what]
    stage.say(retry="fraud-1#again")
    await stage.run(lambda: stage.phase == "Promoted")
    assert stage.status["stable"]["version"] == "v2"


@pytest.mark.parametrize("form", [("delegate",), ("own", True), ("existing",)])
async def test_rule_8_third_destinations_keep_their_share_through_the_whole_release(form):
    stage = StrictStage(*form)
    await stage.settle()

    def add(live):
        for route in live["spec"]["http"]:
            if route.get("name") in stage.cluster.ours:
                route["route"][0]["weight"] = 80
                route["route"].append({"destination": {"host": "other"}, "weight": 20})

    stage.edit(add)
    stage.cluster.pods("v2", 2)
    stage.change(version="v2")
    thirds = set()
    while stage.phase != "Promoted":
        stage.clock.pass_time(timedelta(seconds=await stage.turn()))
        for one in stage.cluster.lists(stage.live):
            total = sum(entry["weight"] for entry in one)
            thirds.add(one[-1]["weight"] / total)
    assert thirds == {0.2}
    assert (stage.weights, stage.faults) == (LADDER, [])


async def test_rule_8_a_share_that_third_destinations_leave_no_unit_for_is_said():
    stage = await at_5()
    place = {"host": "other"}
    stage.edit(
        lambda live: live["spec"]["http"][0]["route"].append({"destination": place, "weight": 990})
    )
    await stage.settle(60)
    assert (stage.weights[-1], stage.live["spec"]["http"][0]["route"][2]["weight"]) == (0, 91)
    assert "give third destinations less" in stage.status["message"]
    stage.edit(lambda live: live["spec"]["http"][0]["route"].pop())
    await released(stage)
    assert (stage.phase, stage.faults) == ("Promoted", [])


@pytest.mark.parametrize("form", [("delegate",), ("existing",), ("existing", True)])
@pytest.mark.parametrize("weight", [1, 50, 100])
async def test_rule_8_an_edit_of_something_else_changes_nothing_at_any_step(form, weight):
    """Though it takes the record away that the list was written by us."""
    stage = StrictStage(*form)
    await stage.begin()
    await stage.at(weight)

    def timeouts(live):
        for route in live["spec"]["http"]:
            route["timeout"] = "7s"

    stage.edit(timeouts)
    await released(stage)
    assert (stage.phase, stage.weights, stage.faults) == ("Promoted", LADDER, [])
    assert stage.status.get("reverts") is None
    assert {route["timeout"] for route in stage.live["spec"]["http"]} == {"7s"}


async def test_rule_8_what_users_add_to_our_destination_rule_stays_and_costs_no_write():
    stage = StrictStage()
    await stage.settle()
    policy = {"connectionPool": {"tcp": {"maxConnections": 100}}}
    stage.cluster.edit(
        DESTINATION_RULE, RULE, lambda live: live["spec"].update(trafficPolicy=policy)
    )
    stage.cluster.writes.clear()
    await stage.settle(60)
    assert stage.cluster.writes == []
    stage.cluster.pods("v2", 2)
    stage.change(version="v2")
    await released(stage)
    assert (stage.weights, rule_of(stage)["spec"]["trafficPolicy"]) == (LADDER, policy)


async def test_rule_8_the_younger_of_two_rollouts_on_a_route_stands_still():
    stage = StrictStage()
    older = fakes.rollout()
    older["metadata"] |= {"name": "abuse", "creationTimestamp": "2020-01-01T00:00:00Z"}
    stage.cluster.put(ROLLOUT, older)
    await stage.settle()
    assert stage.condition("Stalled")[:2] == ("True", "RouteTaken")
    assert stage.live is None
    assert (DESTINATION_RULE, RULE) not in stage.cluster.objects


# Rule 9: crashes, two operators, finalizers


class TwoOperators(StrictStage):
    """Two at once; one of them sees the Rollout as it was some versions ago."""

    lag = 0

    def start(self):
        super().start()
        self.other, self.history, self.turns = self.reconciler, [], 0
        super().start()

    async def turn(self):
        body = fakes.copied(self.cluster.objects[ROLLOUT, KEY])
        version = body["metadata"]["resourceVersion"]
        if not self.history or self.history[-1]["metadata"]["resourceVersion"] != version:
            self.history.append(body)
        self.turns += 1
        one = self.other if self.turns % 2 else self.reconciler
        if self.turns % 2:
            body = fakes.copied(self.history[max(len(self.history) - 1 - self.lag, 0)])
        try:
            delay = await one.reconcile(body)
        except ConflictError:
            return 0.1
        return 5.0 if delay is None else min(max(delay.total_seconds(), 0.1), 5.0)


@pytest.mark.parametrize("lag", [0, 1, 3])
@pytest.mark.parametrize("form", [("delegate",), ("existing", True), ("own", False, True)])
@pytest.mark.parametrize("bad", [False, True])
async def test_rule_9_two_operators_give_the_same_sequence_of_weights(form, lag, bad):
    """Also where one of them sees a Rollout that has long gone on."""
    stage = TwoOperators(*form)
    stage.lag = lag
    await stage.begin()
    if bad:
        await stage.at(25)
        stage.metrics.bad_from = stage.clock.now
    await stage.run(lambda: stage.phase in ("Promoted", "RolledBack"))
    await stage.settle()
    assert (stage.weights, stage.faults) == ([0, 1, 5, 25, 0] if bad else LADDER, [])


async def test_rule_9_the_finalizer_stands_only_while_a_release_is_in_flight():
    stage = StrictStage()
    await stage.settle()

    def stands():
        return bool(stage.cluster.objects[ROLLOUT, KEY]["metadata"].get("finalizers"))

    assert not stands()
    stage.cluster.pods("v2", 2)
    stage.change(version="v2")
    await stage.at(1)
    assert stands()
    await released(stage)
    assert not stands()


@pytest.mark.parametrize("on_delete", ["LeaveRoutes", "RemoveRoutes"])
@pytest.mark.parametrize("weight", [0, 5, 100])
async def test_rule_9_a_rollout_deleted_at_any_weight_goes_after_its_traffic_has(on_delete, weight):
    stage = StrictStage(onDelete=on_delete)
    await stage.begin()
    await stage.run(lambda: stage.status.get("candidate") and stage.weights[-1] == weight)
    delete(stage)
    await gone(stage)
    assert (stage.weights[-1], stage.faults) == (0, [])
    for live in (stage.live, rule_of(stage)):
        assert bool(live["metadata"].get("ownerReferences")) is (on_delete == "RemoveRoutes")


async def test_rule_9_a_deletion_does_not_hang_on_a_subset_that_is_gone_too():
    stage = StrictStage()
    await stage.begin()
    await stage.run(lambda: stage.phase == "Promoting" and stage.weights[-1] == 100)
    stage.cluster.lose(DESTINATION_RULE, RULE)
    delete(stage)
    await gone(stage)
    assert (stage.weights[-1], stage.faults) == (0, [])


async def test_rule_9_a_deletion_does_not_hang_on_a_route_that_goes_elsewhere():
    stage = await at_5("existing")

    def elsewhere(live):
        for route in live["spec"]["http"]:
            route["route"] = [{"destination": {"host": "elsewhere"}}]

    stage.edit(elsewhere)
    delete(stage)
    await gone(stage)


@pytest.mark.parametrize("route", ["delegate", "own"])
@pytest.mark.parametrize(
    ("first", "then"), [("LeaveRoutes", "RemoveRoutes"), ("RemoveRoutes", "LeaveRoutes")]
)
@pytest.mark.parametrize("flying", [False, True])
async def test_rule_1_on_delete_acts_at_once_on_route_and_subsets_alike(route, first, then, flying):
    """One that goes without the other would leave traffic without a destination."""
    stage = StrictStage(route, onDelete=first)
    await stage.settle()
    if flying:
        await stage.begin()
        await stage.at(5)
    stage.change(onDelete=then)
    await stage.settle(10)
    owned = {bool(o["metadata"].get("ownerReferences")) for o in (stage.live, rule_of(stage))}
    assert owned == {then == "RemoveRoutes"}


# Rules 1 and 2: versions of specs, of operators, and Rollouts made anew


async def test_rule_1_a_release_whose_spec_turned_unreadable_may_still_be_rolled_back():
    stage = await at_5()
    stage.change(strategy={"canary": {"steps": NONSENSE}})
    await stage.settle(120)
    assert stage.weights == [0, 1, 5]
    status, reason, message = stage.condition("Stalled")
    assert (status, reason) == ("True", "InvalidSpec")
    assert "weights must grow" in message
    stage.metrics.bad_from = stage.clock.now
    await stage.settle(120)
    assert (stage.weights, stage.status["refused"][0]["reason"]) == ([0, 1, 5, 0], "Worse")
    assert not stage.cluster.objects[ROLLOUT, KEY]["metadata"].get("finalizers")
    stage.change(strategy=fakes.SPEC["strategy"])
    stage.say(retry="fraud-1#a")
    stage.metrics.bad_from = None
    await stage.run(lambda: stage.phase == "Promoted")


@pytest.mark.parametrize("crash", [False, True])
async def test_rule_1_a_release_whose_spec_turned_unreadable_ends_with_its_rollout(crash):
    stage = await at_5()
    stage.change(strategy={"canary": {"steps": NONSENSE}})
    delete(stage)
    if crash:
        died = []

        def die(number, kind, what):
            if what == "apply VirtualService" and not died:
                died.append(what)
                raise CrashError

        stage.cluster.before = die
    await gone(stage)
    assert stage.weights == [0, 1, 5, 0]


async def test_rule_1_an_unreadable_spec_of_a_rollout_at_rest_keeps_nobody_from_deleting_it():
    stage = StrictStage()
    await stage.settle()
    stage.change(strategy={"canary": {"steps": NONSENSE}})
    await stage.settle()
    assert stage.condition("Accepted")[:2] == ("False", "InvalidSpec")
    stage.cluster.objects[ROLLOUT, KEY]["metadata"]["finalizers"] = ["penstock.dev/finalizer"]
    delete(stage)
    await gone(stage)


async def test_rule_1_a_status_of_another_version_is_gone_on_with():
    stage = await at_5()
    status = stage.cluster.objects[ROLLOUT, KEY]["status"]
    status |= {"phase": "Observed", "newField": {"a": 1}}
    status["steps"][0]["state"], status["steps"][1]["bake"] = "Odd", "1d"
    stage.start()
    await stage.turn()
    assert stage.phase == "Progressing"
    stage.say(abort="fraud-1#a")
    await released(stage)
    assert stage.weights == [0, 1, 5, 0]


async def test_rule_1_a_release_counts_by_the_spec_that_its_release_has_got():
    """A crash before the Release was made, and a new spec with hundredths meanwhile."""
    stage = StrictStage()
    await stage.settle()
    stage.cluster.pods("v2", 2)

    def die(number, kind, what):
        if what == "create Release":
            raise CrashError

    stage.cluster.before = die
    stage.change(version="v2")
    await stage.settle(5)
    stage.cluster.before = None
    stage.change(strategy={"canary": {"steps": [{"weight": w, "bake": "10s"} for w in (2.5, 50)]}})
    await released(stage)
    assert (stage.weights, stage.faults) == ([0, 2.5, 50, 100], [])


async def test_rule_2_a_rollout_made_anew_beside_old_releases_takes_a_number_of_its_own():
    stage = await at_5()
    body = without(stage)
    stage.cluster.lose(ROLLOUT, KEY)
    stage.start()
    stage.cluster.put(ROLLOUT, body)
    await released(stage)
    assert (stage.phase, stage.status["ended"]["release"]) == ("Promoted", "fraud-2")
    assert stage.weights == [0, 1, 5, 0, 1, 5, 25, 50, 100]


@pytest.mark.parametrize("form", [("delegate",), ("delegate", True), ("own", True)])
async def test_rule_2_a_rollout_restored_in_mid_release_finds_stable_by_the_mark(form):
    stage = StrictStage(*form)
    await stage.begin()
    await stage.at(50)
    body = without(stage)
    for kind, key in [k for k in stage.cluster.objects if k[0] in (ROLLOUT, RELEASE)]:
        stage.cluster.lose(kind, key)
    stage.start()
    stage.cluster.put(ROLLOUT, body)
    await stage.turn()
    assert stage.status["stable"]["version"] == "v1"
    await stage.settle(10)
    assert stage.weights == [0, 1, 5, 25, 50, 0, 1]


async def test_rule_2_somebodys_own_route_in_mid_release_waits_for_adopt():
    stage = StrictStage("existing", True)
    await stage.begin()
    await stage.at(5)
    body = without(stage)
    for kind, key in [k for k in stage.cluster.objects if k[0] in (ROLLOUT, RELEASE)]:
        stage.cluster.lose(kind, key)
    stage.start()
    stage.cluster.put(ROLLOUT, body)
    await stage.settle()
    assert stage.condition("Stalled")[:2] == ("True", "StableUnknown")
    assert stage.weights == [0, 1, 5]
    stage.say(adopt="v1#a")
    await released(stage)
    assert (stage.phase, stage.weights[3]) == ("Promoted", 0)


async def test_what_is_said_at_rest_is_what_is_wrong_now():
    stage = StrictStage()
    await stage.settle()
    metrics = [{"template": "first"}, {"template": "second"}]
    stage.change(version="v2", analysis={**fakes.SPEC["analysis"], "metrics": metrics})
    await stage.settle()
    assert "MetricTemplate first" in stage.status["message"]
    template = stage.cluster.objects[METRIC_TEMPLATE, Key(CATALOGUE, "istio-errors")]
    made = {**template, "metadata": {"name": "first", "namespace": CATALOGUE}}
    stage.cluster.put(METRIC_TEMPLATE, made)
    await stage.settle()
    assert "MetricTemplate second" in stage.status["message"]
    assert "second" in stage.condition("Accepted")[2]


async def test_rule_10_commands_are_in_the_record_of_the_release():
    steps = [{"weight": 5, "bake": "10s"}, {"approval": {}}, {"weight": 50, "bake": "10s"}]
    stage = StrictStage(strategy={"canary": {"steps": steps}})
    await stage.begin()
    stage.say(approve="fraud-1/0#early")
    await stage.run(lambda: stage.phase == "Waiting" and "approve" in stage.status["message"])
    assert stage.weights == [0, 5]
    stage.say(approve="fraud-1/1#now")
    await released(stage)
    assert stage.weights == [0, 5, 50, 100]
    kept = fakes.release(stage.cluster, 1)["status"]["commands"]
    assert [(c["id"], c["taken"]) for c in kept] == [("early", False), ("now", True)]


async def test_history_is_kept_up_to_its_limit():
    stage = StrictStage(historyLimit=1)
    await stage.begin()
    await stage.at(5)
    for number in (1, 2):
        stage.say(abort=f"fraud-{number}#a{number}")
        await stage.settle(10)
        stage.say(retry=f"fraud-{number}#r{number}")
        await stage.at(5)
    releases = [key_of(r).name for r in stage.cluster.known(RELEASE)]
    assert releases == ["fraud-2", "fraud-3"], "the newest that has ended, and the one in flight"
