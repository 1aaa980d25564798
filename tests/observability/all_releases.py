"""The dashboard of all Rollouts: what is in flight, what needs a person, how the operator fares."""

from tests.observability import panels
from tests.observability.panels import Json, instant, query, row_of

UID = "penstock-all"
HERE = 'namespace=~"$namespace"'
LINK = (
    "/d/penstock-one?var-namespace=${__data.fields.Namespace}&var-rollout=${__data.fields.Rollout}"
)
COLUMNS = {
    "namespace": "Namespace",
    "rollout": "Rollout",
    "phase": "Phase",
    "stable": "Stable",
    "candidate": "Candidate",
    "Value #D": "Weight",
    "verdict": "Verdict",
    "Value #F": "Step since",
    "Value #G": "Last release",
    "outcome": "Outcome",
    "cause": "Cause",
    "stalled": "Stalled",
}


def make() -> Json:
    """Return the dashboard."""
    return panels.dashboard(
        UID,
        "Penstock: all releases",
        "Every Rollout that the operator looks after, and the operator itself.",
        [
            panels.variable(
                "namespace",
                "Namespace",
                "label_values(penstock_rollout_phase, namespace)",
                **panels.every(),
            )
        ],
        {
            "Now": [*_numbers(), _table(), _phases(), _troubles()],
            "Outcomes": [_outcomes(), _causes()],
            "Looks and requests": [_lateness(), _timings(), _requests(), _failures()],
            "Alerts and notifications": [_alerts(), _notifications()],
        },
    )


def _count(expression: str) -> str:
    return f"count({expression}) or vector(0)"


def _each(expression: str) -> str:
    return f"max by (namespace, rollout) ({expression})"


def _numbers() -> list[Json]:
    red_above_0 = {"mode": "absolute", "steps": [
        {"color": "green", "value": None}, {"color": "orange", "value": 1}]}  # fmt: skip
    stalled = f'penstock_rollout_trouble{{condition="Stalled",{HERE}}}'
    refused = f"penstock_rollout_refused_timestamp_seconds{{{HERE}}}"
    ended = f"penstock_rollout_last_release_timestamp_seconds{{{HERE}}}"
    return [
        panels.number("Rollouts", "All of them.", [
            instant(_count(f"penstock_rollout_phase{{{HERE}}}"))]),
        panels.number("In flight", "Releases that go on by themselves.", [
            instant(_count(f'penstock_rollout_phase{{{HERE},phase=~"Progressing|Promoting"}}'))]),
        panels.number("Waiting", "For pods, an approval, a gate, an alert or a command.", [
            instant(_count(f'penstock_rollout_phase{{{HERE},phase="Waiting"}}'))]),
        panels.number("Need a person", "The condition Stalled is True.", [
            instant(_count(_each(stalled)))], thresholds=red_above_0),
        panels.number("Sent back, 24 h", "Rollouts whose newest refusal is younger than a day.", [
            instant(_count(_each(f"time() - {refused} < 86400")))]),
        panels.number("Released, 24 h", "Rollouts whose newest release ended within a day.", [
            instant(_count(_each(f"time() - {ended} < 86400")))]),
    ]  # fmt: skip


def _named(arm: str) -> str:
    series = f'penstock_rollout_version{{{HERE},arm="{arm}"}}'
    return (
        f"max by (namespace, rollout, {arm}) "
        f'(label_replace({series}, "{arm}", "$1", "version", "(.*)"))'
    )


def _table() -> Json:
    stalled = f'penstock_rollout_trouble{{{HERE},condition="Stalled"}}'
    queries = [
        row_of(f"max by (namespace, rollout, phase) (penstock_rollout_phase{{{HERE}}})"),
        row_of(_named("stable")),
        row_of(_named("candidate")),
        row_of(f"max by (namespace, rollout) (penstock_rollout_weight_percent{{{HERE}}})"),
        row_of(f"max by (namespace, rollout, verdict) (penstock_rollout_verdict{{{HERE}}})"),
        row_of(
            "1000 * max by (namespace, rollout) "
            f"(penstock_rollout_step_started_timestamp_seconds{{{HERE}}})"
        ),
        row_of(
            "1000 * max by (namespace, rollout, outcome, cause) "
            f"(penstock_rollout_last_release_timestamp_seconds{{{HERE}}})"
        ),
        row_of(
            "max by (namespace, rollout, stalled) "
            f'(label_replace({stalled}, "stalled", "$1", "reason", "(.*)"))'
        ),
    ]
    text = {"type": "color-text"}
    return panels.table(
        "Rollouts",
        "One line each; the name leads to its own dashboard. The verdict is the newest one.",
        queries,
        columns=COLUMNS,
        size=(24, 10),
        overrides=[
            panels.column("Rollout", links=[{"title": "This release", "url": LINK}]),
            panels.column("Phase", mappings=panels.words(panels.PHASES), custom__cellOptions=text),
            panels.column(
                "Verdict", mappings=panels.words(panels.VERDICTS), custom__cellOptions=text
            ),
            panels.column(
                "Outcome", mappings=panels.words(panels.OUTCOMES), custom__cellOptions=text
            ),
            panels.column("Weight", unit="percent"),
            panels.column("Step since", unit="dateTimeFromNow"),
            panels.column("Last release", unit="dateTimeFromNow"),
        ],
    )


