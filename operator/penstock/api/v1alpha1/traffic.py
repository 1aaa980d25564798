"""Whose requests a Rollout shares out, and where the shares are written."""

from typing import Annotated

from pydantic import ConfigDict, Field

from penstock.api.fields import (
    UNIQUE,
    ApiModel,
    DnsLabel,
    DnsName,
    Duration,
    VersionName,
    cel,
    parse_duration,
    rule,
)
from penstock.api.v1alpha1.matching import CookieName

GatewayName = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=317,
    ),
]


class Own(ApiModel):
    """A VirtualService that Penstock owns whole."""

    hosts: tuple[DnsName, ...] = Field(
        min_length=1,
        max_length=16,
        description="Hosts of the VirtualService, as clients call them.",
        json_schema_extra=UNIQUE,
    )
    gateways: tuple[GatewayName, ...] = Field(
        default=("mesh",),
        min_length=1,
        max_length=16,
        description="Gateways as `namespace/name`; `mesh` for the sidecars of the mesh.",
        json_schema_extra=UNIQUE,
    )


RouteName = Annotated[str, Field(min_length=1, max_length=253)]
SniHost = Annotated[
    str, Field(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
PortNumber = Annotated[int, Field(ge=1, le=65535, description="Port, a number.")]


class Existing(ApiModel):
    """Chosen routes of somebody else's VirtualService; only their destinations are ours."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.http) || has(self.tls) || has(self.tcp)",
                "routes of yours are chosen by at least one of http, tls, tcp",
            )
        )
    )

    virtual_service: DnsName = Field(description="VirtualService in the Rollout's namespace.")
    http: Annotated[tuple[RouteName, ...], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Names of the http routes whose destinations Penstock sets.",
        json_schema_extra=UNIQUE,
    )
    tls: Annotated[tuple[SniHost, ...], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="SNI hosts of the tls routes whose destinations Penstock sets, as they stand "
        "in `match`; a weight is then a share of connections.",
        json_schema_extra=UNIQUE,
    )
    tcp: Annotated[tuple[PortNumber, ...], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Ports of the tcp routes whose destinations Penstock sets, as they stand in "
        "`match`; a weight is then a share of connections.",
        json_schema_extra=UNIQUE,
    )

    @property
    def chosen(self) -> tuple[tuple[str, str | int], ...]:
        """Return protocol, and name, SNI host or port, of each route that is chosen."""
        return (
            *(("http", name) for name in self.http or ()),
            *(("tls", host) for host in self.tls or ()),
            *(("tcp", port) for port in self.tcp or ()),
        )

    @property
    def words(self) -> str:
        """Return which routes are chosen, for a sentence."""
        kinds = dict.fromkeys(kind for kind, _ in self.chosen)
        listed = {k: ", ".join(str(one) for kind, one in self.chosen if kind == k) for k in kinds}
        return " and ".join(f"{kind} route {names}" for kind, names in listed.items())


class Route(ApiModel):
    """Where the weights are written: exactly one form, and more VirtualServices with it."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "[has(self.delegate), has(self.own), has(self.existing)].filter(x, x).size() == 1",
                "route takes exactly one of delegate, own, existing",
            ),
            rule(
                "!has(self.also) || self.also.all(a, "
                "(!has(self.delegate) || a.virtualService != self.delegate) && "
                "(!has(self.existing) || a.virtualService != self.existing.virtualService))",
                "also names other VirtualServices than the route itself",
                fieldPath=".also",
            ),
        )
    )

    delegate: DnsName | None = Field(
        default=None,
        description="Name of a delegate VirtualService of ours in this namespace; a root "
        "VirtualService of yours points at it. The best form with GitOps.",
    )
    own: Own | None = Field(default=None, description="A VirtualService that Penstock owns.")
    existing: Existing | None = Field(
        default=None, description="Chosen routes of your own VirtualService."
    )
    also: Annotated[tuple[Existing, ...], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="Routes of more VirtualServices of yours that get the same weights at the "
        "same time, such as a gateway's beside that of the sidecars.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["virtualService"],
        },
    )

    @property
    def theirs(self) -> tuple[Existing, ...]:
        """Return the routes in VirtualServices that somebody else owns."""
        return (*((self.existing,) if self.existing else ()), *(self.also or ()))


class Endpoints(ApiModel):
    """How the pods of the versions are told apart: exactly one form."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.label) != has(self.services)",
                "endpoints takes exactly one of label, services",
            )
        )
    )

    label: Annotated[str, Field(pattern=r"^[-A-Za-z0-9_./]+$", max_length=317)] | None = Field(
        default=None,
        description="Pod label whose value is the version; becomes subsets of a DestinationRule.",
    )
    services: dict[VersionName, DnsLabel] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="One Service per version: version to Service name, in this namespace.",
    )


class StickyCookie(ApiModel):
    """A cookie of ours that remembers which version a browser was given."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "self.issue",
                "issue must be true: a cookie of your own cannot be salted by the release; put "
                "the user into a header instead",
                fieldPath=".issue",
            )
        )
    )

    name: CookieName = Field(min_length=1, description="Name of the cookie.")
    issue: bool = Field(description="Penstock issues the cookie: always true.")
    max_age: Duration = Field(
        default=parse_duration("24h"),
        description="How long a browser keeps it, a duration. One that comes back later is placed "
        "anew, so choose more than a release takes.",
    )
    secure: bool = Field(default=False, description="Browsers send it over TLS only.")


class Sticky(ApiModel):
    """The same user keeps the same version while the weight grows: exactly one form."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.header) != has(self.cookie)",
                "sticky takes exactly one of header, cookie",
            )
        )
    )

    header: (
        Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=128)] | None
    ) = Field(
        default=None,
        description="Request header that names the user, in lower case. It must be set or "
        "verified upstream; a request without it is placed at random. By a hash in the proxy: "
        "needs Istio 1.28 or newer and the component `sticky` of the manifests.",
    )
    cookie: StickyCookie | None = Field(
        default=None,
        description="A cookie that is issued with the first answer, for anonymous browsers and "
        "for waypoints. By plain rules of the VirtualService.",
    )


class Traffic(ApiModel):
    """Whose requests are shared out, between which pods, and where the shares are written."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.sticky) || (!has(self.route.existing) && !has(self.route.also))",
                "sticky needs route.delegate or route.own, alone: in routes of your own, rules of "
                "yours could move users",
                fieldPath=".sticky",
            )
        )
    )

    service: DnsLabel = Field(description="The Service that clients call, in this namespace.")
    endpoints: Endpoints = Field(
        default=Endpoints(label="version"), description="How the pods of the versions differ."
    )
    route: Route = Field(description="Where the weights are written.")
    sticky: Sticky | None = Field(
        default=None,
        description="Keep each user on one version while the weight grows.",
    )
