"""Seeded streams of releases: the counts that any rule may see, of versions whose truth is known.

Unless a scenario says otherwise: 100 requests per second at a rate that wanders, a candidate with
10 % of them on 2 pods, 18 stable pods, 0.5 % of the answers bad, an hour of history and an hour of
release. Times are minutes since the release began, so a release shorter
than an hour sees the first part of its scenario.

Shapes: R replicates, T0 rows of history (a minute each), T looks, P pods, E edges.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tests.bench_evidence import noise
from tests.bench_evidence.noise import Counts, Floats, Grid

Presence = NDArray[np.bool_]

RATE_SPREAD, RATE_CORRELATION = 0.2, 0.9
SHARE_CORRELATION = 0.9
SHARED_CORRELATION = 0.8
POD_NOISE_CORRELATION = 0.5
COLD_FACTOR = 4.0
EPISODE_SHARE = 0.3
LARGEST_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Streams:
    """Requests and bad answers of R releases of one scenario.

    Attributes:
        name: Name of the scenario.
        interval: Length of a look in seconds.
        weight: Percent of the traffic meant for the candidate, per look, shape (T,).
        history_total: Requests of the stable pods per minute before, shape (R, T0, Pb).
        history_bad: Bad ones among them.
        candidate_total: Requests per look and pod, shape (R, T, Pc).
        candidate_bad: Bad ones among them.
        stable_total: The same for stable, shape (R, T, Pb), its pods in the order of the history.
        stable_bad: Bad ones among them.
        onset: The look at which the candidate turns bad, -1 for never.
        candidate_there: Which candidate pods there are at each look, shape (T, Pc); None for all.
        stable_there: The same for stable.
    """

    name: str
    interval: float
    weight: Floats
    history_total: Counts
    history_bad: Counts
    candidate_total: Counts
    candidate_bad: Counts
    stable_total: Counts
    stable_bad: Counts
    onset: int
    candidate_there: Presence | None = field(default=None, kw_only=True)
    stable_there: Presence | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class LatencyStreams(Streams):
    """The same with answers slower than each edge as the bad ones, shapes (..., P, E).

    Attributes:
        edges: Milliseconds, rising, shape (E,).
    """

    edges: Floats


@dataclass(frozen=True, slots=True)
class ShareStreams:
    """Traffic of both arms, to be compared with the weights.

    Attributes:
        name: Name of the scenario.
        interval: Length of a look in seconds.
        weight: Percent meant for the candidate, per look, shape (T,).
        candidate: What is counted (requests or users) per look, shape (R, T).
        stable: The same for stable.
        onset: 0 where the weights are not followed, -1 where they are.
    """

    name: str
    interval: float
    weight: Floats
    candidate: Counts
    stable: Counts
    onset: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who gets how many requests.

    Attributes:
        per_second: Mean requests per second.
        history_factor: Rate of the history over that of the release.
        daily: Amplitude of the log rate over a day.
        steps: Weights in percent, each for ten minutes, the last for good.
        share_spread: Standard deviation of the log odds of the candidate's true share, AR(1).
        stable_pods: Stable pods at any moment.
        candidate_pods: Candidate pods at any moment.
        stable_replaced: Minutes at which the oldest stable pod is replaced.
        candidate_replaced: The same for the candidate.
    """

    per_second: float = 100.0
    history_factor: float = 1.0
    daily: float = 0.0
    steps: tuple[float, ...] = (10.0,)
    share_spread: float = 0.0
    stable_pods: int = 18
    candidate_pods: int = 2
    stable_replaced: tuple[float, ...] = ()
    candidate_replaced: tuple[float, ...] = ()

    def draw(self, rng: np.random.Generator, replicates: int, grid: Grid) -> tuple[Counts, Counts]:
        """Return requests of candidate and stable per row and pod, shapes (R, T0 + T, P)."""
        rate = self.per_second * grid.seconds * np.exp(self.daily * grid.daily())
        rate *= np.where(grid.minutes < 0, self.history_factor, 1.0)
        shape = replicates, len(rate)
        wandering = noise.wander(rng, shape, grid.correlation(RATE_CORRELATION))
        rate = rate * noise.factor(wandering, RATE_SPREAD)
        share = np.broadcast_to(grid.stepped(self.steps, before=0.0) / 100, shape)
        if self.share_spread:
            moving = noise.wander(rng, shape, grid.correlation(SHARE_CORRELATION))
            odds = share / (1 - share) * np.exp(self.share_spread * moving)
            share = odds / (1 + odds)
        candidates, stables = self.there(grid)
        candidate = noise.over_pods(rng, rate * share, candidates)
        return candidate, noise.over_pods(rng, rate * (1 - share), stables)

    def there(self, grid: Grid) -> tuple[Presence, Presence]:
        """Return which pods of candidate and stable there are in each row, shapes (T0 + T, P)."""
        return (
            noise.present(self.candidate_pods, self.candidate_replaced, grid),
            noise.present(self.stable_pods, self.stable_replaced, grid),
        )


