"""Verdicts in words: numbers as people read them, and one sentence per judgement."""

import math

from penstock.core.evidence import Evidence
from penstock.core.looks import Counts
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


def tolerance(tolerated: Tolerance, exposure: float = 1.0) -> str:
    """Return what is tolerated at an exposure, as "1.2 times + 0.1" (of percentage points)."""
    ratio = f"{1 + tolerated.max_increase / 100 / exposure:.3g} times"
    return f"{ratio} + {tolerated.slack / exposure:.3g}" if tolerated.slack else ratio


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
    return (
        f"more than the tolerated {tolerance(tolerated)}; "
        f"evidence {odds(evidence.worse)}, {odds(log_needed)} needed"
    )


def single_cell(evidence: Evidence, log_needed: float) -> str:
    """Return why a candidate that looks worse is not called so."""
    return (
        f"more than tolerated, but one scrape target in one look carries it: "
        f"evidence {odds(evidence.worse)}, without it "
        f"{odds(evidence.worse_without_worst_cell)}, {odds(log_needed)} needed"
    )


def safe(evidence: Evidence, tolerated: Tolerance, exposure: float, log_needed: float) -> str:
    """Return why a candidate is safe for an exposure."""
    return (
        f"less than the {tolerance(tolerated, exposure)} tolerated for {_exposure(exposure)}; "
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
        f"not yet shown to be less than the {tolerance(tolerated, exposure)} tolerated for "
        f"{_exposure(exposure)}: evidence {odds(evidence.safe)}, {odds(log_safe_needed)} needed; "
        f"nor to be worse: {odds(evidence.worse)}, {odds(log_worse_needed)} needed"
    )


def no_data(name: str) -> str:
    """Return that nothing can be said."""
    return f"{name}: no answer of either version was counted in this step"


def empty_question(stable_rate: float, tolerated: Tolerance, exposure: float) -> str:
    """Return that no candidate could be too bad."""
    return (
        f"{tolerance(tolerated, exposure)}, tolerated for {_exposure(exposure)}, of stable's "
        f"{percent(stable_rate)} is 100 % or more: no candidate could be too bad"
    )


def cannot_resolve(margin: float, cap: float, pods_needed: int | None) -> str:
    """Return that the pods are too few for what they differ by."""
    enough = (
        "no number of candidate pods" if pods_needed is None else f"{pods_needed} candidate pods"
    )
    return (
        f"so few pods may differ by {times(margin)} times on their own, but no more than "
        f"{times(cap)} times is allowed for; {enough} would do"
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
