"""Releases among chance events; then the world turns kind, and each must come to a good end."""

import logging
import random

import pytest

from penstock.core.kinds import DESTINATION_RULE, ENVOY_FILTER, RELEASE, ROLLOUT, VIRTUAL_SERVICE
from penstock.ports import ConflictError, TransientError
from tests import fakes
from tests.fakes import KEY, CrashError
from tests.strict import StrictStage, version_of
from tests.test_faults import RULE

FORMS = [
    (route, services, sticky)
    for route in ("delegate", "own", "existing")
    for services in (False, True)
    for sticky in (False, True)
    if not (route == "existing" and sticky)
]
VERSIONS = ("v1", "v2", "v3")


def ours(stage, live):
    """Return the http routes whose destinations are ours."""
    return [r for r in live["spec"]["http"] if r.get("name") in stage.cluster.ours]


def others_change_weights(stage, dice):
    part = dice.random()

    def change(live):
        for route in ours(stage, live):
            mine = [entry for entry in route["route"] if version_of(entry) is not None]
            if len(mine) == 2:
                total = sum(entry["weight"] for entry in mine)
                mine[0]["weight"] = int(total * part)
                mine[1]["weight"] = total - mine[0]["weight"]

    if stage.live:
        stage.edit(change, dice.choice(["argocd", "kubectl"]))


def others_change_a_timeout(stage, dice):
    text = f"{dice.randint(1, 9)}s"
    if stage.live:
        stage.edit(lambda live: [route.update(timeout=text) for route in ours(stage, live)])


def a_third_destination(stage):
    def change(live):
        for route in ours(stage, live):
            route["route"][0]["weight"] = 100
            route["route"].append({"destination": {"host": "other"}, "weight": 10})

    stage.edit(change)


def objects_are_lost(stage, dice):
    kind = dice.choice([VIRTUAL_SERVICE, DESTINATION_RULE, ENVOY_FILTER, RELEASE])
    if kind in (ENVOY_FILTER, RELEASE):
        for where in [where for where in stage.cluster.objects if where[0] == kind]:
            stage.cluster.lose(*where)
    elif kind == DESTINATION_RULE:
        stage.cluster.lose(kind, RULE)
    elif stage.cluster.route.name != "shop":
        stage.cluster.lose(kind, stage.cluster.route)


def pods_come_and_go(stage, dice):
    stage.cluster.pods(dice.choice(VERSIONS), dice.choice([0, 0, 1, 2, 3]))


def metrics_fall_silent_or_speak(stage, dice):
    stage.metrics.silent = not stage.metrics.silent


def the_candidate_turns_bad_or_good(stage, dice):
    stage.metrics.bad_from = None if stage.metrics.bad_from else stage.clock.now


def the_spec_changes(stage, dice):
    weights = sorted(dice.sample([2, 5, 10, 20, 50, 90], 2))
    steps = [{"weight": weight, "bake": "10s"} for weight in weights]
    more = {"onDelete": dice.choice(["LeaveRoutes", "RemoveRoutes"])}
    change = dice.choice(
        [
            {"version": dice.choice(VERSIONS)},
            {"version": dice.choice(VERSIONS)},
            {"suspend": dice.random() < 0.5},
            {"strategy": {"canary": {"steps": steps}}},
            {} if stage.cluster.route.name == "shop" else more,
        ]
    )
    stage.change(**change)


def a_person_commands(stage, dice):
    status = stage.status
    last = status.get("candidate") or status.get("previous") or status.get("ended") or {}
    target = last.get("release", "fraud-1")
    verb = dice.choice(["abort", "promote", "retry", "undo", "adopt"])
    stage.say(**{verb: f"{'v1' if verb == 'adopt' else target}#{dice.randint(0, 10**6)}"})


def the_operator_starts_anew(stage, dice):
    stage.start()


