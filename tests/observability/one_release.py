"""The dashboard of one Rollout: its traffic, what the metrics prove, and what users met."""

from tests.observability import panels
from tests.observability.panels import Json, instant, query

UID = "penstock-one"
HERE = 'namespace="$namespace",rollout="$rollout"'
ARMS = (
    'destination_workload_namespace="$namespace",destination_workload=~"$workload",'
    'reporter="$reporter"'
)
NO_LINE = {"custom__lineStyle": {"fill": "dash", "dash": [10, 10]},
           "color": {"mode": "fixed", "fixedColor": "text"}}  # fmt: skip


def make() -> Json:
    """Return the dashboard."""
    return panels.dashboard(
        UID,
        "Penstock: one release",
        "One Rollout. A new step is marked by a vertical line.",
        _variables(),
        {
            "Where it stands": [*_numbers(), _phase(), _weight()],
            "What the metrics prove": [
                _evidence("worse", "Worse than tolerated?", "rolled back"),
                _evidence("safe", "Safe enough for the next weight?", "let on to the next step"),
                _verdicts(),
                _values(),
                _ratios(),
            ],
            "What users met, by Istio's metrics": [
                _rate(),
                _errors(),
                _latency(0.5),
                _latency(0.95),
                _latency(0.99),
            ],
            "Alerts and conditions": [_alerts(), _troubles()],
        },
        annotations=[_steps()],
    )


def _variables() -> list[Json]:
    rollout = 'label_values(penstock_rollout_phase{namespace="$namespace"}, rollout)'
    workload = f"label_values(penstock_rollout_workload{{{HERE}}}, workload)"
    return [
        panels.variable(
            "namespace", "Namespace", "label_values(penstock_rollout_phase, namespace)"
        ),
        panels.variable("rollout", "Rollout", rollout),
        panels.choice("reporter", "Reporter", ["source", "destination", "waypoint"]),
        panels.variable("workload", "Workload", workload, **panels.every()),
    ]


def _steps() -> Json:
    return {
        "name": "Steps",
        "datasource": panels.SOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": f"1000 * max(penstock_rollout_step_started_timestamp_seconds{{{HERE}}})",
        "useValueForTime": True,
        "titleFormat": "a step began",
    }


def _numbers() -> list[Json]:
    since = f"1000 * max(penstock_rollout_step_started_timestamp_seconds{{{HERE}}})"
    until = f"1000 * max(penstock_rollout_step_deadline_timestamp_seconds{{{HERE}}})"
    return [
        panels.number(
            "Stable",
            "The version that has earned the traffic.",
            [_version("stable")],
            show="name",
        ),
        panels.number("Candidate", "The version in release.", [_version("candidate")], show="name"),
        panels.number(
            "Weight",
            "Candidate's share as decided.",
            [instant(f"max(penstock_rollout_weight_percent{{{HERE}}})")],
            unit="percent",
        ),
        panels.number(
            "Step",
            "Which step runs, and how many there are; 0 before the first.",
            [
                instant(f"1 + max(penstock_rollout_step{{{HERE}}})", "runs"),
                instant(f"max(penstock_rollout_steps{{{HERE}}})", "of"),
            ],
        ),
        panels.number("Step since", "", [instant(since)], unit="dateTimeFromNow"),
        panels.number(
            "Deadline", "When onInconclusive decides.", [instant(until)], unit="dateTimeFromNow"
        ),
    ]


def _version(arm: str) -> Json:
    return instant(
        f'max by (version) (penstock_rollout_version{{{HERE},arm="{arm}"}})', "{{version}}"
    )


def _phase() -> Json:
    phases = panels.codes("penstock_rollout_phase", "phase", panels.PHASES, "rollout", f",{HERE}")
    return panels.timeline(
        "Phase",
        "Waiting: for pods, an approval, a gate, an alert or a command. The status says for which.",
        [query(phases, "phase")],
        mappings=panels.mapping(panels.PHASES),
        size=(24, 4),
    )


def _weight() -> Json:
    arm = f'penstock_rollout_workload{{{HERE},arm="candidate"}}'
    renamed = (
        f'label_replace(label_replace({arm}, "destination_workload", "$1", "workload", "(.*)"), '
        '"destination_workload_namespace", "$1", "namespace", "(.*)")'
    )
    labels = "destination_workload_namespace, destination_workload"
    by_workload = f"sum by ({labels}) (rate(istio_requests_total{{{ARMS}}}[$__rate_interval]))"
    candidate = f"sum({by_workload} and on ({labels}) {renamed})"
    return panels.steps(
        "Weight and what became of it",
        "The share that was decided, the share in the operator's looks, and the share that "
        "Istio's metrics show. They differ for a moment after each step.",
        [
            query(f"max(penstock_rollout_weight_percent{{{HERE}}})", "decided"),
            query(f"max(penstock_rollout_observed_share_percent{{{HERE}}})", "in the looks"),
            query(f"100 * {candidate} / sum({by_workload})", "Istio's metrics"),
            query(f"max(penstock_rollout_mirror_percent{{{HERE}}}) > 0", "copied"),
        ],
        unit="percent",
        min=0,
        max=100,
        size=(24, 9),
    )


