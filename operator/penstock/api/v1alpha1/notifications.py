"""Notifications: who is told elsewhere, and of what."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from penstock.api.fields import UNIQUE, ApiModel, DnsName, cel, rule

MOST_DESTINATIONS = 8


class NotificationType(StrEnum):
    """The form in which a destination is told."""

    SLACK = "Slack"
    TEAMS = "Teams"
    WEBHOOK = "Webhook"
    CLOUD_EVENTS = "CloudEvents"


class Occasion(StrEnum):
    """What can be told of a release."""

    STARTED = "Started"
    ADVANCED = "Advanced"
    WAITING = "Waiting"
    NO_DATA = "NoData"
    UNTRUSTED = "Untrusted"
    INCONCLUSIVE = "Inconclusive"
    CONTESTED = "Contested"
    ROLLED_BACK = "RolledBack"
    PROMOTED = "Promoted"
    OBSERVED = "Observed"
    WITHDRAWN = "Withdrawn"


ASK_FOR_NOTHING = frozenset({Occasion.STARTED, Occasion.ADVANCED, Occasion.WITHDRAWN})
USUAL = tuple(one for one in Occasion if one not in ASK_FOR_NOTHING)


class SecretRef(ApiModel):
    """A Secret of the same namespace, by name."""

    name: DnsName = Field(min_length=1, description="Name of the Secret.")


class NotificationRule(ApiModel):
    """One destination."""

    type: NotificationType = Field(
        description="Slack (an incoming webhook, or what takes the same), Teams (a workflow that "
        "takes webhooks), Webhook (JSON of our own) or CloudEvents (1.0, structured)."
    )
    secret_ref: SecretRef = Field(
        description="Secret of the same namespace with the address under `url` (https) and, for "
        "Webhook and CloudEvents, `token` or `authorization` where one is needed. The operator "
        "may read it only where a Role of this namespace says so."
    )
    events: Annotated[
        tuple[Occasion, ...],
        Field(min_length=1, max_length=len(Occasion), json_schema_extra=UNIQUE),
    ] = Field(
        default=USUAL,
        description="What is told, each once per release and step: Started, Advanced (more "
        "traffic), Waiting (for a person), NoData, Untrusted (data that may not be trusted), "
        "Inconclusive (a deadline is over without proof), Contested (somebody fights for the "
        "route), RolledBack, Promoted, Observed (a shadow has ended), Withdrawn (the spec names "
        "another version, or the Rollout was deleted).",
    )


Notifications = Annotated[
    tuple[NotificationRule, ...],
    Field(
        max_length=MOST_DESTINATIONS,
        json_schema_extra=cel(
            rule(
                "self.all(a, self.exists_one(b, b.type == a.type "
                "&& b.secretRef.name == a.secretRef.name))",
                "each type and Secret must be one of its own: write all its events in one entry",
            )
        ),
    ),
]
