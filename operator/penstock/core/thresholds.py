"""Plain thresholds: bad for a time, reset by a good look, silent on missing data."""

import json
import math
from dataclasses import dataclass, replace
from datetime import timedelta

from penstock.api.v1alpha1.analysis import Threshold


@dataclass(frozen=True, slots=True)
class ThresholdRecord:
    """The looks at one value.

    Attributes:
        last_number: Number of the newest look with a value; 0 for none.
        value: The newest value, in the query's unit.
        bad_looks: How many looks in a row were bad, missing ones left out.
        seen_by_step: Per step, how many looks had a value.
    """

    last_number: int = 0
    value: float | None = None
    bad_looks: int = 0
    seen_by_step: tuple[int, ...] = ()

    def with_look(
        self, number: int, step: int, value: float | None, threshold: Threshold
    ) -> "ThresholdRecord":
        """Return the record with one look more; the same without a value or for an old look."""
        if value is None or math.isnan(value) or number <= self.last_number:
            return self
        seen = [*self.seen_by_step, *([0] * (step + 1 - len(self.seen_by_step)))]
        seen[step] += 1
        bad = self.bad_looks + 1 if is_bad(value, threshold) else 0
        return replace(
            self, last_number=number, value=value, bad_looks=bad, seen_by_step=tuple(seen)
        )

    def worse(self, threshold: Threshold, interval: timedelta) -> bool:
        """Return whether the value has been bad for as long as the threshold asks."""
        return self.bad_looks > 0 and self.bad_looks * interval >= threshold.for_

    def baked(self, step: int, interval: timedelta) -> timedelta:
        """Return the time of looks with a value in a step."""
        seen = self.seen_by_step
        return seen[step] * interval if 0 <= step < len(seen) else timedelta(0)

    def encode(self) -> str:
        """Return the record as text."""
        return json.dumps(
            [self.last_number, self.value, self.bad_looks, list(self.seen_by_step)],
            separators=(",", ":"),
        )

    @classmethod
    def decode(cls, text: str) -> "ThresholdRecord":
        """Return the record that `encode` wrote.

        Raises:
            ValueError: The text is damaged.
        """
        try:
            number, value, bad, seen = json.loads(text)
            return cls(int(number), value, int(bad), tuple(int(count) for count in seen))
        except (TypeError, ValueError) as error:
            raise ValueError(f"damaged record of a threshold: {error}") from error


def is_bad(value: float, threshold: Threshold) -> bool:
    """Return whether a value is outside the threshold."""
    below = threshold.min is not None and value < threshold.min
    above = threshold.max is not None and value > threshold.max
    return below or above
