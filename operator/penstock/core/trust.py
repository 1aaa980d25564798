"""Whether what was counted may stand for the two versions; pure.

A doubt stops the bake and says why. It is never failure, and it never keeps "worse" from acting.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from penstock.core import sentences, shares_check
from penstock.core.facts import VersionPods
from penstock.core.ledger import Ledger
from penstock.core.question import Question

UNREACHED_SHARE, UNREACHED_LEAST = 0.01, 10
UNREACHED_SECONDS = 600.0


class Reason(StrEnum):
    """Why counts are doubted, as the condition says it."""

    WEIGHT_NOT_FOLLOWED = "WeightNotFollowed"
    PODS_NOT_READY = "PodsNotReady"
    NO_POD_REACHED = "NoPodReached"
    ONE_POD = "OnePod"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why counts are doubted, with a sentence for people."""

    reason: Reason
    text: str


def check(
    ledger: Ledger, question: Question, acting: Collection[str]
) -> tuple[tuple[Doubt, ...], float | None]:
    """Return what is doubted on this step, and the candidate's share of the requests, in percent.

    The first doubt names the condition, so causes come before what follows from them.

    Args:
        ledger: All counts.
        question: What is asked of them.
        acting: Names of the metrics that can stop a release.
    """
    text, observed = shares_check.check(ledger, question)
    found: list[Doubt] = []
    if question.step >= 0:
        found += _pods_not_ready(question)
        found += _unreached(ledger, question.step, acting)
    found += [Doubt(Reason.WEIGHT_NOT_FOLLOWED, text)] if text else []
    return tuple(found), observed


def _pods_not_ready(question: Question) -> Iterator[Doubt]:
    for version, pods in question.pods.items():
        if few_are_ready(pods):
            text = sentences.pods_not_ready(version, pods.ready, pods.total)
            yield Doubt(Reason.PODS_NOT_READY, text)


def few_are_ready(pods: VersionPods) -> bool:
    """Return whether no more than half of the pods are ready: the others may be the worse half."""
    return pods.ready * 2 <= pods.total and pods.total > 0


def _unreached(ledger: Ledger, step: int, acting: Collection[str]) -> Iterator[Doubt]:
    """Yield what reached no pod in the last minutes of a step: users see it, no version has it."""
    for name, record in ledger.proportions.items():
        lost, all_of_them = record.first.unreached(step, UNREACHED_SECONDS)
        enough = lost >= UNREACHED_LEAST and lost > UNREACHED_SHARE * all_of_them
        if enough and name in acting:
            yield Doubt(Reason.NO_POD_REACHED, sentences.unreached(name, lost, all_of_them))
            return
