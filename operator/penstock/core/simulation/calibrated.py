"""The ledger before the first look: an hour of stable's traffic has calibrated it."""

import numpy as np

from penstock.api.v1alpha1.metric_template import Mean
from penstock.core import history, ledger
from penstock.core.ledger import Ledger
from penstock.core.looks import Counts
from penstock.core.means import calibration as mean_calibration
from penstock.core.means.calibration import MeanChance
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
            chance = _calibration(requests, hits, setting.alpha)
            record = book.proportions[rail.name]
            record = record.calibrated([chance] * len(record.parts))
            book = book.with_proportion(rail.name, record)
        elif rail.mean is not None:
            known = _mean_chance(requests, rail.mean, setting, stable, rng)
            book = book.calibrated({rail.name: known})
    return book


def _mean_chance(
    requests: Integers, mean: Mean, setting: Setting, stable: Pods, rng: np.random.Generator
) -> MeanChance:
    """Return what an hour says of a mean; nothing where it is too quiet."""
    values, minute = setting.traffic.values, history.STEP.total_seconds()
    count = requests.astype(float)
    if not calibration.is_long_enough(count, minute):
        return MeanChance()
    total, squares = stable.worth(requests, values.stable, values.shape, rng)
    told = squares if mean.sum_of_squares else None
    found = mean_calibration.calibrate(count, total, told, setting.alpha)
    return found.for_looks(minute, setting.spec.analysis.interval.total_seconds(), count)


def _calibration(requests: Integers, hits: Integers, alpha: float) -> Calibration:
    """Return what an hour says, of shape (minutes, pods); nothing where it is too quiet."""
    total, minute = requests.astype(float), history.STEP.total_seconds()
    if not calibration.is_long_enough(total, minute):
        return WITHOUT_HISTORY
    chance = calibration.calibrate(total, hits.astype(float), alpha)
    counts = Counts(int(requests.sum()), int(hits.sum()))
    seconds = int((total.sum(-1) > 0).sum()) * minute
    return Calibration.of(chance, counts, seconds)
