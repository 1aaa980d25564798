"""A mean through the real gatherer, observer and decisions: whole releases in virtual time."""

from datetime import timedelta

import numpy as np
import pytest

from penstock.core.means.record import MeanRecord
from tests import fakes
from tests.fakes import CATALOGUE, METRIC_TEMPLATE, Sample
from tests.test_reconciler import Stage

LOOK = timedelta(seconds=5)
VERSIONS = {"stable": "v1", "candidate": "v2"}
TEMPLATE = {
    "better": "Higher",
    "mean": {
        "sum": 'v_sum{destination_canonical_revision!="",$variant}',
        "count": 'v_count{destination_canonical_revision!="",$variant}',
        "sumOfSquares": "v_squares{$variant}",
    },
}


class Revenue(fakes.Prometheus):
    """Counters of what answers are worth, on average `worth`, with noise from look to look."""

    worth = 5.0

    def _answer(self, query):
        rows = super()._answer(query)
        if "squares/asked" not in query.expression or not rows:
            return rows
        sums = [row for row in rows if row.labels["penstock"].startswith("bad/")]
        squares = [
            Sample(row.labels | {"penstock": row.labels["penstock"].replace("bad", "squares")},
                   60 * row.value) for row in sums
        ]  # fmt: skip
        return (*rows, *squares, Sample({"penstock": "squares/asked"}, 1.0))

    def _counted(self, version, arm, at):
        total, _ = super()._counted(version, arm, at)
        mean = self.worth if arm == "candidate" else 5.0
        noise = np.random.default_rng(len(arm)).normal(0, 0.25, 4000)
        looks = [fakes.START + LOOK * k for k in range((at - fakes.START) // LOOK + 1)]
        counts = [super(Revenue, self)._counted(VERSIONS[arm], arm, look)[0] for look in looks]
        grown = np.diff(counts, prepend=0.0)
        return total, float(grown @ (mean + noise[: len(grown)]) + (total - counts[-1]) * mean)


@pytest.mark.parametrize(("worth", "phase"), [(5.0, "Promoted"), (2.0, "RolledBack")])
async def test_a_release_is_judged_by_what_answers_are_worth(worth, phase):
    stage = Stage()
    stage.metrics = Revenue(stage.cluster)
    stage.metrics.worth = worth
    meta = {"name": "revenue", "namespace": CATALOGUE}
    stage.cluster.put(METRIC_TEMPLATE, {"metadata": meta, "spec": TEMPLATE})
    stage.start()
    metrics = [{"template": "revenue", "maxDecrease": 15}]
    stage.change(analysis=fakes.SPEC["analysis"] | {"metrics": metrics})
    await stage.begin()
    await stage.run(lambda: stage.phase in ("Promoted", "RolledBack"))
    assert stage.phase == phase
    (text,) = fakes.release(stage.cluster, 1)["status"]["records"].values()
    record = MeanRecord.decode(text)
    assert record.looks[-1].candidate.mean == pytest.approx(worth, abs=1)
