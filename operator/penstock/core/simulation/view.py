"""What the operator sees of a simulated release: pods, route, commands, and what metrics say."""

from penstock.core import judging, phases
from penstock.core.facts import Analysis, Command, GateSaid, GateState, Route, Seen, VersionPods
from penstock.core.question import Question
from penstock.core.rollout import gates
from penstock.core.simulation import book
from penstock.core.simulation.rhythm import NEARLY, instant
from penstock.core.simulation.state import State


def seen(state: State) -> Seen:
    """Return the facts for one decision."""
    candidate, setting = state.status.candidate, state.setting
    return Seen(
        name=setting.name,
        generation=1,
        snapshot=setting.spec if candidate else None,
        finalizer=candidate is not None,
        pods={
            state.stable: VersionPods(ready=setting.traffic.pods),
            setting.spec.version: VersionPods(ready=setting.traffic.candidate_pods),
        },
        route=_route(state),
        prepared=candidate is not None and state.now >= state.rhythm.propagation,
        commands=_commands(state),
        gate=_gate(state),
        analysis=_analysis(state) if candidate else Analysis(),
        propagation=setting.propagation,
    )


def _route(state: State) -> Route:
    """Return the route: it has the weight that was decided, from that moment on."""
    stable, weight = state.status.stable, state.status.traffic.weight
    serving, version = stable.version if stable else "", state.setting.spec.version
    shares = {serving: 100.0 - weight} | ({version: weight} if weight else {})
    begins = state.span.begins if state.span else state.rhythm.propagation
    since = instant(begins - state.rhythm.propagation)
    return Route(exists=True, as_wanted=True, shares=shares, since=since)


def _commands(state: State) -> tuple[Command, ...]:
    """Return the approval of the step that asks for one, once it is time."""
    comes, step, candidate = state.awaited, state.step, state.status.candidate
    if comes is None or candidate is None or state.now < comes:
        return ()
    if step is None or not step.approval:
        return ()
    target = f"{candidate.release}/{candidate.step}"
    return (Command("approve", target, f"step-{candidate.step}", "the simulation"),)


def _gate(state: State) -> GateSaid | None:
    """Return what the gate says that is asked: open, once it is time; before, nothing."""
    comes = state.awaited
    if comes is None or state.now < comes:
        return None
    if gates.asked(state.status, state.setting.spec) is None:
        return None
    return GateSaid(GateState.OPEN, "the simulation")


def _analysis(state: State) -> Analysis:
    """Return what the metrics say after all looks that are due."""
    looked, steps, rules = state.looked, state.status.steps, state.setting.rules
    candidate = state.status.candidate
    at = candidate.step if candidate else -1
    rails = phases.judged(state.rails, rules, steps, at)
    if not rails:
        return Analysis()
    step = state.span.step if state.span else -1
    question = Question(
        spec=rules,
        rails=rails,
        steps=steps,
        step=min(step, len(steps) - 1),
        quiet=_quiet(state),
        at=instant(looked * state.rhythm.interval) if looked > 0 else None,
    )
    counts = book.upto(state.made, state.rails, looked)
    return judging.together(counts, question, judging.opinions(counts, question))


def _quiet(state: State) -> dict[str, str]:
    """Return why there is no data, by metric, where that has lasted longer than a few looks."""
    rhythm = state.rhythm
    if state.span is None:
        return {}
    heard = state.heard()
    newest = heard[heard <= state.looked * rhythm.interval + NEARLY]
    since = float(newest[-1]) if newest.size else state.span.begins
    if state.now - since <= rhythm.grace + rhythm.lag:
        return {}
    return {one.rail.name: "no requests" for one in state.made.all_series}
