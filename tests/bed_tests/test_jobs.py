"""Jobs run to completion or failure as their annotations say; the real controllers count them."""

import pytest

from tests.bed.place import Place

pytestmark = [pytest.mark.bed, pytest.mark.needs("behave", "deploy")]


def _run(place: Place, template: str, name: str) -> None:
    place.kubectl("create", "job", name, f"--from=cronjob/{template}")


def _condition(place: Place, name: str) -> str:
    conditions = place.get("job", name).get("status", {}).get("conditions", [])
    return ",".join(sorted(c["type"] for c in conditions if c["status"] == "True"))


def test_job_of_a_suspended_cron_job_completes(place: Place) -> None:
    place.cron_job("check", seconds=0.5)
    _run(place, "check", "first")
    place.wait(lambda: place.get("job", "first")["status"].get("active") == 1, 5)
    place.wait(lambda: "Complete" in _condition(place, "first"), 10)
    (pod,) = place.objects("pod")
    assert pod["status"]["phase"] == "Succeeded"
    assert place.get("job", "first")["status"]["succeeded"] == 1
    assert place.objects("workloadentry") == []


def test_job_that_exits_with_an_error_fails(place: Place) -> None:
    place.cron_job("check", exit=3, seconds=0.1)
    _run(place, "check", "first")
    place.wait(lambda: "Failed" in _condition(place, "first"), 10)
    (pod,) = place.objects("pod")
    terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (pod["status"]["phase"], terminated["exitCode"]) == ("Failed", 3)


def test_job_past_its_deadline_fails_and_its_pod_goes(place: Place) -> None:
    place.cron_job("hang", seconds=600)
    deadline = {"spec": {"jobTemplate": {"spec": {"activeDeadlineSeconds": 1}}}}
    place.merge("cronjob", "hang", deadline)
    _run(place, "hang", "first")
    place.wait(lambda: "Failed" in _condition(place, "first"), 15)
    place.wait(lambda: not place.objects("pod"), 10)


def test_deleted_job_takes_its_running_pod_with_it(place: Place) -> None:
    place.cron_job("hang", seconds=600)
    _run(place, "hang", "first")
    place.wait(lambda: [p for p in place.objects("pod") if "podIP" in p.get("status", {})], 5)
    place.kubectl("delete", "job", "first")
    place.wait(lambda: not place.objects("pod"), 10)