@dataclass(frozen=True, slots=True)
class Errors:
    """How answers turn out bad, in either arm.

    Attributes:
        rate: Mean share of bad answers of stable.
        shared_steps: Factors on both arms, each for ten minutes of the release.
        shared_spread: Standard deviation of the log share of both arms at once, AR(1).
        pod_spread: Standard deviation of the log share of pods, for good.
        pod_noise: Standard deviation of the log share of each pod, AR(1).
        daily: Amplitude of the log share over a day, both arms.
        burst: Mean size of the clusters in which errors come, within one pod and look.
        heavy: Further clusters per request, with Pareto sizes up to 200.
        retry: Probability that the retry of a bad answer is bad too; 0 for no retries.
        episodes: Episodes per hour in which 30 % more of the answers of both arms are bad.
    """

    rate: float = 0.005
    shared_steps: tuple[float, ...] = (1.0,)
    shared_spread: float = 0.0
    pod_spread: float = 0.0
    pod_noise: float = 0.0
    daily: float = 0.0
    burst: float = 1.0
    heavy: float = 0.0
    retry: float = 0.0
    episodes: float = 0.0

    def shared(self, rng: np.random.Generator, replicates: int, grid: Grid) -> Floats:
        """Return the share of bad answers that both arms would have without pods, (R, T)."""
        share = self.rate * grid.stepped(self.shared_steps, before=1.0)
        share = share * np.exp(self.daily * grid.daily())
        moving = noise.wander(rng, (replicates, len(share)), grid.correlation(SHARED_CORRELATION))
        return share * noise.factor(moving, self.shared_spread)

    def of_pods(self, rng: np.random.Generator, shared: Floats, pods: int, grid: Grid) -> Floats:
        """Return the share of bad answers of each pod and row, shape (R, T, P)."""
        replicates, rows = shared.shape
        lasting = noise.factor(rng.standard_normal((replicates, 1, pods)), self.pod_spread)
        share = shared[..., None] * lasting
        if self.pod_noise:
            correlation = grid.correlation(POD_NOISE_CORRELATION)
            moving = noise.wander(rng, (replicates, rows, pods), correlation)
            share = share * noise.factor(moving, self.pod_noise)
        return share

    def draw(self, rng: np.random.Generator, total: Counts, p: Floats) -> tuple[Counts, Counts]:
        """Return requests and bad answers of an arm, given its shares; retries add to both."""
        p = np.minimum(p, LARGEST_SHARE)
        if self.burst > 1:
            bad = noise.geometric_clusters(rng, total, p, self.burst)
        else:
            bad = rng.binomial(total, p)
        if self.heavy:
            bad = np.minimum(bad + noise.heavy_clusters(rng, total, self.heavy), total)
        return noise.retried(rng, total, bad, self.retry) if self.retry else (total, bad)


@dataclass(frozen=True, slots=True)
class Fault:
    """What the candidate is: its share of bad answers is ratio * stable's + slack.

    Attributes:
        ratio: Factor.
        slack: Added share.
        from_minute: When it turns so and counts as bad; None for a tolerable version, so from the
            start.
        cold_minutes: How long its fresh pods are four times as bad.
    """

    ratio: float = 1.0
    slack: float = 0.0
    from_minute: float | None = None
    cold_minutes: float = 0.0

    def applied(self, share: Floats, grid: Grid) -> Floats:
        """Return the candidate's shares of bad answers, shape (R, T, P)."""
        bad = (grid.minutes >= (self.from_minute or 0.0))[:, None]
        cold = ((grid.minutes >= 0) & (grid.minutes < self.cold_minutes))[:, None]
        faulty = np.where(bad, self.ratio * share + self.slack, share)
        return faulty * np.where(cold, COLD_FACTOR, 1.0)

    def onset(self, interval: float, looks: int) -> int:
        """Return the look at which the candidate turns bad, -1 for never."""
        if self.from_minute is None:
            return -1
        onset = int(np.ceil(self.from_minute * 60 / interval))
        if onset >= looks:
            raise ValueError(f"The candidate turns bad at look {onset}, after the last of {looks}.")
        return onset


