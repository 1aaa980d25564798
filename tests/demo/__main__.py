"""`python -m tests.demo`: a good and a bad release on the real bed, in two minutes."""

import argparse
import signal
import sys
from types import FrameType


def main() -> int:
    """Return the exit code."""
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, _interrupt)
    try:
        options = _options()
        from tests.demo.run import run  # takes a moment, in which Ctrl-C may come already

        return run(stay=options.stay)
    except KeyboardInterrupt:
        print("\ndemo: stopped; nothing is left behind", flush=True)
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument(
        "--stay",
        action=argparse.BooleanOptionalAction,
        default=sys.stdin.isatty() and sys.stdout.isatty(),
        help="keep the bed at the end, until Ctrl-C (default: at a terminal)",
    )
    return parser.parse_args()


def _interrupt(_: int, __: FrameType | None) -> None:
    """End in good order, once: a second Ctrl-C must not interrupt the cleaning up."""
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
