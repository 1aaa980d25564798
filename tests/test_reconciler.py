"""Whole releases through the real gatherer, observer, decisions and effects, in virtual time."""

from datetime import timedelta

import pytest

from penstock.alarms import Alarms
from penstock.arms import Arms
from penstock.core.kinds import DESTINATION_RULE, RELEASE, ROLLOUT, VIRTUAL_SERVICE, Key
from penstock.effects import Effects
from penstock.gates import Gates
from penstock.gatherer import Gatherer
from penstock.observer import Observer
from penstock.obstacles import Obstacles
from penstock.ports import ConflictError, TransientError
from penstock.reconciler import Reconciler
from penstock.releases import Releases
from penstock.sighting import Sighting
from penstock.slots import Slots
from penstock.workloads import Workloads
from penstock.world import Settings
from tests import fakes
from tests.fakes import KEY, NAMESPACE, SPLIT, CrashError

LADDER = [0, 1, 5, 25, 50, 100]
SETTINGS = Settings(propagation=timedelta(seconds=1))


class Stage:
    """One Rollout, its cluster, its metrics, and the operator that may be started anew."""

    most = None

    def __init__(self, **spec):
        self.clock = fakes.Clock()
        self.cluster = fakes.furnished(self.clock)
        self.metrics = fakes.Prometheus(self.cluster)
        self.reports = fakes.Reports()
        self.start()
        self.cluster.put(ROLLOUT, fakes.rollout(**spec))

    def start(self):
        """Start the operator with an empty memory."""
        observer = Observer(self.metrics)
        self.slots = Slots(self.most)
        self.woken = []
        wake = lambda key, *, urgent=False: self.woken.append((key, urgent))  # noqa: E731
        self.alarms = Alarms(lambda: self.cluster.known(ROLLOUT), wake, self.clock)
        names = frozenset({"prometheus"})
        gatherer = Gatherer(
            self.cluster,
            SETTINGS,
            Workloads(self.cluster),
            Obstacles(self.cluster, SETTINGS.catalogue, names),
            Sighting(observer, Arms(observer), SETTINGS.propagation),
            self.alarms,
            Gates(fakes.Http(), self.cluster, self.cluster),
            self.slots,
        )
        effects = Effects(self.cluster, self.cluster, SETTINGS.propagation)
        releases = Releases(self.cluster, self.cluster)
        self.notices = fakes.Notices()
        self.reconciler = Reconciler(
            gatherer, effects, releases, self.reports, self.clock, self.notices
        )

    def change(self, **spec):
        """Change the spec, as a user does."""
        body = self.cluster.objects[ROLLOUT, KEY]
        content = {k: v for k, v in body.items() if k != "status"}
        self.cluster.put(ROLLOUT, {**content, "spec": body["spec"] | spec})

    def say(self, **commands):
        """Annotate the Rollout with commands."""

        def annotate(live):
            notes = live["metadata"].setdefault("annotations", {})
            notes.update({f"penstock.dev/{verb}": text for verb, text in commands.items()})

        self.cluster.edit(ROLLOUT, KEY, annotate)

    async def turn(self):
        """Run one turn; return the seconds until the next, at most 5."""
        body = self.cluster.objects.get((ROLLOUT, KEY))
        if body is None:
            return 5.0
        try:
            delay = await self.reconciler.reconcile(body)
        except ConflictError:
            return 0.1
        except TransientError:
            return 1.0
        except CrashError:
            self.start()
            return 1.0
        return 5.0 if delay is None else min(max(delay.total_seconds(), 0.1), 5.0)

    async def run(self, until, seconds=3000):
        """Run until the condition holds."""
        end = self.clock.now + timedelta(seconds=seconds)
        while not until():
            assert self.clock.now < end, f"not within {seconds} s: {self.status}"
            self.clock.pass_time(timedelta(seconds=await self.turn()))

    async def settle(self, seconds=30):
        """Run for a while."""
        end = self.clock.now + timedelta(seconds=seconds)
        await self.run(lambda: self.clock.now >= end)

    @property
    def status(self):
        return fakes.status(self.cluster)

    @property
    def phase(self):
        return self.status.get("phase")

    @property
    def weights(self):
        return self.cluster.weights()

    async def begin(self, version="v2"):
        """Adopt v1, then name another version."""
        await self.settle()
        assert self.status["stable"]["version"] == "v1"
        self.cluster.pods(version, 2)
        self.cluster.writes.clear()
        self.change(version=version)

    async def at(self, weight):
        """Run until the route has the weight."""
        await self.run(lambda: self.weights[-1] == weight)


