"""Whether the share of requests that the candidate gets is the weight of the step."""

import numpy as np

from penstock.core.ledger import Ledger
from penstock.core.question import Question
from penstock.core.stats import shares


def check(ledger: Ledger, question: Question) -> tuple[str, float | None]:
    """Return why the share of requests is not the weight, and the share seen on this step.

    Copies are no share of the requests: while there are only those nothing is seen. Where each
    version is counted by targets of its own these are scraped at different moments, so a share is
    seen, and not judged.
    """
    records = sorted(ledger.compared.values(), key=lambda record: record.apart)
    record = next(iter(records), None)
    if record is None or question.step < 0:
        return "", None
    candidate, stable = (float(answers) for answers in record.answers(question.step))
    if not candidate + stable:
        return "", None
    weight = question.steps[question.step].weight
    if weight is None:
        return "", None
    observed = round(100 * candidate / (candidate + stable), 2)
    if question.spec.traffic.sticky is not None or not weight or record.apart:
        return "", observed
    counts = np.array([[candidate], [stable], [weight / 100]])
    if shares.log_evidence(*counts)[-1] < shares.ALARM:
        return "", observed
    return (
        f"the candidate gets {observed:g} % of the requests where the weight is {weight:g} %: "
        f"a proxy does not follow, or something retries or filters requests of one version"
    ), observed
