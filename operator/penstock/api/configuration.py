"""The operator's configuration: one YAML file, checked whole before anything starts.

`python -m penstock.api.configuration` prints `docs/configuration.md`.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from penstock.api import mistakes
from penstock.api.connections import ConfigModel, Connection, Namespaces, Path, Port
from penstock.api.fields import DnsLabel, DnsName, Duration, parse_duration


class ConfigurationError(Exception):
    """The file cannot be used; `mistakes` has one sentence for each thing to mend."""

    def __init__(self, sentences: tuple[str, ...]) -> None:
        """Make the error of these mistakes."""
        super().__init__("\n".join(sentences))
        self.mistakes = sentences


class LogFormat(StrEnum):
    """How log lines are written."""

    JSON = "json"
    TEXT = "text"


class AlertReceiver(ConfigModel):
    """Takes alerts from Alertmanager's webhook_config, POSTed to /alerts."""

    port: Port = Field(default=9095, description="Port it listens on.")
    bind_address: Annotated[str, Field(pattern=r"^[0-9A-Fa-f.:]+$", max_length=45)] = Field(
        default="0.0.0.0",
        description="Address it listens on, such as 127.0.0.1 or ::.",
    )
    token_file: Path = Field(
        description="File with the bearer token that Alertmanager sends, read at every request."
    )
    cert_file: Path | None = Field(
        default=None, description="File with its certificate, for https; read anew every minute."
    )
    key_file: Path | None = Field(default=None, description="File with its key.")
    forget_after: Duration = Field(
        default=parse_duration("5h"),
        description="How long an alert is believed without being repeated: more than "
        "repeat_interval, which is 4h in Alertmanager.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("write certFile and keyFile together")
        if self.forget_after.total_seconds() < 60:
            raise ValueError("forgetAfter must be at least 1m")
        return self


class GateRules(ConfigModel):
    """Where gates may go besides their own namespace."""

    allow: tuple[DnsName, ...] = Field(
        default=(),
        description="Hosts that a gate may ask besides Services of its own namespace.",
    )


class NotificationRules(ConfigModel):
    """Where notifications may go besides public addresses over https."""

    allow: tuple[DnsName, ...] = Field(
        default=(),
        description="Hosts, as they stand in the address, that notifications may go to although "
        "they are in the cluster or on a private network; also over http.",
    )


class Configuration(ConfigModel):
    """All that the administrator decides."""

    connections: Annotated[dict[DnsLabel, Connection], Field(min_length=1)] = Field(
        description="Systems with metrics, by the name that MetricTemplates use, or with alerts."
    )
    alert_receiver: AlertReceiver | None = Field(
        default=None, description="Takes alerts from Alertmanager; none is taken when not given."
    )
    gates: GateRules = Field(default=GateRules(), description="What gates may ask.")
    notifications: NotificationRules = Field(
        default=NotificationRules(), description="Where notifications may go."
    )
    max_concurrent_releases: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Releases in flight at once, in all namespaces; the others wait. Any number "
        "when not given.",
    )
    propagation_delay: Duration = Field(
        default=parse_duration("2s"),
        description="Time from a read-back weight until every proxy follows it; data from before "
        "is not judged.",
    )
    namespaces: Namespaces | None = Field(
        default=None, description="Namespaces whose Rollouts are run; all when not given."
    )
    cluster_domain: DnsName = Field(
        default="cluster.local", description="What ends the names of Services."
    )
    mesh_root_namespace: DnsLabel = Field(
        default="istio-system", description="`rootNamespace` of the mesh."
    )
    catalogue_namespace: DnsLabel = Field(
        default="penstock-system", description="Namespace of the MetricTemplates for everybody."
    )
    health_port: Port = Field(default=8080, description="Port of /healthz.")
    metrics_port: Port = Field(default=9090, description="Port of /metrics.")
    log_format: LogFormat = Field(default=LogFormat.JSON, description="json or text.")

    @model_validator(mode="after")
    def _own_ports(self) -> Self:
        if self.health_port == self.metrics_port:
            raise ValueError("healthPort and metricsPort must differ")
        taken = (self.health_port, self.metrics_port)
        if self.alert_receiver and self.alert_receiver.port in taken:
            raise ValueError("alertReceiver.port must differ from healthPort and metricsPort")
        return self

    def heard_namespaces(self) -> frozenset[str] | None:
        """Return the namespaces of which alerts are heard; None for all."""
        managers = self.of_kind("alertmanager").values()
        if self.alert_receiver or any(one.namespaces is None for one in managers):
            return None
        return frozenset(name for one in managers for name in one.namespaces or ())

    def of_kind(self, kind: Literal["prometheus", "alertmanager"]) -> dict[str, Connection]:
        """Return the connections of a kind by name."""
        return {name: one for name, one in self.connections.items() if one.kind == kind}


def load(text: str) -> Configuration:
    """Return the configuration that a file's text stands for.

    Raises:
        ConfigurationError: The text is not YAML, or says something that cannot be meant.
    """
    try:
        content = mistakes.parse(text)
    except ValueError as error:
        raise ConfigurationError((str(error),)) from error
    if not isinstance(content, dict):
        raise ConfigurationError(("the file must have fields such as `connections:`",))
    try:
        return Configuration.model_validate(content, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ConfigurationError(mistakes.sentences(Configuration, error)) from error


if __name__ == "__main__":
    from penstock.api import configuration_page

    print(configuration_page.render(), end="")
