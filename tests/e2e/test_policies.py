"""End-to-end: the policies of the manifests, with real users on the real API server."""

import dataclasses
import itertools
import json
import re
import time

import pytest
import yaml

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core.rollout.commands import VERBS
from penstock.core.traffic import envoy_filter
from penstock.core.traffic.target import target_of
from tests.bed.operator import REPOSITORY
from tests.e2e import stage as stages

pytestmark = [pytest.mark.bed, pytest.mark.needs("users")]

COMPONENTS = ("policies", "stamp")
GUARDED, STAMPED = "penstock.dev/guarded", "penstock.dev/stamped"
ROLLOUTS = "rollouts.penstock.dev"
CAROL = "carol"  # may write Rollouts, and has no further right
AUTHOR = "dora"
APPROVER = "ann"
ON_DUTY = "bob"
ADMIN = "eve"
OPERATOR = "system:serviceaccount:penstock-system:penstock"
AS_OPERATOR = ["--as", OPERATOR]
FORBIDDEN_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "0"}

WRITES = {
    "apiGroups": ["penstock.dev"],
    "resources": ["rollouts"],
    "verbs": ["get", "list", "create", "update", "patch"],
}
ROUTES = {
    "apiGroups": ["networking.istio.io"],
    "resources": ["virtualservices"],
    "verbs": ["create", "update"],
}
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


def up(folder):
    """Return the way from a folder to the root: kustomize takes no absolute paths."""
    return "/".join([".."] * (len(folder.parts) - 1))


def kustomized(bed, folder, overlay):
    """Return the objects that a kustomization in an empty folder makes."""
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return [m for m in yaml.safe_load_all(bed.kubectl("kustomize", str(folder)).stdout) if m]


@pytest.fixture(scope="module")
def policies(bed, _operator, tmp_path_factory):
    """Apply the components, for namespaces with our labels only, so that no other test sees it."""
    folder = tmp_path_factory.mktemp("policies")
    paths = [f"{up(folder)}{REPOSITORY}/manifests/components/{name}" for name in COMPONENTS]
    manifests = kustomized(bed, folder, {"components": paths})
    for manifest in manifests:
        if manifest["kind"].endswith("Binding"):
            label = STAMPED if manifest["kind"].startswith("Mutating") else GUARDED
            selector = {"namespaceSelector": {"matchLabels": {label: "true"}}}
            manifest["spec"]["matchResources"] = selector
        bed.api.apply(manifest)
    yield manifests
    for manifest in reversed(manifests):
        bed.api.delete(manifest["kind"], manifest["metadata"]["name"])


def grant(place, user, *rules, role=None, name=None):
    """Bind a user to a Role with these rules, or to a ClusterRole."""
    name = name or f"{user}-{role or len(place.objects('role'))}"
    if not role:
        place.apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": name},
                "rules": list(rules),
            }
        )
    kind = "ClusterRole" if role else "Role"
    place.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": kind,
                "name": role or name,
            },
            "subjects": [
                {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"},
            ],
        }
    )


@pytest.fixture
def guarded(policies, place):
    """A place under the policies, with its users; the stamp is put on by `stamped`."""
    place.api.merge("namespace", place.namespace, {"metadata": {"labels": {GUARDED: "true"}}})
    grant(place, CAROL, WRITES)
    grant(place, AUTHOR, WRITES, ROUTES)
    grant(place, ADMIN, ALL)
    grant(place, APPROVER, role="penstock-approver")
    grant(place, ON_DUTY, role="penstock-on-duty")
    probes = {
        "commands": lambda: create(place, ADMIN, manifest(annotations={said("undo-by"): "x"})),
        "authors": lambda: create(place, CAROL, manifest()),
        "hosts": lambda: create(place, ADMIN, manifest(own("example.com"))),
        "records": lambda: create(place, ADMIN, release()),
    }
    for name, probe in probes.items():
        place.wait(lambda n=name, p=probe: f"penstock-{n}" in p().stderr, 30, f"policy {name}")
    return place


@pytest.fixture
def stamped(guarded):
    """A guarded place where the caller's name is stamped too."""
    labels = {"metadata": {"labels": {STAMPED: "true"}}}
    guarded.api.merge("namespace", guarded.namespace, labels)
    probe = manifest(annotations={said("abort"): "x"})
    arguments = ("create", "--dry-run=server", "-o", "json", "-f", "-")

    def is_stamped():
        done = guarded.kubectl_as(ADMIN, *arguments, input=json.dumps(probe), check=False)
        return said("abort-by") in done.stdout

    guarded.wait(is_stamped, 30, "stamp")
    return guarded


