"""`penstock simulate`: what would happen to a release, against generated traffic."""

import json
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli import refusal
from penstock.cli.options import duration, rate
from penstock.cli.picture import course, panels
from penstock.cli.refusal import InputError
from penstock.cli.simulation import text
from penstock.cli.simulation.document import document
from penstock.cli.simulation.play import Told, play
from penstock.cli.simulation.setting import check_length, read_setting
from penstock.core.simulation.setting import LAG, PROPAGATION, Traffic, Values

BELOW = 3


class Output(StrEnum):
    """What is printed."""

    TEXT = "text"
    JSON = "json"


def simulate(  # noqa: PLR0913 (one parameter per option is how typer reads them)
    file: Annotated[
        list[Path],
        typer.Option("--file", "-f", help="YAML with one Rollout; may be given again; - for stdin"),
    ],
    rps: Annotated[float, rate("Requests per second of both versions together", 1e7)],
    stable_errors: Annotated[float, rate("Bad answers of stable, in percent")],
    candidate_errors: Annotated[float, rate("Bad answers of the new version, in percent")],
    candidate_errors_from: Annotated[
        float, rate("Weight (or mirror) from which the new version differs; below, like stable")
    ] = 0,
    stable_mean: Annotated[
        float, rate("Mean value of stable's answers, for metrics of means", 1e12)
    ] = 100,
    candidate_mean: Annotated[
        float | None, rate("Mean value of the new version's answers; else as stable's", 1e12)
    ] = None,
    deviation: Annotated[
        float | None, rate("Standard deviation of the values of stable; else its mean", 1e12)
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="How many releases are tried")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same output")] = 1,
    pods: Annotated[int, typer.Option(min=1, max=1000, help="Pods of stable")] = 20,
    candidate_pods: Annotated[
        int, typer.Option(min=1, max=1000, help="Pods of the new version")
    ] = 2,
    pod_spread: Annotated[
        float, rate("How single pods differ: standard deviation of the log of their rates", 2)
    ] = 0,
    burst: Annotated[
        int, typer.Option(min=1, help="Requests that share one fate, good or bad")
    ] = 1,
    approve_after: Annotated[
        timedelta, duration("Time until a step's approval is given", "0s")
    ] = timedelta(0),
    gate_after: Annotated[timedelta, duration("Time until a gate opens", "0s")] = timedelta(0),
    lag: Annotated[
        timedelta, duration("Time until a sample is there, as in the configuration", "15s")
    ] = LAG,
    propagation_delay: Annotated[
        timedelta, duration("Time until every proxy follows a weight", "2s")
    ] = PROPAGATION,
    horizon: Annotated[
        timedelta | None, duration("When a run is given up", "all deadlines, approvals, gates")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw weight and evidence of one run: a .png, .svg, .pdf; - for here"),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="What is printed")] = Output.TEXT,
    fail_below: Annotated[
        float | None,
        rate("Exit with code 3 if fewer percent are promoted, or observed as a shadow"),
    ] = None,
) -> None:
    """Try a whole release against generated traffic, without a cluster and without data.

    FILE has the Rollout as you would apply it, canary, blue/green or shadow; its spec.version is
    the version that is released.
    The plan, every decision and every verdict are the operator's own; only requests, errors and
    the time are made here:

    \b
    penstock simulate -f rollout.yaml --rps 200 --stable-errors 0.5 --candidate-errors 2

    Printed are the time line of one run, and of all runs how often and when the version is
    promoted or rolled back, and how many bad answers its users get until then.

    What to ask it: how long does a good version take (the same errors on both sides)? How much
    harm does a bad one do, and at which weight is it stopped? Is a deadline too short for so few
    requests? What does a version cost that breaks only under load (--candidate-errors-from 25)?
    How often is a good one rolled back where errors come in bursts (--burst 20), or where pods
    differ (--pod-spread 0.3)? How soon is a mean seen to fall, or shown not to (--stable-mean 5
    --candidate-mean 4.5 --deviation 20)?

    \b
    How the traffic is made:
      Requests come at random and are split by the weight in force, evenly over the pods.
      Each metric that compares counts bad answers of its own, at the rates given; for a
      distribution they are what lies beyond each edge. A metric with a plain value is good.
      A metric of a mean compares the values of the answers: above 0, with a gamma distribution
      of --stable-mean, --candidate-mean and --deviation (as great as the mean unless given;
      3 times the mean has a skewness of 6: a few answers make most of the sum).
      A metric is taken as a share of bad answers, or with edges as a distribution, unless its
      MetricTemplate is in a FILE too; a mean needs it there.
      An hour of stable's traffic before the release calibrates, as in the cluster.
      Approvals are given after --approve-after; nobody answers a metric with onWorse: Hold.
      Gates open --gate-after they are asked, and none fails.
      A mirror copies its percent of all requests; copies are judged apart, with half the level
      where weights follow, and no user gets a bad answer of them. A shadow ends observed.
      Blue/green compares nothing: only thresholds and alerts judge it, and here they never
      speak against a version, so what is played is its time and its waits.
      Requests that match and preview choose are left out; all requests fit a mirror's match.

    \b
    Exit codes: 0 done, 2 the input cannot be used, 3 see --fail-below.
    In CI:      penstock simulate -f rollout.yaml --rps 50 --stable-errors 0.5
                --candidate-errors 0.5 --fail-below 95
    """  # noqa: D301 (typer wants the character, not a backslash)
    traffic = Traffic(
        per_second=rps,
        stable_rate=stable_errors / 100,
        candidate_rate=candidate_errors / 100,
        bad_from=candidate_errors_from,
        pods=pods,
        candidate_pods=candidate_pods,
        spread=pod_spread,
        burst=burst,
        values=_values(stable_mean, candidate_mean, deviation),
    )
    try:
        panels.check(plot)
        setting = replace(
            read_setting(file, traffic),
            approve_after=approve_after,
            gate_after=gate_after,
            lag=lag,
            propagation=propagation_delay,
            horizon=horizon,
        )
        check_length(setting)
        told = play(setting, runs, seed)
        _print(told, output)
        _draw(told, plot, output)
    except (InputError, OSError) as error:
        raise refusal.ended("simulate", error) from error
    few = fail_below is not None and told.summary.good_percent < fail_below
    raise typer.Exit(BELOW if few else 0)


def _values(stable: float, candidate: float | None, deviation: float | None) -> Values:
    """Return what answers are worth.

    Raises:
        typer.BadParameter: A value is 0.
    """
    values = Values(
        stable,
        stable if candidate is None else candidate,
        stable if deviation is None else deviation,
    )
    if min(values.stable, values.candidate, values.deviation) <= 0:
        raise typer.BadParameter(
            "--stable-mean, --candidate-mean and --deviation must be greater than 0"
        )
    return values


def _print(told: Told, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(document(told), ensure_ascii=False, indent=2))
        return
    for line in text.lines(told):
        typer.echo(line)


def _draw(told: Told, plot: Path | None, output: Output) -> None:
    """Draw the run that is shown; beside JSON, blocks go to stderr."""
    if plot is None:
        return
    if str(plot) != "-":
        course.draw(told.setting, told.shown, plot)
        return
    for line in course.sketch(told.setting, told.shown):
        typer.echo(line, err=output is Output.JSON)
