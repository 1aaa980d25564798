"""Run the operator: `python -m penstock`. The only module that knows every other one."""

import asyncio
import gc
import json
import logging
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import kopf
import prometheus_client
import typer
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

from penstock import handlers, health
from penstock.adapters.alertmanager import Polls
from penstock.adapters.http import Http
from penstock.adapters.kubernetes import Kubernetes
from penstock.adapters.notifications import Post
from penstock.adapters.prometheus import Prometheus
from penstock.alarm_metrics import AlarmMetrics
from penstock.alarms import Alarms
from penstock.api.configuration import Configuration, ConfigurationError, LogFormat, load
from penstock.api.v1alpha1.rollout import OnDelete
from penstock.arms import Arms
from penstock.cache import Cache
from penstock.core.kinds import ROLLOUT, Manifest, key_of
from penstock.effects import Effects
from penstock.gates import Gates
from penstock.gatherer import Gatherer
from penstock.loops import Loops
from penstock.notification_metrics import NotificationMetrics
from penstock.notifier import Notifier
from penstock.observer import Observer
from penstock.obstacles import Obstacles
from penstock.ports import TransientError
from penstock.receiver import Receiver
from penstock.reconciler import Reconciler
from penstock.releases import Releases
from penstock.sighting import Sighting
from penstock.slots import Slots
from penstock.telemetry import Metrics, Telemetry
from penstock.workloads import Workloads
from penstock.world import Settings

LOG = logging.getLogger("penstock")
CONNECTIONS = 64
COLLECTIONS = (100_000, 50, 50)
"""How seldom Python looks for cycles, of which we make few: all loops stand still meanwhile."""


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _now() -> datetime:
    return datetime.now(UTC)


def _log(form: LogFormat) -> None:
    handler = logging.StreamHandler(sys.stdout)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form is LogFormat.JSON else plain)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    handlers.quiet_logs()


async def _configure_client() -> client.Configuration:
    """Return the client's configuration: the pod's ServiceAccount, else KUBECONFIG."""
    result = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=result)  # type: ignore[no-untyped-call]
    except ConfigException:
        await config.load_kube_config(client_configuration=result)  # type: ignore[no-untyped-call]
    result.connection_pool_maxsize = CONNECTIONS
    # Else it reads ~/.netrc at every request, in the loop.
    result.client_session_kwargs = {"trust_env": False}
    return result


