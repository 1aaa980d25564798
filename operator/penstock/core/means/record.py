"""The record of one mean in one release: the data that every verdict is computed from."""

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from penstock.core import record_text
from penstock.core.evidence import Evidence
from penstock.core.means import late, looks
from penstock.core.means.looks import COLUMNS, ROW_BYTES, Floats, MeanLook, MeanTable
from penstock.core.means.sums import Numbers
from penstock.core.means.weighing import NOTHING_FOLDED, MeanFolded, Weighing
from penstock.core.means.worse import Worse, either
from penstock.core.record import KEPT_LOOKS, record_of
from penstock.core.stats.contrasts import Sums
from penstock.core.terms import Calibration, Terms

KIND = "mean"
_FIT_STEP = 32
_WHOLE_NUMBERS = frozenset(COLUMNS) - {
    f"{arm}_{sums}" for arm in ("candidate", "stable") for sums in ("total", "squares")
}


@dataclass(frozen=True, slots=True)
class MeanRecord:
    """The looks of one mean: the newest 512 as they were counted, older ones folded.

    A value: a longer record is a new one.

    Attributes:
        terms: What was fixed before the first look; `phi` tells only how alike neighbours are.
        between: How much looks vary beyond their answers, see `contrasts.weights`; fixed as well.
        rows: The looks kept, packed, oldest first.
        folded: What is left of the looks before them.
        noise: Variance of one answer over the square of the mean by the history, 0 where it is not
            known; forecasts alone ask for it.
        apart: As in `metric_record.MetricRecord`.
    """

    terms: Terms
    between: float = 0.0
    rows: bytes = b""
    folded: MeanFolded = NOTHING_FOLDED
    noise: float = 0.0
    apart: bool = False

    def __len__(self) -> int:
        """Return how many looks are kept."""
        return len(self.rows) // ROW_BYTES

    @property
    def table(self) -> MeanTable:
        """The looks kept, as columns."""
        return MeanTable.of(self.rows)

    @property
    def looks(self) -> tuple[MeanLook, ...]:
        """The looks kept, oldest first."""
        return looks.unpack(self.rows)

    @property
    def last_number(self) -> int:
        """The number of the newest look; 0 for none."""
        return int(self.table.number[-1]) if self.rows else self.folded.number

    @property
    def weighing(self) -> Weighing:
        """The looks as they are weighed."""
        return Weighing(self.terms, self.between, self.table, self.folded)

    def calibrated(
        self, calibration: Calibration, between: float = 0.0, noise: float = 0.0
    ) -> "MeanRecord":
        """Return the record with what a history says; unchanged after its first look."""
        if self.last_number:
            return self
        terms = replace(self.terms, calibration=calibration)
        return replace(self, terms=terms, between=between, noise=noise)

    def with_look(self, look: MeanLook, apart: bool | None = None) -> "MeanRecord":
        """Return the record with one look more; the same record when the look is not newer.

        Args:
            look: The look.
            apart: What it tells of the scrape targets; None for nothing.
        """
        if look.number <= self.last_number:
            return self
        apart = self.apart if apart is None else apart
        longer = replace(self, rows=self.rows + looks.pack(look), apart=apart)
        return longer.keeping(KEPT_LOOKS)

    def until(self, number: int) -> "MeanRecord":
        """Return the record without the looks after the one of that number, which must be kept."""
        kept = int((self.table.number <= number).sum())
        return replace(self, rows=self.rows[: kept * ROW_BYTES])

    def keeping(self, count: int) -> "MeanRecord":
        """Return the record with all looks but the newest `count` (at least 1) folded."""
        cut = max(len(self) - max(count, 1), 0) * ROW_BYTES
        if not cut:
            return self
        past = replace(self, rows=self.rows[:cut])
        return replace(self, rows=self.rows[cut:], folded=_fold(past, self.last_number))

    def weigh(self, step: int) -> Evidence:
        """Return the evidence after all looks; "safe?" is asked for the next exposure of `step`.

        The cell that is left out of `worse_without_worst_cell` is a whole look: with fewer than six
        looks that were compared nothing is left.
        """
        if not self.rows:
            return Evidence()
        weighing, last = self.weighing, len(self) - 1
        shown = weighing.in_step(step).at(last)
        safe = [float(weighing.log_safe(side, shown, step)) for side in weighing.sides]
        worse = [weighing.worse(index) for index in range(len(safe))]
        return either([one.evidence(last, each) for one, each in zip(worse, safe, strict=True)])

    def compared_looks(self, step: int) -> int:
        """Return how many looks of a step had answers of both arms that could be compared."""
        return int(self.weighing.in_step(step).looks[-1]) if self.rows else 0

    def baked_seconds(self, step: int) -> float:
        """Return the time of looks with data in a step."""
        baked = _baked(self)
        return baked[step] * self.terms.interval_seconds if step < len(baked) else 0.0

    def answers(self, step: int) -> tuple[int, int]:
        """Return how many answers the candidate and stable gave in the newest step."""
        table, rows = self.table, self.table.step == step
        before = self.folded.answers if self.folded.step == step else (0, 0)
        return (
            before[0] + int(table.candidate_count[rows].sum()),
            before[1] + int(table.stable_count[rows].sum()),
        )

    def encode(self) -> str:
        """Return the record as text of at most 16 KiB; looks that do not fit are folded."""
        kept = self
        text = record_text.to_text(kept._payload())
        while len(text) > record_text.MAX_CHARACTERS and len(kept) > 1:
            kept = kept.keeping(len(kept) - _FIT_STEP)
            text = record_text.to_text(kept._payload())
        return text

    @classmethod
    def decode(cls, text: str) -> "MeanRecord":
        """Return the record that `encode` wrote.

        Raises:
            ValueError: The text is damaged, too new, or the record of something else.
        """
        try:
            return _record(record_text.from_text(text))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the record lacks or garbles {error}") from error

    def _payload(self) -> dict[str, Any]:
        payload = {"kind": KIND, "between": self.between, "noise": self.noise} | asdict(self.terms)
        table = self.table
        table = replace(table, number=np.diff(table.number, prepend=float(self.folded.number)))
        payload["looks"] = {name: _listed(name, getattr(table, name)) for name in COLUMNS}
        payload |= {"apart": True} if self.apart else {}
        return payload | ({"folded": asdict(self.folded)} if self.folded.number else {})


