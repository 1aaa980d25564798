"""How far classes or distributions have drifted apart: reported, never decided on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.core import sentences
from penstock.core.metric_record import MetricRecord
from penstock.core.stats import histograms, multinomial

Floats = NDArray[np.float64]


def text(record: MetricRecord) -> str:
    """Return the drift over the looks kept, in words; empty before the first one.

    PSI and the p-value of chi-square are of the sums; the evidence that anything differs at all is
    valid at any look.
    """
    tables = [part.record.table for part in record.parts]
    candidate = np.stack([table.candidate_bad for table in tables], -1)
    stable = np.stack([table.stable_bad for table in tables], -1)
    if not candidate.sum() or not stable.sum():
        return ""
    phi = record.first.terms.calibration.phi
    gains = multinomial.log_gains(candidate, stable).sum(0) / phi
    differ = float(multinomial.Evidence.of(gains).together)
    sums = candidate.sum(0), stable.sum(0)
    psi, chance = float(histograms.psi(*sums)), float(histograms.chi_square(*sums).p_value)
    return f"PSI {psi:.2g}, χ² p {chance:.2g}, evidence of any drift {sentences.odds(differ)}"


def gap(record: MetricRecord) -> str:
    """Return the greatest difference of two distributions at their edges, in words.

    Kolmogorov's distance over the looks kept, as far as the edges show it; empty without answers.
    """
    tables = [part.record.table for part in record.parts]
    first = tables[0]
    candidate = _buckets(first.candidate_total, [one.candidate_bad for one in tables])
    stable = _buckets(first.stable_total, [one.stable_bad for one in tables])
    distance = float(histograms.ks_distance(candidate, stable))
    if distance != distance:
        return ""
    return f"the distributions differ by {100 * distance:.2g} points at most at the edges"


def _buckets(total: Floats, beyond: Sequence[Floats]) -> Floats:
    """Return the answers between edges, from all answers and those beyond each edge."""
    tails = np.array([total.sum(), *(one.sum() for one in beyond), 0.0])
    between: Floats = tails[:-1] - tails[1:]
    return between
