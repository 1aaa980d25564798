"""The record of one mean in one release, and the evidence as a pure function of it.

"Worse?" is asked of the whole release at full exposure, "safe?" of one step at the next exposure,
both by the t of `stats.means` on the looks outside warm-up. It sees how looks vary, but not how
alike neighbours are, so each ln E is divided by the over-dispersion of the calibration, which for a
mean tells just that (see `mean_replay.calibrate`).

A mean is at least 0 by nature, and all that is tolerated is in percent of stable's: the slack of a
`Tolerance` too, since a mean has no percentage points. Tolerable is at most stable's mean * (1 +
(max_increase + slack) / 100), at least stable's mean * (1 - (max_decrease + slack) / 100).
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.core import evidence, record_text
from penstock.core.evidence import Evidence
from penstock.core.record import KEPT_LOOKS, record_of
from penstock.core.stats import means, nulls
from penstock.core.stats.means import EQUAL, MIN_LOOKS, Arm, Border, Moments, Sums
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Question
from penstock.core.terms import WITHOUT_HISTORY, Calibration, Terms, Tolerance

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
Numbers = tuple[float, ...]

KIND = "mean"
NOTHING: Numbers = (0.0,) * 19
_MOST_DECREASE = 99.9
_GREATEST = 1e100
_FIT_STEP = 32


@dataclass(frozen=True, slots=True)
class MeanChance:
    """What chance alone does to a mean; the defaults are for no history.

    Attributes:
        calibration: How alike neighbouring looks are (`phi`), and how pods differ.
        between: How much a look varies beyond its answers, see `means.weights`.
    """

    calibration: Calibration = WITHOUT_HISTORY
    between: float = 0.0


@dataclass(frozen=True, slots=True)
class MeanArm:
    """The answers of one version in one look, or in many.

    Attributes:
        count: How many, >= 0.
        total: Their sum, in the metric's unit.
        squares: Sum of their squares; None where it is not known.
        finite: Whether the sums are numbers; where not, they are 0 and tell nothing.

    Raises:
        ValueError: The count is negative, or a sum is no number.
    """

    count: int = 0
    total: float = 0.0
    squares: float | None = None
    finite: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        if self.count < 0 or not _are_numbers(self.total, self.squares or 0.0):
            raise ValueError(f"{self.count} answers of sum {self.total}, squares {self.squares}")

    @classmethod
    def of(cls, count: int, total: float, squares: float | None = None) -> "MeanArm":
        """Return the answers, also where their sums are no numbers."""
        if _are_numbers(total, squares or 0.0):
            return cls(count, total, squares)
        return cls(count, 0.0, None if squares is None else 0.0, finite=False)

    @classmethod
    def together(cls, arms: Iterable["MeanArm"]) -> "MeanArm":
        """Return the answers of all; without squares where one of them is without."""
        known = tuple(arms)
        squares = [arm.squares for arm in known if arm.squares is not None]
        return cls(
            sum(arm.count for arm in known),
            math.fsum(arm.total for arm in known),
            math.fsum(squares) if len(squares) == len(known) else None,
            all(arm.finite for arm in known),
        )

    @property
    def mean(self) -> float | None:
        """Their mean; None without answers, or where the sums are no numbers."""
        return self.total / self.count if self.count and self.finite else None


@dataclass(frozen=True, slots=True)
class MeanLook:
    """One closed interval of one mean, both arms over the same time and the same weight.

    Attributes:
        number: From 1; the interval that ends at t0 + number * interval.
        step: Index into the steps of the release; never falls.
        warm: Whether the candidate was warming up.
        candidate_pods: Pods that served the candidate.

    Raises:
        ValueError: The number is below 1, or the step below 0.
    """

    number: int
    step: int
    warm: bool
    candidate: MeanArm
    stable: MeanArm
    candidate_pods: int
    stable_pods: int

    def __post_init__(self) -> None:
        """Refuse a look that has no place."""
        if self.number < 1 or self.step < 0:
            raise ValueError(f"look {self.number} of step {self.step}")

    @property
    def has_data(self) -> bool:
        """Whether at least one arm answered."""
        return self.candidate.count + self.stable.count > 0


@dataclass(frozen=True, slots=True)
class MeanTable:
    """Many looks as columns; each attribute is an array of shape (looks,), float64.

    Squares are nan where they are not known; `warm` and `finite` are 0 or 1.
    """

    number: Floats
    step: Floats
    warm: Floats
    candidate_count: Floats
    candidate_total: Floats
    candidate_squares: Floats
    candidate_finite: Floats
    stable_count: Floats
    stable_total: Floats
    stable_squares: Floats
    stable_finite: Floats
    candidate_pods: Floats
    stable_pods: Floats

    @classmethod
    def of(cls, rows: bytes) -> "MeanTable":
        """Return the columns of packed rows."""
        return cls(*np.frombuffer(rows, dtype="<f8").reshape(-1, len(COLUMNS)).T)

    @property
    def finite(self) -> Rows:
        """Which looks have sums that are numbers."""
        return np.asarray(np.minimum(self.candidate_finite, self.stable_finite) > 0)

    @property
    def compared(self) -> Rows:
        """Which looks may tell something: those outside warm-up, with numbers."""
        return np.asarray(self.finite & (self.warm == 0))

    def arms(self, rows: Rows) -> tuple[Arm, Arm]:
        """Return candidate and stable, without answers in all looks but these."""
        return (
            _arm(rows, self.candidate_count, self.candidate_total, self.candidate_squares),
            _arm(rows, self.stable_count, self.stable_total, self.stable_squares),
        )


COLUMNS = tuple(entry.name for entry in fields(MeanTable))
ROW_BYTES = 8 * len(COLUMNS)
_WHOLE_NUMBERS = frozenset(COLUMNS) - {
    f"{arm}_{sums}" for arm in ("candidate", "stable") for sums in ("total", "squares")
}


@dataclass(frozen=True, slots=True)
class MeanFolded:
    """What is left of looks that are no longer kept; sums are the numbers of `Sums`.

    Attributes:
        number: The last of them, 0 for none.
        step: Its step.
        answers: Candidate's and stable's answers in `step`.
        baked: Looks with data per step.
        prior: Weight of the first look of the release that was compared, 0 for none.
        step_prior: The same of `step`.
        in_step: Sums of the looks of `step`.
        whole: Sums of all looks under the border of each direction that is bounded.
        worst: Per direction the sums of the single look that adds most to the excess.
    """

    number: int = 0
    step: int = 0
    answers: tuple[int, int] = (0, 0)
    baked: tuple[int, ...] = ()
    prior: float = 0.0
    step_prior: float = 0.0
    in_step: Numbers = NOTHING
    whole: tuple[Numbers, ...] = ()
    worst: tuple[Numbers, ...] = ()


NOTHING_FOLDED = MeanFolded()


def tolerated(terms: Terms) -> Tolerance:
    """Return what is tolerated with the slack inside, in percent of stable's mean."""
    given = terms.tolerance
    more, less = (
        None if change is None else change + given.slack
        for change in (given.max_increase, given.max_decrease)
    )
    return Tolerance(more, 0.0, None if less is None else min(less, _MOST_DECREASE))


