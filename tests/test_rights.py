"""What is said of rights and their use after the end-to-end tests."""

import pytest

from tests.e2e import rights

ALL = rights.granted() - rights.AT_SCALE


@pytest.mark.parametrize(
    ("asked", "refused", "whole", "said"),
    [
        (ALL, set(), True, []),
        (ALL | rights.AT_SCALE, set(), True, []),
        (ALL | {("secrets", "list")}, set(), True, ["used, and not"]),
        (ALL, {("nodes", "get")}, True, ["asked without"]),
        (ALL, {("rollouts", "watch")}, True, []),
        (ALL - {("events", "create")}, set(), True, ["granted, and never used"]),
        (ALL - {("events", "create")}, set(), False, []),
    ],
)
def test_a_right_that_is_missing_or_idle_is_named(asked, refused, whole, said):
    found = rights.problems(asked, refused, whole)
    assert [line.startswith(start) for line, start in zip(found, said, strict=True)] == [
        True
    ] * len(said)
