"""MetricTemplate: a metric, written once, used by name."""

from pydantic import ConfigDict, Field

from penstock.api.fields import ApiModel, DnsLabel, cel, known_variables, rule
from penstock.api.v1alpha1.rollout import Threshold

KIND, PLURAL = "MetricTemplate", "metrictemplates"
SELECTOR = cel(
    known_variables(),
    rule("self.contains('$variant')", "must contain $variant, which tells the versions apart"),
    rule(
        r"self.matches(r'^\s*([A-Za-z_:][\w:]*)?\s*\{[\s\S]*\}\s*$')",
        'must be a plain selector such as name{label="x",$variant}: counters are read raw, '
        "without rate, sum or arithmetic",
    ),
)


class Proportion(ApiModel):
    """Two counters, as instant selectors: requests, and those of them that are bad (or good)."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule("has(self.bad) != has(self.good)", "a proportion takes exactly one of bad, good")
        )
    )

    total: str = Field(
        min_length=1,
        max_length=2048,
        description="Selector of the counter of requests; must contain $variant.",
        json_schema_extra=SELECTOR,
    )
    bad: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="Selector of the counter of bad requests; must contain $variant.",
        json_schema_extra=SELECTOR,
    )
    good: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="Selector of the counter of good requests, where bad ones have no counter of "
        "their own (a histogram's bucket); bad is total minus good.",
        json_schema_extra=SELECTOR,
    )


class MetricTemplateSpec(ApiModel):
    """How a metric is read."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.proportion) != has(self.value)",
                "a MetricTemplate takes exactly one of proportion, value",
            )
        )
    )

    description: str = Field(default="", max_length=1024, description="What the metric means.")
    connection: DnsLabel = Field(
        default="prometheus",
        description="Name of a connection in the operator's configuration.",
    )
    proportion: Proportion | None = Field(
        default=None, description="A share of requests, compared between candidate and stable."
    )
    value: Threshold | None = Field(
        default=None, description="A plain threshold on the value of a query."
    )
