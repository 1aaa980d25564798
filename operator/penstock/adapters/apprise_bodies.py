"""What apprise would send to Slack and Teams, without sending it: its plugins make the bodies.

Only plain values go in, never an address of a tenant: apprise's own addresses can name files,
templates and programs.
"""

from typing import Any

from apprise.common import NotifyFormat, NotifyType
from apprise.plugins.slack import NotifySlack
from apprise.plugins.workflows import NotifyWorkflows

from penstock.core.messages import Message

_NOBODY = {"token_a": "T00000000", "token_b": "B00000000", "token_c": "X" * 24}


class _Slack(NotifySlack):
    def _send(self, url: str, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        self.payload = payload
        return {}


class _Teams(NotifyWorkflows):
    def send(self, body: str, title: str = "", notify_type: Any = None, **more: Any) -> bool:  # noqa: ANN401
        self.payload = self.gen_payload(body, title, notify_type, **more)
        return True


def slack(message: Message) -> dict[str, Any]:
    """Return the body of an incoming webhook."""
    plugin = _Slack(**_NOBODY, include_footer=False, include_image=False)
    return _payload(plugin, message)


def teams(message: Message) -> dict[str, Any]:
    """Return the body for a workflow that takes webhooks: an Adaptive Card."""
    plugin = _Teams(workflow="none", signature="none", host="none", include_image=False)
    return _payload(plugin, message)


def _payload(plugin: Any, message: Message) -> dict[str, Any]:  # noqa: ANN401
    plugin.notify(
        title=message.title,
        body=message.text,
        notify_type=NotifyType(str(message.tone)),
        body_format=NotifyFormat.TEXT,
    )
    payload: dict[str, Any] = plugin.payload
    return payload