def one_write_fails(stage, dice):
    failure = dice.choice([CrashError(), TransientError("no answer"), ConflictError("changed")])
    when, left = dice.choice(["before", "after"]), [dice.randint(0, 3)]
    writes_work_again(stage, dice)

    def hook(number, kind, what):
        left[0] -= 1
        if left[0] < 0:
            setattr(stage.cluster, when, None)
            raise failure

    setattr(stage.cluster, when, hook)


def writes_are_refused(stage, dice):
    words = ["status Rollout", "VirtualService", "DestinationRule", "Release", "patch Rollout"]
    stage.cluster.before = fakes.refuse(dice.choice(words))


def writes_work_again(stage, dice):
    stage.cluster.before = stage.cluster.after = None


EVENTS = (
    others_change_weights,
    others_change_a_timeout,
    objects_are_lost,
    pods_come_and_go,
    metrics_fall_silent_or_speak,
    the_candidate_turns_bad_or_good,
    the_spec_changes,
    the_spec_changes,
    a_person_commands,
    a_person_commands,
    the_operator_starts_anew,
    one_write_fails,
    writes_are_refused,
    writes_work_again,
)


async def played(seed):
    """Return a stage after some events, and the events; nothing breaks the mesh meanwhile."""
    dice = random.Random(seed)
    stage, told = StrictStage(*dice.choice(FORMS)), []
    await stage.settle()
    if dice.random() < 0.3:
        a_third_destination(stage)
        await stage.settle()
    for version in ("v2", "v3"):
        stage.cluster.pods(version, 2)
    stage.change(version="v2")
    for _ in range(dice.randint(1, 14)):
        event = dice.choice(EVENTS)
        told.append(event.__name__)
        event(stage, dice)
        await stage.settle(dice.choice([0.1, 1, 5, 20, 60]))
        assert stage.faults == [], told
        assert stage.status["message"], told
    return stage, told


def the_world_turns_kind(stage):
    writes_work_again(stage, None)
    stage.metrics.silent, stage.metrics.bad_from = False, None
    for version in VERSIONS:
        stage.cluster.pods(version, 2)
    stage.change(suspend=False)


def do_as_told(stage, number):
    """Do what the condition Stalled, or the message, asks a person to do."""
    status, reason, message = stage.condition("Stalled")
    candidate = stage.status.get("candidate") or {}
    if reason == "StableUnknown":
        stage.say(adopt=f"v1#k{number}")
    elif reason in ("Contested", "RolledBack"):
        wanted = stage.cluster.objects[ROLLOUT, KEY]["spec"]["version"]
        refused = [r["release"] for r in stage.status.get("refused", []) if r["version"] == wanted]
        stage.say(retry=f"{(refused or ['fraud-1'])[0]}#k{number}")
    elif reason == "ReleaseMissing":
        stage.say(abort=f"{candidate['release']}#k{number}")
    else:
        assert status == "False", (reason, message)


async def came_to_a_good_end(seed):
    """Return what happened, after asserting that it ended well."""
    stage, told = await played(seed)
    the_world_turns_kind(stage)
    for number in range(40):
        await stage.settle(60)
        assert stage.faults == [], told
        if not stage.status.get("candidate") and stage.phase in ("Promoted", "Idle"):
            break
        do_as_told(stage, number)
    await stage.settle(300)
    stable = stage.status["stable"]["version"]
    assert stage.phase in ("Promoted", "Idle"), (told, stage.status["message"])
    assert stage.cluster.shares_of(stage.live) == {stable: 100}, told
    assert not stage.cluster.objects[ROLLOUT, KEY]["metadata"].get("finalizers"), told
    stage.cluster.writes.clear()
    await stage.settle(300)
    assert stage.cluster.writes == [], told


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_nothing_breaks_and_every_release_comes_to_an_end(seed):
    await came_to_a_good_end(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 600))
async def test_whatever_happens_again_and_again(seed):
    await came_to_a_good_end(seed)
