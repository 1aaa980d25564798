"""What a gate asks, and what the answer means."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus
from penstock.api.v1alpha1.strategy import Gate
from penstock.core.facts import GateSaid, GateState
from penstock.core.kinds import JOB, RELEASE, Key, Manifest
from penstock.core.traffic.target import MANAGED_BY, MANAGER, ROLLOUT_LABEL

TIMEOUT, EVERY = timedelta(seconds=5), timedelta(seconds=10)
LEAST_EVERY = timedelta(seconds=1)
JOB_EVERY, ROLLOUT_EVERY = timedelta(seconds=3), timedelta(seconds=1)
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class HttpQuestion:
    """A GET, without redirects; only the status counts."""

    url: str
    timeout: timedelta
    every: timedelta


@dataclass(frozen=True, slots=True)
class JobQuestion:
    """A Job of its own for this release and step, from a CronJob of the same namespace."""

    cron_job: Key
    job: Key
    release: str
    every: timedelta = JOB_EVERY


@dataclass(frozen=True, slots=True)
class RolloutQuestion:
    """Another Rollout must serve what its spec names."""

    rollout: Key
    every: timedelta = ROLLOUT_EVERY


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody is asked; `reason` is a sentence that says how to mend it."""

    reason: str
    every: timedelta = EVERY


Question = HttpQuestion | JobQuestion | RolloutQuestion | Refused


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom a gate is asked.

    Attributes:
        allow: Hosts outside the namespace that may be asked.
    """

    namespace: str
    release: str
    step: int
    cluster_domain: str
    allow: Collection[str]


def question(gate: Gate, asker: Asker) -> Question:
    """Return what is asked."""
    if gate.job is not None:
        name = _job_name(f"{asker.release}-gate-{asker.step}")
        cron_job = Key(asker.namespace, gate.job.from_cron_job)
        return JobQuestion(cron_job, Key(asker.namespace, name), asker.release)
    if gate.rollout is not None:
        return RolloutQuestion(Key(asker.namespace, gate.rollout))
    if gate.host is not None and gate.host not in asker.allow:
        return Refused(f"host {gate.host} is not listed in gates.allow of the configuration")
    port, path = gate.port or 80, gate.path or "/"
    service = f"{gate.service}.{asker.namespace}.svc.{asker.cluster_domain}"
    scheme = "https" if port == 443 else "http"
    url = f"{scheme}://{gate.host or service}:{port}{path}"
    every = max(EVERY if gate.every is None else gate.every, LEAST_EVERY)
    return HttpQuestion(url, TIMEOUT if gate.timeout is None else gate.timeout, every)


def _job_name(name: str) -> str:
    """Return a name that a Job may have, the same every time."""
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9].rstrip('-.')}-{digest}"


def of_status(status: int) -> GateSaid:
    """Return what the status of an answer means: 2xx opens, all else keeps closed."""
    opened = 200 <= status < 300
    return GateSaid(GateState.OPEN if opened else GateState.CLOSED, f"answered {status}")


def job_of(cron_job: Manifest, asked: JobQuestion, release: Manifest) -> dict[str, Any]:
    """Return the Job to run: the template of the CronJob, owned by the Release."""
    template = cron_job["spec"]["jobTemplate"]
    meta = template.get("metadata", {})
    ours = {MANAGED_BY: MANAGER, ROLLOUT_LABEL: release["spec"]["rollout"]}
    owner = {
        "apiVersion": RELEASE.api_version,
        "kind": RELEASE.name,
        "name": release["metadata"]["name"],
        "uid": release["metadata"]["uid"],
    }
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {
            "name": asked.job.name,
            "namespace": asked.job.namespace,
            "labels": {**meta.get("labels", {}), **ours},
            "annotations": dict(meta.get("annotations", {})),
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }


def of_job(job: Manifest) -> GateSaid:
    """Return what the state of a Job means."""
    name = job["metadata"]["name"]
    for condition in job.get("status", {}).get("conditions", []):
        if condition.get("status") != "True":
            continue
        if condition["type"] == "Complete":
            return GateSaid(GateState.OPEN, f"Job {name} has succeeded")
        if condition["type"] == "Failed":
            return GateSaid(GateState.FAILED, _failed(name, condition))
    return GateSaid(GateState.CLOSED, f"Job {name} runs")


def _failed(name: str, condition: Mapping[str, str]) -> str:
    why = condition.get("message") or condition.get("reason", "")
    return f"Job {name} has failed ({why}): say approve or abort, or delete the Job to run it again"


def of_rollout(name: str, rollout: Manifest | None) -> GateSaid:
    """Return whether another Rollout serves what its spec names."""
    if rollout is None:
        return GateSaid(GateState.CLOSED, f"there is no Rollout {name}")
    status = RolloutStatus.model_validate(rollout.get("status", {}))
    wanted = rollout["spec"].get("version")
    seen = status.observed_generation == rollout["metadata"].get("generation", 0)
    serves = status.stable is not None and status.stable.version == wanted
    if seen and serves and status.phase in (Phase.IDLE, Phase.PROMOTED):
        return GateSaid(GateState.OPEN, f"Rollout {name} serves {wanted}")
    if seen and status.phase is Phase.ROLLED_BACK:
        return GateSaid(GateState.FAILED, f"Rollout {name} has refused {wanted}")
    return GateSaid(GateState.CLOSED, f"Rollout {name} is {status.phase}")
