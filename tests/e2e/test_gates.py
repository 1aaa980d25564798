"""End-to-end: gates that agree, fail, hang and flap."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed


class Bot:
    """A server that answers as told; `status` None means never."""

    def __init__(self):
        self.status, self.asked = 503, 0
        self.ended = threading.Event()
        bot = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                bot.asked += 1
                if bot.status is None:
                    bot.ended.wait(30)
                self.send_response(bot.status or 503)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def gate(self):
        port = self.server.server_address[1]
        return {"host": "127.0.0.1", "port": port, "path": "/ok", "every": "1s", "timeout": "1s"}

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def bot():
    one = Bot()
    yield one
    one.close()


def smoke(play, **more):
    """Make the CronJob `smoke`, and let the operator run Jobs here."""
    account = "--serviceaccount=penstock-system:penstock"
    role = "--clusterrole=penstock-gate-jobs"
    play.place.kubectl("create", "rolebinding", "penstock-gate-jobs", role, account)
    play.place.cron_job("smoke", **more)


def gated(gate, **more):
    return stages.rollout(plan=[stages.step(20), {"gate": gate, **more}, stages.step(50)])


def test_a_gate_holds_the_weight_before_it_until_it_answers_2xx(stage, bot):
    play = stage(gated(bot.gate))
    play.release("v2")
    for status, said in ((503, "answered 503"), (302, "answered 302"), (None, "no answer within")):
        bot.status = status
        play.place.wait(lambda said=said: said in play.status.get("message", ""), 30, said)
        assert (play.phase, play.status["traffic"]["weight"]) == ("Waiting", 20)
    bot.status = 200
    play.await_phase("Promoted")
    assert play.weights() == [0, 20, 50, 100]
    play.assert_clean()


def test_metrics_go_on_judging_behind_a_gate_that_hangs(stage, bot):
    bot.status = None
    play = stage(gated(bot.gate))
    play.release("v2")
    play.place.wait(lambda: "no answer" in play.status.get("message", ""), 30, "the gate to hang")
    play.place.behave("v2", errors=0.7)
    play.await_phase("RolledBack", timeout=20)
    assert play.weights() == [0, 20, 0]
    play.assert_clean()


def test_a_job_from_a_cron_job_opens_the_gate_and_goes_with_its_release(stage):
    play = stage(gated({"job": {"fromCronJob": "smoke"}}))
    smoke(play)
    play.release("v2")
    play.await_phase("Promoted")
    assert play.weights() == [0, 20, 50, 100]
    (job,) = play.place.objects("job")
    assert job["metadata"]["name"] == "fraud-1-gate-1"
    assert job["metadata"]["ownerReferences"][0]["kind"] == "Release"


def test_a_job_that_fails_rolls_back_where_the_gate_says_so(stage):
    play = stage(gated({"job": {"fromCronJob": "smoke"}, "onFailure": "Rollback"}))
    smoke(play, exit=1)
    play.release("v2")
    play.await_phase("RolledBack")
    assert "Job fraud-1-gate-1 has failed" in play.status["message"]
    assert play.weights() == [0, 20, 0]


def test_a_release_waits_until_another_rollout_serves_what_its_spec_names(stage):
    play = stage(gated({"rollout": "features"}))
    play.release("v2")
    play.place.wait(lambda: "no Rollout features" in play.status["message"], 30, "the gate")
    play.place.deploy("features", "v1")
    other = stages.rollout(route={"own": {"hosts": ["features.example.com"]}})
    other["metadata"]["name"] = other["spec"]["traffic"]["service"] = "features"
    play.place.apply(other)
    play.await_phase("Promoted")
    assert [weight for weight in play.weights() if weight] == [20, 50, 100]
