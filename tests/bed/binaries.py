"""The bed's programs: found in a folder, found in the cache, or built once from pinned Go modules.

`python -m tests.bed.binaries` builds what is missing and shows progress.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GOMOD = Path(__file__).parent / "gomod"
FOLDER_VARIABLE = "PENSTOCK_BED_BIN"
TICK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Tool:
    """One program: the folder of its go.mod, its main package, and how it is built.

    `minutes` is what a build took on 2 cores with empty caches; it is only shown.
    """

    name: str
    module: str
    package: str
    minutes: float
    flags: tuple[str, ...] = ()


def _kubernetes(name: str, minutes: float) -> Tool:
    version = "k8s.io/component-base/version"
    stamp = f"-X {version}.gitVersion=v1.37.1 -X {version}.gitMajor=1 -X {version}.gitMinor=37"
    return Tool(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", minutes, ("-ldflags", stamp))


TOOLS = (
    Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3", 1),
    _kubernetes("kube-apiserver", 3.5),
    _kubernetes("kube-controller-manager", 1.5),
    _kubernetes("kubectl", 0.5),
    Tool(
        "pilot-discovery",
        "istio",
        "istio.io/istio/pilot/cmd/pilot-discovery",
        4,
        ("-tags=vtprotobuf,disable_pgv",),
    ),
    Tool("prometheus", "prometheus", "github.com/prometheus/prometheus/cmd/prometheus", 5),
    Tool("alertmanager", "alertmanager", "github.com/prometheus/alertmanager/cmd/alertmanager", 1),
)


class BuildError(Exception):
    """A program of the bed could not be built; the message ends with the tail of the log."""


def cache_folder() -> Path:
    """Return the folder that outlives the checkout: `$XDG_CACHE_HOME/penstock/bed`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "penstock" / "bed"


def find_or_build() -> Mapping[str, Path]:
    """Return the path of each program, built first where neither folder nor cache has it.

    Raises:
        BuildError: Go is missing or a build failed.
    """
    missing = [tool for tool in TOOLS if not _path(tool).exists()]
    if missing:
        total = sum(tool.minutes for tool in missing)
        _say(f"building {len(missing)} programs, once (about {total:.0f} minutes on 2 cores)")
    for number, tool in enumerate(missing, 1):
        _build(tool, f"[{number}/{len(missing)}] {tool.name}")
    return {tool.name: _path(tool) for tool in TOOLS}


def istio_crds() -> Path:
    """Return the file with Istio's CRDs, from the same module as istiod."""
    target = _cached(TOOLS[4]).with_name("istio-crds.yaml")
    if not target.exists():
        found = subprocess.run(
            ["go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio"],
            cwd=GOMOD / "istio", env=_go_environment(), text=True, check=True, capture_output=True,
        )  # fmt: skip
        source = Path(found.stdout.strip()) / "manifests/charts/base/files/crd-all.gen.yaml"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    return target


def _path(tool: Tool) -> Path:
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and (given := Path(folder) / tool.name).exists():
        return given
    return _cached(tool)


def _cached(tool: Tool) -> Path:
    pins = [(GOMOD / tool.module / name).read_bytes() for name in ("go.mod", "go.sum")]
    digest = hashlib.sha256(b"\0".join([*pins, *(flag.encode() for flag in tool.flags)]))
    return cache_folder() / f"{tool.module}-{digest.hexdigest()[:12]}" / tool.name


def _go_environment() -> dict[str, str]:
    return {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod -buildvcs=false"}


def _build(tool: Tool, title: str) -> None:
    if shutil.which("go") is None:
        raise BuildError(f"{tool.name} must be built and Go is missing: install Go 1.26 or newer")
    target = _cached(tool)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial, log = target.with_name(f"{tool.name}.{os.getpid()}"), target.with_suffix(".log")
    command = ["go", "build", *tool.flags, "-o", str(partial), tool.package]
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=GOMOD / tool.module, env=_go_environment(), stdout=output, stderr=output
        )
        try:
            _watch(process, title, started)
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise BuildError(f"{tool.name} was not built (log: {log})\n{tail}")
    partial.rename(target)
    log.unlink()


def _watch(process: subprocess.Popen[bytes], title: str, started: float) -> None:
    while True:
        try:
            process.wait(TICK_SECONDS)
        except subprocess.TimeoutExpired:
            _say(f"{title}: {time.monotonic() - started:.0f} s", end="\r" if _terminal() else "\n")
        else:
            _say(f"{title}: done in {time.monotonic() - started:.0f} s")
            return


def _terminal() -> bool:
    return sys.stderr.isatty()


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(f"bed: {text}{end}")
    sys.stderr.flush()


if __name__ == "__main__":
    find_or_build()
    istio_crds()
