"""Child processes of the bed: each in its own session, with its own log, ended by its own pid.

A child ends with its parent in every case: `stop`, interpreter exit, and (Linux) even when the
parent is killed by SIGKILL, since the kernel is asked for it (PR_SET_PDEATHSIG).
"""

import atexit
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1
_PORTS = range(20000, 32000)  # below the range from which the kernel takes client ports
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_taken: set[int] = set()
_running: "set[Child]" = set()
# The kernel's signal comes when the *thread* that forked ends: one thread forks for all.
_forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bed-forker")


class BedError(Exception):
    """Something of the bed did not work; the message says what and names the log."""


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; for `preexec_fn`."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """Return a port on 127.0.0.1 that nobody listens on and that was not returned before."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _taken:
                _taken.add(port)
                return port
    raise BedError("no free port on 127.0.0.1")


def wait_until(what: str, check: Callable[[], T], timeout: float, every: float = 0.02) -> T:
    """Return the first true value of `check`; an exception counts as false.

    Raises:
        BedError: it took longer than `timeout` seconds; the last exception is its cause.
    """
    until, last = time.monotonic() + timeout, None
    while True:
        try:
            if value := check():
                return value
            last = None
        except BedError:
            raise
        except Exception as error:
            last = error
        if time.monotonic() > until:
            raise BedError(f"{what}: not within {timeout:g} s{_because(last)}") from last
        time.sleep(every)


def _because(error: Exception | None) -> str:
    return f" ({type(error).__name__}: {error})" if error else ""


def gone(pid: int) -> bool:
    """Return whether no process of this id lives; one that ended but was not reaped is gone."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Child:
    """One program that runs until it is stopped."""

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start `command`; `environment` is added to this process's own."""
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self.process: subprocess.Popen[bytes] = _forker.submit(
                subprocess.Popen,
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                start_new_session=True,
                preexec_fn=die_with_parent,
            ).result()
        _running.add(self)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self, check: Callable[[], object], timeout: float, every: float = 0.02) -> None:
        """Wait for `check`; fail at once when the process ends, and name its log."""
        try:
            wait_until(f"{self.name} ready", lambda: self._require() and check(), timeout, every)
        except BedError as error:
            raise BedError(f"{error}\n{self.tail()}") from error.__cause__

    def _require(self) -> bool:
        if not self.alive:
            raise BedError(f"{self.name} ended with code {self.process.returncode}")
        return True

    def tail(self, lines: int = 15) -> str:
        """Return the end of the log, headed by its path."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join([f"log: {self.log}", *text.splitlines()[-lines:]])

    def say(self, line: str) -> None:
        """Write one line to the program's standard input."""
        if self.process.stdin is not None:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()

    def stop(self, patience: float = 3.0) -> None:
        """End it with SIGTERM, after `patience` seconds with SIGKILL."""
        if self.alive:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        self.kill()

    def kill(self) -> None:
        """End it with SIGKILL and wait for that."""
        if self.alive:
            self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        _running.discard(self)


@atexit.register
def kill_all() -> None:
    """Kill every child that still runs."""
    for child in list(_running):
        child.kill()