@dataclass(frozen=True, slots=True)
class WorseSums:
    """What "worse?" is made of in one direction, after each look.

    Attributes:
        side: The direction; arms are swapped for LESS.
        prior: See `means.log_evidence`.
        phi: What ln E is divided by.
        total: Sums after each look, shape (looks,), folded ones included.
        single: Sums of each look alone, shape (looks,).
        worst: Sums of the folded look that adds most, shape (1,).
    """

    side: Side
    prior: float
    phi: float
    total: Sums
    single: Sums
    worst: Sums

    def log_worse(self, sums: Sums) -> Floats:
        """Return ln of the evidence of such sums."""
        found = _log_evidence(sums, self.side, Question.WORSE, self.prior)
        return np.asarray(found / self.phi)

    def evidence(self, index: int, log_safe: float) -> Evidence:
        """Return the evidence after a look, given that of "safe?"."""
        whole = _at(self.total, index)
        worse = float(self.log_worse(whole))
        return Evidence(
            worse=worse,
            worse_without_worst_cell=min(worse, self._without_worst_look(whole, index)),
            safe=log_safe,
            worse_side=self.side,
            safe_side=self.side,
        )

    def _without_worst_look(self, whole: Sums, index: int) -> float:
        """Return the least evidence that is left when any one look is left out.

        Of folded looks only the one that adds most is tried. The evidence needs five looks, so of
        five nothing is left.
        """
        if whole.looks <= MIN_LOOKS:
            return 0.0
        numbers = self.single.numbers()[: index + 1], self.worst.numbers()
        each = Sums.of_numbers(np.concatenate(numbers))
        return float(self.log_worse(whole + _negative(each)).min())

    def most_telling(self) -> Numbers:
        """Return the sums of the single look, kept or folded, that adds most to the excess."""
        each = Sums.of_numbers(np.concatenate((self.single.numbers(), self.worst.numbers())))
        weighted = each.weighted
        excess = weighted.weight * (weighted.mean[:, 0] - weighted.mean[:, 1])
        return tuple(each.numbers()[int(excess.argmax())].tolist())


