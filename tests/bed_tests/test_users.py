"""People with names and groups use the API server, and admission policies see who they are."""

import pytest

from tests.bed.api import MERGE, ApiError
from tests.bed.bed import Bed
from tests.bed.place import Place
from tests.bed.processes import BedError

pytestmark = [pytest.mark.bed, pytest.mark.needs("users")]
_POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}
    resourceRules:
    - {{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}}
  matchConditions:
  - {{name: named-said, expression: "object.metadata.name == 'said'"}}
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: "[JSONPatch{{op: 'add', path: '/data/by', value: request.userInfo.username}}]"
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec: {{policyName: {name}}}
"""
_BINDING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: writer}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, create, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: writers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: writer}
subjects: [{kind: Group, name: writers, apiGroup: rbac.authorization.k8s.io}]
"""


def test_user_may_do_what_the_groups_may(place: Place) -> None:
    place.apply(_BINDING)
    create = ("create", "configmap", "said", "--from-literal=word=hello")
    refused = place.kubectl_as("ann", *create, check=False)
    assert 'User "ann" cannot create resource "configmaps"' in refused.stderr
    with pytest.raises(BedError, match="forbidden"):
        place.kubectl_as("ann", *create, groups=["readers"])
    place.kubectl_as("ann", *create, groups=["readers", "writers"])
    assert place.get("configmap", "said")["data"] == {"word": "hello"}


def test_mutating_admission_policies_are_served_and_see_the_user(bed: Bed, place: Place) -> None:
    place.apply(_BINDING)
    bed.kubectl("apply", "-f", "-", input=_POLICY.format(name=place.namespace))
    place.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "said"},
                 "data": {"word": "hello"}})  # fmt: skip
    place.wait(lambda: _stamp(bed, place) == "bed:admin", 20, "policy in force")
    words = ("patch", "configmap", "said", "-p", '{"data":{"word":"bye"}}')
    place.kubectl_as("bob@example.com", *words, groups=["writers"])
    assert place.get("configmap", "said")["data"] == {"word": "bye", "by": "bob@example.com"}
    for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
        bed.api.delete(kind, place.namespace)


def _stamp(bed: Bed, place: Place) -> str:
    path = bed.api.resource("configmap").path(place.namespace, "said")
    try:
        dry = bed.api.call("PATCH", path, {"data": {"word": "x"}}, MERGE, {"dryRun": "All"})
    except ApiError as error:
        return str(error)
    return str(dry["data"].get("by", ""))
