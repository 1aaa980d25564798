"""How far the classes of candidate and stable have drifted apart: reported, never decided on."""

import numpy as np

from penstock.core import sentences
from penstock.core.metric_record import MetricRecord
from penstock.core.stats import histograms, multinomial


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