@dataclass(frozen=True, slots=True)
class Weighing:
    """Looks to be weighed, at least one.

    Attributes:
        terms: What was fixed before the first look.
        between: See `means.weights`; fixed as well.
        table: The looks, oldest first.
        folded: Those before them.
    """

    terms: Terms
    between: float
    table: MeanTable
    folded: MeanFolded = NOTHING_FOLDED

    @property
    def sides(self) -> tuple[Side, ...]:
        """The directions that are bounded."""
        return self.terms.tolerance.sides

    @property
    def prior(self) -> float:
        """The weight of the first look of the release that is compared; 0 for none."""
        return self.folded.prior or self._first_weight(self.table.compared)

    def step_prior(self, step: int) -> float:
        """Return the weight of the first look of a step that is compared; 0 for none."""
        before = self.folded.step_prior if self.folded.step == step else 0.0
        return before or self._first_weight(self._rows(step))

    def worse(self, index: int) -> WorseSums:
        """Return what "worse?" is made of in one direction that is bounded."""
        side, folded, calibration = self.sides[index], self.folded, self.terms.calibration
        pair, border = _pair(side, self.table.arms(self.table.compared)), self._border(side)
        before, worst = (
            Sums.of_numbers(np.array([some[index] if some else NOTHING]))
            for some in (folded.whole, folded.worst)
        )
        return WorseSums(
            side=side,
            prior=self.prior or 1.0,
            phi=calibration.phi_worse,
            total=before + Sums.after_each(*pair, self.between, Border(border)),
            single=_each(pair, self.between, border),
            worst=worst,
        )

    def in_step(self, step: int) -> Sums:
        """Return the sums after each look of what a step has shown by then, shape (looks,)."""
        before = self.folded.in_step if self.folded.step == step else NOTHING
        arms = self.table.arms(self._rows(step))
        return Sums.of_numbers(np.array([before])) + Sums.after_each(*arms, self.between)

    def log_safe(self, side: Side, sums: Sums, step: int) -> Floats:
        """Return ln of the evidence that the candidate is safe for what follows a step.

        Infinite where nothing at that exposure could be too much.
        """
        change = tolerated(self.terms).change(side)
        null = nulls.tolerated(side, change, 0.0, self.terms.exposure(step))
        if null is None:
            return np.full(sums.looks.shape, np.inf)
        asked = sums if side is Side.MORE else sums.swapped()
        border, prior = Border(float(null.ratio[0])), self.step_prior(step) or 1.0
        found = _log_evidence(asked, side, Question.SAFE, prior, border)
        return np.asarray(found / self.terms.calibration.phi)

    def _rows(self, step: int) -> Rows:
        return np.asarray(self.table.compared & (self.table.step == step))

    def _first_weight(self, rows: Rows) -> float:
        candidate, stable = self.table.arms(rows)
        found = means.weights(candidate.count, stable.count, self.between)
        return float(found[(found > 0).argmax()]) if len(found) else 0.0

    def _border(self, side: Side) -> Floats:
        """Return the ratio at full exposure with the margin of the pods, shape (looks,)."""
        calibration, table = self.terms.calibration, self.table
        null = nulls.tolerated(side, tolerated(self.terms).change(side), 0.0)
        margin = nulls.pod_margin(
            calibration.spread, calibration.quantile, table.candidate_pods, table.stable_pods
        )
        if null is None:
            raise ValueError("a decrease by 100 % is no bound")
        return np.asarray(null.ratio * np.minimum(margin, nulls.MARGIN_CAP))