async def released(stage):
    """Run a release to its end and let things settle."""
    await stage.run(lambda: stage.phase in ("Promoted", "RolledBack"))
    await stage.settle()


async def test_a_good_version_goes_through_the_ladder():
    stage = Stage()
    await stage.begin()
    await released(stage)
    assert (stage.phase, stage.weights) == ("Promoted", LADDER)
    assert fakes.release(stage.cluster, 1)["status"]["outcome"] == "Promoted"
    assert stage.reports.outcomes == [("Promoted", "Proven")]


async def test_a_version_that_turns_bad_is_rolled_back():
    stage = Stage()
    await stage.begin()
    await stage.at(25)
    stage.metrics.bad_from = stage.clock.now
    await released(stage)
    assert (stage.phase, stage.weights) == ("RolledBack", [0, 1, 5, 25, 0])
    assert stage.status["refused"][0]["reason"] == "Worse"


class OneAtATime(Stage):
    """An operator that lets one release run at once."""

    most = 1


def neighbour(candidate):
    """A Rollout elsewhere, with a release in flight or without."""
    other = fakes.rollout()
    meta = {"name": "other", "namespace": "elsewhere"}
    status = {"candidate": {"version": "v2"}} if candidate else {}
    return {**other, "metadata": {**other["metadata"], **meta}, "status": status}


async def test_a_release_waits_until_fewer_are_in_flight():
    stage = OneAtATime()
    stage.cluster.put(ROLLOUT, neighbour(candidate=True))
    await stage.begin()
    await stage.run(lambda: "waits for its turn: 1 releases" in stage.status["message"])
    assert (stage.phase, stage.weights) == ("Waiting", [0])
    stage.cluster.put(ROLLOUT, neighbour(candidate=False))
    await released(stage)
    assert stage.phase == "Promoted"


async def test_a_refused_version_takes_nobodys_place():
    stage = OneAtATime()
    await stage.begin()
    await stage.at(25)
    stage.metrics.bad_from = stage.clock.now
    await released(stage)
    await stage.turn()
    assert stage.phase == "RolledBack"
    assert stage.slots.queue(Key("elsewhere", "other"), set()) == ""


async def outcome_with(hook, bad):
    """Return phase and weights of a release whose writes go through a hook."""
    stage = Stage()
    await stage.begin()
    hook(stage)
    if bad:
        await stage.at(25)
        stage.metrics.bad_from = stage.clock.now
    await released(stage)
    assert not stage.status.get("reverts")
    return stage.phase, stage.weights


def count(number, failure):
    """Return a hook that fails the write of that number, once."""

    def hook(seen, kind, what):
        if seen == number:
            raise failure

    return hook


WRITES = range(25)


@pytest.mark.parametrize("number", WRITES)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("failure", [CrashError(), TransientError("no answer")])
async def test_a_crash_at_any_write_gives_the_same_sequence_of_weights(number, when, failure):
    """Rule 9: a crash before or after any write, with and without the memory, heals."""

    def hook(stage):
        setattr(stage.cluster, when, count(number, failure))

    assert await outcome_with(hook, bad=False) == ("Promoted", LADDER)


@pytest.mark.parametrize("number", WRITES)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_at_any_write_does_not_save_a_bad_version(number, when):
    """Rule 9, on the way back."""

    def hook(stage):
        setattr(stage.cluster, when, count(number, CrashError()))

    assert await outcome_with(hook, bad=True) == ("RolledBack", [0, 1, 5, 25, 0])


async def test_the_writes_that_the_crash_tests_interrupt_are_all_of_a_release():
    stage = Stage()
    await stage.begin()
    await stage.run(lambda: stage.phase == "Promoted")
    await stage.settle()
    assert len(stage.cluster.writes) <= len(WRITES)