@dataclass(frozen=True, slots=True)
class Scenario:
    """One column of a table."""

    name: str
    traffic: Traffic = field(default_factory=Traffic)
    errors: Errors = field(default_factory=Errors)
    fault: Fault = field(default_factory=Fault)


def draw(
    scenario: Scenario,
    replicates: int,
    seed: int = 0,
    interval: float = 60.0,
    looks: int = 60,
    history: int = 60,
) -> Streams:
    """Return the streams of a scenario.

    Args:
        scenario: What happens.
        replicates: R.
        seed: The same seed gives the same streams; scenarios share no chance.
        interval: Seconds of a look.
        looks: T.
        history: T0, minutes before the release.
    """
    rng, grid = generator(scenario.name, seed), Grid.of(interval, looks, history)
    errors, traffic = scenario.errors, scenario.traffic
    candidate, stable = traffic.draw(rng, replicates, grid)
    shared = errors.shared(rng, replicates, grid)
    worse = errors.of_pods(rng, shared, candidate.shape[-1], grid)
    worse = scenario.fault.applied(worse, grid)
    usual = errors.of_pods(rng, shared, stable.shape[-1], grid)
    if errors.episodes:
        both = EPISODE_SHARE * noise.episodes(rng, replicates, grid, errors.episodes)[..., None]
        worse, usual = worse + both, usual + both
    candidate, candidate_bad = errors.draw(rng, candidate, worse)
    stable, stable_bad = errors.draw(rng, stable, usual)
    candidates, stables = traffic.there(grid)
    return Streams(
        name=scenario.name,
        interval=interval,
        weight=grid.stepped(traffic.steps, before=0.0)[history:],
        history_total=stable[:, :history],
        history_bad=stable_bad[:, :history],
        candidate_total=candidate[:, history:],
        candidate_bad=candidate_bad[:, history:],
        stable_total=stable[:, history:],
        stable_bad=stable_bad[:, history:],
        onset=scenario.fault.onset(interval, looks),
        candidate_there=candidates[history:],
        stable_there=stables[history:],
    )


def generator(name: str, seed: int) -> np.random.Generator:
    """Return the source of chance of one name."""
    return np.random.default_rng((seed, zlib.crc32(name.encode())))


_ROUGH = Errors(shared_spread=0.4, pod_noise=0.3, burst=3.0)
_UNEVEN = Errors(pod_spread=0.3)
_AT_ONCE = 0.0

NULLS = (
    Scenario("iid"),
    Scenario("shared env AR(1) sd .4", errors=Errors(shared_spread=0.4)),
    Scenario("bursts x3 + env + pod-interval noise", errors=_ROUGH),
    Scenario("persistent pod effect sd .3", errors=_UNEVEN),
    Scenario(
        "ramp 5->50% + shared rate x4 mid-way",
        Traffic(steps=(5.0, 10.0, 20.0, 30.0, 50.0, 50.0)),
        Errors(shared_steps=(1, 1, 1, 4, 4, 4)),
    ),
    Scenario("shared outage 5% for 10 min", errors=Errors(shared_steps=(1, 1, 10, 1))),
    Scenario("noisy service p0=1.5%", errors=Errors(rate=0.015)),
    Scenario("quiet service p0=.1%", errors=Errors(rate=0.001)),
    Scenario("low traffic 2 rps", Traffic(per_second=2.0)),
    Scenario("very low 0.05 rps", Traffic(per_second=0.05)),
    Scenario("cold start x4 for 3 min", fault=Fault(cold_minutes=3.0)),
)