@dataclass(frozen=True, slots=True)
class MeanRecord:
    """The looks of one mean: the newest 512 as they were counted, older ones folded.

    A value: a longer record is a new one.

    Attributes:
        terms: What was fixed before the first look; `phi` tells only how alike neighbours are.
        between: How much looks vary beyond their answers, see `means.weights`; fixed as well.
        rows: The looks kept, packed, oldest first.
        folded: What is left of the looks before them.
    """

    terms: Terms
    between: float = 0.0
    rows: bytes = b""
    folded: MeanFolded = NOTHING_FOLDED

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
        rows = np.frombuffer(self.rows, dtype="<f8").reshape(-1, len(COLUMNS))
        return tuple(_look(row) for row in rows.tolist())

    @property
    def last_number(self) -> int:
        """The number of the newest look; 0 for none."""
        return int(self.table.number[-1]) if self.rows else self.folded.number

    @property
    def weighing(self) -> Weighing:
        """The looks as they are weighed."""
        return Weighing(self.terms, self.between, self.table, self.folded)

    def calibrated(self, calibration: Calibration, between: float = 0.0) -> "MeanRecord":
        """Return the record with what a history says; unchanged after its first look."""
        if self.last_number:
            return self
        return replace(self, terms=replace(self.terms, calibration=calibration), between=between)

    def with_look(self, look: MeanLook) -> "MeanRecord":
        """Return the record with one look more; the same record when the look is not newer."""
        if look.number <= self.last_number:
            return self
        return replace(self, rows=self.rows + _packed(look)).keeping(KEPT_LOOKS)

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
        return replace(self, rows=self.rows[cut:], folded=_fold(past))

    def weigh(self, step: int) -> Evidence:
        """Return the evidence after all looks; "safe?" is asked for the next exposure of `step`.

        The cell that is left out of `worse_without_worst_cell` is a whole look: with fewer than six
        looks that were compared nothing is left.
        """
        if not self.rows:
            return Evidence()
        weighing, last = self.weighing, len(self) - 1
        shown = _at(weighing.in_step(step), last)
        safe = [float(weighing.log_safe(side, shown, step)) for side in weighing.sides]
        worse = [weighing.worse(index) for index in range(len(safe))]
        return evidence.together(
            [one.evidence(last, each) for one, each in zip(worse, safe, strict=True)]
        )

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
        payload = {"kind": KIND, "between": self.between} | asdict(self.terms)
        table = self.table
        table = replace(table, number=np.diff(table.number, prepend=float(self.folded.number)))
        payload["looks"] = {name: _listed(name, getattr(table, name)) for name in COLUMNS}
        return payload | ({"folded": asdict(self.folded)} if self.folded.number else {})


def is_mean(text: str) -> bool:
    """Return whether a text is the record of a mean, damaged or not inside."""
    try:
        return record_text.from_text(text).get("kind") == KIND
    except ValueError:
        return False


def _are_numbers(total: float, squares: float) -> bool:
    """Return whether sums are finite, and so small that their products are."""
    return abs(total) <= _GREATEST and abs(squares) <= _GREATEST**2


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
    )


