"""Two versions as Prometheus remembers them: streams of a Rollout's metrics from real history."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests import RequestException

from penstock.api.fields import parse_duration
from penstock.api.v1alpha1.metric_template import Mean
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.cli import rollout_files
from penstock.cli.rollout_files import Plan
from penstock.core import analysis, classes, history, ledger, plan, streams
from penstock.core.history import Floats
from penstock.core.ledger import Guardrail
from penstock.core.means.replay import MeanReplay
from penstock.core.queries import Arm, Subject, Unusable
from penstock.core.replay import Replay
from penstock.core.samples import Query, RangeQuery, Sample, Track
from penstock.core.streams import Release, Setup

MOST_POINTS = 10_000
_Q = TypeVar("_Q", Query, RangeQuery)


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


def read_plan(files: Sequence[Path]) -> Plan:
    """Return the Rollout of some YAML files, and the MetricTemplates of its metrics.

    Raises:
        InputError: They cannot be used; one line per mistake.
        OSError: They cannot be read.
    """
    return rollout_files.read(files, lambda _spec, _metric, given: given)


def replays(address: str, wanted: Plan, window: Window) -> Iterator[tuple[str, Replay]]:
    """Yield each metric that compares, judged over the window; an hour before it calibrates.

    Raises:
        PastError: Prometheus cannot be asked, or knows nothing of a version.
    """
    rails = ledger.guardrails(wanted.spec.analysis, wanted.templates)
    acting = sum(1 for rail in rails if rail.acts and rail.compares)
    alpha = analysis.guardrail_alpha(wanted.spec.analysis.false_alarm_rate, acting)
    source = _Source(PrometheusConnect(address, retry=None), _subject(wanted, window))
    for rail in (source.with_classes(rail, window) for rail in rails):
        setup = _setup(rail, wanted.spec, alpha)
        if rail.mean is not None:
            yield rail.name, source.mean_replay(rail, rail.mean, setup, window)
        elif rail.counted:
            yield rail.name, source.replay(rail, setup, window)


def _subject(wanted: Plan, window: Window) -> Subject:
    target = wanted.target
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
        labels=tuple(counted.label for counted in rail.counted) or ("",),
        ladder=tuple(sorted(weights)),
        alpha=alpha,
        miss_rate=spec.analysis.miss_rate / 100,
        interval_seconds=spec.analysis.interval.total_seconds(),
        warm_up_seconds=spec.analysis.warm_up.total_seconds(),
        sticky=spec.traffic.sticky is not None,
        mean=rail.mean is not None,
    )


@dataclass(frozen=True, slots=True)
class _Source:
    client: PrometheusConnect
    subject: Subject

    def replay(self, rail: Guardrail, setup: Setup, window: Window) -> Replay:
        """Return the judgement of one metric over the window."""
        subject, past = self.subject.with_args(rail.args), list[tuple[Track, ...]]()
        stable: list[tuple[Track, ...]] = []
        candidate: list[tuple[Track, ...]] = []
        for counted in rail.counted:
            query = history.query(counted.proportion, rail.connection, subject, window.begin)
            past.append(self._ask(_usable(rail, query)))
            for version, found in ((subject.stable, stable), (subject.candidate, candidate)):
                asked = history.query_of(
                    counted.proportion, rail.connection, subject, version, window.end
                )
                found.append(self._in(window, setup, _usable(rail, asked)))
        calibrated = tuple(history.calibrate(tracks, _pods(tracks), setup.alpha) for tracks in past)
        release = _release(rail.name, history.arms(stable, candidate), window)
        return Replay(setup, calibrated, release)

    def with_classes(self, rail: Guardrail, window: Window) -> Guardrail:
        """Return a metric of categories with the classes that stable had until the window."""
        if rail.categories is None:
            return rail
        subject = self.subject.with_args(rail.args)
        query = _usable(
            rail, classes.query(rail.categories, rail.connection, subject, window.begin)
        )
        names = classes.choose(rail.categories, self._ask_at(query))
        if not names:
            raise PastError(f"{rail.name}: stable had not counted enough answers of any class")
        return rail.of_classes(names)

    def mean_replay(
        self, rail: Guardrail, template: Mean, setup: Setup, window: Window
    ) -> MeanReplay:
        """Return the judgement of a mean over the window."""
        subject = self.subject.with_args(rail.args)
        query = history.mean_query(template, rail.connection, subject, window.begin)
        past = self._ask(_usable(rail, query))
        stable, candidate = (
            self._in(window, setup, _usable(rail, asked))
            for asked in (
                history.mean_query_of(template, rail.connection, subject, version, window.end)
                for version in (subject.stable, subject.candidate)
            )
        )
        known = history.calibrate_mean(past, _pods(past), setup.alpha, setup.interval_seconds)
        squares = template.sum_of_squares is not None
        counted = history.mean_arms(stable, candidate, squares=squares)
        return MeanReplay(setup, known, _release(rail.name, counted, window))

    def _in(self, window: Window, setup: Setup, query: RangeQuery) -> tuple[Track, ...]:
        """Return the answer at the ends of all looks of the window."""
        step = timedelta(seconds=setup.interval_seconds)
        return self._ask(query.over(window.begin, window.end, step))

    def _ask_at(self, query: Query) -> tuple[Sample, ...]:
        with _answering():
            rows = self.client.custom_query(
                query.expression, {"time": f"{query.at.timestamp():.3f}"}
            )
        return tuple(Sample(row["metric"], float(row["value"][1])) for row in rows)

    def _ask(self, query: RangeQuery) -> tuple[Track, ...]:
        if (query.end - query.begin) / query.step > MOST_POINTS:
            raise PastError("the window has too many intervals: make it shorter")
        with _answering():
            rows = self.client.custom_query_range(
                query.expression, query.begin, query.end, f"{query.step.total_seconds():g}"
            )
        return tuple(
            Track(row["metric"], {float(at): float(value) for at, value in row["values"]})
            for row in rows
        )


@contextmanager
def _answering() -> Iterator[None]:
    """Say what Prometheus refused, in one line."""
    try:
        yield
    except (PrometheusApiClientException, RequestException) as error:
        raise PastError(f"Prometheus: {' '.join(str(error).split())[:200]}") from error


def _pods(tracks: Sequence[Track]) -> frozenset[str]:
    """Return the pods that the targets name themselves."""
    return frozenset(track.labels["pod"] for track in tracks if track.labels.get("pod"))


def _usable(rail: Guardrail, query: _Q | Unusable) -> _Q:
    if isinstance(query, Unusable):
        raise PastError(f"{rail.name}: {query.reason}")
    return query


def _release(
    name: str, counted: tuple[Floats, tuple[streams.Arm, streams.Arm]], window: Window
) -> Release:
    ends, arms = counted
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
