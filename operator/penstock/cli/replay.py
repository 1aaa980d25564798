"""`penstock replay`: the operator's judgement of recorded streams, without a cluster."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from penstock.cli import refusal
from penstock.cli.picture import panels, streams
from penstock.cli.refusal import InputError
from penstock.cli.streams import StreamError, read_header, read_streams
from penstock.core.replay import Replay, Said, Summary, first_verdicts

FAILED = 3
MOST_DRAWN = 12


class FailOn(StrEnum):
    """When the exit code is 3."""

    NEVER = "never"
    WORSE = "worse"
    NOT_SAFE = "not-safe"


def replay(  # noqa: PLR0913 (one parameter per option is how typer reads them)
    source: Annotated[
        str, typer.Argument(help="A file (- for stdin), or the name of a Release.")
    ] = "",
    summary: Annotated[bool, typer.Option("--summary", help="Print one line per stream.")] = False,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit with code 3 if a stream was worse, or was never safe.")
    ] = FailOn.NEVER,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the evidence: a .png, .svg or .pdf, or - for here."),
    ] = None,
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", help="Namespace of the Release.")
    ] = "",
    prometheus: Annotated[str, typer.Option(help="Address of a Prometheus to ask.")] = "",
    files: Annotated[
        list[Path], typer.Option("-f", "--file", help="YAML: a Rollout, MetricTemplates.")
    ] = [],  # noqa: B006
    stable: Annotated[str, typer.Option(help="The version that served.")] = "",
    candidate: Annotated[str, typer.Option(help="The version that was new.")] = "",
    begin: Annotated[str, typer.Option("--from", help="ISO 8601, or -3h.")] = "-1h",
    end: Annotated[str, typer.Option("--to", help="ISO 8601, or -1h.")] = "-0s",
    weight: Annotated[
        float, typer.Option(help="Its weight in percent; else the share that was seen.")
    ] = 0,
) -> None:
    """Judge recorded streams exactly as the operator would have.

    SOURCE is a file, or the name of a Release in your cluster (kubectl's context and rights), or is
    left out with --prometheus. A file has JSON Lines. The first one says how they are judged:

    \b
    {"analysis": {"falseAlarmRate": 1, "missRate": 5, "warmUp": "3m", "interval": "60s"},
     "metric": {"kind": "proportion", "maxIncrease": 20, "slack": 0.1},
     "ladder": [1, 5, 25, 50, 100]}

    For a distribution add "edges": [100, 250]; "sticky": true where users stick to a version.
    Then comes one line per stream and closed interval, counts by pod:

    \b
    {"stream": "s17", "t": 60, "phase": "release", "weight": 10,
     "candidate": {"pod-a": [600, 4]}, "stable": {"pod-1": [2700, 13], "pod-2": [2700, 12]}}

    [total, bad], or [total, beyond edge 1, beyond edge 2]; for "kind": "mean" [answers, sum of
    their values], better [answers, sum, sum of squares]. Lines with "phase": "history" come
    before; an hour of them tells how bad answers cluster and how pods differ.

    A Release of mirrors and weights has two judgements of a metric: mirror/<metric> of the copies,
    and <metric> of what users met, each with half the level.

    Printed is one line per interval of a release: the verdict, the evidence (natural logarithms),
    how many times as bad (low, middle, high), and why in words. With --prometheus each metric of
    the Rollout is judged that compares; of categories the classes that stable had at --from.

    \b
    Exit codes: 0 judged, 2 the input cannot be used, 3 see --fail-on.
    Examples:   penstock replay last-month.jsonl --summary --fail-on worse
                penstock replay fraud-7 -n ml
                penstock replay --prometheus http://localhost:9090 -f rollout.yaml \\
                  -f istio-errors.yaml --stable v1 --candidate v2 --from -3h --to -1h
    """  # noqa: D301 (typer wants the character, not a backslash)
    window = (stable, candidate, begin, end, weight)
    told = _Told(summary, fail_on, plot)
    try:
        panels.check(plot)
        if prometheus:
            _replay_past(told, prometheus, files, window)
        elif source == "-" or Path(source).exists():
            with _opened(source) as lines:
                _replay(told, lines)
        elif source:
            _replay_release(told, source, namespace or None)
        else:
            raise StreamError("name a file, a Release, or --prometheus with -f, --from and --to")
        told.draw()
    except InputError as error:
        raise refusal.ended("replay", error) from error
    except (ValueError, OSError) as error:
        raise refusal.ended(f"replay: {source or prometheus}", error) from error
    raise typer.Exit(FAILED if told.failed else 0)


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdin
        return
    with Path(file).open() as lines:
        yield lines


@dataclass
class _Told:
    """What is printed, and whether a stream fails."""

    summary: bool
    fail_on: FailOn
    plot: Path | None
    failed: bool = False
    drawn: dict[str, list[Said]] = field(default_factory=dict)

    def tell(self, stream: str, each: Iterable[Said], short: Summary | None) -> None:
        """Print one stream."""
        if short is not None:
            worse, safe = short.worse_at is not None, short.safe_at is not None
            self.failed |= self.fail_on is FailOn.WORSE and worse
            self.failed |= self.fail_on is FailOn.NOT_SAFE and not safe
        if self.summary and short is not None:
            _print(_summary_line(stream, short))
            if not self.plot:
                return
        for said in each:
            if not self.summary:
                _print(_said_line(stream, said))
            if self.plot and (stream in self.drawn or len(self.drawn) < MOST_DRAWN):
                self.drawn.setdefault(stream, []).append(said)

    @property
    def wants_summary(self) -> bool:
        """Whether first verdicts are asked for."""
        return self.summary or self.fail_on is not FailOn.NEVER

    def draw(self) -> None:
        """Draw what was said, if that was asked for; blocks go to stderr, beside the lines."""
        if self.plot is None:
            return
        if str(self.plot) != "-":
            streams.draw(self.drawn, self.plot)
            return
        for line in streams.sketch(self.drawn):
            typer.echo(line, err=True)


def _replay(told: _Told, lines: TextIO) -> None:
    """Judge the streams of a file."""
    setup, warnings = read_header(lines.readline())
    for warning in warnings:
        typer.echo(f"penstock replay: line 1: {warning}", err=True)
    for stream in read_streams(lines, setup):
        _tell_replay(told, stream.name, stream.replay(setup))


def _tell_replay(told: _Told, name: str, one: Replay) -> None:
    told.tell(name, one.said(), one.summary() if told.wants_summary else None)
    if not told.summary:
        for note in one.notes:
            typer.echo(f"penstock replay: {name}: {note}", err=True)


def _replay_release(told: _Told, name: str, namespace: str | None) -> None:
    """Judge the record of a Release anew."""
    from penstock.cli import releases

    for one in releases.judged(releases.read(name, namespace)):
        short = first_verdicts(one.said) if told.wants_summary else None
        told.tell(f"{name}/{one.metric}", one.said, short)


def _replay_past(
    told: _Told, address: str, files: Sequence[Path], window: tuple[str, str, str, str, float]
) -> None:
    """Judge what Prometheus remembers."""
    from penstock.cli import past

    stable, candidate, begin, end, weight = window
    if not (files and stable and candidate):
        raise StreamError("--prometheus needs -f, --stable and --candidate")
    times = past.moment(begin), past.moment(end)
    wanted = past.Window(stable, candidate, *times, weight / 100)
    for name, one in past.replays(address, past.read_plan(files), wanted):
        _tell_replay(told, name, one)


def _print(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")


def _said_line(stream: str, said: Said) -> dict[str, Any]:
    seen, ratio = said.evidence, said.ratio
    return {
        "stream": stream,
        "t": said.end,
        "verdict": str(said.verdict),
        "logEvidence": {"worse": _rounded(seen.worse), "safe": _rounded(seen.safe)},
        "ratio": None
        if ratio is None
        else [_rounded(one) for one in (ratio.low, ratio.mid, ratio.high)],
        "why": said.why,
    }


def _summary_line(stream: str, summary: Summary) -> dict[str, Any]:
    return {
        "stream": stream,
        "worseAt": summary.worse_at,
        "safeAt": summary.safe_at,
        "candidateRequests": summary.candidate.total,
        "candidateBad": summary.candidate.bad,
    }


def _rounded(number: float | None) -> float | None:
    """Return a number as JSON can hold it."""
    if number is None or number != number or abs(number) == float("inf"):
        return None if number is None or number != number else (1e308 if number > 0 else -1e308)
    return round(number, 6)