def _folded(payload: dict[str, Any]) -> MeanFolded:
    known = {entry.name: payload[entry.name] for entry in fields(MeanFolded)}
    of_sides = {name: tuple(tuple(one) for one in known[name]) for name in ("whole", "worst")}
    rows = {name: tuple(known[name]) for name in ("answers", "baked", "in_step")}
    return MeanFolded(**known | of_sides | rows)


def _fold(past: MeanRecord) -> MeanFolded:
    """Return what is left of all looks of a record; nothing that `weigh` needs later is lost.

    Of single looks only one is kept, so the evidence without any of them may come out greater.
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
        whole=tuple(_numbers(one.total) for one in each),
        worst=tuple(one.most_telling() for one in each),
    )


def _baked(record: MeanRecord) -> tuple[int, ...]:
    """Return how many looks had data, per step."""
    table, before = record.table, record.folded.baked
    with_data = table.candidate_count + table.stable_count > 0
    seen = np.bincount(table.step[with_data].astype(np.int64), minlength=len(before))
    seen[: len(before)] += np.array(before, dtype=np.int64)
    return tuple(seen.tolist())


def _log_evidence(
    sums: Sums, side: Side, question: Question, prior: float, border: Border = EQUAL
) -> Floats:
    """Return ln of the evidence; 0 where stable's mean is not above 0, so that no share is told."""
    stable = sums.weighted.mean[..., 1 if side is Side.MORE else 0]
    return np.where(stable > 0, means.log_evidence(sums, question, prior, border), 0.0)


def _arm(rows: Rows, count: Floats, total: Floats, squares: Floats) -> Arm:
    return Arm(count * rows, total * rows, np.nan_to_num(squares) * rows)


def _pair(side: Side, arms: tuple[Arm, Arm]) -> tuple[Arm, Arm]:
    """Return the arms, the one whose excess is asked for first."""
    candidate, stable = arms
    return (candidate, stable) if side is Side.MORE else (stable, candidate)


def _each(pair: tuple[Arm, Arm], between: float, ratio: Floats) -> Sums:
    """Return the sums of each look alone, shape (looks,)."""
    one, other = (
        Arm(arm.count[:, None], arm.total[:, None], np.asarray(arm.squares)[:, None])
        for arm in pair
    )
    return _at(Sums.after_each(one, other, between, Border(ratio[:, None])), 0)


def _at(sums: Sums, index: int) -> Sums:
    return Sums.of_numbers(sums.numbers()[..., index, :])


def _negative(sums: Sums) -> Sums:
    """Return what, added to sums that contain these, takes them out again."""
    weighted, twice = (
        Moments(-one.weight, one.mean, -one.products)
        for one in (sums.weighted, sums.twice_weighted)
    )
    return Sums(-sums.looks, weighted, twice, -sums.errors, -sums.crossed)


def _numbers(sums: Sums) -> Numbers:
    return tuple(sums.numbers()[-1].tolist())


def _packed(look: MeanLook) -> bytes:
    arms = [
        (arm.count, arm.total, math.nan if arm.squares is None else arm.squares, arm.finite)
        for arm in (look.candidate, look.stable)
    ]
    pods = look.candidate_pods, look.stable_pods
    row = (look.number, look.step, look.warm, *arms[0], *arms[1], *pods)
    return np.array(row, dtype="<f8").tobytes()


def _look(row: list[float]) -> MeanLook:
    number, step, warm, *_, candidate_pods, stable_pods = row
    candidate, stable = (
        MeanArm(int(count), total, None if math.isnan(squares) else squares, bool(finite))
        for count, total, squares, finite in (row[3:7], row[7:11])
    )
    pods = int(candidate_pods), int(stable_pods)
    return MeanLook(int(number), int(step), bool(warm), candidate, stable, *pods)


def _listed(name: str, column: Floats) -> list[float | int | None]:
    """Return a column as JSON can hold it."""
    if name in _WHOLE_NUMBERS:
        return [int(value) for value in column.tolist()]
    return [None if math.isnan(value) else value for value in column.tolist()]
