"""A simulation as text: the time line of one run, and what all runs have in common."""

import math
from collections.abc import Callable, Iterator
from datetime import timedelta

from penstock.api.fields import format_duration
from penstock.api.v1alpha1.strategy import Strategy
from penstock.cli.simulation.play import Told
from penstock.core import plan
from penstock.core.simulation.course import Course, Event, Moment
from penstock.core.simulation.setting import Setting
from penstock.core.simulation.summary import Spread

_WORDS = {
    Event.PREVIEW: "preview",
    Event.GATE_ASKED: "asks a gate",
    Event.GATE_OPEN: "gate open",
    Event.ASKED: "asks for approval",
    Event.APPROVED: "approved",
    Event.HELD: "held",
    Event.OVERDUE: "deadline over",
    Event.PROMOTED: "promoted",
    Event.OBSERVED: "observed",
    Event.ROLLED_BACK: "rolled back",
    Event.WAITING: "still waiting",
}
_INDENT = 31


def lines(told: Told) -> Iterator[str]:
    """Yield the lines of a simulation."""
    yield from head(told.setting)
    yield from _time_line(told.shown)
    yield from _tail(told)


def head(setting: Setting) -> Iterator[str]:
    """Yield what was asked."""
    spec, traffic = setting.spec, setting.traffic
    steps = len(plan.written(spec.strategy))
    since = f" from weight {traffic.bad_from:g} on" if traffic.bad_from else ""
    yield (
        f"Rollout {setting.name}, version {spec.version}, {steps} step{'s' * (steps > 1)}, "
        f"{traffic.per_second:g} requests per second; stable {100 * traffic.stable_rate:g} % bad, "
        f"candidate {100 * traffic.candidate_rate:g} %{since}"
    )
    if any(rail.mean for rail in setting.rails):
        values = traffic.values
        yield (
            f"answers of stable are worth {values.stable:g} in the mean (deviation "
            f"{values.deviation:g}), the candidate's {values.candidate:g}{since}"
        )
    yield from assumptions(setting)


def assumptions(setting: Setting) -> Iterator[str]:
    """Yield what is taken for granted of approvals, gates, matches, and what judges."""
    strategy = setting.spec.strategy
    steps = plan.written(strategy)
    if any(step.approval for step in steps):
        yield f"approvals are given {_after(setting.approve_after)}"
    if any(step.gate for step in steps):
        yield f"gates open {_after(setting.gate_after)}"
    yield from _of_matches(strategy)
    if strategy.blue_green is not None:
        yield (
            "nothing is compared: before the switch and after it only thresholds and alerts judge, "
            "and here none of them speaks against a version"
        )
        left = [one.title for one in setting.spec.analysis.metrics if one.template is not None]
        if left:
            yield f"metrics that compare do not judge blue/green: {', '.join(left)}"


def _of_matches(strategy: Strategy) -> Iterator[str]:
    canary, blue_green, name = strategy.canary, strategy.blue_green, ""
    if canary is not None and canary.match is not None:
        name = "match"
    if blue_green is not None and blue_green.preview is not None:
        name = "preview"
    if name:
        yield f"how many requests fit {name} is not known here: they are left out"
    if any(step.mirror and step.mirror.match for step in plan.written(strategy)):
        yield "how many requests fit the match of a mirror is not known here: all of them do"


def _after(wait: timedelta) -> str:
    return f"after {format_duration(wait)}" if wait else "at once"


def _time_line(course: Course) -> Iterator[str]:
    for moment in course.moments:
        what = _WORDS.get(moment.event) or _traffic(moment)
        first, *more = moment.why or ("",)
        yield f"  {clock(moment.seconds)}  {what:<{_INDENT - 12}}{first}".rstrip()
        yield from (" " * _INDENT + one for one in more)
    yield from (f"  note: {note}" for note in course.notes)


def _traffic(moment: Moment) -> str:
    if moment.event is Event.MIRROR:
        return f"mirror {moment.mirror:g} %"
    return f"weight {moment.weight:g}"


def _tail(told: Told) -> Iterator[str]:
    all_, horizon = told.summary, format_duration(told.setting.end)
    shadow = told.setting.spec.strategy.shadow is not None
    good = Event.OBSERVED if shadow else Event.PROMOTED
    ended, back, waiting = (
        _percent(all_.percent(one)) for one in (good, Event.ROLLED_BACK, Event.WAITING)
    )
    yield (
        f"over {all_.runs:,} run{'s' * (all_.runs > 1)} (seed {told.seed}): {_WORDS[good]} "
        f"{ended}, rolled back {back}, waiting at the horizon ({horizon}) {waiting}"
    )
    if all_.causes:
        causes = ", ".join(f"{name} {count:,}" for name, count in sorted(all_.causes.items()))
        weights = ", ".join(f"{count:,} at {weight:g}" for weight, count in all_.weights.items())
        yield f"  runs rolled back by cause: {causes}; by weight: {weights}"
    if all_.seconds:
        yield f"  time to the end: {_spread(all_.seconds, _rough)}"
    if shadow:
        yield "  no user gets an answer of the candidate"
    elif all_.bad and all_.excess:
        yield (
            f"  bad answers of the candidate: {_spread(all_.bad, _count)}; "
            f"more than stable would have given: {_spread(all_.excess, _count)}"
        )


def _spread(spread: Spread, text: Callable[[float], str]) -> str:
    return f"median {text(spread.median)}, 90 % within {text(spread.ninety)}"


def clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds."""
    minutes, second = divmod(math.floor(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}"


def _rough(seconds: float) -> str:
    return format_duration(timedelta(seconds=round(seconds)))


def _count(number: float) -> str:
    return f"{round(number):,}"


def _percent(value: float) -> str:
    return f"{value:.1f} %" if 0 < value < 100 else f"{value:.0f} %"