async def test_a_step_costs_at_most_three_writes():
    """Rule 9: and a checkpoint of the record at most once a minute."""
    stage = Stage(strategy={"canary": {"steps": [{"weight": w, "bake": "10s"} for w in (5, 50)]}})
    await stage.begin()
    await stage.at(5)
    stage.cluster.writes.clear()
    began = stage.clock.now
    await stage.at(50)
    checkpoints = int((stage.clock.now - began) / timedelta(minutes=1))
    assert len(stage.cluster.writes) <= 3 + 2 * checkpoints


async def test_an_idle_rollout_writes_nothing_and_asks_for_no_turn():
    stage = Stage()
    await stage.settle()
    stage.cluster.writes.clear()
    assert await stage.reconciler.reconcile(stage.cluster.objects[ROLLOUT, KEY]) is None
    assert stage.cluster.writes == []


async def test_no_data_holds_the_weight_and_the_release_goes_on_by_itself():
    """Rule 4."""
    stage = Stage()
    await stage.begin()
    await stage.at(5)
    stage.metrics.silent = True
    await stage.settle(600)
    assert (stage.weights, stage.phase) == ([0, 1, 5], "Progressing")
    conditions = {c["type"]: c for c in stage.status["conditions"]}
    assert conditions["DataTrusted"]["reason"] == "NoData"
    stage.metrics.silent = False
    await released(stage)
    assert stage.weights == LADDER


async def test_a_rollback_does_not_wait_for_the_status():
    """Rule 6: weight 0 and a mark first, and the mark wins at the next read."""
    stage = Stage()
    await stage.begin()
    await stage.at(5)
    stage.cluster.before = fakes.refuse("status Rollout")
    stage.say(abort="fraud-1#a")
    await stage.settle(20)
    assert stage.weights == [0, 1, 5, 0]
    assert stage.phase == "Progressing", "the status could not be written"
    marks = stage.cluster.objects[VIRTUAL_SERVICE, SPLIT]["metadata"]["annotations"]
    assert marks["penstock.dev/rolled-back"].startswith("fraud-1: ")
    stage.cluster.before = None
    stage.start()
    await released(stage)
    assert (stage.phase, stage.weights) == ("RolledBack", [0, 1, 5, 0])


async def test_our_weights_are_put_back_and_everything_else_is_left_alone():
    """Rule 8."""
    stage = Stage()
    await stage.begin()
    await stage.at(5)

    def meddle(live):
        live["metadata"].setdefault("labels", {})["team"] = "risk"
        live["spec"]["http"][0]["timeout"] = "7s"
        live["spec"]["http"][0]["route"][0]["weight"] = 90
        live["spec"]["http"][0]["route"][1]["weight"] = 10

    stage.cluster.edit(VIRTUAL_SERVICE, SPLIT, meddle)
    await stage.at(25)
    live = stage.cluster.objects[VIRTUAL_SERVICE, SPLIT]
    assert live["spec"]["http"][0]["timeout"] == "7s"
    assert live["metadata"]["labels"]["team"] == "risk"
    assert stage.weights == [0, 1, 5, 90, 5, 25]
    assert [r["manager"] for r in stage.status["reverts"]] == ["somebody"]


async def test_an_edit_of_something_else_is_no_revert_and_costs_no_write():
    """Rule 8."""
    stage = Stage()
    await stage.begin()
    await stage.at(5)
    stage.cluster.writes.clear()
    change = {"timeout": "7s"}
    stage.cluster.edit(VIRTUAL_SERVICE, SPLIT, lambda live: live["spec"]["http"][0].update(change))
    await stage.turn()
    assert stage.cluster.writes == []
    await released(stage)
    assert (stage.weights, stage.status.get("reverts")) == (LADDER, None)


async def test_a_release_deleted_in_flight_holds_and_says_so():
    """Rule 1."""
    stage = Stage()
    await stage.begin()
    await stage.at(5)
    del stage.cluster.objects[RELEASE, Key(NAMESPACE, "fraud-1")]
    await stage.settle(300)
    assert stage.weights == [0, 1, 5]
    conditions = {c["type"]: c for c in stage.status["conditions"]}
    assert conditions["Stalled"]["reason"] == "ReleaseMissing"
    stage.say(abort="fraud-1#a")
    await released(stage)
    assert stage.weights == [0, 1, 5, 0]


async def test_a_release_runs_on_its_snapshot():
    """Rule 1: only version, suspend, onDelete and historyLimit act at once."""
    stage = Stage()
    await stage.begin()
    await stage.at(5)
    stage.change(strategy={"canary": {"steps": [{"weight": 90}]}})
    await released(stage)
    assert stage.weights == LADDER


