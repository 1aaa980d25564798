"""The operator's rights are what it used in the whole end-to-end run: last by its name."""

from pathlib import Path

import pytest
import yaml

from tests.bed.operator import REPOSITORY

pytestmark = [pytest.mark.bed, pytest.mark.needs("audit")]
FILES = (
    "base/rbac.yaml",
    "components/sticky/rbac.yaml",
    "components/gate-jobs/rbac.yaml",
    "../examples/notifications.yaml",
)
AT_SCALE = {("pods", "watch")}
"""Used only where a namespace needs more than a list a second."""
HERE = Path(__file__).parent


def granted():
    """Return (resource, verb) of every rule of the manifests."""
    found = set()
    for name in FILES:
        for manifest in yaml.safe_load_all((REPOSITORY / "manifests" / name).read_text()):
            for rule in manifest.get("rules", []):
                found |= {(r, v) for r in rule["resources"] for v in rule["verbs"]}
    return found


def used(bed, operator):
    """Return (resource, verb) of what the operator asked of the API server, and was refused."""
    asked, refused = set(), set()
    for request in bed.requests(operator.user):
        if not request.resource:
            continue
        resource = "/".join(filter(None, (request.resource, request.subresource)))
        (refused if request.code == 403 else asked).add((resource, request.verb))
    return asked, refused


def test_the_operator_uses_no_right_that_it_has_not_and_has_none_that_it_does_not_use(
    bed, operator, request
):
    asked, refused = used(bed, operator)
    assert asked <= granted()
    modules = {item.path.name for item in request.session.items if "e2e" in item.nodeid}
    if modules >= {path.name for path in HERE.glob("test_*.py")} - {"test_soak.py"}:
        assert granted() - AT_SCALE <= asked
    unexpected = {r for r in refused if r not in granted()}
    assert not unexpected, "asked without the right"
