"""Who wrote a VirtualService and when, as the API server notes it, and what to tell a rival."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from penstock.core.traffic.routes import PROTOCOLS
from penstock.core.traffic.target import MANAGER, Place, Target

Manifest = Mapping[str, Any]


def written_at(live: Manifest) -> datetime | None:
    """Return when our manager last wrote the object, rounded up: its time has whole seconds."""
    times = [
        _parse(entry["time"])
        for entry in live["metadata"].get("managedFields", [])
        if entry.get("manager") == MANAGER and entry.get("time")
    ]
    return max(times) + timedelta(seconds=1) if times else None


def list_written_at(live: Manifest) -> datetime | None:
    """Return when anybody last wrote the routes, rounded up: they are as they are since then.

    Somebody who writes but a timeout into the list takes our record of having written it away.
    """
    times = [_parse(time) for time, _ in _owners(live) if time]
    return max(times) + timedelta(seconds=1) if times else None


def _owners(live: Manifest) -> list[tuple[str, str]]:
    """Return time and name of the managers that own the routes of the object."""
    lists = {f"f:{protocol}" for protocol in PROTOCOLS}
    return [
        (entry.get("time", ""), entry.get("manager", ""))
        for entry in live["metadata"].get("managedFields", [])
        if lists & entry.get("fieldsV1", {}).get("f:spec", {}).keys()
    ]


def editor(live: Manifest) -> str:
    """Return who owns the routes of the object, where it is not us; empty where it is."""
    owners = _owners(live)
    if not owners or any(manager == MANAGER for _, manager in owners):
        return ""
    return str(max(owners)[1])


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text)


def contested_text(target: Target, manager: str, release: str) -> str:
    """Return what to tell somebody whose tool keeps changing our weights, with the exact cure."""
    names = ", ".join(place.name for place in target.places)
    entries = ", ".join(_ignored(target, place) for place in target.places)
    return (
        f"field manager {manager} keeps changing the weights of VirtualService "
        f"{names}: all traffic was put on stable once, and we no longer "
        f"fight. Let it ignore them (Argo CD: ignoreDifferences: [{entries}] "
        f"with syncOptions RespectIgnoreDifferences=true), then annotate with "
        f"penstock.dev/retry: {release}#<id>"
    )


def _ignored(target: Target, place: Place) -> str:
    """Return the entry of `ignoreDifferences` for one VirtualService."""
    return (
        f"{{group: networking.istio.io, kind: VirtualService, name: {place.name}, "
        f"namespace: {target.namespace}, {_paths(target, place)}}}"
    )


def _paths(target: Target, place: Place) -> str:
    theirs = place.theirs
    if theirs is None:
        return "jsonPointers: [/spec/http]"
    found = []
    if theirs.http:
        names = " or ".join(f'.name == "{name}"' for name in theirs.http)
        rule = f'(.name // "") | startswith("{target.route_name}:")'
        found.append(f".spec.http[] | select({names}) | .route, .mirrors")
        found.append(f".spec.http[] | select({rule})")
    if theirs.tls:
        hosts = " or ".join(f'. == "{host}"' for host in theirs.tls)
        found.append(f".spec.tls[] | select(any(.match[].sniHosts[]; {hosts})) | .route")
    if theirs.tcp:
        ports = " or ".join(f". == {port}" for port in theirs.tcp)
        found.append(f".spec.tcp[] | select(any(.match[]?.port; {ports})) | .route")
    listed = ", ".join(f"'{one}'" for one in found)
    return f"jqPathExpressions: [{listed}]"