def said(verb):
    return f"penstock.dev/{verb}"


def manifest(route=None, annotations=None, **spec):
    found = stages.rollout(route=route, **spec)
    found["metadata"]["annotations"] = dict(annotations or {})
    return found


def own(*hosts, gateways=("mesh",)):
    return {"own": {"hosts": list(hosts), "gateways": list(gateways)}}


def release():
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": "fraud-9"},
        "spec": {
            "rollout": "fraud",
            "version": "v2",
            "stable": "v1",
            "startedAt": "2026-01-01T00:00:00Z",
            "snapshot": stages.rollout()["spec"],
        },
    }


def create(place, user, content, *, dry=True):
    """Try to create an object as a user."""
    dry_run = ["--dry-run=server"] if dry else []
    return place.kubectl_as(
        user, "create", *dry_run, "-f", "-", input=json.dumps(content), check=False
    )


def annotate(place, user, *annotations):
    """Try to annotate the Rollout, as `kubectl annotate` does: `abort=fraud-1#a` or `abort-`."""
    texts = [said(text) for text in annotations]
    return place.kubectl_as(user, "annotate", "--overwrite", ROLLOUTS, "fraud", *texts, check=False)


def patch(place, user, content, *more):
    """Try to merge into the Rollout as a user."""
    return place.kubectl_as(
        user, "patch", ROLLOUTS, "fraud", "--type=merge", "-p", json.dumps(content), *more,
        check=False,
    )  # fmt: skip


def annotations(place):
    return place.get("rollout", "fraud")["metadata"].get("annotations", {})


def assert_refused(done, policy, *words):
    assert done.returncode != 0, "it was let through"
    assert f"'penstock-{policy}'" in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def assert_passed(done):
    assert done.returncode == 0, done.stderr


# Commands


def test_a_command_takes_the_right_of_its_verb(guarded):
    guarded.apply(manifest())
    assert_passed(annotate(guarded, APPROVER, "approve=fraud-1#1"))
    assert_passed(annotate(guarded, ON_DUTY, "abort=fraud-1#1"))
    refused = itertools.product((APPROVER,), [verb for verb in VERBS if verb != "approve"])
    for user, verb in [*refused, (ON_DUTY, "approve"), (CAROL, "abort"), (AUTHOR, "promote")]:
        done = annotate(guarded, user, f"{verb}=fraud-1#2")
        assert_refused(done, "commands", f"{user} may not say {verb}", f"the verb {verb} on ")
    assert not {said(verb) for verb in ("promote", "retry", "undo", "adopt")} & set(
        annotations(guarded)
    )
    for verb in VERBS:
        assert_passed(annotate(guarded, ADMIN, f"{verb}=fraud-1#3"))


def test_several_commands_at_once_take_the_rights_of_all(guarded):
    guarded.apply(manifest())
    every = [f"{verb}=fraud-1#1" for verb in VERBS]
    assert_refused(annotate(guarded, ON_DUTY, "abort=fraud-1#1", "undo=fraud-1#1", "retry=x#1"),
                   "commands", "may not say retry")  # fmt: skip
    assert_passed(annotate(guarded, ADMIN, *every))


def test_the_refusal_says_how_the_right_is_given(guarded):
    guarded.apply(manifest())
    done = annotate(guarded, CAROL, "abort=fraud-1#1")
    told = re.search(r"kubectl (.* create role (\S+) \S+ \S+penstock\.dev)", done.stderr)
    assert told, done.stderr
    guarded.cluster.kubectl(*told[1].split())
    guarded.kubectl("create", "rolebinding", "told", f"--role={told[2]}", f"--user={CAROL}")
    guarded.wait(lambda: annotate(guarded, CAROL, "abort=fraud-1#1").returncode == 0, 10, "right")


def test_a_command_that_stands_or_is_taken_away_needs_no_right(guarded):
    guarded.apply(manifest(annotations={said("approve"): "fraud-1#1"}))
    assert_passed(patch(guarded, CAROL, {"metadata": {"labels": {"team": "a"}}}))
    assert_passed(annotate(guarded, CAROL, "approve=fraud-1#1"))
    assert_passed(annotate(guarded, CAROL, "approve-"))
    assert_refused(annotate(guarded, CAROL, "approve=fraud-1#1"), "commands")


