"""Counts that may not stand for the versions, through the real gatherer and decisions."""

import pytest

from penstock.core.kinds import POD
from tests import fakes
from tests.fakes import CATALOGUE, METRIC_TEMPLATE, Sample
from tests.test_reconciler import LADDER, Stage

TEMPLATE = {
    "proportion": {
        "total": 'istio_requests_total{reporter="$reporter",$variant}',
        "bad": 'istio_requests_total{reporter="$reporter",response_code=~"5..",$variant}',
        "unreached": 'istio_requests_total{reporter="$reporter",destination_workload="unknown"}',
    }
}


class Losing(fakes.Prometheus):
    """As many requests per second reach no pod, while any do."""

    lost, since = 0.0, fakes.START

    def _answer(self, query):
        rows = super()._answer(query)
        asked = "total/unreached" in query.expression
        if not rows or not asked:
            return rows
        seconds = max((query.at - self.since).total_seconds(), 0.0)
        labels = {"job": "envoy", "instance": "edge", "penstock": "total/unreached"}
        return (*rows, Sample(labels, float(int(self.lost * seconds))))


def staged():
    stage = Stage()
    stage.metrics = Losing(stage.cluster)
    meta = {"name": "istio-errors", "namespace": CATALOGUE}
    stage.cluster.put(METRIC_TEMPLATE, {"metadata": meta, "spec": TEMPLATE})
    stage.start()
    return stage


def doubted(stage):
    found = [c for c in stage.status["conditions"] if c["type"] == "DataTrusted"]
    return found[0]["reason"] if found and found[0]["status"] == "False" else ""


def let_be_unready(stage, version, count):
    """Let some pods of a version be not ready."""
    pods = [k for kind, k in stage.cluster.objects if kind == POD and f"-{version}-" in k.name]
    for key in pods:
        ready = "True" if pods.index(key) >= count else "False"
        status = {"conditions": [{"type": "Ready", "status": ready}]}
        stage.cluster.edit(POD, key, lambda live, status=status: live.update(status=status))


async def test_requests_that_reach_no_pod_hold_the_weight_until_they_are_few():
    stage = staged()
    await stage.begin()
    await stage.at(5)
    stage.metrics.since, stage.metrics.lost = stage.clock.now, 20.0
    await stage.settle(600)
    assert (doubted(stage), stage.weights) == ("NoPodReached", [0, 1, 5])
    assert "reached no pod" in stage.status["message"]
    stage.metrics.lost = 0.0
    await stage.run(lambda: stage.phase == "Promoted")
    assert stage.weights == LADDER


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_half_of_a_versions_pods_hold_the_weight_until_the_others_are_ready(version):
    stage = staged()
    await stage.begin()
    await stage.at(5)
    let_be_unready(stage, version, 1)
    await stage.settle(300)
    assert (doubted(stage), stage.weights) == ("PodsNotReady", [0, 1, 5])
    let_be_unready(stage, version, 0)
    await stage.run(lambda: stage.phase == "Promoted")
    assert stage.weights == LADDER


async def test_one_of_many_pods_that_is_never_ready_stalls_nothing():
    stage = staged()
    await stage.begin()
    stage.cluster.pods("v2", 8)
    let_be_unready(stage, "v2", 1)
    await stage.run(lambda: stage.phase == "Promoted")
    assert stage.weights == LADDER


async def test_a_bad_version_is_rolled_back_whatever_is_doubted():
    stage = staged()
    await stage.begin()
    await stage.at(25)
    let_be_unready(stage, "v2", 1)
    stage.metrics.since, stage.metrics.lost = stage.clock.now, 20.0
    await stage.settle(20)
    stage.metrics.bad_from = stage.clock.now
    await stage.run(lambda: stage.phase == "RolledBack")
    assert stage.weights == [0, 1, 5, 25, 0]
    assert stage.status["refused"][0]["reason"] == "Worse"


class PerPod(fakes.Prometheus):
    """Each pod counts for itself; all that is bad of the candidate is answered by one of two."""

    def _rows(self, at, back, versions):
        yield Sample({"penstock": "offset/bad"}, back)
        for version, arm in versions:
            total, bad = self._counted(version, arm, at)
            good = total - bad
            for name, all_of_them, wrong in ((0, bad + good // 2, bad), (1, good - good // 2, 0)):
                place = {"job": "app", "instance": f"{version}-{name}"}
                yield from self._facts(place, at, back)
                mine = place | {"destination_canonical_revision": version}
                yield Sample(mine | {"penstock": f"total/{arm}", "code": "200"}, all_of_them)
                yield Sample(mine | {"penstock": f"bad/{arm}", "code": "500"}, wrong)

    def _facts(self, place, at, back):
        yield Sample(place | {"penstock": "sampled"}, at.timestamp())
        yield Sample(place | {"penstock": "started"}, fakes.START.timestamp() - 3600)
        if back:
            yield Sample(place | {"penstock": "before"}, at.timestamp() - back)
            yield Sample(place | {"penstock": "known"}, 2.0)


@pytest.mark.parametrize("memory", ["kept", "lost"])
async def test_a_rollback_says_which_pod_it_is_even_after_a_restart(memory):
    stage = Stage()
    stage.metrics = PerPod(stage.cluster, errors={"stable": 0.02, "candidate": 0.02})
    stage.start()
    await stage.begin()
    await stage.at(25)
    stage.metrics.bad_from = stage.clock.now
    await stage.settle(6)
    if memory == "lost":
        stage.start()
    await stage.run(lambda: stage.phase == "RolledBack")
    refused = stage.status["refused"][0]
    assert refused["reason"] == "Worse"
    assert "most of the excess is pod app/v2-0: " in refused["message"]
