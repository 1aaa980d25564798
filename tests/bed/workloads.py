"""The Services and Deployments that tests deploy, and how they say that they are ready."""

from tests.bed.api import Manifest


def service(name: str, *, tls: bool = False) -> Manifest:
    """Return a Service for the Pods with the label app=<name>: port http, with `tls` tls too."""
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    if tls:
        ports.append({"name": "tls", "port": 443, "targetPort": "tls"})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": ports},
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


def cron_job(name: str, image: str, annotations: dict[str, str]) -> Manifest:
    """Return a suspended CronJob: a template of Jobs that are tried once."""
    container = {"name": "job", "image": image}
    pod = {
        "metadata": {"annotations": annotations},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    job = {"spec": {"backoffLimit": 0, "template": pod}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": job},
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
