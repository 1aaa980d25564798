"""Systems that are asked: their address, and how we trust and prove who is who."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from penstock.api.fields import DnsLabel, Duration, parse_duration


class ConfigModel(BaseModel):
    """Immutable; camelCase in the file. An unknown field is a mistake."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True
    )


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