def _phases() -> Json:
    expression = panels.codes(
        "penstock_rollout_phase", "phase", panels.PHASES, "namespace, rollout", f",{HERE}"
    )
    active = (
        f"{expression} and on (namespace, rollout) "
        f'max_over_time(penstock_rollout_phase{{{HERE},phase=~"Progressing|Promoting|Waiting"}}[1h])'
    )
    return panels.timeline(
        "Phases of those in flight",
        "Rollouts that had a release in flight within the hour before.",
        [query(active, "{{namespace}}/{{rollout}}")],
        size=(14, 9),
        mappings=panels.mapping(panels.PHASES),
    )


def _troubles() -> Json:
    return panels.bars(
        "Conditions to look at",
        "How many Rollouts have a condition that somebody should look at, by its reason.",
        [
            query(
                f"count by (condition, reason) (penstock_rollout_trouble{{{HERE}}})",
                "{{condition}}: {{reason}}",
            )
        ],
        size=(10, 9),
    )


def _outcomes() -> Json:
    increase = "sum by (outcome) (increase(penstock_releases_finished_total[$__interval]))"
    return panels.bars(
        "Releases that ended",
        "By outcome, of all namespaces.",
        [query(f"round({increase})", "{{outcome}}", interval="5m")],
        overrides=panels.colours(panels.OUTCOMES),
        size=(14, 8),
    )


def _causes() -> Json:
    increase = "sum by (outcome, cause) (increase(penstock_releases_finished_total[$__range]))"
    return panels.table(
        "Causes",
        "Why releases ended within the time that is shown, of all namespaces.",
        [row_of(f"round({increase}) > 0")],
        columns={"outcome": "Outcome", "cause": "Cause", "Value": "Releases"},
        size=(10, 8),
    )


def _quantile(level: float, of: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    selector = f"penstock_operation_seconds_bucket{{{of}}}"
    return f"histogram_quantile({level}, sum by ({labels}) (rate({selector}[$__rate_interval])))"


def _lateness() -> Json:
    late = 'operation="look_lateness"'
    return panels.lines(
        "How late looks are",
        "From when a look was due until its data could be judged: what a rollback has to wait.",
        [query(_quantile(level, late), name) for level, name in ((0.5, "half"), (0.95, "95 %"))],
        unit="s",
    )


def _timings() -> Json:
    others = 'operation!="look_lateness"'
    return panels.lines(
        "How long things take, 95 %",
        "query and history: Prometheus. read and write: the API server. reconcile: a whole turn.",
        [query(_quantile(0.95, others, "operation"), "{{operation}}")],
        unit="s",
    )


def _requests() -> Json:
    rate = 'rate(penstock_operation_seconds_count{operation!="look_lateness"}[$__rate_interval])'
    return panels.lines(
        "How often",
        "Requests and turns per second. With no release in flight there should be next to none.",
        [query(f"sum by (operation) ({rate})", "{{operation}}")],
        unit="ops",
    )


def _failures() -> Json:
    failed = "sum by (operation) (rate(penstock_failures_total[$__rate_interval]))"
    return panels.lines(
        "Failures",
        "Turns and writes of a status that failed and are tried again; events that were not sent.",
        [
            query(failed, "{{operation}}"),
            query("sum(rate(penstock_events_dropped_total[$__rate_interval]))", "events"),
        ],
        unit="ops",
    )


def _alerts() -> Json:
    return panels.lines(
        "Alerts heard",
        "Alerts that were read, and deliveries that were not taken, per second.",
        [
            query(
                "sum by (source) (rate(penstock_alerts_received_total[$__rate_interval]))",
                "read: {{source}}",
            ),
            query(
                "sum by (reason) (rate(penstock_alerts_refused_total[$__rate_interval]))",
                "refused: {{reason}}",
            ),
        ],
        unit="ops",
    )


def _notifications() -> Json:
    return panels.lines(
        "Notifications",
        "Taken, failed (most are tried again) and given up, per second; and how many wait.",
        [
            query(
                "sum by (type) (rate(penstock_notifications_sent_total[$__rate_interval]))",
                "taken: {{type}}",
            ),
            query(
                "sum by (type, reason) "
                "(rate(penstock_notifications_failed_total[$__rate_interval]))",
                "failed: {{type}}, {{reason}}",
            ),
            query(
                "sum by (reason) (rate(penstock_notifications_dropped_total[$__rate_interval]))",
                "given up: {{reason}}",
            ),
            query("sum(penstock_notifications_waiting)", "waiting"),
        ],
    )