def _evidence(question: str, title: str, then: str) -> Json:
    has = f'penstock_rollout_metric_evidence_log10{{{HERE},question="{question}"}}'
    needs = f'penstock_rollout_evidence_needed_log10{{{HERE},question="{question}"}}'
    return panels.lines(
        title,
        "Evidence in powers of ten: 2 is odds of 100 to 1. Above the dashed line a release is "
        f"{then}.",
        [
            query(f"max by (metric) ({has})", "{{metric}}"),
            query(f"max({needs})", "needed"),
        ],
        overrides=[panels.column("needed", **NO_LINE)],
        decimals=1,
    )


def _verdicts() -> Json:
    verdicts = panels.codes(
        "penstock_rollout_metric_verdict", "verdict", panels.VERDICTS, "metric", f",{HERE}"
    )
    whole = panels.codes(
        "penstock_rollout_verdict", "verdict", panels.VERDICTS, "rollout", f",{HERE}"
    )
    return panels.timeline(
        "Verdicts",
        "Of all metrics together, and of each.",
        [query(whole, "together"), query(verdicts, "{{metric}}")],
        mappings=panels.mapping(panels.VERDICTS),
        size=(24, 6),
    )


def _values() -> Json:
    values = f"max by (metric, arm) (penstock_rollout_metric_value{{{HERE}}})"
    return panels.lines(
        "Both versions, as counted",
        "Rates in percent over the whole release; means and thresholds in their own unit.",
        [query(values, "{{metric}}: {{arm}}")],
    )


def _ratios() -> Json:
    ratios = f"max by (metric, bound) (penstock_rollout_metric_ratio{{{HERE}}})"
    return panels.lines(
        "Candidate to stable",
        "The ratio and its bounds, at every moment valid. 1 is no difference.",
        [query(ratios, "{{metric}}: {{bound}}")],
        overrides=[panels.matching("/: (low|high)$/", custom__lineWidth=1)],
    )


def _rate() -> Json:
    rate = f"sum by (destination_workload) (rate(istio_requests_total{{{ARMS}}}[$__rate_interval]))"
    return panels.lines(
        "Requests",
        "Per second and workload. Copies count where the reporter is destination.",
        [query(rate, "{{destination_workload}}")],
        unit="reqps",
    )


def _errors() -> Json:
    bad = f'{ARMS},response_code=~"5.."'
    by = "sum by (destination_workload)"
    return panels.lines(
        "Errors",
        "Share of the answers with 5xx.",
        [
            query(
                f"100 * ({by} (rate(istio_requests_total{{{bad}}}[$__rate_interval])) "
                f"or 0 * {by} (rate(istio_requests_total{{{ARMS}}}[$__rate_interval]))) "
                f"/ {by} (rate(istio_requests_total{{{ARMS}}}[$__rate_interval]))",
                "{{destination_workload}}",
            )
        ],
        unit="percent",
        min=0,
    )


def _latency(level: float) -> Json:
    buckets = f"rate(istio_request_duration_milliseconds_bucket{{{ARMS}}}[$__rate_interval])"
    summed = f"sum by (le, destination_workload) ({buckets})"
    return panels.lines(
        f"Latency, {100 * level:g} %",
        f"{100 * level:g} % of the answers take no longer.",
        [query(f"histogram_quantile({level}, {summed})", "{{destination_workload}}")],
        unit="ms",
        min=0,
        size=(8, 8),
    )


def _alerts() -> Json:
    firing = f'max by (alertname, reason) (ALERTS{{alertstate="firing",{HERE}}})'
    shown = [{"type": "value", "options": {"1": {"text": "firing", "color": "red", "index": 0}}}]
    return panels.timeline(
        "Alerts of this Rollout",
        "From the component prometheus-rules.",
        [query(firing, "{{alertname}} {{reason}}")],
        mappings=shown,
    )


def _troubles() -> Json:
    shown = [{"type": "value", "options": {"1": {"text": "so", "color": "orange", "index": 0}}}]
    return panels.timeline(
        "Conditions to look at",
        "The message of the condition says what to do.",
        [
            query(
                f"max by (condition, reason) (penstock_rollout_trouble{{{HERE}}})",
                "{{condition}}: {{reason}}",
            )
        ],
        mappings=shown,
    )
