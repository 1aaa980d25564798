"""The Services and Deployments that tests deploy, and how they say that they are ready."""

from tests.bed.api import Manifest


def service(name: str) -> Manifest:
    """Return a Service for the Pods with the label app=<name>; its port is named http."""
    port = {"name": "http", "port": 80, "targetPort": "http"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": [port]},
    }


def deployment(app: str, version: str, replicas: int, image: str) -> Manifest:
    """Return the Deployment `<app>-<version>`; its Pods have the labels app and version."""
    labels = {"app": app, "version": version}
    container = {"name": "app", "image": image, "ports": [{"name": "http", "containerPort": 8080}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{app}-{version}", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": dict(labels)}, "spec": {"containers": [container]}},
        },
    }


def complete(found: Manifest) -> bool:
    """Return whether all of a Deployment's Pods are its newest and ready."""
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    observed = status.get("observedGeneration") == found["metadata"]["generation"]
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
    return observed and counts == [wanted] * 3


def ready(pod: Manifest) -> bool:
    """Return whether the Pod is Ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
