"""Files of recorded streams: JSON Lines, a header first, then one line per closed interval."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import ValidationError

from penstock.api import mistakes
from penstock.api.stream import Kind, StreamHeader
from penstock.core.ledger import tolerance_of
from penstock.core.means.calibration import chance
from penstock.core.means.replay import MeanReplay
from penstock.core.replay import Replay
from penstock.core.streams import Arm, Pods, Release, Setup, calibrations

MEAN_WIDTHS = (2, 3)


RELEASE, HISTORY = "release", "history"
MOST = 2.0**53


class StreamError(ValueError):
    """A line that cannot be used; the message names it and says what to write."""


@dataclass
class Stream:
    """The lines of one stream, in the order of the file."""

    name: str
    past_ends: list[float] = field(default_factory=list)
    past: list[Pods] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    candidate: list[Pods] = field(default_factory=list)
    stable: list[Pods] = field(default_factory=list)

    def replay(self, setup: Setup) -> Replay:
        """Return its judgement."""
        width = self._width(setup)
        seconds, history = self._past_seconds(setup.interval_seconds), Arm.of(self.past, width)
        release = Release(
            np.array(self.ends),
            np.array(self.weights) / 100,
            Arm.of(self.candidate, width),
            Arm.of(self.stable, width),
        )
        if setup.mean:
            return MeanReplay(setup, chance(setup, history, seconds), release)
        return Replay(setup, calibrations(setup, history, seconds), release)

    def _width(self, setup: Setup) -> int:
        """Return how many counts each pod has; those of a mean may leave out the squares."""
        if not setup.mean:
            return 1 + len(setup.labels)
        lines = (*self.past, *self.stable, *self.candidate)
        found = {len(counts) for line in lines for counts in line.values()} or {MEAN_WIDTHS[0]}
        if len(found) > 1:
            raise StreamError(f"stream {self.name} has squares on some lines, and on others not")
        return found.pop()

    def _past_seconds(self, default: float) -> float:
        """Return the length of the intervals of the history, which may be its own."""
        gaps = np.diff(self.past_ends)
        return float(np.median(gaps)) if len(gaps) and np.median(gaps) > 0 else default


def read_header(line: str) -> tuple[Setup, tuple[str, ...]]:
    """Return how all streams are judged, and warnings about fields that are not known.

    Raises:
        StreamError: The header cannot be used.
    """
    if not line.strip():
        raise StreamError('there is nothing: write a header first, such as {"metric": {}}')
    content = _object(line.removeprefix(chr(0xFEFF)), 1)
    try:
        header = StreamHeader.model_validate(content)
    except ValidationError as error:
        raise StreamError(
            f"line 1: {'; '.join(mistakes.sentences(StreamHeader, error))}"
        ) from error
    return setup_of(header), mistakes.unknown(StreamHeader, content)


def setup_of(header: StreamHeader) -> Setup:
    """Return what a header says."""
    metric, analysis = header.metric, header.analysis
    unit = f" {metric.unit}" if metric.unit else ""
    labels = tuple(f"over {edge:g}{unit}" for edge in header.all_edges)
    return Setup(
        name=_name(header),
        tolerance=tolerance_of(metric, metric.better),
        labels=labels or ("",),
        ladder=tuple(sorted({weight / 100 for weight in header.ladder if weight < 100})),
        alpha=analysis.false_alarm_rate / 100,
        miss_rate=analysis.miss_rate / 100,
        interval_seconds=analysis.interval.total_seconds(),
        warm_up_seconds=analysis.warm_up.total_seconds(),
        sticky=header.sticky,
        mean=metric.kind is Kind.MEAN,
    )


def _name(header: StreamHeader) -> str:
    """Return what sentences call the metric; the default name is that of a proportion."""
    if header.metric.name != "errors":
        return header.metric.name
    if header.metric.kind is Kind.MEAN:
        return "mean"
    return "slow requests" if header.all_edges else "errors"


def read_streams(lines: Iterable[str], setup: Setup) -> Iterator[Stream]:
    """Yield the streams after the header in the order of their first lines; lines may be mixed.

    Raises:
        StreamError: A line cannot be used.
    """
    streams: dict[str, Stream] = {}
    for number, line in enumerate(lines, 2):
        if line.strip():
            _add(streams, _object(line, number), number, setup)
    if not streams:
        raise StreamError("there is no line after the header: write one per closed interval")
    for stream in streams.values():
        if not stream.ends:
            raise StreamError(f'stream {stream.name} has no line with "phase": "release"')
        yield stream


def _add(streams: dict[str, Stream], content: dict[str, Any], number: int, setup: Setup) -> None:
    try:
        stream = streams.setdefault(_name_of(content), Stream(_name_of(content)))
        checked = partial(_sums if setup.mean else _pods, width=1 + len(setup.labels))
        phase = content.get("phase", RELEASE)
        if phase not in (RELEASE, HISTORY):
            raise StreamError(f'phase {json.dumps(phase)}: write "{HISTORY}" or "{RELEASE}"')
        end, stable = _number(content, "t"), checked(content, "stable")
        if phase == HISTORY:
            stream.past.append(stable)
            stream.past_ends.append(end)
            return
        weight, candidate = _number(content, "weight"), checked(content, "candidate")
        if not 0 <= weight <= 100:
            raise StreamError(f"weight {weight:g} is not within 0 and 100 percent")
        _check_time(stream, end, setup)
    except StreamError as error:
        raise StreamError(f"line {number}: {error}") from error
    stream.ends.append(end)
    stream.weights.append(weight)
    stream.candidate.append(candidate)
    stream.stable.append(stable)


def _check_time(stream: Stream, end: float, setup: Setup) -> None:
    if stream.ends and end - stream.ends[-1] < setup.interval_seconds * 0.5:
        raise StreamError(
            f"t {end:g} is not an interval of {setup.interval_seconds:g} s after "
            f"{stream.ends[-1]:g}; t is the end of the interval in seconds, and "
            "analysis.interval its length"
        )


def _name_of(content: dict[str, Any]) -> str:
    name = _field(content, "stream")
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise StreamError(f"stream {json.dumps(name)}: write a name")
    return str(name)


def _field(content: dict[str, Any], name: str) -> Any:  # noqa: ANN401
    if name not in content:
        raise StreamError(f"{name} is missing")
    return content[name]


def _number(content: dict[str, Any], name: str) -> float:
    value = _field(content, name)
    if not _is_number(value):
        raise StreamError(f"{name} {json.dumps(value)}: write a number")
    return float(value)


def _is_number(value: Any) -> bool:  # noqa: ANN401
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return plain and abs(value) < MOST


def _counts(content: dict[str, Any], arm: str) -> dict[str, list[float]]:
    """Return what an arm says, lists of numbers by pod."""
    pods = _field(content, arm)
    if not isinstance(pods, dict):
        raise StreamError(f'{arm} {json.dumps(pods)}: write counts by pod, {{"pod-a": [600, 4]}}')
    for pod, counts in pods.items():
        if not isinstance(counts, list) or not all(map(_is_number, counts)):
            raise StreamError(f"{pod} has {json.dumps(counts)}: write a list of numbers")
    return pods


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise StreamError(f"line {number} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise StreamError(f"line {number} is not a JSON object")
    return content


def _sums(content: dict[str, Any], arm: str, width: int) -> Pods:
    """Return counts and sums by pod, checked; `width` is that of other metrics."""
    pods = _counts(content, arm)
    for pod, counts in pods.items():
        if len(counts) not in MEAN_WIDTHS:
            raise StreamError(f"{pod} has {counts}: write [count, sum] or [count, sum, squares]")
        if min(counts) < 0:
            raise StreamError(f"{pod} has {counts}: counts and sums are numbers of at least 0")
        if counts[0] == 0 and any(counts):
            raise StreamError(f"{pod} has {counts}: without answers there is no sum")
    return pods


def _pods(content: dict[str, Any], arm: str, width: int) -> Pods:
    """Return counts by pod, checked: whole numbers, each edge beyond the one before."""
    pods = _counts(content, arm)
    for pod, counts in pods.items():
        if len(counts) != width:
            raise StreamError(f"{pod} has {len(counts)} counts where {width} are needed")
        if any(count != int(count) for count in counts):
            raise StreamError(f"{pod} has {counts}: counts are whole numbers")
        if not all(a >= b for a, b in pairwise(counts)) or counts[-1] < 0:
            raise StreamError(f"{pod} has the counts {counts}: a part must not exceed the whole")
    return pods
