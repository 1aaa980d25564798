"""The kinds of objects that Penstock reads or writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.api.v1alpha1 import GROUP, VERSION

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind in the API: `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    name: str

    @property
    def api_version(self) -> str:
        """Return the apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


ROLLOUT = Kind(GROUP, VERSION, "rollouts", "Rollout")
RELEASE = Kind(GROUP, VERSION, "releases", "Release")
METRIC_TEMPLATE = Kind(GROUP, VERSION, "metrictemplates", "MetricTemplate")
VIRTUAL_SERVICE = Kind("networking.istio.io", "v1", "virtualservices", "VirtualService")
DESTINATION_RULE = Kind("networking.istio.io", "v1", "destinationrules", "DestinationRule")
ENVOY_FILTER = Kind("networking.istio.io", "v1alpha3", "envoyfilters", "EnvoyFilter")
SERVICE = Kind("", "v1", "services", "Service")
POD = Kind("", "v1", "pods", "Pod")
EVENT = Kind("", "v1", "events", "Event")
SECRET = Kind("", "v1", "secrets", "Secret")
JOB = Kind("batch", "v1", "jobs", "Job")
CRON_JOB = Kind("batch", "v1", "cronjobs", "CronJob")

WATCHED = (
    ROLLOUT,
    RELEASE,
    METRIC_TEMPLATE,
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    ENVOY_FILTER,
)
"""The kinds that are watched, so that reading them asks the API server nothing."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def key_of(manifest: Manifest) -> Key:
    """Return namespace and name of an object."""
    meta = manifest["metadata"]
    return Key(meta["namespace"], meta["name"])
