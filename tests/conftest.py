"""Fixtures for tests that need a cluster: `bed` (one per run) and `place` (one per test).

Without KUBECONFIG the bed is started; with it that cluster is used, and tests whose `needs` it
does not meet are skipped. Nothing of the bed is imported by tests that do not ask for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.e2e.rights import Rights

if TYPE_CHECKING:
    from tests.bed.bed import Bed
    from tests.bed.external import ExternalCluster
    from tests.bed.place import Place

_MARKERS = (
    "needs(*capabilities): what a test needs beyond kubectl and a place; see tests/bed/external.py",
    "may_reject: this test makes Envoy refuse a configuration on purpose",
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(Rights(config), "rights")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing here: it may take 20 minutes, and no test's time limit runs yet."""
    wanted = any("bed" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    from tests.bed.binaries import find_or_build
    from tests.bed.external import given_kubeconfig

    capture = session.config.pluginmanager.getplugin("capturemanager")
    if given_kubeconfig() is None and capture is not None:
        with capture.global_and_fixture_disabled():
            find_or_build()


@pytest.fixture(scope="session")
def bed() -> "Iterator[Bed | ExternalCluster]":
    """The cluster for this run: the bed, or what KUBECONFIG names."""
    from tests.bed.bed import Bed
    from tests.bed.external import ExternalCluster, given_kubeconfig
    from tests.bed.operator import REPOSITORY

    given = given_kubeconfig()
    with ExternalCluster(given) if given else Bed.start(crds=REPOSITORY / "crds") as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _needs_met(request: pytest.FixtureRequest) -> None:
    """Skip a test whose needs the cluster does not meet."""
    needed = {need for marker in request.node.iter_markers("needs") for need in marker.args}
    if not needed:
        return
    from tests.bed.external import missing

    why = missing(request.getfixturevalue("bed").capabilities, needed)
    if why:
        pytest.skip(f"this cluster lacks {why}")


@pytest.fixture
def place(bed: "Bed | ExternalCluster", request: pytest.FixtureRequest) -> "Iterator[Place]":
    """A namespace and hostname of this test's own; fails if Envoy refused a configuration."""
    edge = bed.edge()
    before = edge.update_rejected() if edge else 0
    with bed.place(request.node.name.removeprefix("test_")) as mine:
        yield mine
        if edge and request.node.get_closest_marker("may_reject") is None:
            refused = edge.update_rejected() - before
            assert refused == 0, f"Envoy refused {refused} configurations; log: {edge.child.log}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Name the bed's logs in the report of a failed test."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("bed")
    if report.failed and cluster is not None:
        report.sections.append(("bed", f"logs of the bed: {cluster.logs}"))
    return report
