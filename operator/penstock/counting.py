"""From the answers of a look to the counts of the release: into its memory."""

import math
from collections.abc import Sequence

from penstock.core import classes, ledger
from penstock.core.counters import take_look
from penstock.core.ledger import Guardrail
from penstock.core.means.counters import take_mean_look
from penstock.core.readings import NoLook
from penstock.core.samples import Answer, Unreadable
from penstock.memory import Memory
from penstock.watched import Watched, look_of, mean_look_of


def count(
    memory: Memory, watched: Watched, rail: Guardrail, number: int, answers: Sequence[Answer]
) -> None:
    """Count the answers to what one look asked of a metric; say why where they do not count."""
    if rail.counted:
        _count_proportions(memory, watched, rail, number, answers)
    elif rail.mean:
        _count_mean(memory, watched, rail, number, answers[0])
    elif rail.categories:
        _choose_classes(memory, watched, rail, answers[0])
    else:
        _note_value(memory, watched, rail, number, answers[0])


def _count_proportions(
    memory: Memory, watched: Watched, rail: Guardrail, number: int, answers: Sequence[Answer]
) -> None:
    """Count one look of all proportions of a metric, or of none of them.

    What one of them gained while another could not be counted stays for the next look.
    """
    taken = [
        take_look(before, answer, watched.end_of(number), watched.since, rail.by)
        for before, answer in zip(memory.baselines_of(rail), answers, strict=True)
    ]
    counts = [one for one, _ in taken if not isinstance(one, NoLook)]
    whole = len(counts) == len(taken)
    memory.baselines[rail.name] = tuple(
        after if whole or isinstance(one, NoLook) else before
        for before, (one, after) in zip(memory.baselines_of(rail), taken, strict=True)
    )
    reasons = [one.reason for one, _ in taken if isinstance(one, NoLook)]
    if reasons:
        memory.reasons[rail.name] = reasons[0]
        return
    record = memory.ledger.proportions[rail.name]
    looks = [
        look_of(one, watched, number, part.record)
        for one, part in zip(counts, record.parts, strict=True)
    ]
    if not looks[0].has_data:
        memory.reasons[rail.name] = "no requests"
        return
    memory.newest[rail.name] = number
    record = record.with_looks(looks, counts)
    if rail.by:
        record = record.with_segments(counts[0].segments)
    memory.ledger = memory.ledger.with_proportion(rail.name, record)


def _count_mean(
    memory: Memory, watched: Watched, rail: Guardrail, number: int, answer: Answer
) -> None:
    before = memory.means.get(rail.name)
    said, after = take_mean_look(before, answer, watched.end_of(number), watched.since)
    memory.means[rail.name] = after
    look = None if isinstance(said, NoLook) else mean_look_of(said, watched, number)
    if look is None or not look.has_data:
        memory.reasons[rail.name] = said.reason if isinstance(said, NoLook) else "no requests"
        return
    memory.newest[rail.name] = number
    apart = None if isinstance(said, NoLook) else said.apart
    record = memory.ledger.means[rail.name].with_look(look, apart)
    memory.ledger = memory.ledger.with_mean(rail.name, record)


def _choose_classes(memory: Memory, watched: Watched, rail: Guardrail, answer: Answer) -> None:
    """Fix the classes that are compared, from what stable has answered so far."""
    if rail.categories is None or isinstance(answer, Unreadable):
        memory.reasons[rail.name] = getattr(answer, "reason", "nothing was read yet")
        return
    names = classes.choose(rail.categories, answer)
    if not names:
        memory.reasons[rail.name] = "stable has not counted enough answers of any class"
        return
    record = ledger.empty_record(watched.spec, rail.of_classes(names))
    memory.ledger = memory.ledger.with_proportion(rail.name, record)


def _note_value(
    memory: Memory, watched: Watched, rail: Guardrail, number: int, answer: Answer
) -> None:
    if rail.threshold is None:
        return
    value = _single(answer)
    record = memory.ledger.thresholds[rail.name]
    record = record.with_look(number, watched.step, value, rail.threshold)
    memory.ledger = memory.ledger.with_threshold(rail.name, record)


def _single(answer: Answer) -> float | None:
    if isinstance(answer, Unreadable) or len(answer) != 1:
        return None
    value = answer[0].value
    return value if math.isfinite(value) else None
