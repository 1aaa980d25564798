"""What the watches have shown: the newest version of each object, by kind."""

from penstock.cache import Cache
from penstock.core.kinds import RELEASE, ROLLOUT, VIRTUAL_SERVICE, Key

KEY = Key("ml", "fraud")


def body(version, uid="u", **spec):
    meta = {"name": KEY.name, "namespace": KEY.namespace, "uid": uid, "resourceVersion": version}
    return {"metadata": meta, "spec": spec}


def test_what_was_never_shown_is_not_there():
    cache = Cache()
    assert cache.get(ROLLOUT, KEY) is None
    assert cache.all(ROLLOUT) == ()
    cache.remove(ROLLOUT, body("1"))


def test_objects_of_one_name_and_two_kinds_are_two():
    cache = Cache()
    cache.put(ROLLOUT, body("1"))
    cache.put(VIRTUAL_SERVICE, body("2"))
    cache.remove(ROLLOUT, body("1"))
    assert cache.get(VIRTUAL_SERVICE, KEY)["metadata"]["resourceVersion"] == "2"


def test_our_own_write_is_not_undone_by_a_watch_that_lags():
    cache = Cache()
    cache.put(ROLLOUT, body("10", weight=5))
    assert cache.put(ROLLOUT, body("9", weight=1))["spec"] == {"weight": 5}
    assert cache.get(ROLLOUT, KEY)["spec"] == {"weight": 5}


def test_versions_are_numbers_not_texts():
    cache = Cache()
    cache.put(ROLLOUT, body("99"))
    cache.put(ROLLOUT, body("100"))
    assert cache.get(ROLLOUT, KEY)["metadata"]["resourceVersion"] == "100"


def test_versions_that_are_no_numbers_are_taken_as_they_come():
    cache = Cache()
    cache.put(ROLLOUT, body("b"))
    cache.put(ROLLOUT, body("a"))
    assert cache.get(ROLLOUT, KEY)["metadata"]["resourceVersion"] == "a"


def test_the_same_version_again_replaces_what_was_there():
    cache = Cache()
    cache.put(ROLLOUT, body("1", weight=1))
    cache.put(ROLLOUT, body("1", weight=2))
    assert cache.get(ROLLOUT, KEY)["spec"] == {"weight": 2}


def test_who_wrote_what_is_kept_of_routes_only():
    cache, managers = Cache(), [{"manager": "kubectl"}]
    for kind, kept in ((ROLLOUT, None), (RELEASE, None), (VIRTUAL_SERVICE, managers)):
        shown = body("1")
        shown["metadata"]["managedFields"] = managers
        for found in (cache.put(kind, shown), cache.get(kind, KEY)):
            assert found["metadata"].get("managedFields") == kept
            assert found["metadata"]["name"] == KEY.name
