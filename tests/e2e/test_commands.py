"""End-to-end 9: commands (rule 10)."""

import time

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed


def last(play):
    return play.status.get("commands", [{}])[-1]


def answered(play, id_):
    play.place.wait(
        lambda: any(c["id"] == id_ for c in play.status.get("commands", [])), 10, f"answer to {id_}"
    )
    return next(c for c in play.status["commands"] if c["id"] == id_)


def releases(play):
    return [r["metadata"]["name"] for r in play.place.objects("release")]


def test_an_approval_is_waited_for_and_stale_or_foreign_commands_are_refused(stage):
    plan = [stages.step(10), {"approval": {}}, stages.step(50)]
    play = stage(stages.rollout(plan=plan))
    play.release("v2")
    play.await_phase("Waiting", version="approve")
    play.command("approve=fraud-7/1#foreign")
    assert not answered(play, "foreign")["taken"]
    play.command("approve=fraud-1/0#stale")
    assert not answered(play, "stale")["taken"]
    assert play.weights() == [0, 10]
    play.command("approve=fraud-1/1#yes")
    assert answered(play, "yes")["by"] == "unverified"
    play.await_phase("Promoted")
    assert play.weights() == [0, 10, 50, 100]
    events = play.place.objects("event")
    refused = [e["message"] for e in events if e["reason"] == "CommandRefused"]
    assert len(refused) == 2
    play.assert_clean()


def test_promote_goes_to_100_and_undo_comes_back_and_retry_tries_again(stage):
    play = stage(stages.rollout(plan=[stages.step(10, "10m")], historyLimit=1))
    play.release("v2")
    play.await_weight(10)
    play.command("promote=fraud-1#now")
    play.await_phase("Promoted")
    play.command("undo=fraud-1#back")
    play.await_phase("RolledBack")
    assert play.stable == "v1"
    assert play.status["refused"][0]["version"] == "v2"
    play.place.wait(lambda: play.weights() == [0, 10, 100, 0], 10, "undone")
    play.command("undo=fraud-1#again")
    assert not answered(play, "again")["taken"]
    play.command("retry=fraud-1#once-more")
    play.await_weight(10)
    assert play.status["candidate"]["release"] == "fraud-2"
    play.command("abort=fraud-2#stop")
    play.await_phase("RolledBack")
    play.place.wait(lambda: play.weights() == [0, 10, 100, 0, 10, 0], 10, "aborted")
    play.place.wait(lambda: releases(play) == ["fraud-2"], 10, "historyLimit 1")
    play.assert_clean()


def test_abort_takes_the_traffic_back_even_while_the_status_cannot_be_written(stage, bed):
    play = stage(stages.rollout(plan=[stages.step(10, "10m")]))
    play.release("v2")
    play.await_weight(10)
    play.place.wait(lambda: 10 in play.weights(), 10, "weight 10")
    policy = no_status_writes(play.place.namespace)
    for manifest in policy:
        bed.api.apply(manifest)
    try:
        refused_write(play)
        play.command("abort=fraud-1#stop")
        play.place.wait(lambda: play.weights()[-1] == 0, 10, "weight 0")
        assert play.phase != "RolledBack", "the status was not to be written"
    finally:
        for manifest in reversed(policy):
            bed.api.delete(manifest["kind"].lower(), manifest["metadata"]["name"])
    play.await_phase("RolledBack")
    assert play.weights() == [0, 10, 0]
    play.assert_clean()


@pytest.mark.needs("prometheus-control")
def test_abort_does_not_wait_for_a_prometheus_that_hangs(stage, bed):
    """Rule 6."""
    play = stage(stages.rollout(plan=[stages.step(10, "10m")]))
    play.release("v2")
    play.await_weight(10)
    play.place.wait(lambda: 10 in play.weights(), 10, "weight 10")
    with bed.prometheus.hanging():
        time.sleep(2.5)
        play.command("abort=fraud-1#stop")
        began = time.monotonic()
        play.place.wait(lambda: play.weights()[-1] == 0, 10, "weight 0")
        taken = time.monotonic() - began
    assert taken < 1.0
    play.await_phase("RolledBack")
    play.assert_clean()


def refused_write(play):
    """Wait until a status write is refused."""

    def refused():
        patch = '{"status":{"message":"probe"}}'
        done = play.place.kubectl(
            "patch", "rollouts.penstock.dev", "fraud", "--subresource=status", "--type=merge",
            "-p", patch, "--dry-run=server", check=False,
        )  # fmt: skip
        return done.returncode != 0

    play.place.wait(refused, 20, "refused status writes")


def no_status_writes(namespace):
    """Policies that refuse every write of a Rollout's status in a namespace."""
    name = f"no-status-{namespace}"
    rule = {
        "apiGroups": ["penstock.dev"],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["rollouts/status"],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector},
                "validations": [{"expression": "false", "message": "no status writes now"}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    ]
