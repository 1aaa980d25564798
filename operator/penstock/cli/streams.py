"""Files of recorded streams: JSON Lines, a header first, then one line per closed interval."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import ValidationError

from penstock.api import mistakes
from penstock.api.stream import StreamHeader
from penstock.core import replay
from penstock.core.ledger import tolerance_of
from penstock.core.replay import Arm, Pods, Release, Setup


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

    def replay(self, setup: Setup) -> replay.Replay:
        """Return its judgement."""
        width = 1 + len(setup.labels)
        seconds = self._past_seconds(setup.interval_seconds)
        calibrated = replay.calibrations(setup, Arm.of(self.past, width), seconds)
        release = Release(
            np.array(self.ends),
            np.array(self.weights) / 100,
            Arm.of(self.candidate, width),
            Arm.of(self.stable, width),
        )
        return replay.Replay(setup, calibrated, release)

    def _past_seconds(self, default: float) -> float:
        """Return the length of the intervals of the history, which may be its own."""
        gaps = np.diff(self.past_ends)
        return float(np.median(gaps)) if len(gaps) and np.median(gaps) > 0 else default


def read_header(line: str) -> tuple[Setup, tuple[str, ...]]:
    """Return how all streams are judged, and warnings about fields that are not known.

    Raises:
        StreamError: The header cannot be used.
    """
    content = _object(line, 1)
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
        name="slow requests" if labels and metric.name == "errors" else metric.name,
        tolerance=tolerance_of(metric, metric.better),
        labels=labels or ("",),
        ladder=tuple(sorted({weight / 100 for weight in header.ladder if weight < 100})),
        alpha=analysis.false_alarm_rate / 100,
        miss_rate=analysis.miss_rate / 100,
        interval_seconds=analysis.interval.total_seconds(),
        warm_up_seconds=analysis.warm_up.total_seconds(),
        sticky=header.sticky,
    )


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
        name = str(content["stream"])
        stream = streams.setdefault(name, Stream(name))
        width = 1 + len(setup.labels)
        stable = _pods(content["stable"], width)
        if content.get("phase", "release") == "history":
            stream.past.append(stable)
            stream.past_ends.append(float(content["t"]))
            return
        end, weight = float(content["t"]), float(content["weight"])
        candidate = _pods(content["candidate"], width)
    except KeyError as error:
        raise StreamError(f"line {number}: {error.args[0]} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise StreamError(f"line {number}: {error}") from error
    if not 0 <= weight <= 100:
        raise StreamError(f"line {number}: weight {weight:g} is not within 0 and 100 percent")
    if stream.ends and end - stream.ends[-1] < setup.interval_seconds * 0.5:
        text = f"{setup.interval_seconds:g} s"
        raise StreamError(
            f"line {number}: t {end:g} is not an interval of {text} after {stream.ends[-1]:g}; "
            "t is the end of the interval in seconds, and analysis.interval its length"
        )
    stream.ends.append(end)
    stream.weights.append(weight)
    stream.candidate.append(candidate)
    stream.stable.append(stable)


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise StreamError(f"line {number} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise StreamError(f"line {number} is not a JSON object")
    return content


def _pods(content: dict[str, Any], width: int) -> Pods:
    """Return counts by pod, checked: whole numbers, each edge beyond the one before."""
    for pod, counts in content.items():
        if len(counts) != width:
            raise ValueError(f"{pod} has {len(counts)} counts where {width} are needed")
        if not all(a >= b for a, b in pairwise(counts)) or counts[-1] < 0:
            raise ValueError(f"{pod} has the counts {counts}: a part must not exceed the whole")
    return content