def test_a_rollout_that_is_created_with_a_command_takes_the_right_too(guarded):
    content = manifest(annotations={said("promote"): "fraud-1#1"})
    assert_refused(create(guarded, AUTHOR, content), "commands", "may not say promote")
    assert_passed(create(guarded, ADMIN, content))


def test_a_name_that_the_api_server_makes_up_is_no_way_around_the_policies(guarded):
    content = manifest(own("fraud"))
    content["metadata"] = {"generateName": "fraud-"}
    assert_passed(create(guarded, AUTHOR, content))
    assert_refused(create(guarded, CAROL, content), "authors", "the verb update")
    content["metadata"]["annotations"] = {said("adopt"): "v1#1"}
    assert_refused(create(guarded, AUTHOR, content), "commands", "may not say adopt")


# Who gave a command


def test_the_caller_is_stamped_whatever_they_write(stamped):
    stamped.apply(manifest())
    assert_passed(annotate(stamped, ON_DUTY, "abort=fraud-1#1"))
    assert annotations(stamped)[said("abort-by")] == ON_DUTY
    assert_passed(annotate(stamped, ADMIN, "abort=fraud-1#2", f"abort-by={ON_DUTY}"))
    assert annotations(stamped)[said("abort-by")] == ADMIN
    assert_passed(annotate(stamped, ON_DUTY, "abort=fraud-1#3", "undo=fraud-1#3"))
    assert {annotations(stamped)[said(f"{verb}-by")] for verb in ("abort", "undo")} == {ON_DUTY}


def test_a_stamp_can_neither_be_changed_nor_lost_while_its_command_stands(stamped):
    stamped.apply(manifest())
    assert_passed(annotate(stamped, ON_DUTY, "abort=fraud-1#1"))
    forged = annotate(stamped, ADMIN, f"abort-by={APPROVER}")
    assert_refused(forged, "commands", "abort-by says who gave the command abort", ADMIN)
    assert_refused(annotate(stamped, ADMIN, f"abort-by={ADMIN}"), "commands")
    assert_passed(annotate(stamped, ADMIN, "abort-by-"))
    assert annotations(stamped)[said("abort-by")] == ON_DUTY
    assert_refused(annotate(stamped, ADMIN, "abort-", f"abort-by={ADMIN}"), "commands")


def test_a_manifest_with_a_command_can_be_applied_again_and_again(stamped):
    content = json.dumps(manifest(annotations={said("abort"): "fraud-1#1"}))
    for manner in ("--server-side=true", "--server-side=false"):
        for _ in range(2):
            done = stamped.kubectl_as(
                ADMIN, "apply", manner, "--force-conflicts" if "true" in manner else "--force",
                "-f", "-", input=content, check=False,
            )  # fmt: skip
            assert_passed(done)
            assert annotations(stamped)[said("abort-by")] == ADMIN
        stamped.delete("rollout", "fraud")


def test_without_the_stamp_nobody_can_write_another_name(guarded):
    guarded.apply(manifest())
    assert_passed(annotate(guarded, ON_DUTY, "abort=fraud-1#1"))
    assert said("abort-by") not in annotations(guarded)
    assert_refused(annotate(guarded, ON_DUTY, f"abort-by={ON_DUTY}"), "commands")
    forged = annotate(guarded, ON_DUTY, "abort=fraud-1#2", f"abort-by={ADMIN}")
    assert_refused(forged, "commands", f"write your own name ({ON_DUTY})")
    assert_passed(annotate(guarded, ADMIN, "abort=fraud-1#3", f"abort-by={ADMIN}"))
    left = annotate(guarded, ON_DUTY, "abort=fraud-1#4")
    assert_refused(left, "commands")
    assert_passed(annotate(guarded, ON_DUTY, "abort=fraud-1#4", "abort-by-"))


# The author's own rights


def test_an_author_needs_the_right_to_write_virtual_services(guarded):
    assert_refused(create(guarded, CAROL, manifest()), "authors", "the verb update on virtual",
                   "VirtualService fraud-split")  # fmt: skip
    assert_passed(create(guarded, AUTHOR, manifest(), dry=False))
    change = {"spec": {"version": "v2"}}
    assert_refused(patch(guarded, CAROL, change), "authors", CAROL)
    assert_refused(patch(guarded, ON_DUTY, change), "authors", ON_DUTY)
    assert_refused(
        patch(guarded, CAROL, {"metadata": {"ownerReferences": [FORBIDDEN_OWNER]}}), "authors"
    )
    assert_passed(patch(guarded, CAROL, {"metadata": {"labels": {"team": "a"}}}))
    assert_passed(patch(guarded, AUTHOR, change))


