"""End-to-end: receivers on loopback, the tenant's Secrets and Role, the operator's own rights."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.bed.operator import REPOSITORY
from tests.bed_tests.hook import Hook
from tests.e2e import stage as stages

pytestmark = [pytest.mark.bed, pytest.mark.needs("operator-process")]
TYPES = ("Slack", "Teams", "Webhook", "CloudEvents")
EVERYTHING = ["Started", "Advanced", "Waiting", "RolledBack", "Promoted", "Withdrawn"]


@pytest.fixture
def hooks() -> Iterator[dict[str, Hook]]:
    """One receiver for each type."""
    found = {kind: Hook() for kind in TYPES}
    for hook in found.values():
        hook.__enter__()
    yield found
    for hook in found.values():
        hook.__exit__()


def secret(name: str, url: str, **more: str) -> dict[str, Any]:
    content = {"url": url, **more}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}


def role(*secrets: str) -> list[dict[str, Any]]:
    """Return Role and RoleBinding of the example, for these Secrets."""
    example = (REPOSITORY / "examples" / "notifications.yaml").read_text()
    found = [m for m in yaml.safe_load_all(example) if m["kind"] in ("Role", "RoleBinding")]
    found[0]["rules"][0]["resourceNames"] = list(secrets)
    return found


def rollout(*kinds: str, **more: Any) -> dict[str, Any]:
    told = [
        {"type": kind, "secretRef": {"name": kind.lower()}, "events": EVERYTHING} for kind in kinds
    ]
    return stages.rollout(plan=stages.steps(10, 50), notifications=told, **more)


def events(play: stages.Stage, reason: str) -> list[str]:
    found = json.loads(play.place.kubectl("get", "events", "-o", "json").stdout)["items"]
    return [one["message"] for one in found if one["reason"] == reason]


def test_a_good_release_is_told_once_in_each_form(stage, place, hooks):
    for kind, hook in hooks.items():
        more = {"token": "t0ken"} if kind == "CloudEvents" else {}
        place.apply(secret(kind.lower(), hook.url, **more))
    for manifest in role(*(kind.lower() for kind in TYPES)):
        place.apply(manifest)
    play = stage(rollout(*TYPES))
    play.release("v2")
    play.await_phase("Promoted")
    expected = ["Started", "Advanced", "Advanced", "Promoted"]
    for kind, hook in hooks.items():
        place.wait(lambda hook=hook: len(hook.deliveries) >= len(expected), 15, f"{kind} is told")
    told = [one.body for one in hooks["CloudEvents"].deliveries]
    assert [one["data"]["event"] for one in told] == expected
    assert [one["data"]["weight"] for one in told] == [0, 10, 50, 0]
    assert len({one["id"] for one in told}) == len(expected)
    assert told[-1]["type"] == "dev.penstock.release.promoted"
    assert told[-1]["source"].endswith(f"/namespaces/{place.namespace}/rollouts/fraud")
    headers = {k.lower(): v for k, v in hooks["CloudEvents"].deliveries[0].headers.items()}
    assert headers["authorization"] == "Bearer t0ken"
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert [one.body["event"] for one in hooks["Webhook"].deliveries] == expected
    title = f"{place.namespace}/fraud: v2 promoted"
    assert hooks["Slack"].deliveries[-1].body["attachments"][0]["title"] == title
    card = hooks["Teams"].deliveries[-1].body["attachments"][0]["content"]
    assert card["body"][0]["text"] == title
    assert events(play, "NotificationFailed") == []
    assert all(len(hook.deliveries) == len(expected) for hook in hooks.values())
    play.assert_clean()


def test_a_secret_that_may_not_be_read_holds_up_nothing_and_is_told_when_it_may(
    stage, place, operator, hooks
):
    place.apply(secret("slack", hooks["Slack"].url))
    play = stage(rollout("Slack"))
    play.release("v2")
    play.await_weight(10)
    place.behave("v2", errors=0.7)
    play.await_phase("RolledBack")
    assert play.weights()[-1] == 0
    place.wait(lambda: events(play, "NotificationFailed"), 10, "an event")
    (said,) = events(play, "NotificationFailed")
    assert "Slack through Secret slack: the operator may not read the Secret" in said
    assert "127.0.0.1" not in said
    assert "penstock_notifications_failed_total" in operator.metrics()
    assert hooks["Slack"].deliveries == []
    for manifest in role("slack"):
        place.apply(manifest)

    def told() -> bool:
        titles = [d.body["attachments"][0]["title"] for d in hooks["Slack"].deliveries]
        return any(title.endswith("v2 rolled back") for title in titles)

    place.wait(told, 45, "the rollback is told")
    play.assert_clean()
