"""The operator's configuration: one YAML file, checked whole before anything starts.

`python -m penstock.api.configuration` prints `docs/configuration.md`.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from penstock.api import mistakes
from penstock.api.fields import DnsLabel, DnsName, Duration, parse_duration


class ConfigurationError(Exception):
    """The file cannot be used; `mistakes` has one sentence for each thing to mend."""

    def __init__(self, sentences: tuple[str, ...]) -> None:
        """Make the error of these mistakes."""
        super().__init__("\n".join(sentences))
        self.mistakes = sentences


class ConfigModel(BaseModel):
    """Immutable; camelCase in the file. An unknown field is a mistake."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True
    )


class LogFormat(StrEnum):
    """How log lines are written."""

    JSON = "json"
    TEXT = "text"


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write http://host:port or https://host:port, with a path if there is one")
    if parts.username is not None or parts.password is not None:
        raise ValueError("write user and password into auth, not into the address")
    if parts.query or parts.fragment:
        raise ValueError("write the address without ? and #")
    _ = parts.port
    return text.rstrip("/")


Path = Annotated[str, Field(pattern=r"^/", max_length=4096)]
Port = Annotated[int, Field(ge=1, le=65535)]
Namespaces = Annotated[tuple[DnsLabel, ...], Field(min_length=1)]


class Tls(ConfigModel):
    """How an https server is trusted, and who we are."""

    ca_file: Path | None = Field(
        default=None, description="File with the certificates to trust; the system's by default."
    )
    cert_file: Path | None = Field(default=None, description="File with our own certificate.")
    key_file: Path | None = Field(default=None, description="File with its key.")
    insecure_skip_verify: bool = Field(
        default=False, description="Trust any server. Whoever can intercept can then decide."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("write certFile and keyFile together")
        if self.ca_file is not None and self.insecure_skip_verify:
            raise ValueError("write caFile or insecureSkipVerify, not both")
        return self


class BasicAuth(ConfigModel):
    """A user and a password."""

    username: Annotated[str, Field(min_length=1, pattern=r"^[^:]+$")] = Field(
        description="Name of the user."
    )
    password_file: Path = Field(description="File with the password, read at every request.")


class Auth(ConfigModel):
    """Who we are: exactly one form."""

    basic: BasicAuth | None = Field(default=None, description="A user and a password.")
    bearer_token_file: Path | None = Field(
        default=None, description="File with a bearer token, read at every request."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.basic is None) == (self.bearer_token_file is None):
            raise ValueError("write exactly one of basic, bearerTokenFile")
        return self


class Header(ConfigModel):
    """A header that goes with every request."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$", max_length=128)] = Field(
        description="Such as X-Scope-OrgID."
    )
    value: Annotated[str, Field(pattern=r"^[\x21-\x7e]+( +[\x21-\x7e]+)*$", max_length=1024)] = (
        Field(description="Its value.")
    )

    @model_validator(mode="after")
    def _not_auth(self) -> Self:
        if self.name.lower() in ("authorization", "cookie", "host"):
            raise ValueError(f"{self.name} is not a tenant; credentials belong into auth")
        return self


class Connection(ConfigModel):
    """A system that is asked. Users name it; only this file has its address."""

    kind: Literal["prometheus", "alertmanager"] = Field(
        default="prometheus",
        description="What speaks there: anything with Prometheus' query API, or with "
        "Alertmanager's API v2, which is asked for firing alerts.",
    )
    url: Annotated[str, AfterValidator(_url)] = Field(
        description="Address, with the path before /api if there is one."
    )
    tls: Tls = Field(default=Tls(), description="Trust, and a certificate of our own.")
    auth: Auth | None = Field(default=None, description="Credentials, from mounted files.")
    tenant_header: Header | None = Field(
        default=None, description="A header that chooses the tenant."
    )
    every: Duration = Field(
        default=parse_duration("10s"),
        description="Time between two questions to an alertmanager; at least 1s.",
    )
    lag: Duration = Field(
        default=parse_duration("15s"),
        description="For prometheus: how long a sample takes to be there; a look ends this long "
        "ago. At least the time that a scrape may take.",
    )
    timeout: Duration = Field(
        default=parse_duration("5s"), description="Time to wait for an answer."
    )
    max_series: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=10_000,
        description="For prometheus: an answer with more series than this is not read. A look "
        "asks for both counters of a metric, each series of them, and for four facts per scrape "
        "target.",
    )
    namespaces: Namespaces | None = Field(
        default=None, description="Namespaces whose Rollouts may use it; all when not given."
    )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.tls != Tls() and self.url.startswith("http:"):
            raise ValueError("tls is for an https address")
        if self.timeout.total_seconds() <= 0:
            raise ValueError("timeout must be more than 0s")
        if self.every.total_seconds() < 1:
            raise ValueError("every must be at least 1s")
        return self

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        foreign = {"prometheus": {"every"}, "alertmanager": {"lag", "max_series"}}[self.kind]
        if wrong := sorted(foreign & self.model_fields_set):
            raise ValueError(f"{to_camel(wrong[0])} is not for kind {self.kind}")
        return self


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
