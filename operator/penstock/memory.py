"""What is remembered of a release between its looks.

All of it can be had again: the ledger from the Release's last checkpoint, the looks since then from
the metrics system at the same instants.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from penstock.core.counters import Baseline
from penstock.core.ledger import Guardrail, Ledger
from penstock.core.means.counters import MeanBaseline


@dataclass
class Memory:
    """What is remembered of one release in flight.

    Attributes:
        done: Number of the newest look that was taken, or left out.
        baselines: What the next look is differenced with, by metric and proportion.
        means: The same of means.
        reasons: Why there was no look, by metric.
        newest: Number of the newest look with data, by metric.
        step: The step that these are about.
        eta: When steps will pass, as told at `eta_at`.
    """

    release: str
    ledger: Ledger
    done: int
    baselines: dict[str, tuple[Baseline | None, ...]] = field(default_factory=dict)
    means: dict[str, MeanBaseline | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    step: int = -2
    eta: Mapping[int, tuple[timedelta, timedelta]] = field(default_factory=dict)
    eta_at: datetime | None = None

    @property
    def has_read(self) -> bool:
        """Return whether there is anything that the next look can be compared with."""
        return bool(self.baselines or self.means)

    def begin_step(self, step: int) -> None:
        """Forget what belongs to another step: counters are not compared over a change."""
        if step == self.step:
            return
        self.step, self.eta_at = step, None
        self.baselines.clear()
        self.means.clear()
        self.newest.clear()

    def baselines_of(self, rail: Guardrail) -> tuple[Baseline | None, ...]:
        """Return what each proportion of a metric is differenced with."""
        return self.baselines.get(rail.name, (None,) * len(rail.counted))
