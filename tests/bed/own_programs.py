"""The bed's own two programs (backend/, load/): Go, standard library only, built in seconds.

Built into the cache under the hash of their source, so a change builds anew.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.bed.binaries import BuildError, cache_folder

_HERE = Path(__file__).parent


def own_program(name: str) -> Path:
    """Return the built program of the folder `backend` or `load`.

    Raises:
        BuildError: Go is missing or the source does not compile.
    """
    sources = sorted([*(_HERE / name).glob("*.go"), _HERE / name / "go.mod"])
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
    target = cache_folder() / f"own-{digest[:12]}" / f"bed-{name}"
    if not target.exists():
        _build(name, target)
    return target


def _build(name: str, target: Path) -> None:
    if shutil.which("go") is None:
        raise BuildError(f"{name} must be built and Go is missing: install Go 1.26 or newer")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    done = subprocess.run(
        ["go", "build", "-o", str(partial), "."],
        cwd=_HERE / name, env={**environment, "GOTOOLCHAIN": "local"}, text=True, check=False,
        capture_output=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise BuildError(f"{name} was not built\n{done.stderr}")
    partial.rename(target)
