"""Addresses come from a tenant's Secret: where they may lead."""

import base64

import pytest

from penstock.api.v1alpha1.notifications import NotificationType
from penstock.core.destinations import DestinationError, destination, is_public

HOOK = "https://hooks.slack.com/services/T1/B1/secret-token"


def secret(**keys):
    return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in keys.items()}}


def read(kind="Webhook", allowed=(), **keys):
    return destination(NotificationType(kind), secret(**keys), allowed)


def test_an_https_address_of_a_public_host_is_taken_as_it_is():
    found = read("Slack", url=f" {HOOK}\n")
    assert (found.url, found.host, found.authorization) == (HOOK, "hooks.slack.com", "")


def test_credentials_are_a_whole_header_or_a_bearer_token():
    assert read(url=HOOK, token="t").authorization == "Bearer t"
    assert read("CloudEvents", url=HOOK, authorization="Basic abc").authorization == "Basic abc"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "no key url"),
        ("slack://T1/B1/x", "begins with https://"),
        ("file:///etc/passwd", "begins with https://"),
        ("exec://reboot", "begins with https://"),
        ("dbus://", "begins with https://"),
        ("jsons://example.com", "begins with https://"),
        ("hooks.slack.com/services", "begins with https://"),
        ("https://", "begins with https://"),
        ("https://example.com:99999/", "no address under url"),
        ("http://example.com/", "write https"),
        ("https://me:pass@example.com/", "a user in its url"),
        ("https://127.0.0.1/", "not public"),
        ("https://[::1]/", "not public"),
        ("https://169.254.169.254/latest", "not public"),
        ("https://10.0.0.1/", "not public"),
        ("https://[::ffff:10.0.0.1]/", "not public"),
        ("https://[fd00:ec2::254]/", "not public"),
        ("https://a.example/\nX: y", "more than one line"),
        ("https://" + "a" * 5000, "more than 4096"),
    ],
)
def test_any_other_address_is_refused_in_a_sentence_that_does_not_quote_its_path(url, sentence):
    with pytest.raises(DestinationError, match=sentence) as caught:
        read(url=url)
    assert "latest" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/x", "https://10.1.2.3/", "http://broker.ns"]
)
def test_the_administrator_may_allow_a_host(url):
    allowed = {"127.0.0.1", "10.1.2.3", "broker.ns"}
    assert read(url=url, allowed=allowed).url == url


def test_other_mistakes_in_a_secret_are_named():
    for keys, sentence in (
        ({"url": HOOK, "token": "a", "authorization": "b"}, "both authorization and token"),
        ({"url": HOOK, "token": "a b"}, "under token"),
    ):
        with pytest.raises(DestinationError, match=sentence):
            read(**keys)
    with pytest.raises(DestinationError, match="has them in its address"):
        read("Slack", url=HOOK, token="a")
    for data in ({"url": "%%%"}, {"url": base64.b64encode(b"\xff\xfe").decode()}):
        with pytest.raises(DestinationError, match="something else than text"):
            destination(NotificationType.SLACK, {"data": data})
    with pytest.raises(DestinationError, match="no key url"):
        destination(NotificationType.SLACK, {})


def test_an_address_and_a_token_are_in_no_repr():
    assert "secret" not in repr(read(url=HOOK, token="secret"))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::8.8.8.8", True),
        ("64:ff9b::169.254.169.254", False),
        ("2002:7f00:1::", False),
        ("::ffff:192.168.0.1", False),
        ("fe80::1%eth0", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("224.0.0.1", False),
        ("ff0e::1", False),
        ("example.com", False),
    ],
)
def test_only_addresses_of_the_public_internet_are_public(address, public):
    assert is_public(address) is public
