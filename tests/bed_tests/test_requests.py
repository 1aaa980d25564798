"""Requests with headers and cookies, and users who keep their cookies."""

from typing import Any

import pytest

from tests.bed.bed import Bed
from tests.bed.place import Place

pytestmark = [pytest.mark.bed, pytest.mark.needs("deploy", "load")]


@pytest.fixture
def shop(bed: Bed, place: Place) -> Place:
    """Cookie `arm` decides; without it half of the traffic gets each version, and its cookie."""
    place.deploy("shop", "v1", wait=False)
    place.deploy("shop", "v2")
    place.wait_deployed("shop", "v1")
    place.subsets("shop", "v1", "v2")
    place.split("shop", {"v1": 100})
    (split,) = place.get("virtualservice", "shop")["spec"]["http"]
    routes = [
        {"name": "header", "match": [{"headers": {"x-canary": {"exact": "yes"}}}],
         "route": [_to(place, "v2")]},
        *(
            {"name": f"cookie-{v}", "match": [{"headers": {"cookie": {"regex": f".*arm={v}.*"}}}],
             "route": [_to(place, v)]}
            for v in ("v1", "v2")
        ),
        split | {"route": [_given(place, "v1"), _given(place, "v2")]},
    ]  # fmt: skip
    place.merge("virtualservice", "shop", {"spec": {"http": routes}})
    place.wait(lambda: bed.request(place.hostname).cookies, 10, "route at the edge")
    return place


def _to(place: Place, version: str) -> dict[str, Any]:
    return {"destination": {"host": place.host("shop"), "subset": version}}


def _given(place: Place, version: str) -> dict[str, Any]:
    cookie = {"response": {"add": {"set-cookie": f"arm={version}; Max-Age=60; Path=/"}}}
    return {**_to(place, version), "weight": 50, "headers": cookie}


def test_request_tells_who_answered_what_and_which_cookies_came(bed: Bed, shop: Place) -> None:
    reply = bed.request(
        shop.hostname, headers={"x-canary": "yes"}, method="POST", path="/model?x=1"
    )
    assert (reply.status, reply.version) == (200, "v2")
    assert (reply.method, reply.path, reply.cookies) == ("POST", "/model?x=1", {})
    first = bed.request(shop.hostname)
    assert first.cookies == {"arm": first.version}
    assert first.set_cookies == (f"arm={first.version}; Max-Age=60; Path=/",)
    for version in ("v1", "v2"):
        assert bed.request(shop.hostname, cookies={"arm": version}).version == version
    assert bed.request("nobody.example.com").status == 404


def test_users_of_a_load_keep_their_cookies(shop: Place) -> None:
    with shop.load(200, users=40, limit=400, cookies=True) as load:
        answers = load.wait(10)
    by_user: dict[str, set[str]] = {}
    for answer in answers:
        by_user.setdefault(answer.user, set()).add(answer.version)
    assert len(by_user) == 40
    assert all(len(versions) == 1 for versions in by_user.values())
    assert set.union(*by_user.values()) == {"v1", "v2"}
