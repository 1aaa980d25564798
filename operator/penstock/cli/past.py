"""Two versions as Prometheus remembers them: streams of a Rollout's metrics from real history."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from pydantic import ValidationError
from requests import RequestException

from penstock.api import mistakes
from penstock.api.fields import parse_duration
from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import analysis, history, ledger, plan
from penstock.core.ledger import Guardrail
from penstock.core.queries import Arm, Subject, Unusable
from penstock.core.replay import Release, Replay, Setup
from penstock.core.samples import RangeQuery, Track
from penstock.core.traffic.target import target_of

MOST_POINTS = 10_000


class PastError(ValueError):
    """The past cannot be judged; the message says why."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is looked at: the versions, the time, and the candidate's weight as a share.

    Attributes:
        weight: 0 to take the share of the requests that was seen, to two digits.
    """

    stable: str
    candidate: str
    begin: datetime
    end: datetime
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A Rollout and the MetricTemplates that came with it."""

    name: str
    namespace: str
    spec: RolloutSpec
    templates: dict[str, MetricTemplateSpec]


def read_plan(files: Sequence[Path]) -> Plan:
    """Return the Rollout of some YAML files, and their MetricTemplates.

    Raises:
        PastError: There is not exactly one Rollout, or something in a file cannot be read.
    """
    documents = [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]
    rollouts = [one for one in documents if one.get("kind") == "Rollout"]
    if len(rollouts) != 1:
        raise PastError(f"{len(rollouts)} Rollouts in the files where one is needed")
    meta = rollouts[0].get("metadata", {})
    templates = {
        one["metadata"]["name"]: _model(MetricTemplateSpec, one)
        for one in documents
        if one.get("kind") == "MetricTemplate"
    }
    spec = _model(RolloutSpec, rollouts[0])
    return Plan(meta.get("name", "rollout"), meta.get("namespace", "default"), spec, templates)


def _model(kind: type[Any], document: dict[str, Any]) -> Any:  # noqa: ANN401
    try:
        return kind.model_validate(document.get("spec"))
    except ValidationError as error:
        said = "; ".join(mistakes.sentences(kind, error))
        raise PastError(f"{document['kind']}: {said}") from error


def replays(address: str, wanted: Plan, window: Window) -> Iterator[tuple[str, Replay]]:
    """Yield each metric that compares, judged over the window; an hour before it calibrates.

    Raises:
        PastError: Prometheus cannot be asked, or knows nothing of a version.
    """
    given = {m.title: wanted.templates[m.template] for m in wanted.spec.analysis.metrics
             if m.template in wanted.templates}  # fmt: skip
    missing = [m.template for m in wanted.spec.analysis.metrics
               if m.template and m.title not in given]  # fmt: skip
    if missing:
        raise PastError(f"MetricTemplate {missing[0]} is in none of the files: add it with -f")
    rails = [r for r in ledger.guardrails(wanted.spec.analysis, given) if r.counted]
    acting = sum(1 for rail in rails if rail.acts)
    alpha = analysis.guardrail_alpha(wanted.spec.analysis.false_alarm_rate, acting)
    source = _Source(PrometheusConnect(address, retry=None), _subject(wanted, window))
    for rail in rails:
        yield rail.name, source.replay(rail, _setup(rail, wanted.spec, alpha), window)


def _subject(wanted: Plan, window: Window) -> Subject:
    domains = "cluster.local", "istio-system"
    target = target_of(wanted.namespace, wanted.name, "", wanted.spec, domains)
    stable, candidate = (
        Arm(version, target.version_host(version), f'destination_canonical_revision="{version}"')
        for version in (window.stable, window.candidate)
    )
    service = wanted.spec.traffic.service
    return Subject(wanted.namespace, wanted.name, service, stable, candidate)


def _setup(rail: Guardrail, spec: RolloutSpec, alpha: float) -> Setup:
    weights = {step.weight / 100 for step in plan.expand(spec) if step.weight is not None}
    return Setup(
        name=rail.name,
        tolerance=rail.tolerance,
        labels=tuple(counted.label for counted in rail.counted),
        ladder=tuple(sorted(weights)),
        alpha=alpha,
        miss_rate=spec.analysis.miss_rate / 100,
        interval_seconds=spec.analysis.interval.total_seconds(),
        warm_up_seconds=spec.analysis.warm_up.total_seconds(),
        sticky=spec.traffic.sticky is not None,
    )


@dataclass(frozen=True, slots=True)
class _Source:
    client: PrometheusConnect
    subject: Subject

    def replay(self, rail: Guardrail, setup: Setup, window: Window) -> Replay:
        """Return the judgement of one metric over the window."""
        subject, step = self.subject.with_args(rail.args), timedelta(seconds=setup.interval_seconds)
        past: list[tuple[Track, ...]] = []
        stable: list[tuple[Track, ...]] = []
        candidate: list[tuple[Track, ...]] = []
        for counted in rail.counted:
            query = history.query(counted.proportion, rail.connection, subject, window.begin)
            if isinstance(query, Unusable):
                raise PastError(f"{rail.name}: {query.reason}")
            past.append(self._ask(query))
            for version, found in ((subject.stable, stable), (subject.candidate, candidate)):
                asked = history.query_of(
                    counted.proportion, rail.connection, subject, version, window.end
                )
                if isinstance(asked, Unusable):
                    raise PastError(f"{rail.name}: {asked.reason}")
                found.append(self._ask(asked.over(window.begin, window.end, step)))
        calibrated = tuple(history.calibrate(tracks, _pods(tracks), setup.alpha) for tracks in past)
        return Replay(setup, calibrated, _release(rail.name, stable, candidate, window))

    def _ask(self, query: RangeQuery) -> tuple[Track, ...]:
        if (query.end - query.begin) / query.step > MOST_POINTS:
            raise PastError("the window has too many intervals: make it shorter")
        try:
            rows = self.client.custom_query_range(
                query.expression, query.begin, query.end, f"{query.step.total_seconds():g}"
            )
        except (PrometheusApiClientException, RequestException) as error:
            raise PastError(f"Prometheus: {' '.join(str(error).split())[:200]}") from error
        return tuple(
            Track(row["metric"], {float(at): float(value) for at, value in row["values"]})
            for row in rows
        )


def _pods(tracks: Sequence[Track]) -> frozenset[str]:
    """Return the pods that the targets name themselves."""
    return frozenset(track.labels["pod"] for track in tracks if track.labels.get("pod"))


def _release(
    name: str,
    stable: Sequence[tuple[Track, ...]],
    candidate: Sequence[tuple[Track, ...]],
    window: Window,
) -> Release:
    ends, arms = history.arms(stable, candidate)
    if not len(ends):
        raise PastError(f"{name}: Prometheus has no counters of either version in this time")
    ours, theirs = (arm.total(0) for arm in arms)
    share = ours / np.maximum(ours + theirs, 1.0)
    seen = np.array([_two_digits(one) for one in share.tolist()])
    weights = np.full(len(ends), window.weight) if window.weight else seen
    return Release(ends, weights, *arms)


def _two_digits(share: float) -> float:
    """Return a share as a weight that does not change with every request."""
    return float(f"{share:.1g}") if share > 0 else 0.0


def moment(text: str) -> datetime:
    """Return the time that a text names: ISO 8601, or -2h for two hours ago.

    Raises:
        PastError: It is neither.
    """
    try:
        if text.startswith("-"):
            return datetime.now(UTC) - parse_duration(text[1:])
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise PastError(f"{text} is no time: write 2026-11-24T09:00:00Z, or -2h") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