FAULTS = (
    Scenario("x1.5", fault=Fault(1.5, from_minute=_AT_ONCE)),
    Scenario("x2", fault=Fault(2.0, from_minute=_AT_ONCE)),
    Scenario("x4", fault=Fault(4.0, from_minute=_AT_ONCE)),
    Scenario("x40 (20% errors)", fault=Fault(40.0, from_minute=_AT_ONCE)),
    Scenario("x4 overdispersed", errors=_ROUGH, fault=Fault(4.0, from_minute=_AT_ONCE)),
    Scenario("x4 from minute 30", fault=Fault(4.0, from_minute=30.0)),
    Scenario("x10, 2 rps", Traffic(per_second=2.0), fault=Fault(10.0, from_minute=_AT_ONCE)),
    Scenario("p0=.1%, x5", errors=Errors(rate=0.001), fault=Fault(5.0, from_minute=_AT_ONCE)),
    Scenario("x2 with pod sd .3", errors=_UNEVEN, fault=Fault(2.0, from_minute=_AT_ONCE)),
    Scenario("x4 with pod sd .3", errors=_UNEVEN, fault=Fault(4.0, from_minute=_AT_ONCE)),
)

HELD_OUT = (
    Scenario("2 + 1 pods, pod sd .3", Traffic(stable_pods=2, candidate_pods=1), _UNEVEN),
    Scenario(
        "4 + 1 pods, pod sd .2",
        Traffic(stable_pods=4, candidate_pods=1),
        Errors(pod_spread=0.2),
    ),
    Scenario("30 + 10 pods, pod sd .3", Traffic(stable_pods=30, candidate_pods=10), _UNEVEN),
    Scenario("at the edge: 1.2 times + .1 points", fault=Fault(ratio=1.2, slack=0.001)),
    Scenario("at the edge: 1.2 times", fault=Fault(ratio=1.2)),
    Scenario("Pareto clusters up to 200", errors=Errors(rate=0.002, heavy=2e-4)),
    Scenario("daily cycle, history at its low", Traffic(daily=1.0), Errors(daily=0.7)),
    Scenario(
        "pods replaced, pod sd .2",
        Traffic(
            stable_replaced=(-50, -40, -30, -20, -10, 5, 15, 25, 35, 45, 55),
            candidate_replaced=(30,),
        ),
        Errors(pod_spread=0.2),
    ),
    Scenario("candidate's share wanders", Traffic(share_spread=0.3)),
    Scenario("ten times the traffic of the history", Traffic(1000.0, history_factor=0.1)),
    Scenario(
        "ten times the traffic, pod-interval noise",
        Traffic(1000.0, history_factor=0.1),
        Errors(pod_noise=0.2),
    ),
    Scenario("retry chains", errors=Errors(rate=0.0025, retry=0.5)),
    Scenario("dependency fails in episodes", errors=Errors(episodes=6.0)),
)


ENVOY_EDGES = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000)
MEDIAN, SIGMA = 80.0, 0.6
SLOW_SHARE, SLOW_MEDIAN, SLOW_SIGMA = 0.002, 1200.0, 0.4
STABLE_PODS, CANDIDATE_PODS, WEIGHT, PER_SECOND = 18, 2, 10.0, 100.0


@dataclass(frozen=True, slots=True)
class LatencyScenario:
    """One column of the table of latency: log-normal, median 80 ms, sigma .6, .2 % slow.

    Attributes:
        name: Name of the column.
        shift: Factor on the candidate's median.
        tail: Share of the candidate's answers that are slow (1.2 s) on top.
        shared_spread: Standard deviation of the log median of both arms, AR(1).
        pod_spread: Standard deviation of the log median of pods, for good.
    """

    name: str
    shift: float = 1.0
    tail: float = 0.0
    shared_spread: float = 0.0
    pod_spread: float = 0.0


LATENCY = (
    LatencyScenario("H0 iid"),
    LatencyScenario("H0 shared env sd .3", shared_spread=0.3),
    LatencyScenario("H0 pod effect sd .1", pod_spread=0.1),
    LatencyScenario("H1 +5%", shift=1.05),
    LatencyScenario("H1 +10%", shift=1.1),
    LatencyScenario("H1 +30%", shift=1.3),
    LatencyScenario("H1 +0.5% slow (1.2s) tail", tail=0.005),
    LatencyScenario("H1 +2% slow tail", tail=0.02),
)


