"""The manifests are what a cluster takes, and the operator runs with no more than it needs."""

import json

import pytest
import yaml

from penstock.api.configuration import load
from tests.bed.operator import REPOSITORY

MANIFESTS = REPOSITORY / "manifests"
OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{base}]
components: [{components}]
"""
pytestmark = pytest.mark.bed


def rendered(bed, folder):
    return [m for m in yaml.safe_load_all(bed.kubectl("kustomize", str(folder)).stdout) if m]


def of_kind(manifests, kind):
    return [m for m in manifests if m["kind"] == kind]


@pytest.mark.parametrize("folder", ["base", "testbed"])
def test_every_object_is_taken_by_the_api_server(bed, folder):
    bed.kubectl("create", "namespace", "penstock-system", check=False)
    for manifest in rendered(bed, MANIFESTS / folder):
        if manifest["kind"] != "Namespace":
            bed.kubectl(
                "apply", "--server-side", "--force-conflicts", "--dry-run=server",
                "--validate=strict", "-f", "-", input=json.dumps(manifest),
            )  # fmt: skip


def test_the_components_can_be_added(bed, tmp_path):
    here = MANIFESTS.relative_to("/").parts
    up = "/".join([".."] * len(tmp_path.relative_to("/").parts))
    base = "/".join([up, *here])
    components = ", ".join(f"{base}/components/{name}" for name in ("sticky", "podmonitor"))
    text = OVERLAY.format(base=f"{base}/base", components=components)
    (tmp_path / "kustomization.yaml").write_text(text)
    made = rendered(bed, tmp_path)
    assert [m["metadata"]["name"] for m in of_kind(made, "PodMonitor")] == ["penstock"]
    assert [m["metadata"]["name"] for m in of_kind(made, "Role")] == ["penstock-sticky"]


def test_the_operator_runs_without_privileges(bed):
    pod = of_kind(rendered(bed, MANIFESTS / "base"), "Deployment")[0]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_configuration_that_ships_is_valid(bed):
    config = of_kind(rendered(bed, MANIFESTS / "base"), "ConfigMap")[0]["data"]["config.yaml"]
    assert "prometheus" in load(config).connections