def test_an_author_may_be_limited_to_one_virtual_service(guarded):
    grant(guarded, CAROL, {**ROUTES, "verbs": ["update"], "resourceNames": ["mine"]})
    mine = {"existing": {"virtualService": "mine", "http": ["main"]}}
    guarded.wait(lambda: create(guarded, CAROL, manifest(mine)).returncode == 0, 10, "right")
    other = {"existing": {"virtualService": "other", "http": ["main"]}}
    assert_refused(create(guarded, CAROL, manifest(other)), "authors", "VirtualService other")
    done = create(guarded, CAROL, manifest({"delegate": "mine"}))
    assert_refused(done, "authors", "may not create VirtualServices", "or route.existing")
    more = {**mine, "also": [{"virtualService": "other", "http": ["main"]}]}
    assert_refused(create(guarded, CAROL, manifest(more)), "authors", "which route.also takes")
    grant(guarded, CAROL, {**ROUTES, "verbs": ["update"]})
    guarded.wait(lambda: create(guarded, CAROL, manifest(more)).returncode == 0, 10, "right")


def test_a_gate_with_a_job_takes_the_right_to_create_jobs(guarded):
    gate = {"gate": {"job": {"fromCronJob": "smoke"}}}
    canary = manifest(plan=[gate, stages.step(10)])
    blue_green = manifest()
    blue_green["spec"]["strategy"] = {"blueGreen": gate}
    for content in (canary, blue_green):
        refused = create(guarded, AUTHOR, content)
        assert_refused(refused, "authors", "the verb create on jobs.batch")
    grant(guarded, AUTHOR, {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]})
    guarded.wait(lambda: create(guarded, AUTHOR, canary).returncode == 0, 10, "right")
    assert_passed(create(guarded, AUTHOR, blue_green))


# Hosts


def test_on_the_mesh_a_host_is_a_service_of_the_namespace(guarded):
    here = guarded.namespace
    for host in ("fraud", f"fraud.{here}", f"fraud.{here}.svc", guarded.host("fraud")):
        assert_passed(create(guarded, AUTHOR, manifest(own(host))))
    foreign = (
        "fraud.other",
        "fraud.other.svc.cluster.local",
        "example.com",
        f"a.b.{here}",
        f"fraud.{here}.svc.cluster.local.example.com",
        f"fraud.{here}.svc.other",
    )
    for host in foreign:
        done = create(guarded, AUTHOR, manifest(own("fraud", host)))
        assert_refused(done, "hosts", f"which {host} is not", "leave mesh out of gateways")


def test_on_another_gateway_a_host_is_free_and_mesh_is_the_default(guarded):
    outside = own("example.com", gateways=("mesh-edge/edge",))
    assert_passed(create(guarded, AUTHOR, manifest(outside)))
    both = own("example.com", gateways=("mesh-edge/edge", "mesh"))
    assert_refused(create(guarded, AUTHOR, manifest(both)), "hosts")
    by_default = {"own": {"hosts": ["example.com"]}}
    assert_refused(create(guarded, AUTHOR, manifest(by_default)), "hosts")


def test_an_object_from_before_the_policies_can_still_be_aborted_and_deleted(guarded):
    unguarded = {"metadata": {"labels": {GUARDED: None}}}
    guarded.api.merge("namespace", guarded.namespace, unguarded)
    content = manifest(own("example.com"))
    guarded.wait(lambda: create(guarded, ADMIN, content, dry=False).returncode == 0, 10, "old one")
    guarded.api.merge("namespace", guarded.namespace, {"metadata": {"labels": {GUARDED: "true"}}})
    change = {"spec": {"suspend": True}}
    guarded.wait(lambda: patch(guarded, ADMIN, change, "--dry-run=server").returncode, 10, "policy")
    assert_refused(patch(guarded, ADMIN, change), "hosts")
    assert_passed(annotate(guarded, ON_DUTY, "abort=fraud-1#1"))
    finalizers = {"metadata": {"finalizers": ["penstock.dev/test"]}}
    assert_passed(patch(guarded, CAROL, finalizers))
    assert_passed(patch(guarded, CAROL, {"metadata": {"finalizers": None}}))


# Records


