"""Runs kubectl."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.bed.processes import BedError


def run_kubectl(
    program: Path | str, arguments: Sequence[str], kubeconfig: Path, text: str | None, check: bool
) -> subprocess.CompletedProcess[str]:
    """Run kubectl; BedError with its words when it fails and `check` is true."""
    done = subprocess.run(
        [str(program), *arguments],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        input=text, text=True, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    if check and done.returncode != 0:
        raise BedError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done
