"""What cannot be told or promised about a mean."""

from dataclasses import replace

import numpy as np

from penstock.core import limits as proportions
from penstock.core import looks
from penstock.core.limits import Note, NoteKind
from penstock.core.means.looks import MeanTable
from penstock.core.means.weighing import tolerated
from penstock.core.terms import Calibration, Terms

ENOUGH_ANSWERS = 30
"""Answers of an arm per look from which on sums of squares make little difference."""


def limits(terms: Terms, table: MeanTable, step: int) -> tuple[Note, ...]:
    """Return what cannot be told or promised about a mean on a step, for the looks kept."""
    known = replace(terms.calibration, cautious_phi=0.0)
    of_pods = proportions.limits(
        replace(terms, tolerance=tolerated(terms), calibration=known), _pods(table), step
    )
    return of_pods + _few(terms.calibration) + _without_numbers(table) + _skewed(table)


def _pods(table: MeanTable) -> looks.Table:
    """Return the looks as those of a proportion without answers, for what asks only for pods."""
    columns = {name: np.zeros_like(table.number) for name in looks.COLUMNS}
    columns |= {"candidate_pods": table.candidate_pods, "stable_pods": table.stable_pods}
    return looks.Table(**columns)


def _few(calibration: Calibration) -> tuple[Note, ...]:
    if not calibration.cautious_phi:
        return ()
    text = (
        "few answers make up the sum of stable's history, so it cannot tell how alike neighbouring "
        "looks are: where they are, the false alarm rate is not guaranteed"
    )
    return (Note(NoteKind.FEW_EVENTS, text),)


def _without_numbers(table: MeanTable) -> tuple[Note, ...]:
    lost = int((~table.finite).sum())
    if not lost:
        return ()
    text = (
        f"in {lost} of {len(table.number)} looks a sum is no number (NaN or infinite), so they "
        "tell nothing: look for answers that add such a value"
    )
    return (Note(NoteKind.CANNOT_RESOLVE, text),)


def _skewed(table: MeanTable) -> tuple[Note, ...]:
    """Return a note where few answers per look are compared without their squares."""
    rows = table.compared & (np.minimum(table.candidate_count, table.stable_count) > 0)
    unknown = np.isnan(table.candidate_squares + table.stable_squares)[rows]
    answers = np.minimum(table.candidate_count, table.stable_count)[rows]
    if not unknown.any() or np.median(answers) >= ENOUGH_ANSWERS:
        return ()
    text = (
        f"a look has {np.median(answers):.0f} answers and sumOfSquares is not given: how much "
        "answers vary is told by neighbouring looks, which may take longer; export the sum of "
        "their squares, and name it in the MetricTemplate"
    )
    return (Note(NoteKind.FEW_EVENTS, text),)
