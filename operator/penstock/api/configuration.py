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

    kind: Literal["prometheus"] = Field(
        default="prometheus", description="What speaks there: anything with Prometheus' query API."
    )
    url: Annotated[str, AfterValidator(_url)] = Field(
        description="Address, with the path before /api/v1 if there is one."
    )
    tls: Tls = Field(default=Tls(), description="Trust, and a certificate of our own.")
    auth: Auth | None = Field(default=None, description="Credentials, from mounted files.")
    tenant_header: Header | None = Field(
        default=None, description="A header that chooses the tenant."
    )
    lag: Duration = Field(
        default=parse_duration("15s"),
        description="How long a sample takes to be there: a look ends this long ago. At least the "
        "time that a scrape may take.",
    )
    timeout: Duration = Field(
        default=parse_duration("5s"), description="Time to wait for an answer."
    )
    max_series: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=10_000,
        description="An answer with more series than this is not read. A look asks for both "
        "counters of a metric, each series of them, and for four facts per scrape target.",
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
        return self


class Configuration(ConfigModel):
    """All that the administrator decides."""

    connections: Annotated[dict[DnsLabel, Connection], Field(min_length=1)] = Field(
        description="Systems with metrics, by the name that MetricTemplates use."
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
    def _two_ports(self) -> Self:
        if self.health_port == self.metrics_port:
            raise ValueError("healthPort and metricsPort must differ")
        return self


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