class Operator:
    """All parts, connected."""

    def __init__(self, configuration: Configuration, api: client.ApiClient) -> None:
        """Connect the adapters, the reconciler and the loops."""
        self.configuration = configuration
        self.cache, self.metrics = Cache(), Metrics()
        kubernetes = self.kubernetes = Kubernetes(api, self.cache, self.metrics.timing)
        self.telemetry = Telemetry(self.metrics, kubernetes)
        connections = configuration.of_kind("prometheus")
        prometheus = Prometheus(connections, self.telemetry.timing)
        settings = Settings(
            propagation=configuration.propagation_delay,
            cluster_domain=configuration.cluster_domain,
            root_namespace=configuration.mesh_root_namespace,
            catalogue=configuration.catalogue_namespace,
            gate_hosts=frozenset(configuration.gates.allow),
        )
        self.http = Http()
        self.gates = Gates(self.http, kubernetes, kubernetes, lambda key: self.loops.wake(key))
        observer = Observer(prometheus)
        names = frozenset(connections)
        gatherer = Gatherer(
            kubernetes,
            settings,
            Workloads(kubernetes),
            Obstacles(kubernetes, settings.catalogue, names, configuration.heard_namespaces()),
            Sighting(observer, Arms(observer), settings.propagation),
            self._alarms(),
            self.gates,
            Slots(configuration.max_concurrent_releases),
        )
        self.effects = Effects(kubernetes, kubernetes, settings.propagation)
        releases = Releases(kubernetes, kubernetes)
        self.notifier = self._notifier(kubernetes)
        self.reconciler = Reconciler(
            gatherer, self.effects, releases, self.telemetry, _now, self.notifier
        )
        self.loops = Loops(self.cache, self.reconciler, self.telemetry)

    def _notifier(self, kubernetes: Kubernetes) -> Notifier:
        allowed = frozenset(self.configuration.notifications.allow)
        self.post = Post(allowed)
        metrics = NotificationMetrics(self.metrics.registry)
        return Notifier(kubernetes, self.post, self.telemetry, metrics, _now, allowed)

    def _alarms(self) -> Alarms:
        """Return the book of alerts, with the receiver and the polls that fill it."""
        alarms = Alarms(
            rollouts=lambda: self.cache.all(ROLLOUT),
            wake=lambda key, *, urgent=False: self.loops.wake(key, urgent=urgent),
            clock=_now,
        )
        metrics, settings = AlarmMetrics(self.metrics.registry), self.configuration.alert_receiver
        self.receiver = Receiver(settings, alarms.told, metrics, _now) if settings else None
        managers = self.configuration.of_kind("alertmanager")
        self.polls = Polls(managers, alarms.shown, metrics, _now)
        return alarms

    async def removed(self, manifest: Manifest) -> None:
        """Clean up after a Rollout that is gone: what no owner reference can reach."""
        spec = manifest.get("spec", {})
        sticky = spec.get("traffic", {}).get("sticky", {}).get("header")
        if spec.get("onDelete") != OnDelete.REMOVE_ROUTES or not sticky:
            return
        key, root = key_of(manifest), self.configuration.mesh_root_namespace
        try:
            await self.effects.remove_filter(key.namespace, key.name, root)
        except TransientError as error:
            LOG.error("%s: its EnvoyFilter was left behind: %s", key, error)

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        ready, stop = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        prometheus_client.start_http_server(
            self.configuration.metrics_port, registry=self.metrics.registry
        )
        runner = await health.serve(self.configuration.health_port, ready)
        events = asyncio.create_task(self.telemetry.send_events())
        self.polls.start()
        try:
            if self.receiver:
                await self.receiver.start()
            await self._watch(ready, stop)
        finally:
            if self.receiver:
                await self.receiver.stop()
            await self.polls.stop()
            await self.loops.end_all()
            await self.notifier.stop()
            await self.post.close()
            await self.gates.close()
            await self.http.close()
            await self.kubernetes.close()
            events.cancel()
            await runner.cleanup()

    async def _watch(self, ready: asyncio.Event, stop: asyncio.Event) -> None:
        registry = kopf.OperatorRegistry()
        handlers.login(registry)
        handlers.register(registry, self.cache, self.loops, self.reconciler.concerned, self.removed)
        namespaces = set(self.configuration.namespaces or ())
        if namespaces:
            namespaces |= {
                self.configuration.catalogue_namespace,
                self.configuration.mesh_root_namespace,
            }
        await kopf.operator(
            registry=registry,
            settings=handlers.settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=tuple(namespaces),
            ready_flag=ready,
            stop_flag=stop,
        )


async def _run(configuration: Configuration) -> None:
    async with client.ApiClient(await _configure_client()) as api:
        await Operator(configuration, api).serve()


def main(
    config_file: Annotated[
        Path, typer.Option("--config", help="The configuration file (docs/configuration.md).")
    ] = Path("/etc/penstock/config.yaml"),
) -> None:
    """Run the operator until it is told to stop."""
    try:
        configuration = load(config_file.read_text())
    except (ConfigurationError, OSError) as error:
        typer.echo(f"{config_file}: {error}", err=True)
        raise typer.Exit(2) from error
    _log(configuration.log_format)
    gc.set_threshold(*COLLECTIONS)
    try:
        asyncio.run(_run(configuration))
    except ConfigurationError as error:
        typer.echo(f"{config_file}: {error}", err=True)
        raise typer.Exit(2) from error


def entry() -> None:
    """Start from the command line."""
    typer.run(main)


if __name__ == "__main__":
    entry()
