"""The operator's rights are what it used in the whole end-to-end run, on all beds together.

Each worker tells what its operator asked of its API server. When all have ended, one report more
says whether manifests and use agree.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.bed.bed import Bed
    from tests.bed.operator import Operator

MANIFESTS = Path(__file__).parents[2] / "manifests"
FILES = (
    "base/rbac.yaml",
    "components/sticky/rbac.yaml",
    "components/gate-jobs/rbac.yaml",
    "../examples/notifications.yaml",
)
AT_SCALE = {("pods", "watch")}
"""Used only where a namespace needs more than a list a second."""
HERE = Path(__file__).parent
NAME = "the_operator_uses_no_right_that_it_has_not_and_has_none_that_it_does_not_use"
Right = tuple[str, str]


def granted() -> set[Right]:
    """Return (resource, verb) of every rule of the manifests."""
    found = set()
    for name in FILES:
        for manifest in yaml.safe_load_all((MANIFESTS / name).read_text()):
            for rule in manifest.get("rules", []):
                found |= {(r, v) for r in rule["resources"] for v in rule["verbs"]}
    return found


def problems(asked: set[Right], refused: set[Right], whole: bool) -> list[str]:
    """Return what is wrong, a line each; `whole`: every end-to-end test has run."""
    unused = granted() - AT_SCALE - asked if whole else set()
    found = [f"used, and not in the manifests: {sorted(asked - granted())}"] * bool(
        asked - granted()
    )
    found += [f"asked without the right: {sorted(refused - granted())}"] * bool(refused - granted())
    return found + [f"granted, and never used: {sorted(unused)}"] * bool(unused)


@dataclass
class Rights:
    """The plugin: what the operators of this run asked, and in which test files."""

    config: pytest.Config
    asked: set[Right] = field(default_factory=set)
    refused: set[Right] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    told: bool = False

    def of_operator(self, bed: "Bed", operator: "Operator") -> None:
        """Take what an operator asked of the API server, and what it was refused."""
        self.told = True
        for request in bed.requests(operator.user):
            if request.resource:
                name = "/".join(filter(None, (request.resource, request.subresource)))
                (self.refused if request.code == 403 else self.asked).add((name, request.verb))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the test files of this run."""
        self.modules |= {item.path.name for item in session.items if "e2e" in item.nodeid}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker tells at its end."""
        output = getattr(node, "workeroutput", {}).get("rights")
        if output and output["told"]:
            self.told = True
            self.asked |= _pairs(output["asked"])
            self.refused |= _pairs(output["refused"])
            self.modules |= set(output["modules"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker tells; the one that hears all of them judges."""
        if hasattr(self.config, "workeroutput"):
            content = {
                name: [list(one) for one in getattr(self, name)] for name in ("asked", "refused")
            }
            self.config.workeroutput["rights"] = {
                **content,
                "modules": sorted(self.modules),
                "told": self.told,
            }
        elif self.told:
            self._judge(session)

    def _judge(self, session: pytest.Session) -> None:
        files = {path.name for path in HERE.glob("test_*.py")} - {"test_soak.py"}
        wrong = problems(self.asked, self.refused, self.modules >= files)
        report = pytest.TestReport(
            nodeid=f"tests/e2e/rights.py::{NAME}",
            location=("tests/e2e/rights.py", 0, NAME),
            keywords={},
            outcome="failed" if wrong else "passed",
            longrepr="\n".join(wrong) or None,
            when="call",
        )
        self.config.hook.pytest_runtest_logreport(report=report)
        if wrong:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _pairs(rows: Iterable[list[str]]) -> set[Right]:
    return {(resource, verb) for resource, verb in rows}
