"""Alerts that act on a release: which ones, and what they do."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from penstock.api.fields import ApiModel, cel, rule

MOST_RULES, MOST_LABELS = 16, 8
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128)]
LabelText = Annotated[str, Field(max_length=256)]


class AlertAction(StrEnum):
    """What an alert does to a release."""

    ROLLBACK = "Rollback"
    SUSPEND = "Suspend"


class AlertRule(ApiModel):
    """Alerts that act. They are always those whose label `namespace` is the Rollout's own."""

    match: dict[LabelName, LabelText] = Field(
        min_length=1,
        max_length=MOST_LABELS,
        json_schema_extra=cel(
            rule(
                "!('namespace' in self)",
                "only alerts of the Rollout's own namespace act: leave the label namespace out",
            )
        ),
        description="Labels that an alert must have, each with exactly this value (no pattern); "
        "an empty value stands for a label that it lacks.",
    )
    action: AlertAction = Field(
        description="Rollback (the candidate goes back to 0 at once, and within keepOld a "
        "promotion is undone) or Suspend (the weight is held until approve, promote or abort)."
    )


Alerts = Annotated[
    tuple[AlertRule, ...],
    Field(
        max_length=MOST_RULES,
        json_schema_extra=cel(
            rule(
                "self.all(a, self.exists_one(b, b.match == a.match))",
                "each match must be one of its own",
            )
        ),
    ),
]
