"""Verdicts in words: numbers as people read them, and one sentence per judgement."""

import math

from penstock.core.evidence import Evidence
from penstock.core.looks import Counts
from penstock.core.stats import nulls
from penstock.core.stats.nulls import Side
from penstock.core.stats.ratio import Ratio
from penstock.core.terms import Tolerance

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(share: float) -> str:
    """Return a share from 0 to 1 as "1.92 %"."""
    value = share * 100
    if value == 0 or value >= 10:
        return f"{round(value, 1):g} %"
    return f"{value:.2f} %" if value >= 0.095 else f"{_plain(value)} %"


def times(ratio: float) -> str:
    """Return a ratio as "3.8"."""
    if ratio >= 9.95:
        return f"{ratio:,.0f}"
    return f"{ratio:.1f}" if ratio >= 0.995 else _plain(ratio)


def odds(log_e: float) -> str:
    """Return exp(log_e) as "200 to 1" or "5·10⁵ to 1"."""
    if log_e < math.log(0.1):
        return "under 0.1 to 1"
    if log_e < math.log(9.5):
        return f"{math.exp(log_e):.1f} to 1"
    if log_e < math.log(9_999.5):
        return f"{math.exp(log_e):,.0f} to 1"
    exponent = math.floor(log_e / math.log(10))
    digit = round(math.exp(log_e - exponent * math.log(10)))
    if digit == 10:
        digit, exponent = 1, exponent + 1
    return f"{digit}·10{str(exponent).translate(_SUPERSCRIPTS)} to 1"


def tolerance(tolerated: Tolerance, side: Side, exposure: float = 1.0) -> str:
    """Return what is tolerated at an exposure, as "1.2 times + 0.1" (of percentage points)."""
    change, slack = tolerated.change(side) / 100 / exposure, tolerated.slack / exposure
    factor = 1 + change if side is Side.MORE else max(1 - change, 0.0)
    ratio, sign = f"{factor:.3g} times", "+" if side is Side.MORE else "-"
    return f"{ratio} {sign} {slack:.3g}" if slack else ratio


def arms(name: str, candidate: Counts, stable: Counts) -> str:
    """Return the rates and counts of both arms after the metric's name."""
    return f"{name}: candidate {_arm(candidate)}, stable {_arm(stable)}"


def ratio_clause(ratio: Ratio | None) -> str:
    """Return the ratio with its interval, as ": 3.8 times (2.1 to 6.4)"; empty when unknown."""
    if ratio is None:
        return ""
    span = _span(ratio)
    if ratio.mid is None:
        return f": {span} times" if span else ""
    return f": {times(ratio.mid)} times ({span or 'not bounded yet'})"


def worse(evidence: Evidence, tolerated: Tolerance, log_needed: float) -> str:
    """Return why a candidate is worse."""
    side = evidence.worse_side
    return (
        f"{side.value} than the tolerated {tolerance(tolerated, side)}; "
        f"evidence {odds(evidence.worse)}, {odds(log_needed)} needed"
    )


def single_cell(evidence: Evidence, log_needed: float) -> str:
    """Return why a candidate that looks worse is not called so."""
    return (
        f"{evidence.worse_side.value} than tolerated, but one scrape target in one look carries "
        f"it: evidence {odds(evidence.worse)}, without it "
        f"{odds(evidence.worse_without_worst_cell)}, {odds(log_needed)} needed"
    )


def one_pod(side: Side, name: str, its: Counts, others: Counts) -> str:
    """Return which pod stands out, with its answers and those of the other pods."""
    what = "excess" if side is Side.MORE else "shortfall"
    return (
        f"most of the {what} is pod {name.removeprefix('/')}: {_arm(its)}, the other pods "
        f"{_arm(others)}; look at that pod"
    )


def speaks_against(evidence: Evidence, log_needed: float) -> str:
    """Return how much speaks against a candidate."""
    return f"evidence that it is worse {odds(evidence.worse)}, {odds(log_needed)} needed"


def pods_not_ready(version: str, ready: int, total: int) -> str:
    """Return that the pods which are left cannot stand for a version."""
    return (
        f"{ready} of {total} pods of {version} are ready: what they answer cannot stand for the "
        "version until more than half are"
    )


def unreached(name: str, lost: int, total: int) -> str:
    """Return that requests failed which no version is charged with."""
    return (
        f"{name}: {percent(lost / total)} of the requests ({lost:,} of {total:,}) reached no pod, "
        "so their failures count for no version: look for a version without ready endpoints, an "
        "open circuit breaker, or a subset that is not there"
    )


