"""What the verdict on a proportion cannot tell or promise."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from penstock.core import asked, sentences, sides
from penstock.core.looks import Counts, Floats, Table
from penstock.core.stats import nulls
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Bet, Pairs, Question
from penstock.core.terms import Calibration, Terms

LEAST_CHANGE, CHANGES_RESOLVED = 0.2, 3


class NoteKind(StrEnum):
    """What a verdict cannot tell or promise."""

    EMPTY_QUESTION = "EmptyQuestion"
    CANNOT_RESOLVE = "CannotResolve"
    FEW_EVENTS = "FewEvents"
    NEVER_SAFE = "NeverSafe"
    RECENT_ONLY = "RecentOnly"
    SINGLE_CELL = "SingleCell"


@dataclass(frozen=True, slots=True)
class Note:
    """A limit of a verdict, with one sentence for people."""

    kind: NoteKind
    text: str


def limits(terms: Terms, table: Table, step: int) -> tuple[Note, ...]:
    """Return what cannot be told or promised about a proportion on a step."""
    stable = counted(table.stable_total, table.stable_bad)
    notes = (
        _empty_question(terms, stable.rate or 0.0, terms.exposure(step)),
        _never_safe(terms, table, step),
        _cannot_resolve(terms, table),
        _few_events(terms.calibration),
    )
    return tuple(note for note in notes if note)


def _empty_question(terms: Terms, stable_rate: float, exposure: float) -> Note | None:
    if Side.MORE not in terms.tolerance.sides:
        return None
    for share in (1.0, exposure):
        border = sides.border(Side.MORE, terms.tolerance, share)
        if border and border.ratio[0] * stable_rate + border.slack[0] >= 1:
            text = sentences.empty_question(stable_rate, terms.tolerance, share)
            return Note(NoteKind.EMPTY_QUESTION, text)
    return None


def _cannot_resolve(terms: Terms, table: Table) -> Note | None:
    factor = margin(terms, table)
    side = min(terms.tolerance.sides, key=lambda one: _resolvable(terms, one))
    limit = _resolvable(terms, side)
    if factor <= limit:
        return None
    pods = int(max(table.candidate_pods[-1], 1)), _pods_needed(terms, table, limit)
    text = sentences.cannot_resolve(factor, terms.tolerance, side, pods)
    return Note(NoteKind.CANNOT_RESOLVE, text)


def _never_safe(terms: Terms, table: Table, step: int) -> Note | None:
    """Return that not even an equal candidate could be shown to be within so small a tolerance.

    Told by the evidence that a look of average size is expected to add for equal shares.
    """
    n, m = float(table.candidate_total.mean() if len(table.number) else 0.0), 0.0
    m = float(table.stable_total.mean()) if n else 0.0
    rate = counted(table.stable_total, table.stable_bad).rate
    if not (n and m and rate):
        return None
    arms = ((n, n * rate), (m, m * rate))
    for side in terms.tolerance.sides:
        null = sides.border(side, terms.tolerance, terms.exposure(step))
        if null is None:
            continue
        first, second = arms if side is Side.MORE else arms[::-1]
        pairs = Pairs(*(np.array([count]) for count in (*first, *second)))
        known = sides.known_rate(side, null, np.array([rate]))
        if Bet.on(Question.SAFE, pairs, null, known).gains().log_e(pairs).max() <= 0:
            text = sentences.never_safe(terms.tolerance, side, terms.exposure(step))
            return Note(NoteKind.NEVER_SAFE, text)
    return None


def _resolvable(terms: Terms, side: Side) -> float:
    """Return the greatest margin under which what is tolerated can still be told.

    Beyond it only a change of more than three times the tolerated one (of 20 % where less is
    tolerated) is called worse.
    """
    change = max(terms.tolerance.change(side) / 100, LEAST_CHANGE)
    ratio = 1 + change if side is Side.MORE else 1 / max(1 - change, 0.01)
    return min(1 + CHANGES_RESOLVED * (ratio - 1), nulls.MARGIN_CAP * ratio) / ratio


def _few_events(calibration: Calibration) -> Note | None:
    if not calibration.cautious_phi:
        return None
    return Note(NoteKind.FEW_EVENTS, sentences.few_events(calibration.history.bad))


def margin(terms: Terms, table: Table) -> float:
    """Return the factor that the pods of the newest look may differ by, before its cap."""
    return float(asked.margin(terms, table)[-1]) if len(table.number) else 1.0


def _pods_needed(terms: Terms, table: Table, limit: float) -> int | None:
    spread = terms.calibration.spread * terms.calibration.quantile
    left = (math.log(limit) / spread) ** 2 - 1 / max(float(table.stable_pods[-1]), 1.0)
    return math.ceil(1 / left) if left > 0 else None


def counted(total: Floats, bad: Floats) -> Counts:
    """Return the sums of two columns."""
    return Counts(int(total.sum()), int(bad.sum()))
