"""Whose requests a Rollout shares out, and where the shares are written."""

from typing import Annotated

from pydantic import ConfigDict, Field

from penstock.api.fields import (
    UNIQUE,
    ApiModel,
    DnsLabel,
    DnsName,
    VersionName,
    cel,
    rule,
)

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


class Existing(ApiModel):
    """Named routes of somebody else's VirtualService; only their destinations are ours."""

    virtual_service: DnsName = Field(description="VirtualService in the Rollout's namespace.")
    http: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = Field(
        min_length=1,
        max_length=16,
        description="Names of the http routes whose destinations Penstock sets.",
        json_schema_extra=UNIQUE,
    )


class Route(ApiModel):
    """Where the weights are written: exactly one form."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "[has(self.delegate), has(self.own), has(self.existing)].filter(x, x).size() == 1",
                "route takes exactly one of delegate, own, existing",
            )
        )
    )

    delegate: DnsName | None = Field(
        default=None,
        description="Name of a delegate VirtualService of ours in this namespace; a root "
        "VirtualService of yours points at it. The best form with GitOps.",
    )
    own: Own | None = Field(default=None, description="A VirtualService that Penstock owns.")
    existing: Existing | None = Field(
        default=None, description="Named http routes of your own VirtualService."
    )


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


class Sticky(ApiModel):
    """The same user keeps the same version while the weight grows."""

    header: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=128)] = (
        Field(
            description="Request header that names the user, in lower case. It must be set or "
            "verified upstream; a request without it is placed at random."
        )
    )


class Traffic(ApiModel):
    """Whose requests are shared out, between which pods, and where the shares are written."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.sticky) || !has(self.route.existing)",
                "sticky needs route.delegate or route.own: an EnvoyFilter must not touch "
                "a route that somebody else may collapse",
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
        description="Keep each user on one version, by a hash in the proxy. "
        "Needs Istio 1.28 or newer and the component `sticky` of the manifests.",
    )
