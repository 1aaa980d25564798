"""Late starts: the sums of the looks since each of them, see `stats.onsets`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from penstock.core.means.looks import Floats, Rows
from penstock.core.means.sums import Numbers, SideLooks
from penstock.core.stats import onsets
from penstock.core.stats.contrasts import Arm, Border, Sums

Places = NDArray[np.int64]

_NUMBERS = 23


@dataclass(frozen=True, slots=True)
class Late:
    """Late starts, each attribute of shape (starts,), or all of one shape.

    Attributes:
        after: They compare the looks after this one.
        prior: Weight of the first of these that is compared; 0 for none.
        freedom: See `means.Past`; of all looks before them.
        variance: The same.
        sums: Of the looks since.
    """

    after: Floats
    prior: Floats
    freedom: Floats
    variance: Floats
    sums: Sums

    @classmethod
    def of_numbers(cls, numbers: Floats) -> "Late":
        """Return the starts of which these are the numbers, shape (starts, 23)."""
        after, prior, freedom, variance = numbers[:, :4].T
        return cls(after, prior, freedom, variance, Sums.of_numbers(numbers[:, 4:]))

    def numbers(self) -> Floats:
        """Return what is to be kept of them, shape (starts, 23)."""
        fixed = np.stack((self.after, self.prior, self.freedom, self.variance), -1)
        return np.concatenate((fixed, self.sums.numbers()), -1)


def kept(numbers: Sequence[Numbers]) -> Late:
    """Return the starts that a record keeps."""
    return Late.of_numbers(np.array(numbers, np.float64).reshape(-1, _NUMBERS))


def asked(looks: SideLooks, folded: Late, index: int, number: int) -> Late:
    """Return the late starts up to the look of an index that are asked for at a number.

    Args:
        looks: The looks kept.
        folded: Starts among the looks before.
        index: Of the last look that counts.
        number: That of the same look, or of a later one.
    """
    since = _since(looks, index)
    after = onsets.asked(number)
    place = np.searchsorted(looks.number, after, "right")
    rows = (after >= looks.folded) & (place <= index)
    after, place = after[rows], place[rows]
    columns = after, looks.first_weights[place], looks.past(place), since.numbers()[index - place]
    fresh = np.column_stack(columns)
    found = Late.of_numbers(
        np.concatenate((_renewed(looks, folded, since.at(index), number), fresh))
    )
    answers = looks.scaled_answers[index]
    return replace(found, sums=found.sums.knowing(answers))


def windows(looks: SideLooks) -> Iterator[tuple[Places, Rows, Late]]:
    """Yield all late starts of a release by spacing, after each look that they are asked for at.

    Row indices and which of them count, shape (starts, looks), and the starts in that shape. The
    looks must be all of the release.
    """
    for spacing in onsets.SPACINGS:
        after = onsets.of_spacing(spacing, int(looks.number[-1]))
        first = np.searchsorted(looks.number, after, "right")
        width = min(int(onsets.LIFE) * spacing, len(looks.number))
        places = first[:, None] + np.arange(width)
        rows = np.minimum(places, len(looks.number) - 1)
        there = (places == rows) & (looks.number[rows] <= onsets.last(after)[:, None])
        if len(after):
            one, other = (_part(arm, rows, there) for arm in looks.arms)
            sums = Sums.after_each(one, other, looks.between, Border(looks.border[rows]))
            sums = sums.knowing(looks.scaled_answers[rows])
            fixed = np.column_stack((after, looks.first_weights[first], looks.past(first)))
            columns = np.broadcast_to(fixed.T[..., None], (4, *rows.shape))
            yield rows, there, Late(columns[0], columns[1], columns[2], columns[3], sums)


def _since(looks: SideLooks, index: int) -> Sums:
    """Return the sums of the looks from `index` back to each one, that of `index` first."""
    one, other = (_part(arm, np.arange(index, -1, -1)) for arm in looks.arms)
    return Sums.after_each(one, other, looks.between, Border(looks.border[index::-1]))


def _part(arm: Arm, rows: Places, there: Rows | float = 1.0) -> Arm:
    squares = None if arm.squares is None else arm.squares[rows] * there
    return Arm(arm.count[rows] * there, arm.total[rows] * there, squares)


def _renewed(looks: SideLooks, folded: Late, since: Sums, number: int) -> Floats:
    """Return the numbers of the starts among folded looks, with all looks since."""
    rows = onsets.last(folded.after) >= number
    old = Late.of_numbers(folded.numbers()[rows])
    prior = np.where(old.prior > 0, old.prior, looks.first_weights[:1])
    return replace(old, prior=prior, sums=old.sums + since).numbers()
