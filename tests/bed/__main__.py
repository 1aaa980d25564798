"""`python -m tests.bed`: start a bed, say how to use it, and run until Ctrl-C."""

import signal
import sys
import time
from types import FrameType

from tests.bed.bed import Bed
from tests.bed.processes import BedError

_USE = """
The bed is up. In another terminal:

  export KUBECONFIG={kubeconfig}
  export PATH={programs}:$PATH          # kubectl, if you have none
  kubectl get virtualservices -A

  edge router   {edge}   (send any hostname in the Host header)
  Envoy admin   http://{admin}
  Prometheus    {prometheus}
  logs          {logs}

Pods run as processes of this machine (image names are ignored); give them the labels `app` and
`version`, and a Service whose port is named `http`.

Ctrl-C ends it and leaves nothing behind."""


def main() -> int:
    """Return the exit code."""
    for ending in (signal.SIGTERM, signal.SIGINT):  # a background job begins with SIGINT ignored
        signal.signal(ending, _interrupt)
    try:
        with Bed.start(lambda text: print(f"bed: {text}", flush=True)) as bed:
            print(_usage(bed), flush=True)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        print("\nbed: stopped", flush=True)
        return 0
    except BedError as error:
        print(f"bed: {error}", file=sys.stderr)
        return 1


def _usage(bed: Bed) -> str:
    return _USE.format(
        kubeconfig=bed.kubeconfig,
        programs=bed.program("kubectl").parent,
        edge=bed.edge_url(),
        admin=bed.mesh.edge.metrics_target,
        prometheus=bed.prometheus.url,
        logs=bed.logs,
    )


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
