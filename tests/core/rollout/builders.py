"""Small builders of specs, statuses and facts."""

from datetime import UTC, datetime, timedelta

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import (
    Candidate,
    Phase,
    Previous,
    RolloutStatus,
    Serving,
    StepState,
    TrafficStatus,
)
from penstock.core import plan
from penstock.core.facts import Analysis, Route, Seen, VersionPods
from penstock.core.rollout.decide import decide
from penstock.core.verdict import Verdict

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RELEASE = "fraud-1"
LADDER = ({"weight": 5, "bake": "1m", "deadline": "1h"}, {"weight": 50, "bake": "1m"})
WITH_APPROVAL = (LADDER[0], {"approval": {}}, LADDER[1])


def later(seconds):
    return NOW + timedelta(seconds=seconds)


def spec(version="v2", steps=LADDER, **more):
    given = more.pop("strategy", {})
    canary = {} if {"blueGreen", "shadow"} & set(given) else {"canary": {"steps": list(steps)}}
    content = {
        "version": version,
        "traffic": {"service": "fraud", "route": {"delegate": "fraud-split"}},
        "strategy": canary | given,
        "analysis": {"metrics": [{"template": "istio-errors"}], **more.pop("analysis", {})},
        **more,
    }
    return RolloutSpec.model_validate(content)


def idle(stable="v1", **more):
    fields = {"stable": Serving(version=stable, since=NOW), "phase": Phase.IDLE, "routed": True}
    return RolloutStatus(**{**fields, **more})


def in_flight(step=0, rules=None, phase=Phase.PROGRESSING, **candidate):
    """Return the status of a release at a step that began just now."""
    rules = rules or spec()
    steps = plan.expand(rules)
    for index in range(step):
        steps = plan.with_state(steps, index, StepState.PASSED)
    if 0 <= step < len(steps):
        steps = plan.with_state(steps, step, StepState.RUNNING, since=NOW)
    place = plan.traffic_step(steps, step)
    weight, mirror = (steps[place].weight, steps[place].mirror) if place >= 0 else (0, 0)
    fields = {
        "version": "v2",
        "release": RELEASE,
        "since": NOW,
        "recorded": True,
        "stable_pods": 2,
        "step": step,
    }
    return RolloutStatus(
        stable=Serving(version="v1", since=NOW),
        phase=phase,
        routed=True,
        releases=1,
        candidate=Candidate(**{**fields, **candidate}),
        steps=steps,
        traffic=TrafficStatus(
            weight=100 if phase is Phase.PROMOTING else weight or 0, mirror=mirror or 0
        ),
    )


def promoted(**more):
    previous = Previous(version="v1", release=RELEASE, until=later(3600))
    fields = {"stable": Serving(version="v2", since=NOW), "phase": Phase.PROMOTED}
    return RolloutStatus(**{**fields, "previous": previous, "releases": 1, **more})


def pods(v1=2, v2=2, **more):
    return {
        version: VersionPods(ready=count) for version, count in {"v1": v1, "v2": v2, **more}.items()
    }


def route(**more):
    fields = {"exists": True, "as_wanted": True, "since": NOW - timedelta(minutes=5)}
    return Route(**{**fields, **more})


def analysis(verdict=Verdict.SAFE, baked=60, **more):
    return Analysis(verdict=verdict, baked=timedelta(seconds=baked), **more)


def seen(rules=None, **more):
    fields = {
        "name": "fraud",
        "generation": 1,
        "snapshot": rules or spec(),
        "finalizer": True,
        "pods": pods(),
        "route": route(),
        "prepared": True,
        "analysis": analysis(Verdict.LEARNING, 0),
        "contested_text": "somebody fights: ignoreDifferences",
    }
    return Seen(**{**fields, **more})


def after(status, facts=None, rules=None, now=NOW):
    """Return the status that one decision leads to."""
    return decide(rules or spec(), status, facts or seen(), now).status


def weight(status):
    return status.traffic.weight


def condition(status, type_):
    return next((c for c in status.conditions if c.type == type_), None)


def as_written(status):
    """Return a status as the API server gives it back: empty texts and lists are not written."""
    return _lean(status.model_dump(mode="json", by_alias=True, exclude_none=True))


def _lean(value):
    if isinstance(value, dict):
        return {k: _lean(v) for k, v in value.items() if v not in ("", [])}
    return [_lean(item) for item in value] if isinstance(value, list) else value
