"""The ledger after some looks: what the operator would have, had it taken them one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from penstock.api.v1alpha1.analysis import Threshold
from penstock.core import looks
from penstock.core.ledger import Guardrail, Ledger
from penstock.core.metric_record import MetricRecord, Part
from penstock.core.record import KEPT_LOOKS
from penstock.core.simulation.looks import Looks
from penstock.core.simulation.series import Flags
from penstock.core.thresholds import ThresholdRecord


def upto(made: Looks, rails: Sequence[Guardrail], number: int) -> Ledger:
    """Return the counts of all looks up to a number: what `with_looks` would have made."""
    book, taken = made.before, made.column("number") <= number
    rows = taken & made.with_data
    for one in made.series:
        packed = looks.rows_of(one.columns[:, rows])
        parts = tuple(_with_rows(part, packed) for part in book.proportions[one.rail.name].parts)
        book = book.with_proportion(one.rail.name, MetricRecord(parts))
    for mean in made.means:
        record = replace(mean.record, rows=mean.packed(rows)).keeping(KEPT_LOOKS)
        book = book.with_mean(mean.rail.name, record)
    for name, plain in _thresholds(made, rails, number, taken):
        book = book.with_threshold(name, plain)
    return book


def _with_rows(part: Part, packed: bytes) -> Part:
    """Return a part with these looks, of which a record keeps the newest."""
    return replace(part, record=replace(part.record, rows=packed).keeping(KEPT_LOOKS))


def _thresholds(
    made: Looks, rails: Sequence[Guardrail], number: int, taken: Flags
) -> Iterator[tuple[str, ThresholdRecord]]:
    """Yield the record of each plain value after some looks: it was always good."""
    by_step = tuple(np.bincount(made.column("step")[taken]).tolist())
    for rail in rails:
        if rail.threshold and by_step:
            yield rail.name, ThresholdRecord(number, _good_value(rail.threshold), 0, by_step)


def _good_value(threshold: Threshold) -> float:
    """Return a value within a threshold."""
    bounds = [bound for bound in (threshold.max, threshold.min) if bound is not None]
    return bounds[0] if bounds else 0.0