def draw_latency(
    scenario: LatencyScenario,
    replicates: int,
    seed: int = 0,
    interval: float = 60.0,
    looks: int = 60,
    history: int = 60,
    edges: tuple[float, ...] = ENVOY_EDGES,
) -> LatencyStreams:
    """Return the streams of a scenario of latency; arguments as for `draw`, edges in ms."""
    rng, grid = generator(scenario.name, seed), Grid.of(interval, looks, history)
    moving = noise.wander(rng, (replicates, history + looks), grid.correlation(SHARED_CORRELATION))
    shared = np.log(MEDIAN) + scenario.shared_spread * moving
    weight = grid.stepped((WEIGHT,), before=0.0)
    rate = np.broadcast_to(PER_SECOND * grid.seconds, shared.shape)

    def arm(share: Floats, pods: int, shift: float, slow: float) -> tuple[Counts, Counts]:
        total = noise.over_pods(rng, rate * share, np.ones((len(share), pods), bool))
        lasting = scenario.pod_spread * rng.standard_normal((replicates, 1, pods))
        log_median = shared[..., None] + np.log(shift) + lasting
        return total, _beyond(rng, total, log_median, slow, edges)

    slow = SLOW_SHARE + scenario.tail
    candidate, candidate_bad = arm(weight / 100, CANDIDATE_PODS, scenario.shift, slow)
    stable, stable_bad = arm(1 - weight / 100, STABLE_PODS, 1.0, SLOW_SHARE)
    return LatencyStreams(
        name=scenario.name,
        interval=interval,
        weight=weight[history:],
        history_total=stable[:, :history],
        history_bad=stable_bad[:, :history],
        candidate_total=candidate[:, history:],
        candidate_bad=candidate_bad[:, history:],
        stable_total=stable[:, history:],
        stable_bad=stable_bad[:, history:],
        onset=0 if scenario.shift > 1 or scenario.tail > 0 else -1,
        edges=np.array(edges, float),
    )


def _beyond(
    rng: np.random.Generator,
    total: Counts,
    log_median: Floats,
    slow: float,
    edges: tuple[float, ...],
) -> Counts:
    """Return how many of `total` (R, T, P) are slower than each edge, shape (R, T, P, E).

    Those beyond an edge are a binomial part of those beyond the edge before.
    """
    result = np.empty((*total.shape, len(edges)), np.int64)
    left, share_left = total, np.ones(total.shape)
    for number, edge in enumerate(np.log(edges)):
        late = norm.sf((edge - np.log(SLOW_MEDIAN)) / SLOW_SIGMA)
        share = (1 - slow) * norm.sf((edge - log_median) / SIGMA) + slow * late
        left = rng.binomial(left, np.minimum(share / np.maximum(share_left, 1e-300), 1.0))
        result[..., number], share_left = left, share
    return result


@dataclass(frozen=True, slots=True)
class ShareScenario:
    """One column of the table of traffic splits; 10 % is intended.

    Attributes:
        name: Name of the column.
        percent: The true share.
        per_user: Mean requests of a user in a look, who stays with one version; 0 for none.
        users: Count users rather than requests.
    """

    name: str
    percent: float = WEIGHT
    per_user: float = 0.0
    users: bool = False


SHARES = (
    ShareScenario("split 10% per-request random"),
    ShareScenario("9.8%", 9.8),
    ShareScenario("9.5%", 9.5),
    ShareScenario("9%", 9.0),
    ShareScenario("5.56% (Iter8 linear rendezvous, asked 10%)", 5.56),
    ShareScenario("10% sticky users, 20 req/user/min (request counts)", per_user=20.0),
    ShareScenario("10% sticky users (user counts)", per_user=20.0, users=True),
)


def draw_shares(
    scenario: ShareScenario,
    replicates: int,
    seed: int = 0,
    interval: float = 60.0,
    looks: int = 60,
) -> ShareStreams:
    """Return the streams of a scenario of shares at 100 requests per second."""
    rng = generator(scenario.name, seed)
    mean = PER_SECOND * interval / (scenario.per_user or 1.0)
    units = rng.poisson(mean, (replicates, looks))
    candidate = rng.binomial(units, scenario.percent / 100)
    stable = units - candidate
    if scenario.per_user and not scenario.users:
        candidate = rng.poisson(candidate * scenario.per_user)
        stable = rng.poisson(stable * scenario.per_user)
    return ShareStreams(
        name=scenario.name,
        interval=interval,
        weight=np.full(looks, WEIGHT),
        candidate=candidate,
        stable=stable,
        onset=-1 if scenario.percent == WEIGHT else 0,
    )
