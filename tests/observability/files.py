"""Which files are made, and of what."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.bed.operator import REPOSITORY
from tests.observability import all_releases, metrics_page, one_release
from tests.observability.panels import Json

DASHBOARDS = REPOSITORY / "manifests" / "components" / "dashboards"
BOARDS: Mapping[str, Callable[[], Json]] = {
    "all-releases": all_releases.make,
    "one-release": one_release.make,
}


def _written(make: Callable[[], Json]) -> str:
    return json.dumps(make(), indent=1, ensure_ascii=False) + "\n"


FILES: Mapping[Path, Callable[[], str]] = {
    **{DASHBOARDS / f"{name}.json": partial(_written, make) for name, make in BOARDS.items()},
    REPOSITORY / "docs" / "metrics-of-the-operator.md": metrics_page.page,
}