def test_only_the_operator_writes_status_and_releases(guarded, operator):
    guarded.apply(manifest())
    guarded.wait(lambda: guarded.get("rollout", "fraud").get("status"), 10, "status")
    status = patch(guarded, ADMIN, {"status": {"message": "x"}}, "--subresource=status")
    assert_refused(status, "records", "only the operator writes the status of rollouts", ADMIN)
    made = create(guarded, ADMIN, release())
    assert_refused(made, "records", "only the operator writes Releases", "penstock.dev/abort")


def test_a_release_may_be_labelled_and_deleted_by_who_has_the_right_but_not_rewritten(guarded):
    guarded.kubectl(*AS_OPERATOR, "create", "-f", "-", input=json.dumps(release()))
    change = ["patch", "releases.penstock.dev", "fraud-9", "--type=merge", "-p"]
    outcome = {"status": {"outcome": "Promoted"}}
    for content, more in (({"spec": {"version": "v3"}}, ()), (outcome, ("--subresource=status",))):
        done = guarded.kubectl_as(ADMIN, *change, json.dumps(content), *more, check=False)
        assert_refused(done, "records")
    labels = json.dumps({"metadata": {"labels": {"kept": "true"}}})
    assert_passed(guarded.kubectl_as(ADMIN, *change, labels, check=False))
    refused = guarded.kubectl_as(CAROL, "delete", "releases.penstock.dev", "fraud-9", check=False)
    assert "forbidden" in refused.stderr
    guarded.kubectl_as(ADMIN, "delete", "releases.penstock.dev", "fraud-9")


# The operator's own routes and filters


def virtual_service(route, name="mine"):
    host = {"destination": {"host": "fraud"}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {"hosts": [f"{name}.example.com"], "http": [{"name": route, "route": [host]}]},
    }


def test_nobody_else_gives_a_route_a_name_that_an_envoy_filter_of_ours_matches(guarded):
    taken = virtual_service(f"root-penstock-{guarded.namespace}_fraud")
    refusal = "an http route may not be named root-penstock-"
    guarded.wait(lambda: refusal in create(guarded, AUTHOR, taken).stderr, 10, "policy")
    assert_refused(create(guarded, AUTHOR, taken), "routes", refusal)
    assert_passed(create(guarded, AUTHOR, virtual_service("main")))
    guarded.kubectl(*AS_OPERATOR, "create", "-f", "-", input=json.dumps(taken))
    labels = json.dumps({"metadata": {"labels": {"team": "a"}}})
    change = ["patch", "virtualservice", "mine", "--type=merge", "-p", labels]
    assert_passed(guarded.kubectl_as(ADMIN, *change, check=False))


def test_the_operators_envoy_filters_are_hash_policies_of_its_own_routes(guarded):
    rule = {
        "apiGroups": ["networking.istio.io"],
        "resources": ["envoyfilters"],
        "verbs": ["create", "delete"],
    }
    grant(guarded, OPERATOR, rule, name="filters")
    spec = RolloutSpec.model_validate(stages.rollout()["spec"])
    target = target_of(guarded.namespace, "fraud", "0", spec, ("cluster.local", guarded.namespace))
    target = dataclasses.replace(target, sticky_header="x-user")
    ours = envoy_filter.manifest(target, "fraud-1", [target.route_name])
    attempt = [*AS_OPERATOR, "create", "--dry-run=server", "-f", "-"]

    def refused(**changes):
        text = json.dumps(ours)
        for before, after in changes.values():
            assert before in text
            text = text.replace(before, after)
        return guarded.kubectl(*attempt, input=text, check=False)

    other = ('"name": "penstock-', '"name": "other-')
    guarded.wait(lambda: "penstock-filters" in refused(name=other).stderr, 10, "policy")
    assert_passed(guarded.kubectl(*attempt, input=json.dumps(ours), check=False))
    assert_refused(refused(kind=('"HTTP_ROUTE"', '"HTTP_FILTER"')), "filters", "routes of its own")
    assert_refused(refused(way=('"MERGE"', '"REPLACE"')), "filters", "routes of its own")
    more = ('"hash_policy"', '"cluster": "attacker", "hash_policy"')
    assert_refused(refused(value=more), "filters", "nothing but the hash policy")


# The policies themselves


def test_the_policies_know_the_same_commands_as_the_operator(policies):
    for name in ("penstock-commands", "penstock-stamp"):
        policy = next(m for m in policies if m["metadata"]["name"] == name)
        variables = {v["name"]: v["expression"] for v in policy["spec"]["variables"]}
        assert sorted(re.findall("'([a-z]+)'", variables["verbs"])) == sorted(VERBS)
        asked = re.findall(r"check\('(\w+)'\)", json.dumps(policy["spec"].get("validations", [])))
        assert sorted(asked) == (sorted(VERBS) if name == "penstock-commands" else [])


