"""Asks the gates that releases wait for, beside the turns: none can delay any of them."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from penstock.core import gates
from penstock.core.facts import GateSaid, GateState
from penstock.core.gates import HttpQuestion, JobQuestion, Question, Refused
from penstock.core.kinds import CRON_JOB, JOB, RELEASE, ROLLOUT, Key
from penstock.ports import ConflictError, ForbiddenError, Http, Objects, TransientError, Writes

LOG = logging.getLogger("penstock")
NO_RIGHT = (
    "the operator may not run Jobs in this namespace: bind the ClusterRole penstock-gate-jobs "
    "(component gate-jobs of the manifests) to its ServiceAccount by a RoleBinding here"
)


@dataclass
class _Asked:
    """One gate that is asked, and what it said last."""

    question: Question
    task: asyncio.Task[None]
    said: GateSaid | None = None


@dataclass
class Gates:
    """One task for each Rollout that waits for a gate.

    Attributes:
        wake: Called with the Rollout when its gate says something new.
    """

    http: Http
    objects: Objects
    writes: Writes
    wake: Callable[[Key], None] = lambda key: None
    _asked: dict[Key, _Asked] = field(default_factory=dict)

    def said(self, key: Key, question: Question | None) -> GateSaid | None:
        """Return what the gate of a Rollout said last; begin to ask it. None ends the asking."""
        asked = self._asked.get(key)
        if asked is not None and asked.question == question:
            return asked.said
        self.forget(key)
        if question is not None:
            task = asyncio.create_task(self._keep_asking(key, question), name=f"gate of {key}")
            self._asked[key] = _Asked(question, task)
        return None

    def forget(self, key: Key) -> None:
        """End the asking for a Rollout."""
        if asked := self._asked.pop(key, None):
            asked.task.cancel()

    async def close(self) -> None:
        """End all asking."""
        tasks = [asked.task for asked in self._asked.values()]
        for key in list(self._asked):
            self.forget(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_asking(self, key: Key, question: Question) -> None:
        while True:
            try:
                said = await self._ask(question)
            except ForbiddenError:
                said = GateSaid(GateState.CLOSED, NO_RIGHT)
            except TransientError as error:
                said = GateSaid(GateState.CLOSED, str(error))
            except Exception as error:
                LOG.exception("%s: a gate could not be asked", key)
                said = GateSaid(GateState.CLOSED, f"could not be asked: {error}")
            asked = self._asked.get(key)
            if asked is not None and asked.question == question and asked.said != said:
                asked.said = said
                self.wake(key)
            await asyncio.sleep(question.every.total_seconds())

    async def _ask(self, question: Question) -> GateSaid:
        if isinstance(question, Refused):
            return GateSaid(GateState.CLOSED, question.reason)
        if isinstance(question, HttpQuestion):
            return await self._get(question)
        if isinstance(question, JobQuestion):
            return await self._run(question)
        rollout = self.objects.peek(ROLLOUT, question.rollout)
        return gates.of_rollout(question.rollout.name, rollout)

    async def _get(self, question: HttpQuestion) -> GateSaid:
        answer = await self.http.status(question.url, question.timeout)
        if isinstance(answer, str):
            return GateSaid(GateState.CLOSED, answer)
        return gates.of_status(answer)

    async def _run(self, question: JobQuestion) -> GateSaid:
        """Return the state of the Job; make it where it is not there."""
        job = await self.objects.get(JOB, question.job)
        if job is not None:
            return gates.of_job(job)
        cron_job = await self.objects.get(CRON_JOB, question.cron_job)
        if cron_job is None:
            return GateSaid(GateState.CLOSED, f"there is no CronJob {question.cron_job.name}")
        release = self.objects.peek(RELEASE, Key(question.job.namespace, question.release))
        if release is None:
            return GateSaid(GateState.CLOSED, f"Release {question.release} is not there")
        try:
            made = await self.writes.create(JOB, gates.job_of(cron_job, question, release))
        except ConflictError:
            return GateSaid(GateState.CLOSED, f"Job {question.job.name} runs")
        return gates.of_job(made)
