"""`penstock replay` on what is in the cluster and in Prometheus."""

import json
import os
import subprocess
import sys
import time

import pytest
import yaml

from tests.bed.operator import REPOSITORY
from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
PENSTOCK = [sys.executable, "-c", "from penstock.cli.app import entry; entry()"]


def penstock(bed, *arguments):
    """Return the lines that a command prints."""
    environment = {**os.environ, "KUBECONFIG": str(bed.kubeconfig)}
    done = subprocess.run(
        [*PENSTOCK, *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_release_is_judged_again_from_its_record_and_from_prometheus(stage, bed, tmp_path):
    play = stage(stages.rollout(plan=stages.steps(5, 25)))
    play.release("v2")
    play.await_weight(25)
    play.place.behave("v2", errors=0.5)
    play.await_phase("RolledBack")
    release = play.status["refused"][0]["release"]
    said = penstock(bed, "replay", release, "-n", play.place.namespace)
    assert [line["stream"] for line in said] == [f"{release}/istio-errors"] * len(said)
    assert said[-1]["verdict"] == "Worse"
    assert said[-1]["why"] in play.status["refused"][0]["message"]

    rollout = tmp_path / "rollout.yaml"
    meta = {"name": "fraud", "namespace": play.place.namespace}
    rollout.write_text(yaml.safe_dump({**play.spec, "metadata": meta}))
    template = REPOSITORY / "manifests/base/catalogue/istio-errors.yaml"
    began = time.time() - play.began + 2
    past = penstock(
        bed, "replay", "--prometheus", bed.prometheus.url, "-f", rollout, "-f", template,
        "--stable", "v1", "--candidate", "v2", "--from", f"-{began:.0f}s", "--summary",
    )  # fmt: skip
    assert [line["stream"] for line in past] == ["istio-errors"]
    assert past[0]["worseAt"] is not None
    assert past[0]["candidateBad"] > 10
