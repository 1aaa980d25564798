"""The manifests are what a cluster takes, and the operator runs with no more than it needs."""

import json

import pytest
import yaml

from penstock.api.configuration import load
from penstock.core.rollout.commands import VERBS
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


def _labels(manifest):
    return manifest["metadata"].get("labels", {})


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
    names = ("sticky", "podmonitor", "prometheus-rules", "dashboards")
    components = ", ".join(f"{base}/components/{name}" for name in names)
    text = OVERLAY.format(base=f"{base}/base", components=components)
    (tmp_path / "kustomization.yaml").write_text(text)
    made = rendered(bed, tmp_path)
    assert [m["metadata"]["name"] for m in of_kind(made, "PodMonitor")] == ["penstock"]
    assert [m["metadata"]["name"] for m in of_kind(made, "PrometheusRule")] == ["penstock"]
    boards = [m for m in of_kind(made, "ConfigMap") if "grafana_dashboard" in _labels(m)]
    assert [set(m["data"]) for m in boards] == [{"all-releases.json", "one-release.json"}]
    assert {_labels(m)["grafana_dashboard"] for m in boards} == {"1"}
    assert all(json.loads(text)["panels"] for m in boards for text in m["data"].values())
    assert [m["metadata"]["name"] for m in of_kind(made, "Role")] == ["penstock-sticky"]


def test_the_component_for_alerts_listens_where_its_service_sends(bed, tmp_path):
    """It replaces the configuration file: nothing but the receiver may differ from the base."""
    up = "/".join([".."] * len(tmp_path.relative_to("/").parts))
    base = "/".join([up, *MANIFESTS.relative_to("/").parts])
    component = f"{base}/components/alert-receiver"
    text = OVERLAY.format(base=f"{base}/base", components=component)
    (tmp_path / "kustomization.yaml").write_text(text)
    made, before = rendered(bed, tmp_path), rendered(bed, MANIFESTS / "base")
    settings = load(of_kind(made, "ConfigMap")[0]["data"]["config.yaml"])
    receiver = settings.alert_receiver
    assert settings.model_copy(update={"alert_receiver": None}) == load(
        of_kind(before, "ConfigMap")[0]["data"]["config.yaml"]
    )
    container = of_kind(made, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (service,) = (m for m in of_kind(made, "Service") if m["metadata"]["name"] == "penstock-alerts")
    (port,) = service["spec"]["ports"]
    assert (port["port"], ports[port["targetPort"]]) == (receiver.port, receiver.port)
    folders = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert receiver.token_file.rpartition("/")[0] in folders


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


def test_the_pod_is_taken_where_pods_are_restricted(bed):
    files = [MANIFESTS / "base" / name for name in ("namespace.yaml", "service-account.yaml")]
    for file in files:
        bed.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
    deployment = of_kind(rendered(bed, MANIFESTS / "base"), "Deployment")[0]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "restricted", "namespace": "penstock-system"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    level = "pod-security.kubernetes.io/enforce"
    assert bed.api.get("namespace", "penstock-system")["metadata"]["labels"][level] == "restricted"
    bed.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    pod["spec"]["securityContext"].pop("seccompProfile")
    refused = bed.kubectl(
        "create", "--dry-run=server", "-f", "-", input=json.dumps(pod), check=False
    )
    assert "seccompProfile" in refused.stderr


def test_there_is_one_operator_with_probes_on_the_ports_it_serves(bed):
    made = rendered(bed, MANIFESTS / "base")
    deployment = of_kind(made, "Deployment")[0]["spec"]
    container = deployment["template"]["spec"]["containers"][0]
    settings = load(of_kind(made, "ConfigMap")[0]["data"]["config.yaml"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert ports == {"health": settings.health_port, "metrics": settings.metrics_port}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert container["resources"]["requests"]


def test_no_right_is_a_wildcard_or_reaches_secrets_or_the_rights_of_others(bed):
    for role in of_kind(rendered(bed, MANIFESTS / "testbed"), "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
            assert not {"secrets", "configmaps", "leases"} & set(rule["resources"])
            assert "rbac.authorization.k8s.io" not in rule["apiGroups"]


def test_users_get_their_rights_with_the_roles_of_the_cluster(bed):
    added = {"view": set(), "edit": set(), "admin": set()}
    for role in of_kind(rendered(bed, MANIFESTS / "base"), "ClusterRole"):
        for label in role["metadata"].get("labels", {}):
            for rule in role["rules"]:
                added[label.rpartition("-")[2]] |= set(rule["verbs"])
    assert added["view"] == {"get", "list", "watch"}
    commands = {"abort", "retry", "undo"}
    assert added["edit"] - commands == {*added["view"], "create", "update", "patch", "delete"}
    assert added["admin"] | commands == set(VERBS)