def test_the_settings_in_the_docs_reach_the_policies(bed, tmp_path):
    text = (REPOSITORY / "docs" / "security.md").read_text()
    overlay = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    for field in ("resources", "components"):
        overlay[field] = [f"{up(tmp_path)}{REPOSITORY}/{path}" for path in overlay[field]]
    made = {m["metadata"]["name"]: m["spec"] for m in kustomized(bed, tmp_path, overlay)
            if m["kind"] == "ValidatingAdmissionPolicy"}  # fmt: skip
    operator = "'system:serviceaccount:delivery:penstock'"
    named = {name for name in made if OPERATOR in json.dumps(made[name])}
    assert not named, "there is still the operator's usual name"
    for name, condition in (("records", "!="), ("routes", "!="), ("filters", "==")):
        expression = made[f"penstock-{name}"]["matchConditions"][0]["expression"]
        assert expression == f"request.userInfo.username {condition} {operator}"
    domain = {"name": "clusterDomain", "expression": "'example.internal'"}
    assert made["penstock-hosts"]["variables"][0] == domain


def test_the_api_server_finds_nothing_wrong_with_the_types_in_the_policies(policies, bed):
    checked = [m for m in policies if m["kind"] == "ValidatingAdmissionPolicy"]
    assert len(checked) == 6
    for policy in checked:
        assert warnings(bed, policy["metadata"]["name"]) == []
        assert warnings_of_all(bed, policy["spec"]) == []


def test_a_field_that_a_rollout_lacks_would_be_found_in_a_policy(policies, bed):
    policy = next(m for m in policies if m["metadata"]["name"] == "penstock-hosts")
    wrong = json.dumps(policy["spec"]).replace("spec.traffic.route.own.hosts", "spec.hosts")
    assert "undefined field 'hosts'" in str(warnings_of_all(bed, json.loads(wrong)))


def warnings_of_all(bed, spec):
    """Return what the API server says of all expressions: it looks at the validations only."""
    expressions = [one["expression"] for one in (*spec["matchConditions"], *spec["validations"])]
    expressions += [f"[{one['expression']}].size() == 1" for one in spec.get("variables", [])]
    content = {**spec, "validations": [{"expression": text} for text in expressions]}
    name = f"penstock-types-{time.monotonic_ns()}"
    bed.api.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": content,
        }
    )
    try:
        return warnings(bed, name)
    finally:
        bed.api.delete("validatingadmissionpolicy", name)


def warnings(bed, name):
    """Return what the API server says of the types in a policy, once it has looked."""
    deadline = time.monotonic() + 30
    while "typeChecking" not in bed.api.get("validatingadmissionpolicy", name).get("status", {}):
        assert time.monotonic() < deadline, f"{name} was not checked"
        time.sleep(0.1)
    status = bed.api.get("validatingadmissionpolicy", name)["status"]
    return status["typeChecking"].get("expressionWarnings", [])


def test_a_release_under_the_policies_is_the_work_of_those_who_have_the_rights(
    stamped, stage, operator, bed
):
    began = time.time()
    play = stage(stages.rollout(plan=[stages.step(10), {"approval": {}}, stages.step(50)]))
    assert_passed(patch(stamped, AUTHOR, {"spec": {"version": "v2"}}))
    play.await_phase("Waiting", version="approve")
    assert_refused(annotate(stamped, AUTHOR, "approve=fraud-1/1#1"), "commands")
    assert_passed(annotate(stamped, APPROVER, "approve=fraud-1/1#1"))
    play.await_phase("Promoted")
    assert_passed(annotate(stamped, ON_DUTY, "undo=fraud-1#1"))
    play.await_phase("RolledBack")
    play.place.wait(lambda: play.weights() == [0, 10, 50, 100, 0], 10, "undone")
    told = [(c["verb"], c["by"], c["taken"]) for c in play.status["commands"]]
    assert told == [("approve", APPROVER, True), ("undo", ON_DUTY, True)]
    assert f"undone by {ON_DUTY}" in play.status["refused"][0]["message"]
    stamped.delete("rollout", "fraud")
    stamped.wait(lambda: stamped.find("rollout", "fraud") is None, 10, "deletion")
    assert not [r for r in bed.requests(operator.user, began) if r.code in (403, 422)]
    play.assert_clean()
