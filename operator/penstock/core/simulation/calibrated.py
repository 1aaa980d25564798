"""The ledger before the first look: an hour of stable's traffic has calibrated it."""

import numpy as np

from penstock.core import history, ledger
from penstock.core.ledger import Ledger
from penstock.core.looks import Counts
from penstock.core.simulation.pods import Integers, Pods
from penstock.core.simulation.setting import Setting
from penstock.core.stats import calibration
from penstock.core.terms import WITHOUT_HISTORY, Calibration


def calibrated(setting: Setting, stable: Pods, rng: np.random.Generator) -> Ledger:
    """Return the ledger before the first look, with an hour of stable's history."""
    rails, traffic = setting.rails, setting.traffic
    book = ledger.empty(setting.spec, rails)
    expected = traffic.per_second * history.STEP.total_seconds()
    requests = stable.requests(expected, round(history.LENGTH / history.STEP), rng)
    for rail in rails:
        if rail.counted:
            bad = stable.bad(requests, traffic.stable_rate, rng)
            hits = requests - bad if setting.counts_good(rail) else bad
            known = _calibration(requests, hits, setting.alpha)
            record = book.proportions[rail.name]
            record = record.calibrated([known] * len(record.parts))
            book = book.with_proportion(rail.name, record)
    return book


def _calibration(requests: Integers, hits: Integers, alpha: float) -> Calibration:
    """Return what an hour says, of shape (minutes, pods); nothing where it is too quiet."""
    total, minute = requests.astype(float), history.STEP.total_seconds()
    if not calibration.is_long_enough(total, minute):
        return WITHOUT_HISTORY
    chance = calibration.calibrate(total, hits.astype(float), alpha)
    counts = Counts(int(requests.sum()), int(hits.sum()))
    seconds = int((total.sum(-1) > 0).sum()) * minute
    return Calibration.of(chance, counts, seconds)
