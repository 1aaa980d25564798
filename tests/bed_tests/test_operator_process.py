"""The mechanics of running an operator: a placeholder stands where `python -m penstock` will."""

import sys
from pathlib import Path

import pytest
import requests
import yaml

from tests.bed.bed import Bed
from tests.bed.operator import OperatorSetup

pytestmark = [pytest.mark.bed, pytest.mark.needs("operator-process")]

_PLACEHOLDER = """
import http.server, os, sys, yaml
config = yaml.safe_load(open(sys.argv[sys.argv.index("--config") + 1]))
print(os.environ["KUBECONFIG"], config["connections"]["prometheus"]["url"], flush=True)
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", config["healthPort"]), Health).serve_forever()
"""
_OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: placeholder-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: placeholder, namespace: placeholder-system}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: placeholder, namespace: placeholder-system}
spec:
  selector: {matchLabels: {app: placeholder}}
  template:
    metadata: {labels: {app: placeholder}}
    spec: {containers: [{name: operator, image: none}]}
"""


@pytest.fixture
def setup(tmp_path: Path) -> OperatorSetup:
    (tmp_path / "objects.yaml").write_text(_OBJECTS)
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["objects.yaml"]}))
    (tmp_path / "placeholder.py").write_text(_PLACEHOLDER)
    return OperatorSetup(
        crds=tmp_path / "none",
        manifests=tmp_path,
        namespace="placeholder-system",
        service_account="placeholder",
        command=(sys.executable, str(tmp_path / "placeholder.py")),
    )


def test_operator_runs_as_its_service_account_and_survives_kills(
    bed: Bed, setup: OperatorSetup
) -> None:
    operator = bed.operator(setup)
    assert operator.user == "system:serviceaccount:placeholder-system:placeholder"
    operator.start()
    operator.wait_log(bed.prometheus.url)
    first = operator.pid
    operator.kill()
    with pytest.raises(requests.ConnectionError):
        operator.healthy()
    operator.restart()
    assert operator.pid != first
    assert operator.healthy()
    operator.stop()
    assert not operator.alive


def test_deployment_of_the_operator_is_left_out(bed: Bed, setup: OperatorSetup) -> None:
    bed.install(setup)
    assert bed.api.find("serviceaccount", "placeholder", "placeholder-system")
    assert bed.api.objects("deployment", "placeholder-system") == []
