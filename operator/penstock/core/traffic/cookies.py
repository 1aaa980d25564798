"""Stickiness by a cookie of ours: plain rules, with users drawn anew at each step (decision 14).

At a step of weight w the first answer to a user carries a cookie: the candidate's is good for the
whole release, stable's for this step only. At the next step of weight w', a user of stable is
drawn again and goes to the candidate with the chance (w' - w) / (1 - w), so that of all users
w + (1 - w) (w' - w) / (1 - w) = w' have the candidate, and none has left it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.api.v1alpha1.rollout_status import RolloutStatus, StepStatus
from penstock.api.v1alpha1.traffic import StickyCookie
from penstock.core import plan

HEADER = "set-cookie"
_OURS = re.compile(
    r"[^=;]+=\S+\.(c|[0-9]+); Max-Age=[0-9]+; Path=/; HttpOnly; SameSite=Lax(; Secure)?"
)


@dataclass(frozen=True, slots=True)
class Cookies:
    """The cookies of a release on one step.

    Attributes:
        form: Name and attributes.
        release: Part of every value, so that no other release is misled.
        step: Index of the step whose weight is in force.
        redrawn: Index of each earlier step with a weight, and the share in percent of the users
            of stable from there that go to the candidate now.
    """

    form: StickyCookie
    release: str
    step: int
    redrawn: tuple[tuple[int, float], ...]

    @property
    def candidate(self) -> str:
        """Return the value that keeps a user with the candidate."""
        return f"{self.release}.c"

    def stable(self, step: int) -> str:
        """Return the value that keeps a user with stable, on that step."""
        return f"{self.release}.{step}"

    def issued(self, value: str) -> str:
        """Return the `Set-Cookie` of a value. No part has a percent sign: Istio would read it."""
        form = self.form
        parts = [
            f"{form.name}={value}",
            f"Max-Age={max(int(form.max_age.total_seconds()), 1)}",
            "Path=/",
            "HttpOnly",
            "SameSite=Lax",
            *(["Secure"] if form.secure else []),
        ]
        return "; ".join(parts)


def is_ours(set_cookie: str) -> bool:
    """Return whether a `Set-Cookie` is one that we issue."""
    return _OURS.fullmatch(set_cookie) is not None


def of_step(form: StickyCookie, status: RolloutStatus) -> Cookies | None:
    """Return the cookies that a status calls for; None while one version has everything."""
    candidate, weight = status.candidate, status.traffic.weight
    if candidate is None or not 0 < weight < 100:
        return None
    step = plan.traffic_step(status.steps, candidate.step)
    return Cookies(form, candidate.release, step, redrawn(status.steps[: max(step, 0)], weight))


def redrawn(before: Sequence[StepStatus], weight: float) -> tuple[tuple[int, float], ...]:
    """Return step and chance in percent, for users whom stable has from each step before.

    Args:
        before: The steps before the one in force.
        weight: The weight in force, in percent.
    """
    return tuple(
        (index, 100 * (weight - step.weight) / (100 - step.weight))
        for index, step in enumerate(before)
        if step.weight is not None and step.weight < weight
    )
