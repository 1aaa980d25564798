"""The demo leaves nothing behind, whenever it is interrupted."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from tests.bed.operator import REPOSITORY
from tests.bed.processes import gone, wait_until

pytestmark = [pytest.mark.bed, pytest.mark.needs("operator-process")]


@pytest.mark.usefixtures("bed")  # its programs are there, so the demo starts at once
@pytest.mark.parametrize("seconds", [0.5, 2, 4, 8, 14])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, seconds: float) -> None:
    with (tmp_path / "out").open("w+") as out:
        demo = subprocess.Popen(
            [sys.executable, "-m", "tests.demo"], cwd=REPOSITORY, stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        time.sleep(seconds)
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signal.SIGINT)
        demo.wait(20)
    text = (tmp_path / "out").read_text()
    wait_until("end of the children", lambda: all(gone(child.pid) for child in children), 5)
    assert list(Path(tempfile.gettempdir()).glob(f"penstock-bed-{demo.pid}-*")) == []
    assert "Traceback" not in text, text
    assert children or seconds < 4, text
