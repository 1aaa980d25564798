"""`penstock replay`: the operator's judgement of recorded streams, without a cluster."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from penstock.cli.streams import StreamError, read_header, read_streams
from penstock.core.replay import Replay, Said, Summary

FAILED = 3


class FailOn(StrEnum):
    """When the exit code is 3."""

    NEVER = "never"
    WORSE = "worse"
    NOT_SAFE = "not-safe"


def replay(
    file: Annotated[
        Path, typer.Argument(help="JSON Lines: a header, then closed intervals; - for stdin.")
    ],
    summary: Annotated[bool, typer.Option(help="Print one line per stream.")] = False,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit with code 3 if a stream was worse, or was never safe.")
    ] = FailOn.NEVER,
) -> None:
    r"""Judge recorded streams exactly as the operator would have.

    FILE has JSON Lines. The first one says how they are judged:

    \b
    {"analysis": {"falseAlarmRate": 1, "missRate": 5, "warmUp": "3m", "interval": "60s"},
     "metric": {"kind": "proportion", "maxIncrease": 20, "slack": 0.1},
     "ladder": [1, 5, 25, 50, 100]}

    For a distribution add "edges": [100, 250]; "sticky": true where users stick to a version.
    Then comes one line per stream and closed interval, counts by pod:

    \b
    {"stream": "s17", "t": 60, "phase": "release", "weight": 10,
     "candidate": {"pod-a": [600, 4]}, "stable": {"pod-1": [2700, 13], "pod-2": [2700, 12]}}

    [total, bad], or [total, beyond edge 1, beyond edge 2]. Lines with "phase": "history" come
    before; an hour of them tells how bad answers cluster and how pods differ.

    Printed is one line per interval of a release: the verdict, the evidence (natural logarithms),
    how many times as bad (low, middle, high), and why in words.

    \b
    Exit codes: 0 judged, 2 the input cannot be used, 3 see --fail-on.
    Example:    penstock replay last-month.jsonl --summary --fail-on worse
    """
    try:
        with _opened(file) as lines:
            failed = _replay(lines, summary, fail_on)
    except (StreamError, OSError) as error:
        typer.echo(f"penstock replay: {file}: {error}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(FAILED if failed else 0)


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    if str(file) == "-":
        yield sys.stdin
        return
    with file.open() as lines:
        yield lines


def _replay(lines: TextIO, summary: bool, fail_on: FailOn) -> bool:
    """Print the judgement of each stream; return whether one fails."""
    setup, warnings = read_header(lines.readline())
    for warning in warnings:
        typer.echo(f"penstock replay: line 1: {warning}", err=True)
    failed = False
    for stream in read_streams(lines, setup):
        one = stream.replay(setup)
        if summary or fail_on is not FailOn.NEVER:
            short = one.summary()
            failed |= _fails(short, fail_on)
        if summary:
            _print(_summary_line(stream.name, short))
            continue
        _print_each(stream.name, one)
    return failed


def _fails(summary: Summary, fail_on: FailOn) -> bool:
    if fail_on is FailOn.WORSE:
        return summary.worse_at is not None
    return fail_on is FailOn.NOT_SAFE and summary.safe_at is None


def _print_each(stream: str, one: Replay) -> None:
    for said in one.said():
        _print(_said_line(stream, said))
    for note in one.notes:
        typer.echo(f"penstock replay: {stream}: {note}", err=True)


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