async def test_a_suspended_release_does_not_advance_but_may_be_rolled_back():
    stage = Stage()
    await stage.begin()
    await stage.at(5)
    stage.change(suspend=True)
    await stage.settle(300)
    assert stage.weights == [0, 1, 5]
    stage.metrics.bad_from = stage.clock.now
    await released(stage)
    assert stage.weights == [0, 1, 5, 0]


@pytest.mark.parametrize("on_delete", ["LeaveRoutes", "RemoveRoutes"])
async def test_a_rollout_deleted_in_flight_returns_all_traffic_first(on_delete):
    stage = Stage(onDelete=on_delete)
    await stage.begin()
    await stage.at(5)
    body = stage.cluster.objects[ROLLOUT, KEY]
    body["metadata"]["deletionTimestamp"] = stage.clock.now.isoformat()
    await stage.run(lambda: (ROLLOUT, KEY) not in stage.cluster.objects, 60)
    assert stage.weights == [0, 1, 5, 0]
    owned = stage.cluster.objects[VIRTUAL_SERVICE, SPLIT]["metadata"].get("ownerReferences")
    assert bool(owned) == (on_delete == "RemoveRoutes")


async def test_a_rollout_made_anew_adopts_what_serves_and_starts_at_the_first_step():
    """Rule 2: never the version in the spec."""
    stage = Stage()
    await stage.begin()
    await stage.at(25)
    del stage.cluster.objects[ROLLOUT, KEY]
    for key in [k for k in stage.cluster.objects if k[0] == RELEASE]:
        del stage.cluster.objects[key]
    stage.start()
    stage.cluster.put(ROLLOUT, fakes.rollout(version="v2"))
    await released(stage)
    assert stage.status["stable"]["version"] == "v2"
    assert stage.weights == [0, 1, 5, 25, 0, 1, 5, 25, 50, 100]


async def test_a_newer_version_starts_from_weight_0_with_a_release_of_its_own():
    """Rule 1."""
    stage = Stage()
    await stage.begin()
    await stage.at(5)
    stage.cluster.pods("v3", 1)
    stage.change(version="v3")
    await stage.run(lambda: stage.phase == "Promoted")
    assert stage.weights == [0, 1, 5, 0]
    assert fakes.release(stage.cluster, 1)["status"]["outcome"] == "Superseded"
    assert stage.status["stable"]["version"] == "v3"


async def test_the_old_version_keeps_its_subset_until_it_is_no_longer_kept():
    """Rule 7: a subset goes only after no route names it."""
    stage = Stage()
    await stage.begin()
    await stage.run(lambda: stage.phase == "Promoted")

    def subsets():
        rule = stage.cluster.objects[DESTINATION_RULE, Key(NAMESPACE, "fraud-penstock")]
        return [subset["name"] for subset in rule["spec"]["subsets"]]

    assert sorted(subsets()) == ["v1", "v2"]
    stage.say(undo="fraud-1#back")
    await stage.run(lambda: stage.phase == "RolledBack")
    assert stage.weights == [*LADDER, 0]
    await stage.settle(300)
    assert subsets() == ["v1"]


async def test_a_version_that_was_stable_a_short_while_ago_comes_back_straight():
    """returnWithin: a Git revert."""
    stage = Stage()
    await stage.begin()
    await stage.run(lambda: stage.phase == "Promoted")
    await stage.settle(200)
    stage.change(version="v1")
    await stage.run(lambda: stage.status["stable"]["version"] == "v1")
    assert stage.weights == [*LADDER, 0]


async def test_a_threshold_that_breaks_after_the_promotion_undoes_it():
    spec = fakes.SPEC["analysis"]
    plain = {"name": "cpu", "value": {"query": "max(cpu)", "max": 1, "for": "10s"}}
    stage = Stage(analysis={**spec, "metrics": [*spec["metrics"], plain]})
    stage.metrics.value = 0.5
    await stage.begin()
    await stage.run(lambda: stage.phase == "Promoted")
    stage.metrics.value = 2.0
    await stage.run(lambda: stage.phase == "RolledBack", 120)
    assert stage.weights == [*LADDER, 0]
    assert "cpu" in stage.status["refused"][0]["message"]
