"""Nothing of the bed outlives its parent."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bed.processes import BedError, Child, free_port, gone, wait_until

_PARENT = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # else inherited, e.g. as ignored
from tests.bed.processes import Child
print(Child("sleeper", ["sleep", "60"], Path(sys.argv[1])).pid, flush=True)
{then}
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_child_ends_with_a_killed_parent(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-c", _PARENT.format(then="time.sleep(60)"), str(tmp_path / "log")]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path.cwd(), text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.stdout.close()
    parent.send_signal(how)
    parent.wait(10)
    wait_until("end of the child", lambda: gone(pid), 5)


def test_child_ends_with_a_parent_that_returns(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PARENT.format(then=""), str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    wait_until("end of the child", lambda: gone(int(done.stdout)), 5)


def test_failed_start_is_told_at_once_with_the_log(tmp_path: Path) -> None:
    child = Child("bad", ["sh", "-c", "echo no such luck; exit 3"], tmp_path / "bad.log")
    begun = time.monotonic()
    with pytest.raises(BedError, match=r"(?s)bad ended with code 3.*bad\.log.*no such luck"):
        child.wait_ready(lambda: False, timeout=30)
    child.kill()
    assert time.monotonic() - begun < 5


def test_free_ports_differ() -> None:
    assert len({free_port() for _ in range(50)}) == 50
