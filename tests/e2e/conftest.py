"""One operator for all end-to-end tests, under its own ServiceAccount, and a stage per test."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.bed.operator import REPOSITORY, Operator, OperatorSetup
from tests.e2e import stage as stages
from tests.e2e.rights import Rights

if TYPE_CHECKING:
    from tests.bed.bed import Bed
    from tests.bed.place import Place

MANIFESTS = REPOSITORY / "manifests" / "testbed"
CONFIG = {"gates": {"allow": ["127.0.0.1"]}, "notifications": {"allow": ["127.0.0.1"]}}


STAGE = ("deploy", "load", "behave", "envoy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test on a stage needs pods whose behaviour is set, traffic, and Envoy's own view."""
    for item in items:
        if "stage" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.needs(*STAGE))


@pytest.fixture(scope="session")
def _operator(bed: "Bed", pytestconfig: pytest.Config) -> Iterator[Operator | None]:
    """Start the operator once; on another cluster it runs there, and not as our process."""
    if "operator-process" not in bed.capabilities:
        yield None
        return
    running = bed.operator(OperatorSetup(manifests=MANIFESTS, config=CONFIG))
    running.start()
    yield running
    running.stop()
    if "audit" in bed.capabilities:
        rights: Rights = pytestconfig.pluginmanager.get_plugin("rights")
        rights.of_operator(bed, running)


@pytest.fixture
def operator(_operator: Operator | None) -> Operator | None:
    """The operator, running; one that a test before left dead is started again."""
    if _operator is not None and not _operator.alive:
        _operator.start()
    return _operator


@pytest.fixture
def stage(operator: Operator | None, place: "Place") -> Callable[..., stages.Stage]:
    """Return a function that sets a stage for a Rollout."""

    def set_up(manifest: dict[str, Any] | None = None, **options: Any) -> stages.Stage:
        return stages.set_up(place, manifest or stages.rollout(), **options)

    return set_up