def safe(evidence: Evidence, tolerated: Tolerance, exposure: float, log_needed: float) -> str:
    """Return why a candidate is safe for an exposure."""
    if evidence.safe == math.inf:
        return f"nothing that {_exposure(exposure)} may see could be less than is tolerated"
    return (
        f"{_bound(evidence, tolerated, exposure)}; "
        f"evidence {odds(evidence.safe)}, {odds(log_needed)} needed"
    )


def learning(
    evidence: Evidence,
    tolerated: Tolerance,
    exposure: float,
    log_safe_needed: float,
    log_worse_needed: float,
) -> str:
    """Return what is still missing."""
    return (
        f"not yet shown to be {_bound(evidence, tolerated, exposure)}: "
        f"evidence {odds(evidence.safe)}, {odds(log_safe_needed)} needed; "
        f"nor to be worse: {odds(evidence.worse)}, {odds(log_worse_needed)} needed"
    )


def _bound(evidence: Evidence, tolerated: Tolerance, exposure: float) -> str:
    side = evidence.safe_side
    word = "less" if side is Side.MORE else "more"
    bound = tolerance(tolerated, side, exposure)
    return f"{word} than the {bound} tolerated for {_exposure(exposure)}"


def no_data(name: str) -> str:
    """Return that nothing can be said."""
    return f"{name}: no answer of either version was counted in this step"


def empty_question(stable_rate: float, tolerated: Tolerance, exposure: float) -> str:
    """Return that no candidate could be too bad."""
    return (
        f"{tolerance(tolerated, Side.MORE, exposure)}, tolerated for {_exposure(exposure)}, of "
        f"stable's {percent(stable_rate)} is 100 % or more: no candidate could be too bad"
    )


def cannot_resolve(
    margin: float, tolerated: Tolerance, side: Side, pods: tuple[int, int | None]
) -> str:
    """Return that the pods are too few for what they differ by.

    Args:
        margin: Factor by which the pods alone may differ.
        tolerated: What is tolerated.
        side: The direction that suffers.
        pods: How many candidate pods there are, and how many would do; None for no number.
    """
    change = tolerated.change(side) / 100
    allowed = min(margin, nulls.MARGIN_CAP)
    bound = (1 + change) * allowed if side is Side.MORE else (1 - change) / allowed
    few = f"{pods[0]} candidate pod{'s' if pods[0] > 1 else ''}"
    enough = f"{pods[1]} would do" if pods[1] else "stable would need more pods too"
    return (
        f"{few} may differ by {times(margin)} times on their own, so only "
        f"{side.value} than {times(bound)} times stable can be told; {enough}"
    )


def never_safe(tolerated: Tolerance, side: Side, exposure: float) -> str:
    """Return that a tolerance is too small to be shown at this rate."""
    return (
        f"{tolerance(tolerated, side, exposure)} is so little beside stable's share that not even "
        f"an equal version can be shown to be within it for {_exposure(exposure)}: tolerate more "
        "(about a tenth of what is counted), or count what is rare"
    )


def few_events(bad: int) -> str:
    """Return that bursts were too rare to be known."""
    return (
        f"stable's history has only {bad} bad answers: under bursts of errors the false alarm "
        "rate is not guaranteed"
    )


def sticky_requests() -> str:
    """Return that errors of one user come together, which requests do not show."""
    return (
        "users stick to a version and requests are counted, so errors come in clusters by user: "
        "the false alarm rate is not guaranteed (a template with counts: Units keeps it)"
    )


def shares_skipped() -> str:
    """Return that shares are not compared with weights."""
    return "shares of requests are not compared with the weights: users stick to a version"


def shares_apart() -> str:
    """Return that shares cannot be compared with weights."""
    return (
        "shares of requests are not compared with the weights: no metric counts both versions in "
        "one place (istio-errors does)"
    )


def recent_only(looks: int) -> str:
    """Return that counts and ratio leave out older looks, which the evidence covers."""
    return f"counts and ratio cover the last {looks} looks; the evidence covers all"


def _exposure(share: float) -> str:
    return f"{share * 100:.4g} %"


def _arm(counts: Counts) -> str:
    if counts.rate is None:
        return "no answers"
    return f"{percent(counts.rate)} ({counts.bad:,} of {counts.total:,})"


def _span(ratio: Ratio) -> str:
    if ratio.low and ratio.high is not None:
        return f"{times(ratio.low)} to {times(ratio.high)}"
    if ratio.low:
        return f"at least {times(ratio.low)}"
    return f"at most {times(ratio.high)}" if ratio.high is not None else ""


def _plain(value: float) -> str:
    """Return two significant digits without an exponent."""
    digits = max(1 - math.floor(math.log10(value)), 0) if value > 0 else 0
    return f"{value:.{digits}f}"