def is_mean(text: str) -> bool:
    """Return whether a text is the record of a mean, damaged or not inside."""
    try:
        return record_text.from_text(text).get("kind") == KIND
    except ValueError:
        return False


def _record(payload: dict[str, Any]) -> MeanRecord:
    if payload.get("kind") != KIND:
        raise ValueError("this is not the record of a mean")
    fixed = {entry.name: payload[entry.name] for entry in fields(Terms)}
    folded = _folded(payload["folded"]) if "folded" in payload else NOTHING_FOLDED
    columns = np.array([payload["looks"][name] for name in COLUMNS], dtype="<f8")
    columns[0] = folded.number + np.cumsum(columns[0])
    return MeanRecord(
        terms=record_of(fixed | {"number": []}).terms,
        between=float(payload["between"]),
        rows=np.ascontiguousarray(columns.T).tobytes(),
        folded=folded,
        noise=float(payload.get("noise", 0.0)),
        apart=bool(payload.get("apart", False)),
    )


def _folded(payload: dict[str, Any]) -> MeanFolded:
    known = asdict(NOTHING_FOLDED) | payload
    known = {entry.name: known[entry.name] for entry in fields(MeanFolded)}
    of_sides = {name: tuple(tuple(one) for one in known[name]) for name in ("whole", "worst")}
    rows = {name: tuple(known[name]) for name in ("answers", "baked", "in_step", "neighbours")}
    starts = tuple(tuple(tuple(one) for one in side) for side in known["late"])
    return MeanFolded(**known | of_sides | rows | {"late": starts})


def _fold(past: MeanRecord, newest: int) -> MeanFolded:
    """Return what is left of all looks of a record; nothing that `weigh` needs later is lost.

    Of single looks only one is kept, so the evidence without any of them may come out greater.

    Args:
        past: The record.
        newest: The number of the newest look of all.
    """
    weighing, step = past.weighing, int(past.table.step[-1])
    each = [weighing.worse(index) for index in range(len(weighing.sides))]
    return MeanFolded(
        number=past.last_number,
        step=step,
        answers=past.answers(step),
        baked=_baked(past),
        prior=weighing.prior,
        step_prior=weighing.step_prior(step),
        in_step=_numbers(weighing.in_step(step)),
        whole=tuple(_numbers(one.looks.total) for one in each),
        worst=tuple(one.looks.most_telling() for one in each),
        late=tuple(_starts(one, newest) for one in each),
        neighbours=tuple(weighing.known[-1].tolist()),
    )


def _starts(worse: Worse, newest: int) -> tuple[Numbers, ...]:
    """Return the numbers of the late starts that are still asked for."""
    found = late.asked(worse.looks, worse.folded, len(worse.looks.number) - 1, newest)
    return tuple(tuple(row) for row in found.numbers().tolist())


def _baked(record: MeanRecord) -> tuple[int, ...]:
    """Return how many looks had data, per step."""
    table, before = record.table, record.folded.baked
    with_data = table.candidate_count + table.stable_count > 0
    seen = np.bincount(table.step[with_data].astype(np.int64), minlength=len(before))
    seen[: len(before)] += np.array(before, dtype=np.int64)
    return tuple(seen.tolist())


def _numbers(sums: Sums) -> Numbers:
    return tuple(sums.numbers()[-1].tolist())


def _listed(name: str, column: Floats) -> list[float | int | None]:
    """Return a column as JSON can hold it."""
    if name in _WHOLE_NUMBERS:
        return [int(value) for value in column.tolist()]
    return [None if math.isnan(value) else value for value in column.tolist()]
