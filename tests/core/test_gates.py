"""What a gate asks, and what an answer means."""

from datetime import timedelta

import pytest

from penstock.api.v1alpha1.strategy import Gate
from penstock.core import gates
from penstock.core.facts import GateState
from penstock.core.gates import Asker, HttpQuestion, JobQuestion, Refused
from penstock.core.kinds import Key

ASKER = Asker("ml", "fraud-7", 2, "cluster.local", frozenset({"qa.example.com"}))
RELEASE = {"metadata": {"name": "fraud-7", "uid": "u7"}, "spec": {"rollout": "fraud"}}
CRON_JOB = {
    "spec": {
        "jobTemplate": {
            "metadata": {"labels": {"team": "ml"}},
            "spec": {"backoffLimit": 0, "template": {"spec": {"containers": []}}},
        }
    }
}


def asked(**gate):
    return gates.question(Gate.model_validate(gate), ASKER)


@pytest.mark.parametrize(
    ("gate", "url"),
    [
        ({"service": "qa-bot"}, "http://qa-bot.ml.svc.cluster.local:80/"),
        (
            {"service": "qa-bot", "port": 8080, "path": "/ok?strict=1"},
            "http://qa-bot.ml.svc.cluster.local:8080/ok?strict=1",
        ),
        ({"service": "qa-bot", "port": 443}, "https://qa-bot.ml.svc.cluster.local:443/"),
        ({"host": "qa.example.com", "port": 443}, "https://qa.example.com:443/"),
    ],
)
def test_a_service_is_one_of_the_same_namespace_and_443_is_asked_with_https(gate, url):
    assert asked(**gate) == HttpQuestion(url, timedelta(seconds=5), timedelta(seconds=10))


def test_a_host_that_the_configuration_does_not_list_is_not_asked():
    found = asked(host="169.254.169.254")
    assert isinstance(found, Refused)
    assert "not listed in gates.allow" in found.reason


def test_no_gate_is_asked_more_than_once_a_second():
    assert asked(service="qa", every="10ms").every == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, GateState.OPEN),
        (204, GateState.OPEN),
        (301, GateState.CLOSED),
        (404, GateState.CLOSED),
        (503, GateState.CLOSED),
    ],
)
def test_only_2xx_opens_a_gate(status, state):
    assert gates.of_status(status).state is state


def test_a_job_is_the_cron_jobs_template_named_for_release_and_step_and_goes_with_the_release():
    question = asked(job={"fromCronJob": "smoke"})
    assert question == JobQuestion(Key("ml", "smoke"), Key("ml", "fraud-7-gate-2"), "fraud-7")
    job = gates.job_of(CRON_JOB, question, RELEASE)
    assert job["metadata"]["ownerReferences"][0]["uid"] == "u7"
    assert job["metadata"]["labels"]["team"] == "ml"
    assert job["spec"] == CRON_JOB["spec"]["jobTemplate"]["spec"]


def test_the_name_of_a_job_fits_and_is_the_same_every_time():
    long = Asker("ml", "r" * 100, 2, "cluster.local", ())
    names = {
        gates.question(Gate.model_validate({"job": {"fromCronJob": "a"}}), long).job.name
        for _ in range(3)
    }
    assert len(names) == 1
    assert len(names.pop()) <= 63


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([], GateState.CLOSED),
        ([{"type": "Suspended", "status": "True"}], GateState.CLOSED),
        ([{"type": "Complete", "status": "True"}], GateState.OPEN),
        ([{"type": "Failed", "status": "True", "message": "boom"}], GateState.FAILED),
        ([{"type": "Failed", "status": "False"}], GateState.CLOSED),
    ],
)
def test_a_job_opens_when_it_is_complete_and_has_failed_when_it_says_so(conditions, state):
    job = {"metadata": {"name": "j"}, "status": {"conditions": conditions}}
    assert gates.of_job(job).state is state


def rollout(version="v2", stable="v2", phase="Promoted", seen=3):
    return {
        "metadata": {"generation": 3},
        "spec": {"version": version},
        "status": {
            "phase": phase,
            "stable": {"version": stable},
            "observedGeneration": seen,
        },
    }


@pytest.mark.parametrize(
    ("other", "state"),
    [
        (rollout(), GateState.OPEN),
        (rollout(phase="Idle"), GateState.OPEN),
        (rollout(stable="v1", phase="Progressing"), GateState.CLOSED),
        (rollout(stable="v1", phase="RolledBack"), GateState.FAILED),
        (rollout(seen=2), GateState.CLOSED),
        ({"metadata": {"generation": 1}, "spec": {"version": "v2"}}, GateState.CLOSED),
        (None, GateState.CLOSED),
    ],
)
def test_another_rollout_opens_when_it_serves_what_its_spec_names_now(other, state):
    assert gates.of_rollout("features", other).state is state
