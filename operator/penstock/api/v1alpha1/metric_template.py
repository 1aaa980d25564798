"""MetricTemplate: a metric, written once, used by name."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from penstock.api.fields import ApiModel, DnsLabel, cel, known_variables, rule
from penstock.api.v1alpha1.analysis import Threshold

KIND, PLURAL = "MetricTemplate", "metrictemplates"


def _plain_selector(example: str) -> dict[str, str]:
    return rule(
        r"self.matches(r'^\s*([A-Za-z_:][\w:]*)?\s*\{[\s\S]*\}\s*$')",
        f"must be a plain selector such as {example}: counters are read raw, "
        "without rate, sum or arithmetic",
    )


SELECTOR = cel(
    known_variables(),
    rule(
        "self.contains('$variant') || self.contains('$version')",
        "must contain $variant (or a label of your own with $version), which tells the versions "
        "apart",
    ),
    _plain_selector('name{label="x",$variant}'),
)
WITHOUT_VERSION = cel(
    known_variables(),
    rule(
        r"!self.matches(r'\$(variant|version)\b')",
        "must not contain $variant or $version: what reached no pod belongs to no version",
    ),
    _plain_selector('name{label="x"}'),
)


LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=64)]


class Better(StrEnum):
    """Which direction is an improvement."""

    LOWER = "Lower"
    HIGHER = "Higher"


class CountedUnit(StrEnum):
    """What is counted once."""

    REQUESTS = "Requests"
    UNITS = "Units"


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
    unreached: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="Selector of the counter of requests that reached no pod of any version, which "
        "`total` cannot have; without $variant. Where they are more than 1 % of the requests the "
        "counts are not trusted and the weight stays.",
        json_schema_extra=WITHOUT_VERSION,
    )


class Distribution(ApiModel):
    """A histogram; each edge that a metric names makes a proportion of what lies beyond it."""

    buckets: str = Field(
        min_length=1,
        max_length=2048,
        description="Selector of the histogram's buckets (`…_bucket`), without `le`; must contain "
        "$variant.",
        json_schema_extra=cel(
            *SELECTOR["x-kubernetes-validations"],
            rule(
                r"!self.matches(r'[{,]\s*le\s*[=!]')",
                "le is set by the operator, from the edges of the metric",
            ),
        ),
    )
    unit: str = Field(
        default="",
        max_length=16,
        description="Unit of the bounds, for people: ms, s, bytes.",
    )

    def beyond(self, edge: float) -> Proportion:
        """Return the proportion of what is greater than a bound of a bucket."""
        return Proportion(total=self._with("+Inf"), good=self._with(_plain(edge)))

    def _with(self, bound: str) -> str:
        """Return the selector of one bucket; a bound may be written 250 or 250.0."""
        head = self.buckets.rstrip().removesuffix("}").rstrip().removesuffix(",")
        exact = f'le="{bound}"'
        several = f'le=~"{bound.replace(".", "[.]")}([.]0+)?"'
        matcher = exact if "." in bound or bound == "+Inf" else several
        return f"{head},{matcher}}}"


def _plain(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


class Categories(ApiModel):
    """A counter per class of answers, such as what a model predicted."""

    counts: str = Field(
        min_length=1,
        max_length=2048,
        description="Selector of the counter of all classes; must contain $variant.",
        json_schema_extra=SELECTOR,
    )
    label: LabelName = Field(
        description="Label that names the class. The frequent classes of stable are compared, each "
        "with maxIncrease and maxDecrease (20 % when not given), the rest together.",
    )


class Mean(ApiModel):
    """Two counters of a value that answers have: their sum and how many, as a summary has them."""

    sum: str = Field(
        min_length=1,
        max_length=2048,
        description="Selector of the counter that the value of every answer is added to (at least "
        "0 each), such as `order_value_sum`; must contain $variant.",
        json_schema_extra=SELECTOR,
    )
    count: str = Field(
        min_length=1,
        max_length=2048,
        description="Selector of the counter of answers, with value or without, such as "
        "`order_value_count`; must contain $variant.",
        json_schema_extra=SELECTOR,
    )
    sum_of_squares: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="Selector of the counter that the square of every value is added to; must "
        "contain $variant. Without it, how much answers vary is told by neighbouring looks, "
        "which may take longer.",
        json_schema_extra=SELECTOR,
    )


class Told(StrEnum):
    """What else the series of a metric tell apart."""

    ROUTE = "route"


class MetricTemplateSpec(ApiModel):
    """How a metric is read."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "[has(self.proportion), has(self.distribution), has(self.categories), "
                "has(self.mean), has(self.value)]"
                ".filter(one, one).size() == 1",
                "a MetricTemplate takes exactly one of proportion, distribution, categories, mean, "
                "value",
            ),
            rule(
                "!has(self.by) || has(self.proportion) || has(self.distribution)",
                "by belongs to a proportion or a distribution",
                fieldPath=".by",
            ),
            rule(
                "self.better == 'Lower' || has(self.mean) || "
                "(has(self.proportion) && has(self.proportion.good))",
                "better: Higher needs a mean, or a proportion with good",
                fieldPath=".better",
            ),
            rule(
                "!has(self.separates) || [has(self.proportion) ? self.proportion.total : '', "
                "has(self.distribution) ? self.distribution.buckets : '', "
                "has(self.categories) ? self.categories.counts : '', "
                "has(self.mean) ? self.mean.count : ''].exists(text, text.contains('$route'))",
                'separates: [route] needs $route in its selectors, such as route_name=~"$route"',
                fieldPath=".separates",
            ),
        )
    )

    description: str = Field(default="", max_length=1024, description="What the metric means.")
    connection: DnsLabel = Field(
        default="prometheus",
        description="Name of a connection in the operator's configuration.",
    )
    better: Better = Field(
        default=Better.LOWER,
        description="Lower or Higher. With Higher the share of `good` is judged, and a decrease is "
        "what may harm (`maxDecrease` of the metric).",
    )
    counts: CountedUnit = Field(
        default=CountedUnit.REQUESTS,
        description="What is counted once: Requests, or Units (users, sessions: whatever "
        "`traffic.sticky` or an Experiment randomises).",
    )
    separates: Annotated[tuple[Told, ...], Field(min_length=1, max_length=1)] | None = Field(
        default=None,
        description="[route] when its selectors take only the requests that the weights share out, "
        "by a label with the name of the route (an Istio Telemetry tag, a label of the "
        "application) and $route. Without it `match` beside weights is refused.",
    )
    by: Annotated[tuple[LabelName, ...], Field(min_length=1, max_length=3)] | None = Field(
        default=None,
        description="Labels by which the rates are reported per segment (the busiest ten); never "
        "decided on.",
    )
    proportion: Proportion | None = Field(
        default=None, description="A share of requests, compared between candidate and stable."
    )
    distribution: Distribution | None = Field(
        default=None,
        description="A histogram, compared at the edges that the metric names.",
    )
    categories: Categories | None = Field(
        default=None,
        description="Shares of classes, compared between candidate and stable: drift of "
        "predictions or of inputs.",
    )
    mean: Mean | None = Field(
        default=None,
        description="The mean of a value per answer (revenue, score), compared between candidate "
        "and stable; maxIncrease, maxDecrease and slack are in percent of stable's mean.",
    )
    value: Threshold | None = Field(
        default=None, description="A plain threshold on the value of a query."
    )
